//! The migrations, embedded in the binary and run at each start.

use diesel::migration::MigrationSource;
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

/// Which migrations of this version are not among those that ran, and which of those it does not know.
pub(super) fn compare(database: &Database, applied: &[String]) -> (Vec<String>, Vec<String>) {
    let mut ours = match database {
        Database::Sqlite(_) => names::<diesel::sqlite::Sqlite>(&SQLITE),
        Database::Postgres(_) => names::<diesel::pg::Pg>(&POSTGRES),
    };
    ours.sort_unstable();
    let is_ours = |version: &String| ours.iter().any(|(ours, _)| ours == version);
    let unknown = applied.iter().filter(|version| !is_ours(version)).cloned().collect();
    let pending = ours.iter().filter(|(version, _)| !applied.contains(version)).map(|(_, name)| name.clone()).collect();
    (pending, unknown)
}

/// Version and name of each migration that the binary brings.
fn names<B: diesel::backend::Backend>(source: &EmbeddedMigrations) -> Vec<(String, String)> {
    let migrations = MigrationSource::<B>::migrations(source).unwrap_or_default();
    migrations.iter().map(|each| (each.name().version().to_string(), each.name().to_string())).collect()
}

/// Why a migration did not run, in the database's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct MigrationError(pub(super) String);

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
