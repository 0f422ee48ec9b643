//! The event log: what happened, for the operator.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// How much an event matters, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventLevel {
    /// The usual.
    Info,
    /// Worth watching.
    Warn,
    /// Somebody must act.
    Error,
}

macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $level:ident;)+) => {
        /// What kind of thing happened. Types are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        pub enum EventType {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $kind,)+
        }

        impl EventType {
            /// Every type, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The type as it is written.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// How much it matters.
            #[must_use]
            pub fn level(self) -> EventLevel {
                match self { $(Self::$kind => EventLevel::$level,)+ }
            }

            /// What it says, for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),+),)+ }
            }
        }
    };
}

event_types! {
    /// A client connected.
    Connected = "connection.opened", Info;
    /// A connection ended.
    Disconnected = "connection.closed", Info;
    /// A client was turned away: a limit, or a block.
    ConnectionRefused = "connection.refused", Warn;
    /// The operator ended connections.
    Kicked = "connection.kicked", Warn;
    /// The operator made connections join or leave channels.
    Moved = "connection.moved", Info;
    /// The operator sent an event from the Admin UI of Socket.IO.
    Emitted = "admin.emitted", Info;
    /// Somebody was blocked for a while.
    Blocked = "block.created", Warn;
    /// A block was ended by hand.
    Unblocked = "block.removed", Info;
    /// An account was created.
    Registered = "account.created", Info;
    /// Somebody signed in.
    LoggedIn = "account.login", Info;
    /// A sign-in was refused.
    LoginRefused = "account.login_refused", Warn;
    /// Somebody signed out.
    LoggedOut = "account.logout", Info;
    /// An old refresh token came: the login was ended.
    RefreshReused = "account.refresh_reused", Warn;
    /// A password was changed.
    PasswordChanged = "account.password_changed", Info;
    /// An account's role was changed, or it was disabled or enabled.
    AccountChanged = "account.changed", Warn;
    /// An API key was made.
    ApiKeyCreated = "api_key.created", Warn;
    /// An API key was taken back.
    ApiKeyRevoked = "api_key.revoked", Warn;
    /// A request was refused: no or bad credentials, or no right.
    AccessRefused = "access.refused", Warn;
    /// A publish was refused.
    PublishRefused = "publish.refused", Warn;
    /// A setting was changed.
    SettingChanged = "setting.changed", Warn;
    /// The event log was cleared.
    LogCleared = "event_log.cleared", Warn;
    /// Events were lost, because they came faster than they could be stored.
    EventsLost = "event_log.lost", Error;
    /// Webhooks were given up: after a day of tries, or because the receiver said that it is gone.
    WebhookGivenUp = "webhook.given_up", Warn;
    /// The server started.
    ServerStarted = "server.started", Info;
    /// The server began to stop.
    ServerStopping = "server.stopping", Info;
    /// A video room was created.
    RoomCreated = "room.created", Info;
    /// The settings of a video room were changed.
    RoomChanged = "room.changed", Info;
    /// A video room is over.
    RoomClosed = "room.closed", Info;
    /// Somebody came into a video room.
    ParticipantJoined = "room.joined", Info;
    /// Somebody left a video room.
    ParticipantLeft = "room.left", Info;
    /// Somebody else is host of a video room.
    HostChanged = "room.host_changed", Info;
}

/// By hand, since utoipa does not see names that a macro gives.
impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|kind| kind.name())))
            .description(Some("What kind of thing happened. Types are added, never renamed."));
        text.into()
    }
}

impl ToSchema for EventType {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("EventType")
    }
}

impl EventType {
    /// Reads a type as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == text)
    }
}

impl EventLevel {
    /// The level as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads a level as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Info, Self::Warn, Self::Error].into_iter().find(|level| level.name() == text)
    }
}

/// One event of the event log.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedEvent {
    /// Grows from event to event.
    #[ts(type = "number")]
    pub id: i64,
    /// When it happened, RFC 3339 in UTC.
    pub at: String,
    /// How much it matters.
    pub level: EventLevel,
    /// What kind of thing happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Who did it, or whom it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub actor: Option<String>,
    /// What happened, in a sentence.
    pub message: String,
    /// More, as a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "Record<string, unknown>")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Box<RawValue>>,
    /// The request in which it happened: the `X-Request-Id` of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub request_id: Option<String>,
}

/// Answer of `GET /api/logs`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// Events, newest first.
    pub events: Vec<LoggedEvent>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cursor: Option<String>,
}

/// Answer of `DELETE /api/logs`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsCleared {
    /// How many events are gone.
    #[ts(type = "number")]
    pub cleared: usize,
    /// The event that says so.
    pub trace: LoggedEvent,
}
