//! What can go wrong in a run; each ends the run and is printed once, in `main`.

use std::io;

/// A failure of the bench itself, not of a requirement: those are [`crate::report::Figure`]s.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A server ended or did not answer in time after its start.
    #[error("{server} did not become ready; its log ends with:\n{log}")]
    NotReady {
        /// The server's name.
        server: &'static str,
        /// The end of what it wrote.
        log: String,
    },
    /// A condition did not come true in time.
    #[error("timed out: {what}")]
    Timeout {
        /// What was awaited.
        what: &'static str,
    },
    /// A request was refused.
    #[error("{what} was answered with status {status}: {body}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The start of the answer.
        body: String,
    },
    /// A helper program failed.
    #[error("{program} failed: {log}")]
    Helper {
        /// Which program.
        program: &'static str,
        /// What it wrote.
        log: String,
    },
    /// The bare insert loop's database failed.
    #[error("bare insert loop: {0}")]
    Database(#[from] diesel::result::Error),
    /// The bare insert loop's database did not open.
    #[error("bare insert loop: {0}")]
    DatabaseOpen(#[from] diesel::ConnectionError),
}

/// The result of a step of a run.
pub type Result<T> = std::result::Result<T, BenchError>;

/// Says what an I/O error interrupted.
pub trait During<T> {
    /// Wraps the error with what was attempted.
    ///
    /// # Errors
    /// The given error, as [`BenchError::Io`].
    fn during(self, what: &'static str) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for std::result::Result<T, E> {
    fn during(self, what: &'static str) -> Result<T> {
        self.map_err(|source| BenchError::Io { what, source: source.into() })
    }
}
