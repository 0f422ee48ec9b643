//! One connection to either database, and the two kinds of transaction that the store uses.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;

use super::error::Trouble;

/// A connection to SQLite or PostgreSQL: queries in the common subset of both run on it as they are.
#[derive(diesel::MultiConnection)]
pub(super) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
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
