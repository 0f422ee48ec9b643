//! A connection as the Admin UI shows it. What is a secret of the client is never kept, so it cannot be shown.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use santral_core::limits::ADMIN_ROOMS_MAX;
use santral_core::names::{ConnectionId, Selector};

use crate::config::Transport;
use crate::hub::shard_thread::Sighting;

/// Characters of the id by which the page tells clients apart, as many as it shows of an id of Engine.IO.
const CLIENT_ID_CHARACTERS: usize = 12;

/// See the module. The names are those of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownSocket {
    pub(super) id: String,
    /// Sockets of one Engine.IO connection have the same; any other connection has its own.
    pub(super) client_id: String,
    pub(super) transport: &'static str,
    pub(super) nsp: String,
    data: Value,
    handshake: Handshake,
    pub(super) rooms: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Handshake {
    address: String,
    headers: BTreeMap<&'static str, String>,
    query: BTreeMap<&'static str, String>,
    /// Milliseconds since 1970.
    issued: i64,
    time: String,
    url: &'static str,
    secure: bool,
    xdomain: bool,
}

impl ShownSocket {
    pub(super) fn of(sighting: &Sighting) -> Self {
        let Sighting { connection, client, selectors, engine } = sighting;
        let (client_id, nsp) = match engine {
            Some(engine) => (engine.client.clone(), engine.namespace.as_str()),
            None => (connection.as_str().chars().take(CLIENT_ID_CHARACTERS).collect(), "/"),
        };
        let user_agent = client.user_agent.as_deref().map(|program| ("user-agent", program.to_owned()));
        Self {
            id: connection.as_str().to_owned(),
            client_id,
            transport: transport_of(sighting),
            nsp: nsp.to_owned(),
            data: json!({ "user": client.user, "role": client.role }),
            handshake: Handshake {
                address: client.address.to_string(),
                headers: user_agent.into_iter().collect(),
                query: engine.iter().map(|_| ("EIO", "4".to_owned())).collect(),
                issued: client.connected_at.0 / 1_000,
                time: client.connected_at.to_rfc3339(),
                url: url_of(client.transport),
                secure: false,
                xdomain: false,
            },
            rooms: rooms(connection, selectors),
        }
    }
}

/// The transport as it is now: a socket of Socket.IO begins by polls and goes on by a WebSocket.
fn transport_of(sighting: &Sighting) -> &'static str {
    match &sighting.engine {
        Some(engine) if engine.is_websocket => "websocket",
        Some(_) => "polling",
        None => sighting.client.transport,
    }
}

fn url_of(transport: &str) -> &'static str {
    let found = Transport::ALL.into_iter().find(|one| one.name() == transport);
    match found {
        Some(Transport::Sse) => "/api/events",
        Some(Transport::WebSocket) => "/api/v1/ws",
        Some(Transport::LongPoll) => "/api/poll",
        Some(Transport::SocketIo) => "/socket.io/",
        None => "",
    }
}

/// The room that every socket is in alone, and the channels that it follows.
fn rooms(connection: &ConnectionId, selectors: &[Selector]) -> Vec<String> {
    let followed = selectors.iter().map(|selector| match selector {
        Selector::Channel(channel) => channel.room().to_owned(),
        Selector::Prefix(_) => selector.to_string(),
    });
    std::iter::once(connection.as_str().to_owned()).chain(followed).take(ADMIN_ROOMS_MAX).collect()
}
