//! Reading channels: the list, the history, who is there.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::events::Envelope;

/// Answer of `GET /api/channels`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelList {
    /// Channels with retained entries, in name order.
    pub channels: Vec<ChannelItem>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cursor: Option<String>,
    /// The head of the log at that moment.
    pub position: String,
}

/// One channel of the list.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelItem {
    /// Its name.
    pub channel: String,
    /// Position of its newest retained entry.
    pub last: String,
    /// Sessions on this node that follow it by name.
    pub sessions: u32,
}

/// Answer of `GET /api/channels/{channel}/history`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The channel.
    pub channel: String,
    /// Entries, newest first.
    pub entries: Vec<Envelope>,
    /// The head of the log at that moment: follow from here and nothing is missing or doubled.
    pub position: String,
    /// Whether older entries of the asked range remain.
    pub more: bool,
    /// Whether retention has removed entries since the asked position.
    pub truncated: bool,
}

/// Answer of `GET /api/channels/{channel}/presence`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The channel.
    pub channel: String,
    /// Sessions that follow it by name, at most a page.
    pub present: Vec<PresentSession>,
    /// How many there are in all.
    #[ts(type = "number")]
    pub total: usize,
    /// The head of the log at that moment.
    pub position: String,
}

/// One session that follows a channel.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresentSession {
    /// The user, where there are users.
    #[schema(required)]
    pub user: Option<String>,
    /// Its connection.
    pub connection: String,
}
