//! One participant: its connection, and what has arrived there.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::hall::{PER_ROOM, Scores};
use super::wire::{Heard, Identity, Way};
use crate::dialect::stream_parser::{find, status_of};
use crate::dialect::websocket::{self, Frame};
use crate::error::{During, Result};
use crate::http;
use crate::payload::Payload;
use crate::verifier::Verifier;

/// One participant of a call.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) identity: Identity,
    way: Way,
    stream: TcpStream,
    is_let_in: bool,
    has_ended: bool,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Of what comes from each place of the room.
    verifiers: [Verifier; PER_ROOM],
    /// How many signals went to each place of the room.
    pub(super) sent: [u64; PER_ROOM],
}

impl Caller {
    /// Connects, and asks to be let in.
    ///
    /// # Errors
    /// When the server refuses the connection.
    pub(super) fn connect(address: SocketAddr, way: Way, identity: Identity) -> Result<Self> {
        let mut stream = std::net::TcpStream::connect(address).during("connect a participant")?;
        stream.set_nodelay(true).during("set up a participant")?;
        let path = way.path(&identity);
        let request = if way.is_duplex() { websocket::handshake(&path) } else { http::get(&path, "text/event-stream") };
        stream.write_all(&request).during("ask to be let in")?;
        stream.set_nonblocking(true).during("make a participant non-blocking")?;
        Ok(Self {
            identity,
            way,
            stream: TcpStream::from_std(stream),
            is_let_in: false,
            has_ended: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            verifiers: Default::default(),
            sent: [0; PER_ROOM],
        })
    }

    /// Begins to watch the connection under `token`.
    ///
    /// # Errors
    /// When the poll refuses.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.stream, token, interest).during("watch a participant")
    }

    /// Says one message on a WebSocket; what the socket does not take waits.
    pub(super) fn say(&mut self, text: &[u8], scores: &mut Scores) {
        websocket::write(websocket::FIN_TEXT, text, &mut self.outgoing);
        self.flush(scores);
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self, scores: &mut Scores) {
        while !self.outgoing.is_empty() && !self.has_ended {
            match self.stream.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end(scores),
            }
        }
    }

    /// Reads all that is there.
    pub(super) fn receive(&mut self, buffer: &mut [u8], payload: &Payload, now_ns: u64, scores: &mut Scores) {
        while !self.has_ended {
            match self.stream.read(buffer) {
                Ok(0) => self.end(scores),
                Ok(count) => {
                    self.incoming.extend_from_slice(&buffer[..count]);
                    self.take_all(payload, now_ns, scores);
                    // A short read means that the socket is empty.
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end(scores),
            }
        }
        self.flush(scores);
    }

    /// Declares how many signals the one at this place has sent here.
    pub(super) fn finish(&mut self, place: usize, sent: u64, scores: &mut Scores) {
        self.verifiers[place].finish(sent, &mut scores.tally);
    }

    fn take_all(&mut self, payload: &Payload, now_ns: u64, scores: &mut Scores) {
        let incoming = std::mem::take(&mut self.incoming);
        let mut at = 0;
        if !self.is_let_in {
            let Some(end) = find(&incoming, b"\r\n\r\n") else {
                self.incoming = incoming;
                return;
            };
            self.is_let_in = true;
            let status = status_of(&incoming);
            if ![101, 200].contains(&status) {
                scores.refused = scores.refused.or(Some(status));
            }
            at = end + 4;
        }
        while let Some(bytes) = self.take_one(&incoming[at..], payload, now_ns, scores) {
            at += bytes;
        }
        self.incoming.extend_from_slice(&incoming[at..]);
    }

    /// Takes the first whole message; its length.
    fn take_one(&mut self, input: &[u8], payload: &Payload, now_ns: u64, scores: &mut Scores) -> Option<usize> {
        if !self.way.is_duplex() {
            let bytes = find(input, b"\n\n")? + 2;
            self.take(&input[..bytes], payload, now_ns, scores);
            return Some(bytes);
        }
        let (frame, bytes) = websocket::next_frame(input)?;
        match frame {
            Frame::Text(text) => self.take(text, payload, now_ns, scores),
            Frame::Ping(data) => websocket::write(websocket::FIN_PONG, data, &mut self.outgoing),
            Frame::Other => scores.tally.foreign += 1,
        }
        Some(bytes)
    }

    fn take(&mut self, text: &[u8], payload: &Payload, now_ns: u64, scores: &mut Scores) {
        match self.way.hear(text, payload) {
            Heard::Open => scores.open += 1,
            Heard::Other => {}
            Heard::Damaged => scores.tally.foreign += 1,
            Heard::Signal(stamp) => {
                scores.arrived += 1;
                scores.latency.record(now_ns.saturating_sub(stamp.sent_ns));
                match usize::try_from(stamp.publisher).ok().and_then(|place| self.verifiers.get_mut(place)) {
                    Some(verifier) => verifier.accept(stamp.sequence, &mut scores.tally),
                    None => scores.tally.foreign += 1,
                }
            }
        }
    }

    fn end(&mut self, scores: &mut Scores) {
        self.has_ended = true;
        scores.tally.ended += 1;
    }
}
