//! One connection to either database, and the two kinds of transaction that the store uses.

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;

use super::error::Trouble;

/// A connection to SQLite or PostgreSQL: queries in the common subset of both run on it as they are.
#[derive(diesel::MultiConnection)]
pub(super) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A table whose writers exclude each other: see [`Database::lock`].
#[derive(Debug, Clone, Copy)]
pub(super) enum LockedTable {
    /// One admin must be left.
    Users,
    /// There is a bound on live keys.
    ApiKeys,
    /// The history says what was there before.
    Settings,
    /// Ids have the order of commits, so that a follower misses none.
    EventLogs,
}

/// Repeats an expression per database, for what Diesel does not offer on [`Database`]:
/// inserts of many rows, and everything that is special to one of them.
macro_rules! each {
    ($database:expr, $connection:ident => $body:expr) => {
        match $database {
            $crate::store::database::Database::Sqlite($connection) => $body,
            $crate::store::database::Database::Postgres($connection) => $body,
        }
    };
}
pub(super) use each;

impl Database {
    /// Runs `work` in a transaction that may write.
    ///
    /// SQLite takes its write lock at the start: a transaction that reads first and writes later
    /// fails when another has written in between.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        self.begin("BEGIN IMMEDIATE", "BEGIN ISOLATION LEVEL READ COMMITTED")?;
        self.finish(work)
    }

    /// Runs `work` in a transaction whose queries all see the same state of the database.
    pub(super) fn snapshot<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        self.begin("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.finish(work)
    }

    /// Keeps others from writing to a table until this transaction ends, where what is written
    /// depends on rows that others may write. On SQLite the transaction itself does that.
    pub(super) fn lock(&mut self, table: LockedTable) -> Result<(), Trouble> {
        if let Self::Postgres(connection) = self {
            connection.batch_execute(match table {
                LockedTable::Users => "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE",
                LockedTable::ApiKeys => "LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE",
                LockedTable::Settings => "LOCK TABLE server_settings IN SHARE ROW EXCLUSIVE MODE",
                LockedTable::EventLogs => "LOCK TABLE event_logs IN SHARE ROW EXCLUSIVE MODE",
            })?;
        }
        Ok(())
    }

    fn begin(&mut self, sqlite: &str, postgres: &str) -> Result<(), Trouble> {
        match self {
            Self::Sqlite(connection) => AnsiTransactionManager::begin_transaction_sql(connection, sqlite)?,
            Self::Postgres(connection) => AnsiTransactionManager::begin_transaction_sql(connection, postgres)?,
        }
        Ok(())
    }

    fn finish<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        match work(self) {
            Ok(value) => {
                Self::commit_transaction(self)?;
                Ok(value)
            }
            Err(trouble) => {
                // Whoever called drops the connection now, which rolls back as well.
                let _ = Self::rollback_transaction(self);
                Err(trouble)
            }
        }
    }
}
