//! One Engine.IO connection: which requests it admits, its heartbeat, its move to a WebSocket, its end.
//!
//! Holds only what the server itself says (pings, answers, acknowledgements) until the transport takes
//! it; messages of the log come from the shard and are taken only while they can leave ([`Connection::take_frames`]).
//! Each call brings the time and fires what is due before it looks at anything else: a client that asks
//! exactly at its deadline must not depend on a timer's luck.

mod upgrade;

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::engineio::heartbeat::{Beat, Heartbeat, Timing};
use crate::engineio::{CLOSE, CloseReason, NOOP, Output, PING, Packet, PacketError, PollAnswer, Received, Refusal};
use crate::limits::{
    ENGINEIO_ANSWER_BYTES_MAX, ENGINEIO_CLOSING_MAX, ENGINEIO_OUTGOING_BYTES_MAX, ENGINEIO_TOMBSTONE,
    ENGINEIO_UPGRADE_POLL_MAX,
};
use crate::time::Moment;

/// See the module.
#[derive(Debug)]
pub struct Connection {
    state: State,
    timing: Timing,
    heartbeat: Heartbeat,
    poll: HeldPoll,
    is_posting: bool,
    /// Closed packets that wait for the transport.
    outgoing: Vec<u8>,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Polling(Upgrade),
    WebSocket,
    /// The server closed while no poll was held: the next one is told.
    Closing {
        until: Moment,
    },
    /// The client closed. A poll that it sent together with that may come later, on another thread.
    Left {
        until: Moment,
    },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    Idle,
    /// A WebSocket is there and has not said anything.
    Connected {
        until: Moment,
    },
    /// It was probed; the client is about to stop polling.
    Probed {
        until: Moment,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum HeldPoll {
    None,
    /// Ends with a noop at the time that it has.
    Waiting {
        until: Option<Moment>,
    },
    Decided(PollAnswer),
}

impl Connection {
    /// A connection whose handshake came as a poll.
    #[must_use]
    pub fn polling(now: Moment, timing: Timing) -> Self {
        Self::new(now, timing, State::Polling(Upgrade::Idle))
    }

    /// A connection whose handshake came as a WebSocket.
    #[must_use]
    pub fn websocket(now: Moment, timing: Timing) -> Self {
        Self::new(now, timing, State::WebSocket)
    }

    fn new(now: Moment, timing: Timing, state: State) -> Self {
        let heartbeat = Heartbeat::after(now, &timing);
        Self {
            state,
            timing,
            heartbeat,
            poll: HeldPoll::None,
            is_posting: false,
            outgoing: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The next thing to do outside. Drain after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Connection::poll_output`] has something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Whether messages pass in both directions.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Polling(_) | State::WebSocket => true,
            State::Closing { .. } | State::Left { .. } | State::Over => false,
        }
    }

    /// Whether a WebSocket is the transport.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.state == State::WebSocket
    }

    /// Whether so much waits to be sent that nothing more should be read from the client.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.outgoing.len() >= ENGINEIO_OUTGOING_BYTES_MAX
    }

    /// When to call [`Connection::handle_timeout`]; `None` when nothing is due any more.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Moment> {
        let heartbeat = self.heartbeat.next_timeout();
        match self.state {
            State::Polling(upgrade) => {
                let noop = match self.poll {
                    HeldPoll::Waiting { until } => until,
                    HeldPoll::None | HeldPoll::Decided(_) => None,
                };
                let upgrade = match upgrade {
                    Upgrade::Connected { until } | Upgrade::Probed { until } => Some(until),
                    Upgrade::Idle => None,
                };
                [Some(heartbeat), noop, upgrade].into_iter().flatten().min()
            }
            State::WebSocket => Some(heartbeat),
            State::Closing { until } | State::Left { until } => Some(until),
            State::Over => None,
        }
    }

    /// Fires what is due.
    pub fn handle_timeout(&mut self, now: Moment) {
        match self.state {
            State::Polling(upgrade) => {
                self.advance_heartbeat(now);
                self.advance_upgrade(now, upgrade);
                self.advance_poll(now);
            }
            State::WebSocket => self.advance_heartbeat(now),
            State::Closing { until } | State::Left { until } if until <= now => self.be_over(),
            State::Closing { .. } | State::Left { .. } | State::Over => (),
        }
    }

    /// A poll came. Where it is admitted, its answer is there at [`Output::PollReady`].
    ///
    /// # Errors
    /// The poll is refused at once; a second one beside a held one ends the connection.
    pub fn poll(&mut self, now: Moment) -> Result<(), Refusal> {
        self.handle_timeout(now);
        match self.state {
            State::Over => Err(Refusal::SessionUnknown),
            State::WebSocket => Err(Refusal::BadRequest),
            State::Polling(_) if self.poll != HeldPoll::None => {
                self.end(CloseReason::TransportError);
                Err(Refusal::BadRequest)
            }
            State::Polling(upgrade) => {
                let until = match upgrade {
                    Upgrade::Probed { .. } => Some(now + ENGINEIO_UPGRADE_POLL_MAX),
                    Upgrade::Idle | Upgrade::Connected { .. } => None,
                };
                self.poll = HeldPoll::Waiting { until };
                if !self.outgoing.is_empty() {
                    self.outputs.push_back(Output::PollReady);
                }
                self.outputs.push_back(Output::Writable);
                Ok(())
            }
            State::Closing { .. } => {
                self.decide_with(CLOSE);
                self.be_over();
                Ok(())
            }
            State::Left { .. } => {
                self.outgoing.clear();
                self.decide_with(NOOP);
                self.be_over();
                Ok(())
            }
        }
    }

    /// The answer of the held poll, if there is one yet; the poll is not held any more then.
    pub fn take_answer(&mut self, now: Moment) -> Option<PollAnswer> {
        self.handle_timeout(now);
        match std::mem::replace(&mut self.poll, HeldPoll::None) {
            HeldPoll::None => None,
            HeldPoll::Waiting { until } if self.outgoing.is_empty() => {
                self.poll = HeldPoll::Waiting { until };
                None
            }
            HeldPoll::Waiting { .. } => Some(PollAnswer::Packets(std::mem::take(&mut self.outgoing))),
            HeldPoll::Decided(answer) => Some(answer),
        }
    }

    /// The client went away while its poll was held.
    pub fn poll_gone(&mut self) {
        if std::mem::replace(&mut self.poll, HeldPoll::None) != HeldPoll::None {
            self.end(CloseReason::TransportError);
        }
    }

    /// A POST came; its packets go to [`Connection::receive`], and [`Connection::post_ended`] follows.
    ///
    /// # Errors
    /// The POST is refused; a second one beside another ends the connection.
    pub fn post(&mut self, now: Moment) -> Result<(), Refusal> {
        self.handle_timeout(now);
        match self.state {
            State::Polling(_) if self.is_posting => {
                self.end(CloseReason::TransportError);
                Err(Refusal::BadRequest)
            }
            State::Polling(_) => {
                self.is_posting = true;
                Ok(())
            }
            State::WebSocket => Err(Refusal::BadRequest),
            State::Closing { .. } | State::Left { .. } | State::Over => Err(Refusal::SessionUnknown),
        }
    }

    /// The POST under way was answered.
    pub fn post_ended(&mut self) {
        self.is_posting = false;
    }

    /// The client lives, whether its pong has arrived or not: it has as long again to send it.
    pub fn prove_alive(&mut self, now: Moment) {
        if let Heartbeat::PongBy(_) = self.heartbeat {
            self.heartbeat = Heartbeat::PongBy(now + self.timing.ping_timeout);
        }
    }

    /// A packet of a POST, or of the WebSocket that is the transport.
    ///
    /// # Errors
    /// What was no packet; the connection has ended then.
    pub fn receive<'a>(
        &mut self,
        now: Moment,
        packet: Result<Packet<'a>, PacketError>,
    ) -> Result<Received<'a>, PacketError> {
        self.handle_timeout(now);
        if !self.is_open() {
            return Ok(Received::Nothing);
        }
        match packet {
            Ok(Packet::Message(text)) => return Ok(Received::Text(text)),
            Ok(Packet::Binary(bytes)) => return Ok(Received::Binary(bytes)),
            Ok(Packet::Pong) => self.heartbeat = Heartbeat::after(now, &self.timing),
            Ok(Packet::Close) => self.client_left(now),
            Ok(Packet::Ping(_)) => {
                self.end(CloseReason::TransportError);
                return Err(PacketError::WrongWay);
            }
            Ok(Packet::Open | Packet::Upgrade | Packet::Noop) => (),
            Err(error) => {
                self.end(CloseReason::ParseError);
                return Err(error);
            }
        }
        Ok(Received::Nothing)
    }

    /// The WebSocket that was the transport is gone: closed by the client, or broken.
    pub fn websocket_gone(&mut self, closed: bool) {
        if self.state == State::WebSocket {
            self.end(if closed { CloseReason::TransportClose } else { CloseReason::TransportError });
        }
    }

    /// Closes the connection from this side. A client that polls is told by its next poll.
    pub fn close(&mut self, now: Moment, reason: CloseReason) {
        self.handle_timeout(now);
        let is_polling = matches!(self.state, State::Polling(_));
        if is_polling && !self.is_polled() {
            self.outputs_of_end(reason);
            self.state = State::Closing { until: now + ENGINEIO_CLOSING_MAX };
        } else {
            self.end(reason);
        }
    }

    /// Ends the connection at once, because its client is gone or broke a rule of its transport.
    pub fn fail(&mut self, now: Moment) {
        self.handle_timeout(now);
        self.end(CloseReason::TransportError);
    }

    /// Sends closed packets of the server's own.
    pub fn send(&mut self, packets: &[u8]) {
        if !self.is_open() || packets.is_empty() {
            return;
        }
        let was_empty = self.outgoing.is_empty();
        self.outgoing.extend_from_slice(packets);
        if self.is_websocket() {
            self.outputs.push_back(Output::Flush);
        } else if was_empty && self.is_polled() {
            self.outputs.push_back(Output::PollReady);
        }
    }

    /// Takes whole frames of the log into the answer of the held poll, and says how many bytes it took.
    /// What a WebSocket takes, its own link knows.
    pub fn take_frames(&mut self, frames: &[IoSlice<'_>]) -> usize {
        if !self.is_polled() {
            return 0;
        }
        let was_empty = self.outgoing.is_empty();
        let mut taken = 0;
        for frame in frames {
            if self.outgoing.len() >= ENGINEIO_ANSWER_BYTES_MAX {
                break;
            }
            self.outgoing.extend_from_slice(frame);
            taken += frame.len();
        }
        if was_empty && taken > 0 {
            self.outputs.push_back(Output::PollReady);
        }
        taken
    }

    /// What the WebSocket shall send, closed packets.
    #[must_use]
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whether a poll is held that takes packets.
    fn is_polled(&self) -> bool {
        matches!((&self.state, &self.poll), (State::Polling(_), HeldPoll::Waiting { .. }))
    }

    fn advance_heartbeat(&mut self, now: Moment) {
        // A call that comes very late finds both due, one after the other.
        while let Some(beat) = self.heartbeat.advance(now, &self.timing) {
            match beat {
                Beat::Ping => self.send(PING),
                Beat::TimedOut => return self.end(CloseReason::PingTimeout),
            }
        }
    }

    fn advance_poll(&mut self, now: Moment) {
        if let HeldPoll::Waiting { until: Some(until) } = self.poll
            && until <= now
        {
            self.end_poll_with_noop();
        }
    }

    fn end_poll_with_noop(&mut self) {
        // One that has packets ends by itself.
        if self.is_polled() && self.outgoing.is_empty() {
            self.send(NOOP);
        }
    }

    fn client_left(&mut self, now: Moment) {
        match self.state {
            State::Polling(_) => {
                self.outputs_of_end(CloseReason::TransportClose);
                if self.is_polled() {
                    self.decide_with(NOOP);
                    self.be_over();
                } else {
                    self.state = State::Left { until: now + ENGINEIO_TOMBSTONE };
                }
            }
            State::WebSocket => self.end(CloseReason::TransportClose),
            State::Closing { .. } | State::Left { .. } | State::Over => (),
        }
    }

    fn end(&mut self, reason: CloseReason) {
        if !self.is_open() {
            return;
        }
        self.outputs_of_end(reason);
        if self.is_polled() {
            self.decide_with(CLOSE);
        }
        self.be_over();
    }

    fn outputs_of_end(&mut self, reason: CloseReason) {
        if let State::Polling(upgrade) = self.state {
            self.close_candidate(upgrade);
        }
        self.outputs.push_back(Output::Ended(reason));
        if self.is_websocket() {
            self.outputs.push_back(Output::CloseWebSocket);
        }
    }

    /// Answers the poll with what waits and this last packet.
    fn decide_with(&mut self, last: &[u8]) {
        let mut packets = std::mem::take(&mut self.outgoing);
        packets.extend_from_slice(last);
        self.poll = HeldPoll::Decided(PollAnswer::Packets(packets));
        self.outputs.push_back(Output::PollReady);
    }

    fn be_over(&mut self) {
        self.state = State::Over;
        self.outputs.push_back(Output::Forget);
    }
}

#[cfg(test)]
mod tests;
