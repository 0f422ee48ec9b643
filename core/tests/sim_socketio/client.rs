//! A client over all its connections: what it keeps of its sockets, and how it comes back.

use std::collections::{BTreeMap, BTreeSet};

use santral_core::position::{Offset, Position};

use crate::dialog::Dialog;
use crate::line::Line;
use crate::plan::{Micros, SECOND};
use crate::requests::Asked;
use crate::rng::Rng;
use crate::world::{Check, Event, World};

/// By what transports a client reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transports {
    Polling,
    WebSocket,
    /// Polls first.
    Both,
}

/// What a client knows of one socket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) id: String,
    pub(crate) pid: Option<String>,
    /// The last argument of the last event that had text there.
    pub(crate) offset: Option<String>,
    /// Nothing that it must have is missing up to here.
    pub(crate) complete_to: Offset,
    /// Where a gap ended that it was told of.
    pub(crate) gap_to: Offset,
    pub(crate) last: Option<Position>,
    pub(crate) next_direct: usize,
    pub(crate) excused_to: usize,
    pub(crate) volatile_seen: BTreeSet<u64>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) recover: bool,
    pub(crate) transports: Transports,
    pub(crate) namespaces: Vec<&'static str>,
    pub(crate) memories: BTreeMap<String, Memory>,
    pub(crate) dialog: Option<usize>,
    pub(crate) attempt: u64,
}

impl Client {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let both = rng.percent(50);
        Self {
            recover: rng.percent(70),
            transports: rng.pick(&[Transports::Polling, Transports::WebSocket, Transports::Both, Transports::Both]),
            namespaces: if both { vec!["/", "/chat"] } else { vec![rng.pick(&["/", "/chat"])] },
            memories: BTreeMap::new(),
            dialog: None,
            attempt: 0,
        }
    }
}

impl World {
    /// A client opens a connection.
    pub(crate) fn on_connect(&mut self, client: usize, attempt: u64) -> Check {
        let caller = &mut self.clients[client];
        if caller.dialog.is_some() || caller.attempt != attempt {
            return Ok(());
        }
        let dialog = self.dialogs.len();
        caller.dialog = Some(dialog);
        let is_websocket = caller.transports == Transports::WebSocket;
        let host = self.rng.index(self.plan.shards);
        self.dialogs.push(Dialog::new(client, host));
        self.engines.push(None);
        let line = is_websocket.then(|| self.new_line(dialog));
        if let Some(line) = line {
            self.dialogs[dialog].begin_on(line);
        }
        let way = self.plan.way;
        self.soon(way, Event::Arrive(Asked::Open(dialog, line)));
        Ok(())
    }

    pub(crate) fn new_line(&mut self, dialog: usize) -> usize {
        let capacity = if self.calm { 20_000 } else { self.rng.between(60, self.plan.capacity_max) };
        self.lines.push(Line::new(dialog, usize::try_from(capacity).expect("small")));
        self.lines.len() - 1
    }

    /// The client will come again.
    pub(crate) fn come_back(&mut self, client: usize) {
        let caller = &mut self.clients[client];
        caller.dialog = None;
        caller.attempt += 1;
        let attempt = caller.attempt;
        let pause: Micros = if self.calm { SECOND / 2 } else { SECOND };
        self.soon(pause, Event::Connect(client, attempt));
    }
}
