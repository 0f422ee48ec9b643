//! Webhooks: what the server tells other servers by HTTP.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! webhook_types {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $rate:ident;)+) => {
        /// What a webhook tells of. Types are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, TS)]
        pub enum WebhookType {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $kind,)+
        }

        impl WebhookType {
            /// Every type, for tables and settings.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The type as it is written.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// Whether it comes so often that it is sent only on request.
            #[must_use]
            pub fn is_frequent(self) -> bool {
                match self { $(Self::$kind => webhook_types!(@$rate),)+ }
            }

            /// What it says, for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),+),)+ }
            }
        }
    };
    (@rare) => { false };
    (@frequent) => { true };
}

webhook_types! {
    /// The first participant has joined a video room.
    RoomStarted = "room_started", rare;
    /// A video room has ended.
    RoomFinished = "room_finished", rare;
    /// Somebody has joined a video room.
    ParticipantJoined = "participant_joined", rare;
    /// Somebody has left a video room, with the reason.
    ParticipantLeft = "participant_left", rare;
    /// Somebody waits in the lobby of a video room.
    LobbyWaiting = "lobby_waiting", rare;
    /// Somebody else is the host of a video room.
    HostChanged = "host_changed", rare;
    /// Somebody was removed from a video room.
    ParticipantKicked = "participant_kicked", rare;
    /// A participant's connection in a video room became poor.
    QualityPoor = "quality_poor", rare;
    /// A connection began.
    ClientConnected = "client_connected", frequent;
    /// A connection ended, with the reason.
    ClientDisconnected = "client_disconnected", frequent;
    /// Somebody follows a channel that nobody followed before.
    ChannelOccupied = "channel_occupied", rare;
    /// Nobody follows a channel any more.
    ChannelVacated = "channel_vacated", rare;
}

impl WebhookType {
    /// Reads a type as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == text)
    }
}

/// By hand, since utoipa does not see names that a macro gives.
impl PartialSchema for WebhookType {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|kind| kind.name())))
            .description(Some("What a webhook tells of. Types are added, never renamed."));
        text.into()
    }
}

impl ToSchema for WebhookType {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("WebhookType")
    }
}

/// The body of each webhook.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Names the event: the same at every try and at every address.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: WebhookType,
    /// When it happened, RFC 3339 in UTC.
    pub at: String,
    /// What it is about, such as `room:<id>`: events of one subject arrive in order.
    pub subject: String,
    /// More, by type.
    #[ts(type = "Record<string, unknown>")]
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

/// Data of `client_connected` and `client_disconnected`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionWebhook {
    /// The connection.
    pub connection_id: String,
    /// The user, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub user_id: Option<String>,
    /// How it is connected.
    pub transport: String,
    /// From where.
    pub address: String,
    /// With what program, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub user_agent: Option<String>,
    /// Since when, RFC 3339 in UTC.
    pub connected_at: String,
    /// Why it ended, as in docs/codes.md; only in `client_disconnected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<&'static str>,
}

/// Data of `channel_occupied` and `channel_vacated`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelWebhook {
    /// The channel.
    pub channel: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written() {
        for kind in WebhookType::ALL {
            assert_eq!(WebhookType::parse(kind.name()), Some(*kind));
            assert_eq!(serde_json::to_string(kind).expect("a type is JSON"), format!("\"{}\"", kind.name()));
        }
        assert_eq!(WebhookType::parse("room_exploded"), None);
    }
}
