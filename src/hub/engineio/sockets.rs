//! The sockets of Engine.IO connections: how they come, what they are told, and how they end.

use serde::Serialize;

use santral_core::engineio::CloseReason;
use santral_core::position::Offset;
use santral_core::session::SessionKey;
use santral_core::socketio::{AckId, Args, Namespace, encode, frames};
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use super::link::named;
use super::questions::Question;
use super::table::{EngineKey, EngineTable};
use super::uplink::{Joined, NotJoined};

/// An answer to CONNECT that comes behind what the client has missed, since clients take all before it for
/// that.
pub(crate) struct Late {
    key: EngineKey,
    pub(crate) session: SessionKey,
    pub(crate) missed_to: Offset,
    packets: Vec<u8>,
}

/// What a client is told that must leave.
#[derive(Serialize)]
struct Kicked {
    reason: &'static str,
}

impl EngineTable {
    /// Gives back the place of a connection without sockets, before its first socket asks for one.
    pub(crate) fn give_slot_back(&mut self, key: EngineKey) {
        if let Some(link) = self.links.get_mut(key) {
            link.idle_slot = None;
        }
    }

    /// A client has joined a namespace.
    pub(crate) fn joined(&mut self, now: Moment, key: EngineKey, namespace: &Namespace, joined: Joined) {
        let mut late = Vec::new();
        self.change(now, key, |link, _| {
            link.sockets.joined(namespace, joined.session);
            link.slots.push((joined.session, joined.slot));
            let mut packets = String::new();
            encode::connected(&mut packets, namespace, joined.id.as_str(), joined.pid.as_deref());
            match joined.missed_to {
                Some(missed_to) => {
                    late.push(Late { key, session: joined.session, missed_to, packets: packets.into_bytes() });
                }
                None => link.connection.send(packets.as_bytes()),
            }
        });
        self.late.append(&mut late);
    }

    /// Clients that came back and are told that they have joined once they have what they missed.
    pub(crate) fn take_late(&mut self) -> Vec<Late> {
        std::mem::take(&mut self.late)
    }

    /// The client has what it missed, or goes on waiting for it.
    pub(crate) fn answer_late(&mut self, now: Moment, late: Late, has_all: bool) {
        if has_all {
            self.change(now, late.key, |link, _| link.connection.send(&late.packets));
        } else {
            self.late.push(late);
        }
    }

    /// A client may not join a namespace.
    pub(crate) fn not_joined(&mut self, now: Moment, key: EngineKey, namespace: &Namespace, refusal: &NotJoined) {
        self.change(now, key, |link, _| {
            link.sockets.refused(namespace);
            let mut packet = String::new();
            encode::connect_error(&mut packet, namespace, &refusal.message, refusal.data.as_deref());
            link.connection.send(packet.as_bytes());
        });
    }

    /// Acknowledges an event, if its socket is still there.
    pub(crate) fn acknowledge(&mut self, now: Moment, key: EngineKey, session: SessionKey, id: AckId, args: &Args) {
        self.change(now, key, |link, _| {
            let Some(namespace) = link.sockets.namespace_of(session) else { return };
            let mut packet = String::new();
            encode::ack(&mut packet, namespace, id.into_number(), args);
            link.connection.send(packet.as_bytes());
        });
    }

    /// Asks the sockets for which `is_asked` holds, and says how many were asked. One whose client takes nothing
    /// is not.
    pub(crate) fn ask(&mut self, now: Moment, question: &Question, is_asked: impl Fn(SessionKey) -> bool) -> usize {
        let mut asked = 0;
        for key in self.links.keys().collect::<Vec<_>>() {
            self.change(now, key, |link, _| {
                let sessions: Vec<_> = link.sockets.keys().filter(|session| is_asked(*session)).collect();
                for session in sessions {
                    asked += usize::from(link.ask(session, question));
                }
            });
        }
        asked
    }

    /// The answers to a question are not waited for any longer.
    pub(crate) fn forget_question(&mut self, id: u64) {
        self.links.values_mut().for_each(|link| link.sockets.forget_asked(id));
    }

    /// A session has ended its connection: its client hears what it should do.
    pub(crate) fn end_socket(&mut self, now: Moment, key: EngineKey, session: SessionKey, reason: DisconnectReason) {
        self.change(now, key, |link, _| {
            let Some(namespace) = link.sockets.removed(session) else { return };
            let is_last = link.sockets.keys().next().is_none();
            if reason == DisconnectReason::Draining {
                return link.connection.close(now, CloseReason::ServerShuttingDown);
            }
            // A client comes back by itself only if it was not told to leave.
            let comes_back = reason.should_reconnect() || reason == DisconnectReason::Replaced;
            if comes_back && is_last {
                return link.connection.close(now, CloseReason::ForcedClose);
            }
            let mut packets = String::new();
            if !comes_back {
                let kicked = frames::system("kicked", None, &Kicked { reason: reason.name() }, false);
                link.connection.send(&named(&kicked, &namespace));
            }
            encode::disconnect(&mut packets, &namespace);
            link.connection.send(packets.as_bytes());
            if reason == DisconnectReason::Blocked {
                link.connection.close(now, CloseReason::ForcedServerClose);
            }
        });
        self.forget_socket(key, session);
    }

    /// A session is not linked here any more.
    pub(crate) fn forget_socket(&mut self, key: EngineKey, session: SessionKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.sockets.removed(session);
        link.uplink.left(session);
        if let Some(place) = link.slots.iter().position(|(owner, _)| *owner == session) {
            let (_, slot) = link.slots.swap_remove(place);
            if link.slots.is_empty() && link.connection.is_open() {
                link.idle_slot = Some(slot);
            }
        }
    }
}
