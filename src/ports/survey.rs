//! What the database says of itself when it is asked from outside of a running server.

use std::path::PathBuf;
use std::time::Duration;

use santral_core::entry::Timestamp;

/// What was found in a database that answers. Looking changes nothing.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Name and version of the database.
    pub system: String,
    /// Where, without the password.
    pub url: String,
    /// Migrations that this version brings and the database does not have yet.
    pub pending: Vec<String>,
    /// Migrations that the database has and this version does not know.
    pub unknown: Vec<String>,
    /// Messages that are retained, roughly: from the head of the log and what retention removed; `None`
    /// when there is no log yet.
    pub messages: Option<u64>,
    /// When the newest message was accepted.
    pub newest: Option<Timestamp>,
    /// Whether the file is whole.
    pub integrity: Integrity,
    /// Settings of the database without which a commit is not safe: name, value, and whether it is safe.
    pub safety: Vec<(&'static str, String, bool)>,
    /// How far the database's clock is ahead of ours, in microseconds; `None` when it has none of its own.
    pub clock_ahead_micros: Option<i64>,
    /// How long the commits of a few tiny transactions took each; empty where this was not measured.
    pub commits: Vec<Duration>,
}

/// Whether the file of a database is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// It is, and looking took so long.
    Whole(Duration),
    /// It is not, in the database's words.
    Damaged(String),
    /// The database looks after that itself.
    NotOurs,
}

/// Why there is nothing to be said of the database.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// There is no file yet.
    #[error("{0} is not there yet")]
    Missing(PathBuf),
    /// It does not answer, or not as a database.
    #[error("{url}: {cause}")]
    Unusable {
        /// Where, without the password.
        url: String,
        /// What it said, without the password.
        cause: String,
    },
}
