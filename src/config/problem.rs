//! What is wrong with a configuration, said to whoever wrote it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::descriptors::TooFew;

/// Where a value came from; the later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// This file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(String),
    /// The API set it, and the database keeps it.
    Database,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "file {path:?}"),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Flag(name) => write!(formatter, "flag --{name}"),
            Self::Database => formatter.write_str("database"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file has a key that nobody knows.
    #[error("{path:?}: unknown key {key:?}{}", hint(nearest.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// The environment has a variable that begins like ours and is not.
    #[error("unknown environment variable {name:?}{}", hint(nearest.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value has the wrong shape or is out of range.
    #[error("{key} ({origin}): expected {expected}, not {}", value.as_deref().unwrap_or("what stands there"))]
    Value {
        /// The setting.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// The value, quoted; absent where it may be a secret.
        value: Option<String>,
        /// What it should be, with range and unit.
        expected: String,
    },
    /// A variable or flag is not UTF-8.
    #[error("{key} ({origin}): its value is not UTF-8")]
    Encoding {
        /// The setting.
        key: String,
        /// Where the value came from.
        origin: Origin,
    },
    /// The file cannot be read.
    #[error("cannot read {path:?}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not TOML. Its text is not quoted: it may hold a password.
    #[error("{path:?}, line {line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// TURN servers that nobody could use.
    #[error("turn_urls: without turn_secret there are no passwords for the TURN servers")]
    NoTurnSecret,
    /// Too few file descriptors.
    #[error(transparent)]
    TooFewDescriptors(#[from] TooFew),
}

/// Why a setting was not changed; the old value holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Nobody knows it.
    #[error("there is no setting {key:?}{}", nearest.as_deref().map_or_else(String::new, |name| format!("; did you mean {name}?")))]
    Unknown {
        /// What was asked for.
        key: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// The value has the wrong shape or is out of range.
    #[error("{key}: expected {expected}, not {value}")]
    Invalid {
        /// The setting.
        key: &'static str,
        /// The value, quoted.
        value: String,
        /// What it should be, with range and unit.
        expected: String,
    },
    /// It is read at a start only.
    #[error(
        "{key} is read at a start only: set the variable {variable}, the flag --{flag}, or {key} in the file, and \
         start the server again"
    )]
    NeedsRestart {
        /// The setting.
        key: &'static str,
        /// Its environment variable.
        variable: String,
        /// Its flag, without dashes.
        flag: String,
    },
    /// It would end the open mode while nobody could sign in.
    #[error("{key}: there is no admin yet, so nobody could undo this")]
    WouldLockOut {
        /// The setting.
        key: &'static str,
    },
}

/// Everything that is wrong with one configuration, one line each.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "; `santral --help` names all".to_owned(), |name| format!("; did you mean {name}?"))
}
