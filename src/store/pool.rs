//! Connections, opened and kept by r2d2, for the writer and for readers.
//!
//! r2d2 alone hides why it has no connection and lets a caller wait for its whole timeout. Here a
//! caller gets the cause of the first attempt that failed while it waited.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::r2d2::R2D2Connection;

use santral_core::limits::STORAGE_BUSY_TIMEOUT;

use super::database::Database;
use super::error::Trouble;
use super::location::Location;
use super::sqlite::FileIdentity;
use super::{postgres, sqlite};

/// A connection that is out of the pool.
pub(super) type PooledLink = r2d2::PooledConnection<Connector>;

/// A connection with what is known of it.
pub(super) struct Link {
    /// The connection itself.
    pub(super) database: Database,
    /// Set after any error: the pool then throws the connection away.
    pub(super) is_broken: bool,
    files: Option<FileIdentity>,
}

impl Link {
    /// Fails when the file of the database was moved away, deleted or replaced beneath us.
    pub(super) fn check_files(&self) -> Result<(), Trouble> {
        match &self.files {
            Some(files) if !files.is_current() => Err(Trouble::FileReplaced),
            _ => Ok(()),
        }
    }
}

/// How to open a connection.
#[derive(Debug)]
pub(super) struct Connector {
    location: Location,
    last_failure: Arc<Mutex<Failures>>,
}

/// Attempts to connect that failed, and why the last one did.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: String,
}

impl Connector {
    pub(super) fn new(location: Location) -> Self {
        Self { location, last_failure: Arc::default() }
    }

    /// Opens a connection that belongs to no pool.
    pub(super) fn open(&self) -> Result<Link, Trouble> {
        let (database, files) = match &self.location {
            Location::Sqlite(path) => {
                let database = Database::Sqlite(sqlite::connect(path)?);
                // After the connection's first read, so that the write-ahead log exists.
                let files = FileIdentity::of(path).map_err(|error| Trouble::Connect(error.to_string()))?;
                (database, Some(files))
            }
            Location::Postgres(url) => (Database::Postgres(postgres::connect(url)?), None),
        };
        Ok(Link { database, is_broken: false, files })
    }
}

impl r2d2::ManageConnection for Connector {
    type Connection = Link;
    type Error = Trouble;

    fn connect(&self) -> Result<Link, Trouble> {
        self.open().map_err(|trouble| {
            let cause = self.location.redact(&match &trouble {
                Trouble::Connect(cause) => cause.clone(),
                other => other.to_string(),
            });
            let mut failures = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
            failures.count += 1;
            failures.last.clone_from(&cause);
            Trouble::Connect(cause)
        })
    }

    fn is_valid(&self, link: &mut Link) -> Result<(), Trouble> {
        link.check_files()?;
        match &mut link.database {
            Database::Sqlite(_) => Ok(()),
            Database::Postgres(connection) => Ok(connection.ping()?),
        }
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.is_broken || link.database.is_broken()
    }
}

/// A pool that says why.
pub(super) struct Links {
    pool: r2d2::Pool<Connector>,
    failures: Arc<Mutex<Failures>>,
}

impl Links {
    /// A pool of at most `size` connections, opened when they are needed.
    pub(super) fn new(location: Location, size: u32) -> Self {
        let connector = Connector::new(location);
        let failures = Arc::clone(&connector.last_failure);
        let pool = r2d2::Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(0))
            .connection_timeout(RECONNECT_PAUSE_MAX * 2)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(connector);
        Self { pool, failures }
    }

    /// Takes a connection out of the pool; dropping it puts it back.
    pub(super) fn take(&self) -> Result<PooledLink, Trouble> {
        let failures_before = self.failures().count;
        let deadline = Instant::now() + STORAGE_BUSY_TIMEOUT;
        loop {
            if let Ok(link) = self.pool.get_timeout(POLL_INTERVAL) {
                return Ok(link);
            }
            let failures = self.failures();
            if failures.count != failures_before {
                return Err(Trouble::Connect(failures.last.clone()));
            }
            if Instant::now() >= deadline {
                return Err(Trouble::PoolExhausted);
            }
        }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest pause between two attempts to connect (r2d2 takes half of its timeout).
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// How soon a caller learns of a failed attempt.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
