//! The use cases: what Santral does, whichever edge asks for it.

pub mod channels;
pub mod commands;
pub mod connection_records;
pub mod event_log;
pub mod publish;
pub mod streams;
mod write_behind;

use santral_core::limits;
use santral_core::names::{ConnectionId, NameError};
use santral_core::position::{Epoch, Position};

use crate::ports::store::StoreError;

/// Why something was not done. Each is the caller's to mend, or passes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A channel name or prefix.
    #[error("channel {0:?} {1}")]
    Channel(String, NameError),
    /// An event name.
    #[error("event {0:?} {1}")]
    Event(String, NameError),
    /// A session token; its text is a secret.
    #[error("the session token {0}")]
    Session(NameError),
    /// A connection id.
    #[error("connection {0:?} {1}")]
    Connection(String, NameError),
    /// A user id.
    #[error("user {0:?} {1}")]
    User(String, NameError),
    /// A position that is none of this log.
    #[error("{0:?} is no position of this log")]
    Position(String),
    /// Not exactly one target.
    #[error("{0}")]
    Target(&'static str),
    /// Data over the bound, in bytes.
    #[error("the message has {bytes} bytes of data; at most {bytes_max} are taken")]
    TooLarge {
        /// What came.
        bytes: usize,
        /// What is taken.
        bytes_max: usize,
    },
    /// Data that nests too deep.
    #[error("the message nests deeper than {} levels", limits::JSON_DEPTH_MAX)]
    TooDeep,
    /// A batch of no items, or of too many.
    #[error("the batch has {0} items; 1 to {max} are taken", max = limits::BATCH_ITEMS_MAX)]
    Batch(usize),
    /// An idempotency key that cannot be.
    #[error("{0}")]
    IdempotencyKey(&'static str),
    /// An idempotency key of another request.
    #[error("the idempotency key was used with another request; nothing was published")]
    KeyReused,
    /// Too much to follow.
    #[error("a session follows at most {} channels", limits::SUBSCRIPTIONS_PER_SESSION_MAX)]
    TooManySubscriptions,
    /// No such session, or not the caller's.
    #[error("there is no such session")]
    NoSession,
    /// The log.
    #[error("{0}; the message is not acknowledged")]
    Store(#[from] StoreError),
    /// The server is about to stop.
    #[error("the server is about to stop")]
    Draining,
    /// No place for another stream.
    #[error("the server has as many streams as it can hold")]
    Full,
    /// A filter of the event log.
    #[error("{0}")]
    EventFilter(String),
    /// Something of ours has stopped.
    #[error("the server could not finish the request")]
    Stopped,
}

/// A fresh connection id.
#[must_use]
pub(crate) fn new_connection_id() -> ConnectionId {
    ConnectionId::parse(&nanoid::nanoid!(ConnectionId::LENGTH)).expect("nanoid's alphabet is that of tokens")
}

/// Reads a position that must be one of this log.
pub(crate) fn parse_position(text: &str, epoch: Epoch) -> Result<Position, Refusal> {
    let position: Option<Position> = text.parse().ok();
    position.filter(|position| position.epoch == epoch).ok_or_else(|| Refusal::Position(text.to_owned()))
}
