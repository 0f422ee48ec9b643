//! What is shown of Engine.IO connections, and what their sockets are told beside the log.

use std::collections::BTreeMap;

use santral_core::session::SessionKey;
use santral_core::socketio::{Namespace, encode};
use santral_core::time::Moment;

use super::table::{EngineKey, EngineTable};

/// What is shown of the connection that a socket is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownEngine {
    /// The beginning of its id, which is a secret as a whole.
    pub client: String,
    /// Whether a WebSocket carries it; else it is polled.
    pub is_websocket: bool,
    /// Where the socket is.
    pub namespace: Namespace,
}

/// How many connections and sockets there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineTally {
    /// Connections with sockets.
    pub connections: usize,
    /// Of these, connections that are polled.
    pub polled: usize,
    /// Sockets in each namespace.
    pub sockets: BTreeMap<Namespace, usize>,
}

impl EngineTable {
    /// What is shown of the connection of a socket.
    pub(crate) fn shown(&self, key: EngineKey, session: SessionKey) -> Option<ShownEngine> {
        let link = self.links.get(key)?;
        let namespace = link.sockets.namespace_of(session)?.clone();
        Some(ShownEngine {
            client: link.sid.shown().to_owned(),
            is_websocket: link.connection.is_websocket(),
            namespace,
        })
    }

    /// Counts; takes a walk over all connections.
    pub(crate) fn tally(&self) -> EngineTally {
        let mut tally = EngineTally::default();
        for link in self.links.values() {
            let mut sockets = link.sockets.keys().peekable();
            if sockets.peek().is_none() {
                continue;
            }
            tally.connections += 1;
            tally.polled += usize::from(!link.connection.is_websocket());
            for namespace in sockets.filter_map(|session| link.sockets.namespace_of(session)) {
                *tally.sockets.entry(namespace.clone()).or_default() += 1;
            }
        }
        tally
    }

    /// Sends a socket an event that does not come from the log, with this JSON array of arguments. False where
    /// the socket is gone, or its client has not taken what it was sent before.
    pub(crate) fn say(&mut self, now: Moment, key: EngineKey, session: SessionKey, name: &str, args: &str) -> bool {
        let said = self.change(now, key, |link, _| {
            let namespace = link.sockets.namespace_of(session).filter(|_| !link.connection.is_congested())?;
            let mut packet = String::new();
            let tail = encode::Tail::Nothing;
            encode::event(&mut packet, &encode::Event { namespace, ack: None, name, data: args, spread: true, tail });
            link.connection.send(packet.as_bytes());
            Some(())
        });
        said.flatten().is_some()
    }

    /// The sockets of a connection.
    pub(crate) fn sockets_of(&self, key: EngineKey) -> Vec<SessionKey> {
        self.links.get(key).map(|link| link.sockets.keys().collect()).unwrap_or_default()
    }
}
