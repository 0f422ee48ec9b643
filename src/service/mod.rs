//! The use cases: what Santral does, whichever edge asks for it.

pub mod accounts;
pub mod api_keys;
pub mod blocks;
pub mod call_quality;
pub mod channels;
pub mod commands;
pub mod connection_records;
pub mod connections;
pub mod emitter;
pub mod event_log;
pub mod ice;
pub mod message;
pub mod openness;
pub mod operator;
pub mod polls;
pub mod publish;
pub mod rights;
pub mod room_journal;
pub mod settings;
pub mod socketio;
pub mod stats;
pub mod streams;
pub mod tickets;
pub mod users;
pub mod video;
pub mod webhooks;
mod write_behind;

use std::sync::Arc;
use std::time::Duration;

use santral_core::call_quality::ReportError;
use santral_core::grants::PatternError;
use santral_core::limits;
use santral_core::names::{ConnectionId, NameError};
use santral_core::position::{Epoch, Position};
use santral_core::rooms::RoomRefusal;

use crate::auth::AuthError;
use crate::auth::account_name::AccountNameError;
use crate::auth::password::PasswordError;
use crate::config::SettingError;
use crate::hub::admission::{ClientAddress, Full};
use crate::ports::store::StoreError;
use crate::telemetry::metrics::labels::RefusalClass;

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, as far as it can be trusted.
    pub address: ClientAddress,
    /// The program, as it says; at most [`limits::USER_AGENT_BYTES_MAX`] bytes.
    pub user_agent: Option<Arc<str>>,
}

/// Why something was not done. Each is the caller's to mend, or passes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// A namespace.
    #[error("namespace {0:?} {1}")]
    Namespace(String, NameError),
    /// Neither a connection nor a channel, among those that are left out.
    #[error("`except` names {0:?}, which is no connection id, and as a channel {1}")]
    Excepted(String, NameError),
    /// A message that says nothing, or says it twice.
    #[error("{0}")]
    Content(&'static str),
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
    /// No such connection, or no longer.
    #[error("there is no such connection")]
    NoConnection,
    /// Somebody is blocked for longer than the bound.
    #[error("a block lasts at most {} days", limits::BLOCK_MAX.as_secs() / 86_400)]
    BlockTooLong,
    /// More blocks than the bound.
    #[error("there are {} blocks already", limits::BLOCKS_MAX)]
    TooManyBlocks,
    /// There is no such block.
    #[error("there is no such block")]
    NoBlock,
    /// A channel, prefix or target that the caller has no right to.
    #[error("there is no right to {right} {what:?}")]
    Forbidden {
        /// What one would do with it.
        right: &'static str,
        /// What it is.
        what: String,
    },
    /// A token that is none, or no longer.
    #[error("{0}")]
    Token(#[from] AuthError),
    /// The log.
    #[error("{0}; the message is not acknowledged")]
    Store(#[from] StoreError),
    /// A setting that was not changed.
    #[error("{0}")]
    Setting(SettingError),
    /// A reason for a change that is too long.
    #[error("the description is longer than {} bytes", limits::SETTING_DESCRIPTION_BYTES_MAX)]
    DescriptionTooLong,
    /// A cursor that no page gave.
    #[error("{0:?} is no cursor of this list")]
    Cursor(String),
    /// The database, for what is no message.
    #[error("{0}; nothing was changed")]
    Database(StoreError),
    /// The operator has turned the transport off.
    #[error("the transport {0} is turned off")]
    TransportDisabled(&'static str),
    /// The server is about to stop.
    #[error("the server is about to stop")]
    Draining,
    /// No place for another stream.
    #[error("{0}")]
    Full(Full),
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
    /// Nobody may register by themselves.
    #[error("the registration is closed")]
    RegistrationClosed,
    /// The operation is for who has signed in with an account.
    #[error("there is no login to this request")]
    NoLogin,
    /// Another token than the printed one, or there is an admin already.
    #[error("the setup is closed, or this is not its token")]
    SetupClosed,
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
    /// The id of a video room.
    #[error("the room id {0:?} {1}")]
    RoomId(String, NameError),
    /// A video room does not do it.
    #[error(transparent)]
    Room(#[from] RoomRefusal),
    /// Signals over a bound.
    #[error("{0}")]
    SignalTooLarge(&'static str),
    /// A report on a call.
    #[error("the report cannot be: {0}")]
    CallReport(ReportError),
    /// A video room for somebody else as its host.
    #[error("`hostId` is somebody else")]
    HostMismatch,
    /// A connection is named by somebody who has no name.
    #[error("a connection id is no proof of who has no name")]
    SessionRequired,
    /// What was to be changed is no longer as it was.
    #[error("it was changed meanwhile; nothing was done")]
    PreconditionFailed,
    /// A filter of the event log.
    #[error("{0}")]
    EventFilter(String),
    /// Something of ours has stopped.
    #[error("the server could not finish the request")]
    Stopped,
}

impl Refusal {
    /// The class under which a refusal is counted; that of its status.
    #[must_use]
    pub fn class(&self) -> RefusalClass {
        match self {
            Self::Channel(..)
            | Self::Event(..)
            | Self::Session(_)
            | Self::Connection(..)
            | Self::User(..)
            | Self::Namespace(..)
            | Self::Excepted(..)
            | Self::Content(_)
            | Self::Position(_)
            | Self::Target(_)
            | Self::TooLarge { .. }
            | Self::TooDeep
            | Self::Batch(_)
            | Self::IdempotencyKey(_)
            | Self::KeyReused
            | Self::TooManySubscriptions
            | Self::NoSession
            | Self::NoConnection
            | Self::BlockTooLong
            | Self::TooManyBlocks
            | Self::NoBlock
            | Self::Setting(_)
            | Self::DescriptionTooLong
            | Self::Cursor(_)
            | Self::EventFilter(_)
            | Self::Field(_)
            | Self::AccountName(_)
            | Self::Pattern(_)
            | Self::RoomId(..)
            | Self::SignalTooLarge(_)
            | Self::CallReport(_)
            | Self::PreconditionFailed
            | Self::Password(PasswordError::Weak(_))
            | Self::NoUser
            | Self::NoApiKey
            | Self::NameTaken
            | Self::LastAdmin
            | Self::TooManyApiKeys => RefusalClass::Invalid,
            Self::Forbidden { .. }
            | Self::Token(_)
            | Self::BadCredentials
            | Self::RegistrationClosed
            | Self::NoLogin
            | Self::TransportDisabled(_)
            | Self::HostMismatch
            | Self::SessionRequired
            | Self::SetupClosed => RefusalClass::Denied,
            Self::Room(refusal) => class_of_room(refusal),
            Self::Throttled(_) => RefusalClass::Limited,
            Self::Password(PasswordError::Busy) => RefusalClass::Unavailable,
            Self::Password(PasswordError::Failed) => RefusalClass::Failed,
            Self::Full(Full::User | Full::Address) => RefusalClass::Limited,
            Self::Store(_) | Self::Database(_) | Self::Draining | Self::Full(Full::Total) => RefusalClass::Unavailable,
            Self::Stopped => RefusalClass::Failed,
        }
    }
}

fn class_of_room(refusal: &RoomRefusal) -> RefusalClass {
    match refusal {
        RoomRefusal::NoRoom
        | RoomRefusal::Closed(_)
        | RoomRefusal::Exists
        | RoomRefusal::ExceedsMesh { .. }
        | RoomRefusal::BelowCurrent { .. }
        | RoomRefusal::NotOpenYet(_)
        | RoomRefusal::NoEventStream
        | RoomRefusal::AlreadyIn
        | RoomRefusal::Superseded
        | RoomRefusal::NoParticipant
        | RoomRefusal::NoTarget
        | RoomRefusal::CannotBroadcast
        | RoomRefusal::SeqGap { .. } => RefusalClass::Invalid,
        RoomRefusal::Banned
        | RoomRefusal::BadPassword
        | RoomRefusal::InvitationUsed
        | RoomRefusal::BadToken
        | RoomRefusal::Left(_)
        | RoomRefusal::WrongRoom
        | RoomRefusal::InLobby
        | RoomRefusal::NotAllowed(_)
        | RoomRefusal::FromMismatch => RefusalClass::Denied,
        RoomRefusal::TooManyRooms(_)
        | RoomRefusal::Full { .. }
        | RoomRefusal::LobbyFull
        | RoomRefusal::TargetFull
        | RoomRefusal::TooFast(_) => RefusalClass::Limited,
    }
}

/// A fresh connection id.
#[must_use]
pub(crate) fn new_connection_id() -> ConnectionId {
    ConnectionId::parse(&nanoid::nanoid!(ConnectionId::LENGTH)).expect("nanoid's alphabet is that of tokens")
}

/// Does what may block on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    Ok(actix_rt::task::spawn_blocking(work).await.map_err(|_| Refusal::Stopped)??)
}

/// Reads a position that must be one of this log.
pub(crate) fn parse_position(text: &str, epoch: Epoch) -> Result<Position, Refusal> {
    let position: Option<Position> = text.parse().ok();
    position.filter(|position| position.epoch == epoch).ok_or_else(|| Refusal::Position(text.to_owned()))
}
