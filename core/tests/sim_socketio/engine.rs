//! The server's end of one connection: its machine, its sockets and its links, glued as the hub does it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;

use santral_core::engineio::payload::{self, Outgoing};
use santral_core::engineio::{CloseReason, Connection, Packet, ProbeVerdict, Received};
use santral_core::limits::{ENGINEIO_INBOX_BYTES_MAX, ENGINEIO_OUTGOING_BYTES_MAX};
use santral_core::session::SessionKey;
use santral_core::shard::Written;
use santral_core::socketio::{Request, SocketError, Sockets, frames};
use santral_core::time::Moment;
use santral_core::websocket::Opcode;
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::line::{Broken, Line, Up};
use crate::plan::{Micros, SECOND};

/// What a client has said and the server has not taken up.
#[derive(Debug)]
pub(crate) enum Inbound {
    Text(String),
    Binary(bytes::Bytes),
}

/// Time and planted fault, which every step needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) now: Moment,
    pub(crate) bug: Option<Bug>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) host: usize,
    pub(crate) connection: Connection,
    pub(crate) sockets: Sockets<SessionKey>,
    pub(crate) websocket: Option<usize>,
    pub(crate) candidate: Option<usize>,
    /// The request that is held.
    pub(crate) held_poll: Option<usize>,
    /// The request whose body is being read or carried out.
    pub(crate) posting: Option<usize>,
    /// It is answered once there is room for the next.
    pub(crate) waiting_post: Option<usize>,
    pub(crate) inbox: VecDeque<Inbound>,
    inbox_bytes: usize,
    pub(crate) is_busy: bool,
    pub(crate) ending: Option<DisconnectReason>,
    pub(crate) is_forgotten: bool,
    /// Why and when it ended: once.
    pub(crate) ended: Vec<(CloseReason, Micros)>,
    /// The server has closed it while no poll was held: a client that polls later is told.
    pub(crate) is_closed_here: bool,
    /// How a poll that comes now finds out that it ended, if it can.
    pub(crate) farewell: Option<(&'static str, Micros)>,
    /// Frames of a planted fault.
    kept: Vec<u8>,
    /// The numbers of the client's events, and whether some may be missing.
    pub(crate) heard: u64,
    pub(crate) may_skip: bool,
    /// Links of its sockets take frames again.
    pub(crate) writable: bool,
    pub(crate) notes: Vec<&'static str>,
    /// What its WebSockets hold at most.
    pub(crate) held_bytes_max: usize,
}

impl Engine {
    pub(crate) fn new(host: usize, connection: Connection, websocket: Option<usize>, now: Moment) -> Self {
        Self {
            host,
            connection,
            sockets: Sockets::new(Moment(now.0 + 2 * SECOND)),
            websocket,
            candidate: None,
            held_poll: None,
            posting: None,
            waiting_post: None,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            is_busy: false,
            ending: None,
            is_forgotten: false,
            ended: Vec::new(),
            is_closed_here: false,
            farewell: None,
            kept: Vec::new(),
            heard: 0,
            may_skip: false,
            writable: false,
            notes: Vec::new(),
            held_bytes_max: 0,
        }
    }

    /// Closes the connection from this side.
    pub(crate) fn close(&mut self, now: Moment, reason: CloseReason) {
        self.connection.handle_timeout(now);
        self.is_closed_here |= self.connection.is_open() && self.held_poll.is_none();
        self.connection.close(now, reason);
    }

    /// When it wants to be looked at.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        if self.is_over() {
            return None;
        }
        let join_by = self.sockets.next_timeout().filter(|_| self.connection.is_open());
        [self.connection.next_timeout(), join_by].into_iter().flatten().min()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_forgotten && !self.is_busy && self.inbox.is_empty()
    }

    /// Whether there is something to carry out, and nothing under way.
    pub(crate) fn wants_to_be_heard(&self, bug: Option<Bug>) -> bool {
        !self.is_busy && !self.inbox.is_empty() && !self.is_held_up(bug)
    }

    fn is_held_up(&self, bug: Option<Bug>) -> bool {
        self.connection.is_open() && self.connection.is_congested() && bug != Some(Bug::CongestionIgnored)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.inbox_bytes >= ENGINEIO_INBOX_BYTES_MAX
    }

    pub(crate) fn push(&mut self, received: Received<'_>) {
        let message = match received {
            Received::Text(text) => Inbound::Text(text.to_owned()),
            Received::Binary(bytes) => Inbound::Binary(bytes),
            Received::Nothing => return,
        };
        self.inbox_bytes += weight(&message);
        self.inbox.push_back(message);
    }

    fn pop(&mut self) -> Option<Inbound> {
        let message = self.inbox.pop_front()?;
        self.inbox_bytes -= weight(&message);
        Some(message)
    }

    /// Sends what the machine has for the WebSocket, as far as it takes it.
    pub(crate) fn flush(&mut self, lines: &mut [Line]) {
        let Some(line) = self.websocket.map(|line| &mut lines[line]) else { return };
        let flushed = line.flush().and_then(|is_clean| {
            if is_clean {
                push_packets(line, &self.connection.take_outgoing());
                line.flush()?;
            }
            Ok(())
        });
        self.held_bytes_max = self.held_bytes_max.max(line.rest.len());
        if flushed.is_err() {
            self.connection.websocket_gone(false);
        }
    }

    pub(crate) fn is_clean(&self, lines: &mut [Line]) -> bool {
        self.websocket.is_some_and(|line| lines[line].flush().unwrap_or(false))
    }

    /// Something came by a WebSocket, or it takes bytes again.
    pub(crate) fn ready(&mut self, lines: &mut [Line], step: Step) {
        let waiting = |engine: &Self, lines: &[Line]| engine.websocket.map_or(0, |line| lines[line].rest.len());
        let waited = waiting(self, lines);
        self.flush(lines);
        if waiting(self, lines) < waited {
            self.connection.prove_alive(step.now);
        }
        if self.is_clean(lines) {
            self.writable = true;
        }
        self.read(lines, step);
    }

    /// Takes what has come from the client, as far as there is room.
    fn read(&mut self, lines: &mut [Line], step: Step) {
        self.read_candidate(lines, step);
        while self.connection.is_open() && !self.is_full() {
            let Some(line) = self.websocket.map(|line| &mut lines[line]) else { return };
            // Nothing is read from a client that does not take what it was sent.
            let received = match line.flush() {
                Ok(true) => line.unread.pop_front(),
                Ok(false) => return,
                Err(Broken) => Some(Up::Dead),
            };
            match received {
                None => return,
                // What was wrong with it, the machine knows.
                Some(Up::Text(text)) => {
                    if let Ok(received) = self.connection.receive(step.now, Packet::parse(&text)) {
                        self.push(received);
                    }
                }
                Some(Up::Binary(bytes)) => {
                    let packet = Ok(Packet::Binary(bytes.into()));
                    if let Ok(received) = self.connection.receive(step.now, packet) {
                        self.push(received);
                    }
                }
                Some(Up::Closed) => return self.connection.websocket_gone(true),
                Some(Up::Dead) => return self.connection.websocket_gone(false),
            }
        }
    }

    fn read_candidate(&mut self, lines: &mut [Line], step: Step) {
        while let Some(index) = self.candidate {
            let verdict = match lines[index].unread.pop_front() {
                None => return,
                Some(Up::Text(text)) => self.connection.probe(step.now, Some(&text)),
                Some(Up::Binary(_)) => self.connection.probe(step.now, None),
                Some(Up::Closed | Up::Dead) => {
                    self.notes.push("a WebSocket breaks before it takes over");
                    self.connection.candidate_gone();
                    ProbeVerdict::Close
                }
            };
            match verdict {
                ProbeVerdict::Answer => {
                    lines[index].push(Opcode::Text, santral_core::engineio::PROBE_ANSWER);
                    let _ = lines[index].flush();
                }
                ProbeVerdict::Upgraded => {
                    self.notes.push("a WebSocket takes over");
                    if self.held_poll.is_some() {
                        self.notes.push("a poll is over when the WebSocket takes over");
                    }
                    self.websocket = self.candidate.take();
                    if step.bug == Some(Bug::UpgradeForgetsPackets) {
                        drop(self.connection.take_outgoing());
                    }
                }
                ProbeVerdict::Close => {
                    self.candidate = None;
                    return lines[index].close(1000);
                }
            }
        }
    }

    /// The next thing that the client wants.
    pub(crate) fn next_request(
        &mut self,
        lines: &mut [Line],
        step: Step,
    ) -> Option<Result<Request<SessionKey>, SocketError>> {
        loop {
            if self.is_held_up(step.bug) {
                self.notes.push("a client is not read for its answers pile up");
                return None;
            }
            let message = match self.pop() {
                Some(message) => message,
                None => {
                    self.read(lines, step);
                    self.pop()?
                }
            };
            let request = match message {
                Inbound::Text(text) => self.sockets.text(&text),
                Inbound::Binary(bytes) => self.sockets.binary(bytes),
            };
            match request {
                Ok(None) => (),
                Ok(Some(request)) => return Some(Ok(request)),
                Err(error) => {
                    self.inbox.clear();
                    self.inbox_bytes = 0;
                    self.close(step.now, CloseReason::ParseError);
                    return Some(Err(error));
                }
            }
        }
    }

    /// Hands frames of the log to the client.
    pub(crate) fn write(
        &mut self,
        lines: &mut [Line],
        step: Step,
        session: SessionKey,
        frames: &[IoSlice<'_>],
    ) -> Written {
        let Some(namespace) = self.sockets.namespace_of(session).cloned() else { return Written::Gone };
        let name = if step.bug == Some(Bug::NamespaceForgotten) { "/" } else { namespace.as_str() };
        let named: Vec<_> = frames.iter().map(|frame| tampered(named(frame, name), step.bug)).collect();
        if !self.connection.is_websocket() {
            return self.write_to_poll(step, frames, &named);
        }
        self.flush(lines);
        if !self.is_clean(lines) {
            return Written::Partial(0);
        }
        let Some(line) = self.websocket.map(|line| &mut lines[line]) else { return Written::Partial(0) };
        let written = write_to_websocket(line, frames, &named, step.bug, &mut self.notes);
        self.held_bytes_max = self.held_bytes_max.max(line.rest.len());
        written.unwrap_or_else(|_| {
            self.connection.websocket_gone(false);
            Written::Partial(0)
        })
    }

    fn write_to_poll(&mut self, step: Step, frames: &[IoSlice<'_>], named: &[Cow<'_, [u8]>]) -> Written {
        let are_volatile = named.iter().all(|frame| is_volatile(frame));
        if step.bug == Some(Bug::VolatileKept) && self.held_poll.is_none() && are_volatile {
            self.kept.extend(named.iter().flat_map(|frame| frame.iter()));
            return Written::All;
        }
        if !self.kept.is_empty() && self.held_poll.is_some() {
            let kept = std::mem::take(&mut self.kept);
            self.connection.take_frames(&[IoSlice::new(&kept)]);
        }
        let mut taken = 0;
        for (frame, named) in frames.iter().zip(named) {
            if self.connection.take_frames(&[IoSlice::new(named)]) == 0 {
                return Written::Partial(taken);
            }
            taken += frame.len();
        }
        Written::All
    }

    /// Bytes beyond which nothing may wait for a client: its answers, and one group that was begun.
    pub(crate) fn check_memory(&self, largest_frame: usize) -> Result<(), String> {
        let most = ENGINEIO_OUTGOING_BYTES_MAX + 2 * largest_frame + 16 * 1024;
        if self.held_bytes_max > most {
            return Err(format!("{} bytes wait for one client, at most {most} may", self.held_bytes_max));
        }
        let most = 2 * ENGINEIO_INBOX_BYTES_MAX;
        if self.inbox_bytes > most {
            return Err(format!("{} bytes of a client wait to be carried out", self.inbox_bytes));
        }
        Ok(())
    }
}

fn weight(message: &Inbound) -> usize {
    size_of::<Inbound>()
        + match message {
            Inbound::Text(text) => text.len(),
            Inbound::Binary(bytes) => bytes.len(),
        }
}

fn push_packets(line: &mut Line, mut packets: &[u8]) {
    while let Some(packet) = payload::next_outgoing(&mut packets) {
        let (opcode, payload) = message_of(&packet);
        line.push(opcode, payload);
    }
}

fn message_of<'a>(packet: &'a Outgoing<'_>) -> (Opcode, &'a [u8]) {
    match packet {
        Outgoing::Text(text) => (Opcode::Text, text),
        Outgoing::Binary(bytes) => (Opcode::Binary, bytes),
    }
}

fn write_to_websocket(
    line: &mut Line,
    frames: &[IoSlice<'_>],
    named: &[Cow<'_, [u8]>],
    bug: Option<Bug>,
    notes: &mut Vec<&'static str>,
) -> Result<Written, Broken> {
    let cut = |frame: &'_ Cow<'_, [u8]>| -> Vec<(Opcode, Vec<u8>)> {
        let mut rest = &frame[..];
        let packets = std::iter::from_fn(|| {
            let packet = payload::next_outgoing(&mut rest)?;
            let (opcode, payload) = message_of(&packet);
            Some((opcode, payload.to_vec()))
        });
        packets.collect()
    };
    let groups: Vec<_> = named.iter().map(cut).collect();
    let messages: Vec<_> = groups.iter().flatten().map(|(opcode, payload)| (*opcode, &payload[..])).collect();
    let mut begun = line.send(&messages)?;
    if !line.rest.is_empty() {
        notes.push("a frame is taken in part");
    }
    let mut bytes = 0;
    for (group, frame) in groups.iter().zip(frames) {
        if begun == 0 {
            return Ok(Written::Partial(bytes));
        }
        if bug == Some(Bug::PartialFrameRepeated) && begun <= group.len() && !line.rest.is_empty() {
            return Ok(Written::Partial(bytes));
        }
        if bug == Some(Bug::GroupCut) && begun < group.len() {
            return Ok(Written::Partial(bytes + frame.len()));
        }
        if begun < group.len() {
            notes.push("a binary event is taken in part");
        }
        for (opcode, payload) in group.iter().skip(begun) {
            line.push(*opcode, payload);
        }
        begun = begun.saturating_sub(group.len());
        bytes += frame.len();
    }
    Ok(Written::All)
}

/// The frame with the name of its socket's namespace.
pub(crate) fn named<'a>(frame: &'a [u8], namespace: &str) -> Cow<'a, [u8]> {
    if namespace == "/" {
        return frame.into();
    }
    let (types, rest) = frame.split_at(frames::namespace_place(frame));
    [types, namespace.as_bytes(), b",", rest].concat().into()
}

/// Whether its event is a volatile one, by the letter of its name.
fn is_volatile(frame: &[u8]) -> bool {
    frame.windows(3).find(|window| window.starts_with(b"[\"")).is_some_and(|window| window[2] == b'v')
}

/// The frame as it leaves; only planted faults change it.
fn tampered(frame: Cow<'_, [u8]>, bug: Option<Bug>) -> Cow<'_, [u8]> {
    if bug == Some(Bug::VolatileWithoutTail)
        && is_volatile(&frame)
        && let Some(start) = frame.strip_suffix(b",null]\x1e")
    {
        return [start, b"]\x1e"].concat().into();
    }
    if bug == Some(Bug::AttachmentsSwapped) {
        let mut packets: Vec<_> = frame.split_inclusive(|byte| *byte == 0x1E).collect();
        if packets.len() > 2 {
            packets.swap(1, 2);
            return packets.concat().into();
        }
    }
    frame
}
