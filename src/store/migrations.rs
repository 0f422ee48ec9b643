//! The migrations, embedded in the binary and run at each start.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::database::Database;
use super::error::Trouble;
use super::postgres;

/// Brings the tables up to date: all pending migrations in one transaction, or none.
pub(super) fn run(database: &mut Database) -> Result<(), MigrationError> {
    let mut outcome = Ok(());
    let ran = database.write(|database| {
        outcome = match database {
            Database::Sqlite(connection) => connection.run_pending_migrations(SQLITE).map(drop),
            Database::Postgres(connection) => {
                postgres::lock_migrations(connection)?;
                connection.run_pending_migrations(POSTGRES).map(drop)
            }
        };
        match outcome {
            Ok(()) => Ok(()),
            // Any error rolls back; the one that is told is in `outcome`.
            Err(_) => Err(Trouble::NoLog),
        }
    });
    outcome.map_err(|cause| MigrationError(cause.to_string()))?;
    ran.map_err(|trouble| MigrationError(trouble.to_string()))
}

/// Why a migration did not run, in the database's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct MigrationError(pub(super) String);

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
