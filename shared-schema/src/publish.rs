//! What publishers send and what they get back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::grammar;

/// One item of `POST /api/publish`. Exactly one of `channel`, `channels`, `user`, `connection`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishItem {
    /// To everyone who follows this channel.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::ChannelName>)]
    pub channel: Option<String>,
    /// To everyone who follows any of these; one entry each.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<Vec<grammar::ChannelName>>, min_items = 1, max_items = 1000)]
    pub channels: Option<Vec<String>>,
    /// To every session of this user.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::UserId>)]
    pub user: Option<String>,
    /// To the session of this connection only; such a message is never stored.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::ConnectionId>)]
    pub connection: Option<String>,
    /// The event name.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::EventName>)]
    pub event: Option<String>,
    /// The message: any JSON text, passed on as it was written.
    #[ts(type = "unknown")]
    #[schema(value_type = serde_json::Value, required)]
    pub data: Box<RawValue>,
    /// Whether the message may be dropped for whoever cannot take it now; it is not stored.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub volatile: bool,
    /// A connection that must not receive it.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::ConnectionId>)]
    pub except: Option<String>,
    /// Idempotency key of this item.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::IdempotencyKey>)]
    pub key: Option<String>,
}

/// What was done with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Its position, the last one of several channels; `null` for a volatile message.
    #[schema(required, value_type = Option<grammar::Position>)]
    pub id: Option<String>,
    /// The log's incarnation.
    pub epoch: String,
    /// What the acknowledgement promises.
    pub durability: ReceiptDurability,
    /// Sessions on this node that follow where it went; `null` when the receipt repeats an earlier
    /// one, which remembers positions only.
    #[schema(required)]
    pub receivers: Option<u32>,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptDurability {
    /// Stored, and on the disk: survives a power cut.
    Disk,
    /// Stored, and with the operating system: survives a crash of the server, not a power cut.
    Os,
    /// Not stored.
    Memory,
}
