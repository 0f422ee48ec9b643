//! What can go wrong in the store, and what the rest of the server is told about it.
//!
//! Inside, a [`Trouble`] keeps its cause for the log. Outside there is only [`StoreError`]: no SQL,
//! no path and no password reaches a client.

use std::sync::{Mutex, PoisonError};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::ports::store::StoreError;

/// Why the store could not be opened, for the operator who starts the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database that Santral knows.
    #[error("DATABASE_URL must be sqlite:<path> or postgres://<user>@<host>/<database>")]
    UnknownUrl,
    /// The folder or the file of the SQLite database could not be created.
    #[error("cannot create {path}: {source}")]
    Create {
        /// Which one.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database could not be reached.
    #[error("cannot open the database {url}: {cause}")]
    Connect {
        /// Where, without the password.
        url: String,
        /// What the database said, without the password.
        cause: String,
    },
    /// The tables could not be brought up to date.
    #[error("cannot migrate the database {url}: {cause}")]
    Migrate {
        /// Where, without the password.
        url: String,
        /// What the database said.
        cause: String,
    },
    /// The database answers, but the log in it cannot be used.
    #[error("cannot use the database {url}: {cause}")]
    Unusable {
        /// Where, without the password.
        url: String,
        /// What was wrong.
        cause: String,
    },
}

/// Why one operation failed, with its cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Query(#[from] DieselError),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("a setting of the connection was refused: {0}")]
    Setting(&'static str),
    #[error("every connection is in use")]
    PoolExhausted,
    #[error("another write of this server takes too long")]
    TurnTimedOut,
    #[error("the database file is gone or was replaced")]
    FileReplaced,
    #[error("the database fails its integrity check: {0}")]
    Damaged(String),
    #[error("the database holds no log")]
    NoLog,
    #[error("the log was replaced by another one (epoch {found} instead of {expected}): restart the server")]
    OtherLog { expected: String, found: String },
    #[error("acknowledged entries are missing (head {found} instead of {expected}): restart the server")]
    RolledBack { expected: u64, found: u64 },
    #[error("another process took back the mark that says that entries may be unsynced")]
    MarkTakenBack,
    #[error("the log has no offsets left")]
    OffsetsExhausted,
}

impl Trouble {
    /// What callers are told.
    pub(super) fn kind(&self) -> StoreError {
        match self {
            Self::Query(error) => kind_of_query(error),
            Self::Connect(message) => kind_of_message(message),
            Self::PoolExhausted | Self::TurnTimedOut | Self::MarkTakenBack => StoreError::Busy,
            Self::Setting(_)
            | Self::FileReplaced
            | Self::Damaged(_)
            | Self::NoLog
            | Self::OtherLog { .. }
            | Self::RolledBack { .. }
            | Self::OffsetsExhausted => StoreError::Failed,
        }
    }

    /// Whether the database itself says that its file is damaged.
    pub(super) fn hints_at_damage(&self) -> bool {
        let message = self.to_string();
        matches!(self, Self::Damaged(_))
            || ["malformed", "file is not a database"].iter().any(|hint| message.contains(hint))
    }
}

fn kind_of_query(error: &DieselError) -> StoreError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => StoreError::Busy,
        DieselError::DatabaseError(_, information) => kind_of_message(information.message()),
        DieselError::RollbackErrorOnCommit { commit_error, .. } => kind_of_query(commit_error),
        _ => StoreError::Failed,
    }
}

/// Diesel passes on neither SQLite's result codes nor the SQLSTATE, so the texts have to do.
///
/// SQLite's are constants (`sqlite3ErrStr`). PostgreSQL translates its own when `lc_messages` says
/// so; then everything counts as `Failed`, which is the safe reading.
fn kind_of_message(message: &str) -> StoreError {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&FULL) {
        StoreError::Full
    } else if says(&BUSY) {
        StoreError::Busy
    } else {
        StoreError::Failed
    }
}

/// `SQLITE_FULL`, and ENOSPC in PostgreSQL's 53100.
const FULL: [&str; 2] = ["database or disk is full", "No space left on device"];

const BUSY: [&str; 15] = [
    // SQLITE_BUSY and SQLITE_LOCKED.
    "database is locked",
    "database table is locked",
    "database schema is locked",
    // 53300 too_many_connections, in all its forms.
    "too many clients already",
    "remaining connection slots are reserved",
    "too many connections for",
    // 55P03 lock_not_available, 40P01 deadlock_detected, 57014 query_canceled.
    "due to lock timeout",
    "could not obtain lock on",
    "deadlock detected",
    "due to statement timeout",
    // 57P03 cannot_connect_now.
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
];

/// Says once what is wrong, and once that it is over: a database that is down fails every publish.
#[derive(Debug)]
pub(super) struct Reporter {
    who: &'static str,
    last: Mutex<Option<String>>,
}

impl Reporter {
    pub(super) fn new(who: &'static str) -> Self {
        Self { who, last: Mutex::new(None) }
    }

    /// Logs a trouble that is not the last one again, and returns what callers are told.
    pub(super) fn failed(&self, trouble: &Trouble) -> StoreError {
        let (who, kind) = (self.who, trouble.kind());
        // libpq breaks its texts into lines.
        let cause = trouble.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() != Some(&cause) {
            match kind {
                StoreError::Busy => log::warn!("{who}: {kind}: {cause}"),
                StoreError::Full | StoreError::Failed => log::error!("{who}: {kind}: {cause}"),
            }
            *last = Some(cause);
        }
        kind
    }

    /// Logs the end of a trouble.
    pub(super) fn succeeded(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.take().is_some() {
            log::info!("{}: the database works again", self.who);
        }
    }
}
