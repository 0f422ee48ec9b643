//! The use cases: what Santral does, whichever edge asks for it.

pub mod accounts;
pub mod api_keys;
pub mod channels;
pub mod commands;
pub mod publish;
pub mod streams;
pub mod tickets;
pub mod users;

use std::time::Duration;

use santral_core::grants::PatternError;
use santral_core::limits;
use santral_core::names::{ConnectionId, NameError};
use santral_core::position::{Epoch, Position};

use crate::auth::AuthError;
use crate::auth::account_name::AccountNameError;
use crate::auth::password::PasswordError;
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
    /// A field that is not what it must be.
    #[error("{0}")]
    Field(&'static str),
    /// The name of an account.
    #[error("the name {0}")]
    AccountName(AccountNameError),
    /// A pattern of channels.
    #[error(transparent)]
    Pattern(PatternError),
    /// A password that is not good enough, or that nobody had time to look at.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Name and password do not belong together. Which of them is wrong is nobody's business.
    #[error("the name or the password is wrong")]
    BadCredentials,
    /// A token that is not accepted.
    #[error(transparent)]
    Token(#[from] AuthError),
    /// Nobody may register by themselves.
    #[error("the registration is closed")]
    RegistrationClosed,
    /// The operation is for who has signed in with an account.
    #[error("there is no login to this request")]
    NoLogin,
    /// Another token than the printed one, or there is an admin already.
    #[error("the setup is closed, or this is not its token")]
    SetupClosed,
    /// Channels that the principal has no right to.
    #[error("there is no right to {0:?}")]
    NotGranted(String),
    /// Another account has the name.
    #[error("there is an account of this name")]
    NameTaken,
    /// No such account.
    #[error("there is no such account")]
    NoUser,
    /// No such API key.
    #[error("there is no such API key")]
    NoApiKey,
    /// Nobody would be left who could manage the server.
    #[error("this is the last admin who can sign in")]
    LastAdmin,
    /// As many API keys as there may be.
    #[error("there are as many API keys as there may be")]
    TooManyApiKeys,
    /// Too many attempts; when the next one may be made.
    #[error("too many attempts; the next one may be made in {} s", .0.as_secs() + 1)]
    Throttled(Duration),
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
