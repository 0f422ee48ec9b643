//! The move of a connection from polling to a WebSocket, and what becomes of the polls meanwhile.

use super::{Connection, HeldPoll, State, Upgrade};
use crate::engineio::{Output, PROBE, Packet, PollAnswer, ProbeVerdict, Refusal, UpgradeVerdict};
use crate::time::Moment;

impl Connection {
    /// A WebSocket came with the id of this connection.
    pub fn upgrade(&mut self, now: Moment) -> UpgradeVerdict {
        self.handle_timeout(now);
        match self.state {
            State::Polling(Upgrade::Idle) => {
                let until = now + self.timing.upgrade_timeout;
                self.state = State::Polling(Upgrade::Connected { until });
                UpgradeVerdict::Probe
            }
            State::Polling(Upgrade::Connected { .. } | Upgrade::Probed { .. }) | State::WebSocket => {
                UpgradeVerdict::AcceptAndClose
            }
            State::Closing { .. } | State::Left { .. } | State::Over => {
                UpgradeVerdict::Refused(Refusal::SessionUnknown)
            }
        }
    }

    /// A text message of the WebSocket that wants to take over; `None` stands for any other message.
    pub fn probe(&mut self, now: Moment, message: Option<&str>) -> ProbeVerdict {
        self.handle_timeout(now);
        let packet = message.map(Packet::parse);
        match (self.state, packet) {
            (State::Polling(Upgrade::Connected { until }), Some(Ok(Packet::Ping(PROBE)))) => {
                self.state = State::Polling(Upgrade::Probed { until });
                self.end_poll_with_noop();
                ProbeVerdict::Answer
            }
            (State::Polling(Upgrade::Probed { .. }), Some(Ok(Packet::Upgrade))) => {
                self.become_websocket();
                ProbeVerdict::Upgraded
            }
            (State::Polling(_), _) => {
                self.stay_polling();
                ProbeVerdict::Close
            }
            (State::WebSocket | State::Closing { .. } | State::Left { .. } | State::Over, _) => ProbeVerdict::Close,
        }
    }

    /// The WebSocket that wanted to take over is gone.
    pub fn candidate_gone(&mut self) {
        if matches!(self.state, State::Polling(_)) {
            self.stay_polling();
        }
    }

    pub(super) fn advance_upgrade(&mut self, now: Moment, upgrade: Upgrade) {
        let until = match upgrade {
            Upgrade::Idle => return,
            Upgrade::Connected { until } | Upgrade::Probed { until } => until,
        };
        if until <= now && self.is_open() {
            self.outputs.push_back(Output::CloseCandidate);
            self.stay_polling();
        }
    }

    fn stay_polling(&mut self) {
        self.state = State::Polling(Upgrade::Idle);
        if let HeldPoll::Waiting { until } = &mut self.poll {
            *until = None;
        }
    }

    fn become_websocket(&mut self) {
        if self.is_polled() {
            // What a poll was about to be answered with stays its answer: order is kept, since the
            // client reads it before it could have said that it stopped polling.
            let answer = if self.outgoing.is_empty() {
                PollAnswer::Refused(Refusal::BadRequest)
            } else {
                PollAnswer::Packets(std::mem::take(&mut self.outgoing))
            };
            self.poll = HeldPoll::Decided(answer);
            self.outputs.push_back(Output::PollReady);
        }
        self.state = State::WebSocket;
        if !self.outgoing.is_empty() {
            self.outputs.push_back(Output::Flush);
        }
        self.outputs.push_back(Output::Writable);
    }

    pub(super) fn close_candidate(&mut self, upgrade: Upgrade) {
        match upgrade {
            Upgrade::Idle => (),
            Upgrade::Connected { .. } | Upgrade::Probed { .. } => self.outputs.push_back(Output::CloseCandidate),
        }
    }
}
