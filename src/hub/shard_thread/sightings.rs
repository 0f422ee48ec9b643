//! The connections of one thread as an operator sees them, with what only their links know.

use std::sync::Arc;

use santral_core::client::Client;
use santral_core::names::{ConnectionId, Selector};
use santral_core::session::SessionKey;
use santral_core::shard::SessionView;

use super::LocalShard;
use crate::hub::engineio::{EngineTally, ShownEngine};

/// One open connection.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Its id.
    pub connection: ConnectionId,
    /// Whose it is.
    pub client: Arc<Client>,
    /// What it follows.
    pub selectors: Vec<Selector>,
    /// What carries it, where it is a socket of Socket.IO.
    pub engine: Option<ShownEngine>,
}

/// What there is on one thread.
#[derive(Debug, Clone)]
pub struct Sightings {
    /// Open connections.
    pub connections: usize,
    /// Of these, sessions that are polled.
    pub polled: usize,
    /// Those of Engine.IO.
    pub engines: EngineTally,
    /// Each of them; `None` where there are more than was asked for.
    pub each: Option<Vec<Sighting>>,
}

impl LocalShard {
    /// Looks at all connections of this thread, and at each of them unless there are more than `each_max`.
    pub fn look_around(&self, each_max: usize) -> Sightings {
        let state = &*self.state.borrow();
        let sight = |view: SessionView<'_>| Sighting {
            connection: view.connection(),
            client: Arc::clone(view.client()),
            selectors: view.selectors(),
            engine: state.links.engine_of(view.key()).and_then(|engine| state.links.engines.shown(engine, view.key())),
        };
        let open = || state.shard.views().filter(SessionView::is_linked);
        let connections = open().count();
        Sightings {
            connections,
            polled: open().filter(|view| state.links.is_polled(view.key())).count(),
            engines: state.links.engines.tally(),
            each: (connections <= each_max).then(|| open().map(sight).collect()),
        }
    }

    /// Sends a socket of this thread an event that does not come from the log, with this JSON array of
    /// arguments. False where the socket is gone, or its client has not taken what it was sent before.
    pub fn say(&self, session: SessionKey, name: &str, args: &str) -> bool {
        let engine = self.state.borrow().links.engine_of(session);
        engine.is_some_and(|engine| self.with_engines(|engines, now| engines.say(now, engine, session, name, args)))
    }

    /// Whether a session of this thread is served.
    #[must_use]
    pub fn is_served(&self, session: SessionKey) -> bool {
        self.state.borrow().shard.view(session).is_some_and(|view| view.is_linked())
    }

    /// The connections that share a transport with this one, itself among them.
    #[must_use]
    pub fn sharing_with(&self, connection: &ConnectionId) -> Vec<ConnectionId> {
        let state = &*self.state.borrow();
        let session = state.shard.find_connection(connection);
        let engine = session.and_then(|session| state.links.engine_of(session));
        let sockets = engine.map(|engine| state.links.engines.sockets_of(engine)).unwrap_or_default();
        sockets.into_iter().filter_map(|session| state.shard.view(session)).map(|view| view.connection()).collect()
    }
}
