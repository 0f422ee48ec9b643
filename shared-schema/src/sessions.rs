//! What a client asks for: a stream, and commands beside it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::grammar;
use crate::participants::{JoinRequest, LeaveRequest};
use crate::publish::PublishItem;
use crate::signal::SignalRequest;

/// Body of `POST /api/events`; the same words as the query of `GET /api/events`.
#[derive(Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct StreamRequest {
    /// Channels, and prefixes that end in `*`.
    #[ts(as = "Option<Vec<String>>")]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub channels: Vec<String>,
    /// How messages come.
    #[ts(as = "Option<StreamFormat>")]
    pub format: StreamFormat,
    /// Behind which position to go on; `earliest` for all that is retained.
    pub last_event_id: Option<String>,
    /// A token of 22 to 64 characters that the client chose: makes the session resumable.
    #[schema(value_type = Option<grammar::SessionToken>)]
    pub session: Option<String>,
    /// Whether presence changes of the named channels are wanted.
    #[ts(as = "Option<bool>")]
    pub presence: bool,
    /// `false` opts out of the channel `broadcast`.
    pub broadcast: Option<bool>,
    /// Whether to send a padding comment behind `hello`.
    #[ts(as = "Option<bool>")]
    pub pad: bool,
    /// Name of an SDK: it understands error statuses, which a browser's EventSource does not.
    pub client: Option<String>,
}

/// How messages come on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamFormat {
    /// The event's data is the message itself.
    #[default]
    Raw,
    /// The event's data is an [`crate::events::Envelope`].
    Envelope,
}

/// One command of `POST /api/sessions/{session}/commands`: an object with exactly one field.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Command {
    /// Follow more channels from now on.
    Subscribe(Vec<String>),
    /// Follow these no longer.
    Unsubscribe(Vec<String>),
    /// Publish; the sender is the session.
    Publish(PublishItem),
    /// Read a channel's history.
    History(HistoryCommand),
    /// Read who follows a channel.
    Presence(PresenceCommand),
    /// See whether the session lives.
    Ping(PingCommand),
    /// Bring a fresh token of the same user; the stream goes on.
    Auth(AuthCommand),
    /// Join or leave a video room.
    Video(VideoCommand),
    /// Send signals to others in a video room.
    Signal(SignalRequest),
}

/// Joins or leaves a video room: an object with exactly one field. The session is the proof, so the request
/// names none.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum VideoCommand {
    /// Come in, or back.
    Join(Box<JoinRequest>),
    /// Go.
    Leave(LeaveRequest),
}

/// Answer to `video` with `leave`. Has no fields.
#[derive(Debug, Serialize, TS, ToSchema)]
pub struct LeftVideoRoom {}

/// Reads a channel's history, newest first.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryCommand {
    /// The channel.
    #[schema(value_type = grammar::ChannelName)]
    pub channel: String,
    /// Only entries before this position.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::Position>)]
    pub before: Option<String>,
    /// Only entries behind this position.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::Position>)]
    pub since: Option<String>,
    /// Most entries to return.
    #[serde(default)]
    #[ts(optional, type = "number")]
    pub limit: Option<usize>,
}

/// Reads who follows a channel.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PresenceCommand {
    /// The channel.
    #[schema(value_type = grammar::ChannelName)]
    pub channel: String,
}

/// Has no fields.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PingCommand {}

/// Brings a fresh token.
#[derive(Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthCommand {
    /// The token.
    pub token: String,
}

/// The token stays out of logs.
impl std::fmt::Debug for AuthCommand {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AuthCommand(…)")
    }
}

/// Answer to `auth`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorized {
    /// What the session follows now.
    pub channels: Vec<String>,
    /// What it followed and the fresh token gives no right to.
    pub lost: Vec<String>,
    /// When the fresh token ends, RFC 3339 in UTC; `null` for never.
    #[schema(required)]
    pub expires_at: Option<String>,
    /// The head of the log at that moment.
    pub position: String,
}

/// Answer to `subscribe` and `unsubscribe`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscriptions {
    /// What the session follows now.
    pub channels: Vec<String>,
    /// The head of the log at that moment: later entries of these channels arrive.
    pub position: String,
}

/// Answer to `ping`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pong {
    /// The head of the log.
    pub position: String,
    /// The server's clock, RFC 3339 in UTC.
    pub server_time: String,
}
