//! Connections that begin and end, as events. Called on the threads of the shards: makes an event only when
//! somebody wants it, and never blocks.

use santral_core::client::Client;
use santral_core::entry::Timestamp;
use santral_core::names::ConnectionId;
use santral_schema::reason::DisconnectReason;
use santral_schema::webhooks::{ConnectionWebhook, WebhookType};

use super::{Event, Webhooks};

impl Webhooks {
    /// A connection began.
    pub fn connected(&self, connection: ConnectionId, client: &Client) {
        if self.wants(WebhookType::ClientConnected) {
            self.tell(event(WebhookType::ClientConnected, connection, client, client.connected_at, None));
        }
    }

    /// A connection ended.
    pub fn disconnected(&self, connection: ConnectionId, client: &Client, reason: DisconnectReason, at: Timestamp) {
        if self.wants(WebhookType::ClientDisconnected) {
            self.tell(event(WebhookType::ClientDisconnected, connection, client, at, Some(reason)));
        }
    }
}

fn event(
    kind: WebhookType,
    connection: ConnectionId,
    client: &Client,
    at: Timestamp,
    reason: Option<DisconnectReason>,
) -> Event {
    let data = ConnectionWebhook {
        connection_id: connection.as_str().to_owned(),
        user_id: client.user.as_deref().map(str::to_owned),
        transport: client.transport.to_owned(),
        address: client.address.to_string(),
        user_agent: client.user_agent.as_deref().map(str::to_owned),
        connected_at: client.connected_at.to_rfc3339(),
        reason: reason.map(DisconnectReason::name),
    };
    Event::new(kind, format!("connection:{}", connection.as_str()), at, &data)
}
