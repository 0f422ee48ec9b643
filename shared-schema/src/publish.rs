//! What publishers send and what they get back.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::grammar;

/// One item of `POST /api/publish`. Exactly one of `channel`, `channels`, `user`, `connection`, and of
/// `data`, `args`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishItem {
    /// To everyone who follows this channel.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::ChannelName>)]
    pub channel: Option<String>,
    /// To everyone who follows any of these, once; one entry each.
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
    #[serde(default, deserialize_with = "even_null")]
    #[ts(optional, type = "unknown")]
    #[schema(value_type = serde_json::Value)]
    pub data: Option<Box<RawValue>>,
    /// Several arguments of one event, for Socket.IO clients; everybody else gets them as an array. One
    /// alone is the message itself.
    #[serde(default)]
    #[ts(optional, type = "Array<unknown>")]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    pub args: Option<Vec<Box<RawValue>>>,
    /// Whether the message may be dropped for whoever cannot take it now; it is not stored.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub volatile: bool,
    /// Connections that must not receive it, and channels whose followers must not.
    #[serde(default)]
    #[ts(optional)]
    pub except: Option<Except>,
    /// The namespace of the channels; `/` unless it is named.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::Namespace>)]
    pub namespace: Option<String>,
    /// Asks the Socket.IO clients that it is for to acknowledge it, and waits so long for them, in milliseconds.
    /// Such a message is not stored, and stands in no batch.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 1, maximum = 60_000)]
    pub ack_timeout_ms: Option<u32>,
    /// Idempotency key of this item.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<grammar::IdempotencyKey>)]
    pub key: Option<String>,
}

/// Who is left out of a message: connections, and whoever follows channels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS)]
#[serde(untagged)]
pub enum Except {
    /// One of them.
    One(String),
    /// At most 100 of them.
    Several(Vec<String>),
}

impl PartialSchema for Except {
    fn schema() -> RefOr<Schema> {
        let name = grammar::Excepted::schema();
        let several = ArrayBuilder::new().items(name.clone()).max_items(Some(100));
        OneOfBuilder::new().item(name).item(several).into()
    }
}

impl ToSchema for Except {}

/// `null` is a message like any other.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
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

/// What clients answered that were asked to acknowledge a message.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    /// Clients that were asked.
    pub receivers: u32,
    /// What they answered, as it came: one argument is the answer itself, several are an array.
    #[ts(type = "Array<unknown>")]
    #[schema(value_type = Vec<serde_json::Value>)]
    pub responses: Vec<Box<RawValue>>,
    /// How many of them have not answered in time.
    pub missing: u32,
}

/// What came of what a Socket.IO emitter wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Emitted {
    /// The position of the event, if it was one and is stored.
    #[schema(required, value_type = Option<grammar::Position>)]
    pub id: Option<String>,
    /// Sessions on this node that the event went to, if it was one.
    #[schema(required)]
    pub receivers: Option<u32>,
    /// Sessions that were moved or ended, if that was wanted.
    #[schema(required)]
    pub matched: Option<usize>,
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
