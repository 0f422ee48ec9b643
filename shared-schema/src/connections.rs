//! Connections, as the operator sees and steers them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::access::Role;
use crate::grammar;

/// Answer to `GET /api/connections`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionList {
    /// In the order of their ids.
    pub connections: Vec<Connection>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cursor: Option<String>,
    /// All connections of this node, whatever the filter.
    pub total: usize,
}

/// One open connection.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Its id.
    pub connection: String,
    /// The user, if there is one.
    #[schema(required)]
    pub user: Option<String>,
    /// Whose rights it has: `user:<id>`, `key:<id>`, `jwt:<sub>`, or empty for a guest.
    pub principal: String,
    /// What the principal may do in general.
    pub role: Role,
    /// How it is connected.
    pub transport: String,
    /// From where.
    pub address: String,
    /// With what program, as it says.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// Since when, RFC 3339 in UTC.
    pub connected_at: String,
    /// When its right ends, if it does.
    #[schema(required)]
    pub expires_at: Option<String>,
    /// Whether it takes no more bytes for now.
    pub is_blocked: bool,
    /// How much it follows.
    pub subscriptions: usize,
    /// Everything that concerns it was sent up to here.
    pub position: String,
    /// Messages in the log between its position and the head, whether they concern it or not.
    #[ts(type = "number")]
    pub backlog: u64,
    /// Bytes that it has taken.
    #[ts(type = "number")]
    pub bytes_out: u64,
    /// Round trip in milliseconds, where the transport knows it.
    #[schema(required)]
    pub round_trip_ms: Option<u32>,
}

/// Answer to `GET /api/connections/{id}`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionDetail {
    /// The connection.
    #[serde(flatten)]
    pub connection: Connection,
    /// What it follows.
    pub channels: Vec<String>,
}

/// Answer to `DELETE /api/connections/{id}`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kicked {
    /// Connections that were ended: the one that was named, and all others of a client that was blocked.
    pub ended: usize,
    /// Who is blocked, if anybody is: `user:<id>` or `address:<network>`.
    #[schema(required)]
    pub blocked: Option<String>,
    /// Until when, RFC 3339 in UTC.
    #[schema(required)]
    pub blocked_until: Option<String>,
}

/// Body of `POST /api/connections/actions`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionActions {
    /// Which connections.
    #[serde(rename = "match")]
    pub matching: ConnectionMatch,
    /// Channels and prefixes that they shall follow from now on.
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub join: Vec<String>,
    /// Channels and prefixes that they shall follow no longer.
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub leave: Vec<String>,
    /// End the connections.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub disconnect: bool,
}

/// Which connections are meant: exactly one of the fields.
#[derive(Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct ConnectionMatch {
    /// All that follow this channel, by name or by prefix.
    #[schema(value_type = Option<grammar::ChannelName>)]
    pub channel: Option<String>,
    /// All of this user.
    pub user: Option<String>,
    /// This one.
    #[schema(value_type = Option<grammar::ConnectionId>)]
    pub connection: Option<String>,
}

/// Answer to `POST /api/connections/actions`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionsDone {
    /// Connections that were meant.
    pub matched: usize,
    /// Connections that could not follow more, since they follow as much as they may.
    pub refused: usize,
}

/// Somebody who may not connect for a while.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockItem {
    /// `user:<id>` or `address:<network>`.
    pub subject: String,
    /// Who said so.
    #[schema(required)]
    pub created_by: Option<String>,
    /// When it was said, RFC 3339 in UTC.
    pub created_at: String,
    /// When it ends, RFC 3339 in UTC.
    pub expires_at: String,
}

/// Answer to `GET /api/blocks`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockList {
    /// In the order of their subjects.
    pub blocks: Vec<BlockItem>,
}
