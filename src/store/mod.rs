//! The log of record and what is kept beside it, in SQLite or PostgreSQL, by Diesel: implements
//! [`crate::ports`].
//!
//! | file | what |
//! |---|---|
//! | `location`, `pool`, `database` | URL, connections, transactions |
//! | `sqlite`, `postgres` | what is special to one database |
//! | `log_state` | epoch and head, and when they must not be trusted |
//! | `writer`, `append`, `idempotency`, `retention` | what changes the log |
//! | `reader`, `page`, `channels` | what reads it |
//! | `records` | what is kept beside the log, and how it is read and written |
//! | `accounts`, `logins`, `api_keys`, `blocks`, `settings`, `connections` | one table each |
//! | `video_rooms`, `video_participants` | rooms, and who is and was in them |
//! | `webhook_outbox`, `sending_turn` | what other servers are still to be told, and by whom |
//! | `event_logs`, `event_query` | the event log, and finding something in it |
//! | `write_gate` | one writer at a time |
//! | `messages`, `schema`, `text` | rows, apart from the engine's types |
//! | `notices` | what other programs say through PostgreSQL |
//! | `survey` | what the doctor asks |
//! | `error` | causes, and what the rest of the server is told |
//!
//! Everything here blocks; the writer has a thread of its own, readers run on blocking threads.

mod accounts;
mod api_keys;
mod append;
mod blocks;
mod channels;
mod connections;
mod database;
mod error;
mod event_logs;
mod event_query;
mod idempotency;
mod location;
mod log_state;
mod logins;
mod messages;
mod migrations;
mod notices;
mod options;
mod page;
mod pool;
mod postgres;
mod reader;
mod records;
mod retention;
mod schema;
mod sending_turn;
mod settings;
mod sqlite;
mod survey;
mod text;
mod video_participants;
mod video_rooms;
mod webhook_outbox;
mod write_gate;
mod writer;

use std::sync::Arc;

use crate::ports::accounts::AccountStore;
use crate::ports::connections::ConnectionStore;
use crate::ports::event_log::EventStore;
use crate::ports::notices::NoticeBoard;
use crate::ports::settings::SettingsStore;
use crate::ports::store::{Durability, LogReader, LogState, LogWriter};
use crate::ports::video::VideoStore;
use crate::ports::webhooks::Outbox;

use error::Trouble;
use location::Location;
use pool::Connector;
use reader::Reader;
use write_gate::WriteGate;
use writer::Writer;

pub use error::OpenError;
pub use survey::survey;

/// Which database, and how.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:<path>` or `postgres://…`; holds a password, so it has no `Debug`.
    pub url: String,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Connections for readers; the writer has one more of its own.
    pub readers: u32,
}

/// An open log.
pub struct Opened {
    /// The only one who appends. Dropping it is the clean end: with [`Durability::Os`] it syncs.
    pub writer: Box<dyn LogWriter>,
    /// Shared by everyone who reads.
    pub reader: Arc<dyn LogReader>,
    /// Where the log stands.
    pub state: LogState,
    /// What is kept beside the log.
    pub records: Records,
}

/// What is kept beside the log, by what it is for. Shared by everyone; blocks.
#[derive(Clone)]
pub struct Records(Arc<records::Records>);

impl Records {
    /// Accounts, logins, API keys and blocks.
    #[must_use]
    pub fn accounts(&self) -> Arc<dyn AccountStore> {
        Arc::clone(&self.0) as _
    }

    /// The event log.
    #[must_use]
    pub fn events(&self) -> Arc<dyn EventStore> {
        Arc::clone(&self.0) as _
    }

    /// Settings that were changed, and their history.
    #[must_use]
    pub fn settings(&self) -> Arc<dyn SettingsStore> {
        Arc::clone(&self.0) as _
    }

    /// What other servers are still to be told.
    #[must_use]
    pub fn webhooks(&self) -> Arc<dyn Outbox> {
        Arc::clone(&self.0) as _
    }

    /// Video rooms.
    #[must_use]
    pub fn video(&self) -> Arc<dyn VideoStore> {
        Arc::clone(&self.0) as _
    }

    /// Who was connected.
    #[must_use]
    pub fn connections(&self) -> Arc<dyn ConnectionStore> {
        Arc::clone(&self.0) as _
    }
}

/// Opens the log: creates and migrates the database where needed.
///
/// The epoch that this returns stays that of the log for as long as it is open: a database whose
/// epoch changes beneath us fails every call until the server is started again.
///
/// # Errors
/// [`OpenError`], with a text for the operator that shows no password.
pub fn open(options: &StoreOptions) -> Result<Opened, OpenError> {
    let location = Location::parse(&options.url)?;
    migrate_at(&location)?;
    let gate = WriteGate::of(&location);
    let (writer, state) = Writer::open(location.clone(), options.durability, gate.clone())
        .map_err(|trouble| OpenError::Unusable { url: location.to_string(), cause: cause(&location, &trouble) })?;
    let records = Records(Arc::new(records::Records::new(location.clone(), gate)));
    let reader = Reader::new(location, options.readers, state.epoch);
    Ok(Opened { writer: Box::new(writer), reader: Arc::new(reader), state, records })
}

/// Opens what is kept beside the log, for a command that leaves the log alone: creates and migrates
/// the database where needed.
///
/// # Errors
/// [`OpenError`], with a text for the operator that shows no password.
pub fn open_records(options: &StoreOptions) -> Result<Records, OpenError> {
    let location = Location::parse(&options.url)?;
    migrate_at(&location)?;
    let gate = WriteGate::of(&location);
    Ok(Records(Arc::new(records::Records::new(location, gate))))
}

/// Creates the database where that is possible, and brings its tables up to date.
///
/// # Errors
/// [`OpenError`], with a text for the operator that shows no password.
pub fn migrate(options: &StoreOptions) -> Result<(), OpenError> {
    migrate_at(&Location::parse(&options.url)?)
}

/// A listener to these channels of the database; `None` where the database has no such thing.
///
/// # Errors
/// [`OpenError::UnknownUrl`].
pub fn notices(options: &StoreOptions, channels: Vec<String>) -> Result<Option<Box<dyn NoticeBoard>>, OpenError> {
    Ok(match Location::parse(&options.url)? {
        Location::Sqlite(_) => None,
        Location::Postgres(url) => Some(Box::new(notices::Notices::new(url, channels))),
    })
}

fn migrate_at(location: &Location) -> Result<(), OpenError> {
    if let Location::Sqlite(path) = location {
        sqlite::create_file(path)?;
    }
    let url = || location.to_string();
    let mut link = Connector::new(location.clone())
        .open()
        .map_err(|trouble| OpenError::Connect { url: url(), cause: cause(location, &trouble) })?;
    migrations::run(&mut link.database)
        .map_err(|error| OpenError::Migrate { url: url(), cause: location.redact(&error.to_string()) })
}

fn cause(location: &Location, trouble: &Trouble) -> String {
    location.redact(&match trouble {
        Trouble::Connect(cause) => cause.clone(),
        other => other.to_string(),
    })
}
