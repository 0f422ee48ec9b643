//! What the server sends on a stream beside messages.

use serde::Serialize;
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::ToSchema;

/// `event: hello`, the first frame of every stream.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The session's token: secret, and the address of its commands.
    pub session: String,
    /// The connection's id: what others may name in `connection` and `except`.
    pub connection: String,
    /// Whether the stream goes on behind the position that the client asked for, without a gap.
    pub recovered: bool,
    /// Silence after which a `ping` comes, in milliseconds.
    pub heartbeat_ms: u32,
    /// The server's clock, RFC 3339 in UTC.
    pub server_time: String,
    /// The node that serves the stream.
    pub node: String,
    /// The user, where there are users.
    pub user: Option<String>,
    /// What the session follows; a prefix ends in `*`.
    pub channels: Vec<String>,
    /// How long stored messages are retained, in seconds.
    #[ts(type = "number")]
    pub retention_seconds: u64,
    /// The transports that this server speaks.
    pub transports: Vec<String>,
}

/// A message in the envelope format.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The channel that it was published to.
    pub channel: String,
    /// The event name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub event: Option<String>,
    /// Its position; absent for a volatile message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<String>,
    /// What the server knows of the sender; absent when that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub from: Option<From>,
    /// When the server accepted it, RFC 3339 in UTC.
    pub at: String,
    /// The message as the publisher wrote it.
    #[ts(type = "unknown")]
    #[schema(value_type = serde_json::Value, required)]
    pub data: Box<RawValue>,
}

/// What the server knows of a sender.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct From {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub user: Option<String>,
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub connection: Option<String>,
}

/// `event: gap`: what a client missed and will not get.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The channels and prefixes that may have had messages in the gap.
    pub channels: Vec<String>,
    /// The position that the client had, as it sent it; `null` when it was at the very start.
    pub requested: Option<String>,
    /// The position behind which the stream goes on.
    pub resumed_from: String,
    /// Why there is a gap.
    pub reason: GapReason,
}

/// Why there is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// Retention removed what the client would need.
    Retention,
    /// The log was replaced since.
    Epoch,
    /// The position is none of this log: from the future, or not a position at all.
    Unknown,
    /// Direct messages were dropped because the session's inbox was full, or the session had ended.
    Inbox,
    /// Presence changes were skipped because the client could not take them: read presence anew.
    Presence,
}

impl GapReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 5] = [Self::Retention, Self::Epoch, Self::Unknown, Self::Inbox, Self::Presence];

    /// Its place in [`GapReason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The reason as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Epoch => "epoch",
            Self::Unknown => "unknown",
            Self::Inbox => "inbox",
            Self::Presence => "presence",
        }
    }
}

/// `event: presence`: somebody joined or left a channel.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresenceChange {
    /// The channel.
    pub channel: String,
    /// What happened.
    pub change: PresenceKind,
    /// The user, where there are users.
    pub user: Option<String>,
    /// The connection.
    pub connection: String,
}

/// What happened in a presence change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PresenceKind {
    /// A session follows the channel now.
    Joined,
    /// A session no longer follows the channel.
    Left,
}

/// `event: bye`: the server is about to close the stream.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bye {
    /// The code of the reason, see docs/codes.md.
    pub code: u16,
    /// The stable name of the reason.
    pub name: String,
    /// What happened, for people.
    pub reason: String,
    /// Whether the client should come back.
    pub reconnect: bool,
    /// After how many milliseconds it should; absent when it should not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub retry_after_ms: Option<u32>,
}
