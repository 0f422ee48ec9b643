//! One connection: its machine, and the sockets and requests by which its client is reached.

use std::io::{self, IoSlice};
use std::rc::Rc;

use mio::Registry;
use tokio::sync::oneshot;

use santral_core::engineio::payload::{self, Outgoing};
use santral_core::engineio::{CloseReason, Connection, Output, Packet, PollAnswer, ProbeVerdict};
use santral_core::session::SessionKey;
use santral_core::shard::Written;
use santral_core::socketio::{Namespace, Request, Sockets, encode, frames};
use santral_core::time::Moment;
use santral_core::websocket::{Message, Opcode, Rules, close};
use santral_schema::reason::DisconnectReason;

use super::inbox::{Inbound, Inbox};
use super::questions::Question;
use super::sid::Sid;
use super::uplink::SocketUplink;
use crate::hub::StreamSlot;
use crate::hub::farewell;
use crate::hub::framed_socket::{FramedSocket, Incoming};
use crate::hub::links::{LinkEvent, Notices};

/// What a connection's doings reach outside of it.
pub(super) struct Outside<'a> {
    pub(super) registry: &'a Registry,
    pub(super) notices: &'a Notices,
    pub(super) now: Moment,
}

/// See the module.
pub(super) struct EngineLink {
    pub(super) sid: Sid,
    pub(super) connection: Connection,
    pub(super) sockets: Sockets<SessionKey>,
    pub(super) uplink: Rc<dyn SocketUplink>,
    pub(super) rules: Rules,
    pub(super) websocket: Option<Box<FramedSocket>>,
    /// A WebSocket that wants to take over.
    pub(super) candidate: Option<Box<FramedSocket>>,
    pub(super) held_poll: Option<oneshot::Sender<PollAnswer>>,
    /// A POST that is answered once everything in it is carried out: what it asked for can be polled then.
    pub(super) waiting_post: Option<oneshot::Sender<()>>,
    pub(super) inbox: Inbox,
    /// Its place among the streams until a socket has one.
    pub(super) idle_slot: Option<StreamSlot>,
    pub(super) slots: Vec<(SessionKey, StreamSlot)>,
    /// Whether something that the client said is being carried out.
    pub(super) is_busy: bool,
    /// Whether its WebSocket did not take all that it was given.
    pub(super) is_refusing: bool,
    /// Whether more may have come by its WebSocket than was read in its turn.
    pub(super) has_unread: bool,
    /// It is over once everything is carried out that its client said before.
    pub(super) ending: Option<DisconnectReason>,
    pub(super) is_forgotten: bool,
    /// When it wants to be looked at.
    pub(super) deadline: Option<Moment>,
}

impl EngineLink {
    /// Does what the machine wants done.
    pub(super) fn settle(&mut self, outside: &Outside<'_>) {
        while let Some(output) = self.connection.poll_output() {
            match output {
                Output::PollReady => self.answer_poll(outside.now),
                Output::Writable => self.tell_writable(outside.notices),
                Output::Flush => self.flush(),
                Output::CloseCandidate => Self::close_socket(self.candidate.take(), close::NORMAL, outside),
                Output::CloseWebSocket => {
                    let is_draining = self.ending == Some(DisconnectReason::Draining);
                    let code = if is_draining { close::GOING_AWAY } else { close::NORMAL };
                    Self::close_socket(self.websocket.take(), code, outside);
                }
                Output::Ended(reason) => {
                    log::debug!(sid = self.sid.shown(), reason = reason.name(); "an Engine.IO connection ended");
                    self.ending = Some(reason_of(reason));
                }
                Output::Forget => self.is_forgotten = true,
            }
        }
        if self.ending.is_some() && !self.is_busy && self.inbox.is_empty() {
            self.end_sockets(outside.notices);
        }
    }

    /// Whether there is something to carry out, and nothing under way.
    pub(super) fn wants_to_be_heard(&self) -> bool {
        let is_held_up = self.connection.is_open() && self.connection.is_congested();
        !self.is_busy && !self.inbox.is_empty() && !is_held_up
    }

    /// Whether nothing can come of it any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_forgotten && !self.is_busy && self.inbox.is_empty()
    }

    /// When it wants to be looked at.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let join_by = self.sockets.next_timeout().filter(|_| self.connection.is_open());
        [self.connection.next_timeout(), join_by].into_iter().flatten().min()
    }

    /// What its WebSocket has not been able to send.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.websocket.as_ref().map_or(0, |websocket| websocket.waiting_bytes())
    }

    fn answer_poll(&mut self, now: Moment) {
        let Some(held) = self.held_poll.take() else { return };
        match self.connection.take_answer(now) {
            // Whoever asked is gone, and with it what was to be answered: the client finds it in the log.
            Some(answer) => {
                if held.send(answer).is_err() {
                    self.connection.fail(now);
                }
            }
            None => self.held_poll = Some(held),
        }
    }

    pub(super) fn tell_writable(&self, notices: &Notices) {
        self.sockets.keys().for_each(|session| notices.push(LinkEvent::Writable(session)));
    }

    fn end_sockets(&mut self, notices: &Notices) {
        let Some(reason) = self.ending.take() else { return };
        let sessions: Vec<_> = self.sockets.keys().collect();
        for session in sessions {
            self.sockets.removed(session);
            notices.push(LinkEvent::Down(session, reason));
        }
        self.idle_slot = None;
    }

    fn close_socket(socket: Option<Box<FramedSocket>>, code: u16, outside: &Outside<'_>) {
        let Some(mut socket) = socket else { return };
        socket.close(code, "");
        if let Some(stream) = socket.into_stream(outside.registry) {
            farewell::wait_for_end(stream);
        }
    }

    /// Sends what the machine has for the WebSocket, as far as it takes it.
    pub(super) fn flush(&mut self) {
        let Some(websocket) = &mut self.websocket else { return };
        let flushed = websocket.flush().and_then(|is_clean| {
            if is_clean {
                let packets = self.connection.take_outgoing();
                push_packets(websocket, &packets);
                websocket.flush()?;
            }
            Ok(())
        });
        if flushed.is_err() {
            self.connection.websocket_gone(false);
        }
    }

    /// Whether the WebSocket has taken everything that waited.
    pub(super) fn is_clean(&mut self) -> bool {
        self.websocket.as_mut().is_some_and(|websocket| websocket.flush().unwrap_or(false))
    }

    /// Takes what the kernel has from the client, as far as there is room.
    pub(super) fn read(&mut self, outside: &Outside<'_>) {
        self.read_candidate(outside);
        let mut packets = 0;
        while self.connection.is_open() && !self.inbox.is_full() {
            // Packets that mean nothing fill no inbox, and must not keep the thread from the others.
            self.has_unread = packets == PACKETS_AT_ONCE;
            if self.has_unread {
                return;
            }
            packets += 1;
            let Some(websocket) = &mut self.websocket else { return };
            let now = outside.now;
            let received = match websocket.receive(&self.rules) {
                Incoming::Message(Message::Text(text)) => {
                    self.connection.receive(now, Packet::parse(&text)).map(|received| self.inbox.push(received))
                }
                Incoming::Message(Message::Binary(bytes)) => {
                    let packet = Ok(Packet::Binary(bytes));
                    self.connection.receive(now, packet).map(|received| self.inbox.push(received))
                }
                // Control frames are the socket's own affair.
                Incoming::Message(_) => Ok(()),
                Incoming::Nothing => return,
                Incoming::Broken(violation) => {
                    self.log_violation(&violation);
                    if let Some(websocket) = &mut self.websocket {
                        websocket.close(violation.close_code(), &violation.to_string());
                    }
                    return self.connection.websocket_gone(false);
                }
                Incoming::Closed => return self.connection.websocket_gone(true),
                Incoming::Dead => return self.connection.websocket_gone(false),
            };
            if let Err(error) = received {
                self.log_violation(&error);
            }
        }
    }

    fn read_candidate(&mut self, outside: &Outside<'_>) {
        while let Some(candidate) = &mut self.candidate {
            let verdict = match candidate.receive(&self.rules) {
                Incoming::Message(Message::Text(text)) => self.connection.probe(outside.now, Some(&text)),
                Incoming::Message(_) => self.connection.probe(outside.now, None),
                Incoming::Nothing => return,
                Incoming::Broken(_) | Incoming::Closed | Incoming::Dead => {
                    self.connection.candidate_gone();
                    ProbeVerdict::Close
                }
            };
            match verdict {
                ProbeVerdict::Answer => {
                    candidate.push(Opcode::Text, santral_core::engineio::PROBE_ANSWER);
                    // What the kernel does not take goes before anything else is read.
                }
                ProbeVerdict::Upgraded => self.websocket = self.candidate.take(),
                ProbeVerdict::Close => return Self::close_socket(self.candidate.take(), close::NORMAL, outside),
            }
        }
    }

    /// The next thing that the client wants; until it is carried out, the connection is busy.
    pub(super) fn next_request(&mut self, outside: &Outside<'_>) -> Option<Request<SessionKey>> {
        let request = self.find_request(outside);
        self.is_busy = request.is_some();
        if !self.is_busy
            && (self.inbox.is_empty() || !self.connection.is_open())
            && let Some(post) = self.waiting_post.take()
        {
            // Whoever posted may have gone away.
            let _ = post.send(());
        }
        request
    }

    fn find_request(&mut self, outside: &Outside<'_>) -> Option<Request<SessionKey>> {
        // Whoever has more to say is heard again after the others.
        for _ in 0..PACKETS_AT_ONCE {
            // The answers of a client that does not take them would pile up.
            if self.connection.is_open() && self.connection.is_congested() {
                return None;
            }
            let message = match self.inbox.pop() {
                Some(message) => message,
                None => {
                    self.read(outside);
                    self.inbox.pop()?
                }
            };
            let request = match message {
                Inbound::Text(text) => self.sockets.text(&text),
                Inbound::Binary(bytes) => self.sockets.binary(bytes),
            };
            match request {
                Ok(None) => (),
                Ok(Some(Request::JoinTooMany { namespace })) => {
                    let mut packet = String::new();
                    encode::connect_error(&mut packet, &namespace, "too many namespaces", None);
                    self.connection.send(packet.as_bytes());
                }
                Ok(Some(request)) => return Some(request),
                Err(error) => {
                    self.log_violation(&error);
                    self.inbox.clear();
                    self.connection.close(outside.now, CloseReason::ParseError);
                }
            }
        }
        None
    }

    /// Hands frames of the log to the client; see [`santral_core::shard::Links::write`].
    pub(super) fn write(&mut self, session: SessionKey, frames: &[IoSlice<'_>]) -> Written {
        let Some(namespace) = self.sockets.namespace_of(session).cloned() else { return Written::Gone };
        if !self.connection.is_websocket() {
            return self.write_to_poll(&namespace, frames);
        }
        self.flush();
        let written = match self.websocket.as_mut().filter(|websocket| websocket.waiting_bytes() == 0) {
            Some(websocket) => write_to_websocket(websocket, &namespace, frames).unwrap_or_else(|_| {
                self.connection.websocket_gone(false);
                Written::Partial(0)
            }),
            None => Written::Partial(0),
        };
        self.is_refusing = written != Written::All;
        written
    }

    fn write_to_poll(&mut self, namespace: &Namespace, frames: &[IoSlice<'_>]) -> Written {
        if namespace.is_root() {
            let taken = self.connection.take_frames(frames);
            let total: usize = frames.iter().map(|frame| frame.len()).sum();
            return if taken == total { Written::All } else { Written::Partial(taken) };
        }
        let mut taken = 0;
        for frame in frames {
            let named = named(frame, namespace);
            if self.connection.take_frames(&[IoSlice::new(&named)]) == 0 {
                return Written::Partial(taken);
            }
            taken += frame.len();
        }
        Written::All
    }

    /// Asks one of its sockets, unless its client takes nothing for now.
    pub(super) fn ask(&mut self, session: SessionKey, question: &Question) -> bool {
        if !self.connection.is_open() || self.connection.is_congested() || !self.sockets.ask(session, question.id) {
            return false;
        }
        let Some(namespace) = self.sockets.namespace_of(session) else { return false };
        let event = encode::Event {
            namespace,
            ack: Some(question.id),
            name: &question.event,
            data: &question.data,
            spread: question.spread,
            tail: encode::Tail::Nothing,
        };
        let mut packet = String::new();
        encode::event(&mut packet, &event);
        self.connection.send(packet.as_bytes());
        true
    }

    /// One clear line about who broke which rule.
    pub(super) fn log_violation(&self, error: &dyn std::fmt::Display) {
        log::info!(sid = self.sid.shown(); "a Socket.IO client broke the protocol: {error}");
    }
}

/// Packets of one client that are read, or messages that are looked at, before others get their turn.
const PACKETS_AT_ONCE: usize = 256;

/// Sends packets of the server's own; what the kernel does not take waits with the socket.
fn push_packets(websocket: &mut FramedSocket, mut packets: &[u8]) {
    while let Some(packet) = payload::next_outgoing(&mut packets) {
        match packet {
            Outgoing::Text(text) => websocket.push(Opcode::Text, text),
            Outgoing::Binary(bytes) => websocket.push(Opcode::Binary, &bytes),
        }
    }
}

fn write_to_websocket(
    websocket: &mut FramedSocket,
    namespace: &Namespace,
    frames: &[IoSlice<'_>],
) -> io::Result<Written> {
    // The usual case goes without an allocation.
    if let [frame] = frames
        && namespace.is_root()
        && let Some(text) = only_packet(frame)
    {
        let taken = websocket.send(&[(Opcode::Text, text)])?;
        return Ok(if taken == 1 { Written::All } else { Written::Partial(0) });
    }
    let named: Vec<_> = frames.iter().map(|frame| named(frame, namespace)).collect();
    let groups: Vec<Vec<Outgoing<'_>>> = named
        .iter()
        .map(|frame| {
            let mut rest = &frame[..];
            std::iter::from_fn(|| payload::next_outgoing(&mut rest)).collect()
        })
        .collect();
    let messages: Vec<_> = groups.iter().flatten().map(message_of).collect();
    let mut begun = websocket.send(&messages)?;
    let mut bytes = 0;
    for (group, frame) in groups.iter().zip(frames) {
        if begun == 0 {
            return Ok(Written::Partial(bytes));
        }
        // Nothing gets between the text of an event and its attachments: the rest of the group waits with
        // the socket.
        for (opcode, payload) in group.iter().skip(begun).map(message_of) {
            websocket.push(opcode, payload);
        }
        begun = begun.saturating_sub(group.len());
        bytes += frame.len();
    }
    Ok(Written::All)
}

fn message_of<'a>(packet: &'a Outgoing<'_>) -> (Opcode, &'a [u8]) {
    match packet {
        Outgoing::Text(text) => (Opcode::Text, text),
        Outgoing::Binary(bytes) => (Opcode::Binary, bytes),
    }
}

/// The packet of a frame that is one, of text.
fn only_packet(frame: &[u8]) -> Option<&[u8]> {
    let packet = frame.strip_suffix(&[santral_core::engineio::SEPARATOR])?;
    (!packet.contains(&santral_core::engineio::SEPARATOR)).then_some(packet)
}

/// The frame with the name of its socket's namespace.
pub(super) fn named<'a>(frame: &'a [u8], namespace: &Namespace) -> std::borrow::Cow<'a, [u8]> {
    if namespace.is_root() {
        return frame.into();
    }
    let (types, rest) = frame.split_at(frames::namespace_place(frame));
    [types, namespace.as_str().as_bytes(), b",", rest].concat().into()
}

fn reason_of(reason: CloseReason) -> DisconnectReason {
    match reason {
        CloseReason::TransportClose => DisconnectReason::ClientLeft,
        CloseReason::TransportError | CloseReason::PingTimeout => DisconnectReason::Unreachable,
        CloseReason::ParseError => DisconnectReason::BadInput,
        CloseReason::ForcedClose | CloseReason::ForcedServerClose => DisconnectReason::LimitReached,
        CloseReason::ServerShuttingDown => DisconnectReason::Draining,
    }
}
