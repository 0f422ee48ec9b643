//! Clients that speak while they listen: the messages of WebSockets, and polls.

use std::rc::Rc;

use bytes::Bytes;

use santral_core::session::SessionKey;
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use super::LocalShard;
use crate::hub::StreamSlot;
use crate::hub::duplex::{Input, Uplink};
use crate::hub::links::LinkEvent;
use crate::hub::poll::PollAnswer;

/// What a WebSocket begins with.
pub(crate) struct WebSocketOpening {
    /// What came behind the request.
    pub(crate) early: Bytes,
    /// Who takes what its client says.
    pub(crate) uplink: Rc<dyn Uplink>,
    /// What its client is told first.
    pub(crate) lines: Bytes,
    /// Its place among the streams.
    pub(crate) slot: StreamSlot,
}

impl LocalShard {
    /// Takes what the client of a session says, if nothing of it is in hand.
    pub(super) fn hear(&self, key: SessionKey) {
        let input = self.state.borrow_mut().links.next_input(key);
        match input {
            Input::Nothing => (),
            Input::Over(reason) => self.take_link_event(LinkEvent::Down(key, reason)),
            Input::Message(uplink, text) => {
                let local = self.clone();
                actix_rt::spawn(async move { local.converse(key, uplink, text).await });
            }
        }
    }

    /// Carries out one message after the other, until the client has no more to say.
    async fn converse(&self, key: SessionKey, uplink: Rc<dyn Uplink>, mut text: String) {
        loop {
            let reply = Rc::clone(&uplink).take(key, text).await;
            let input = {
                let links = &mut self.state.borrow_mut().links;
                links.reply(key, reply);
                links.next_input(key)
            };
            match input {
                Input::Nothing => return,
                Input::Over(reason) => return self.take_link_event(LinkEvent::Down(key, reason)),
                Input::Message(_, next) => text = next,
            }
        }
    }

    /// Takes over the WebSocket of a session whose handshake was sent.
    pub(crate) fn link_websocket(&self, key: SessionKey, stream: std::net::TcpStream, opening: WebSocketOpening) {
        let WebSocketOpening { early, uplink, lines, slot } = opening;
        let added = self.state.borrow_mut().links.add_websocket(key, stream, &early, uplink, &lines, slot);
        if let Err(error) = added {
            log::warn!("a WebSocket cannot be watched: {error}");
            self.abandon(key);
            return;
        }
        self.link_up(key);
        self.take_link_event(LinkEvent::Ready(key));
    }

    /// Serves a session by polls; its client was told `position`.
    pub(crate) fn link_poll(&self, key: SessionKey, position: String, slot: StreamSlot) {
        self.state.borrow_mut().links.add_poll(self.hub.now(), key, position, slot);
        self.link_up(key);
    }

    /// Holds a poll of a client that has seen everything up to `position`. The answer is given back where the
    /// session is not served by polls, or its client has missed something.
    ///
    /// # Errors
    /// The answer itself.
    pub(crate) fn hold_poll(&self, key: SessionKey, position: &str, answer: PollAnswer) -> Result<(), PollAnswer> {
        self.state.borrow_mut().links.hold_poll(key, position, answer)?;
        self.with(|shard, _| shard.writable(key));
        Ok(())
    }

    /// Answers the poll of a session that has waited long enough.
    pub(crate) fn end_poll(&self, key: SessionKey) {
        self.state.borrow_mut().links.end_poll(self.hub.now(), key);
    }

    /// Ends the connections of clients that poll no more.
    pub(super) fn give_up_polls(&self, now: Moment) {
        loop {
            let abandoned = self.state.borrow_mut().links.take_abandoned_poll(now);
            let Some(key) = abandoned else { return };
            self.take_link_event(LinkEvent::Down(key, DisconnectReason::Unreachable));
        }
    }
}
