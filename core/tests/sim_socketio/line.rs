//! The line of one WebSocket: bytes to the client through a small buffer, messages from it in order.

use std::collections::VecDeque;

use santral_core::websocket::{Opcode, encoder};

use crate::plan::Micros;

/// What comes from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Up {
    Text(String),
    Binary(Vec<u8>),
    Closed,
    Dead,
}

/// The line is dead, as the server sees it.
#[derive(Debug)]
pub(crate) struct Broken;

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    /// Which connection it is meant for.
    pub(crate) dialog: usize,
    /// What the kernel has taken and the network has not moved.
    pub(crate) kernel: VecDeque<u8>,
    pub(crate) capacity: usize,
    /// What was begun and the kernel has not taken.
    pub(crate) rest: Vec<u8>,
    /// Whether the kernel was full: it tells when there is room again.
    pub(crate) was_full: bool,
    /// On their way to the server.
    pub(crate) sent: VecDeque<Up>,
    pub(crate) sent_at: Micros,
    /// There, and not read.
    pub(crate) unread: VecDeque<Up>,
    /// The client does not read any more.
    pub(crate) is_dead: bool,
    /// The server has found out.
    pub(crate) is_broken: bool,
    /// The server has closed it.
    pub(crate) is_closed: bool,
    pub(crate) stalled_until: Micros,
    pub(crate) is_moving: bool,
    /// What the client has of a frame.
    received: Vec<u8>,
}

impl Line {
    pub(crate) fn new(dialog: usize, capacity: usize) -> Self {
        Self {
            dialog,
            kernel: VecDeque::new(),
            capacity,
            rest: Vec::new(),
            was_full: false,
            sent: VecDeque::new(),
            sent_at: 0,
            unread: VecDeque::new(),
            is_dead: false,
            is_broken: false,
            is_closed: false,
            stalled_until: 0,
            is_moving: false,
            received: Vec::new(),
        }
    }

    /// Hands bytes to the kernel and says how many it took.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        let taken = bytes.len().min(self.capacity.saturating_sub(self.kernel.len()));
        self.kernel.extend(&bytes[..taken]);
        self.was_full |= taken < bytes.len();
        Ok(taken)
    }

    /// Writes what waits; whether nothing is left.
    pub(crate) fn flush(&mut self) -> Result<bool, Broken> {
        let rest = std::mem::take(&mut self.rest);
        let taken = self.write(&rest)?;
        self.rest = rest[taken..].to_vec();
        Ok(self.rest.is_empty())
    }

    /// Sends messages as far as the kernel takes them; says how many were at least begun.
    pub(crate) fn send(&mut self, messages: &[(Opcode, &[u8])]) -> Result<usize, Broken> {
        if !self.flush()? {
            return Ok(0);
        }
        for (index, (opcode, payload)) in messages.iter().enumerate() {
            let frame = encoder::frame(*opcode, payload);
            let taken = self.write(&frame)?;
            if taken < frame.len() {
                self.rest = frame[taken..].to_vec();
                if taken == 0 {
                    self.rest.clear();
                }
                return Ok(index + usize::from(taken > 0));
            }
        }
        Ok(messages.len())
    }

    /// Sends a message, whatever the kernel takes of it.
    pub(crate) fn push(&mut self, opcode: Opcode, payload: &[u8]) {
        self.rest.extend_from_slice(&encoder::frame(opcode, payload));
    }

    /// Says goodbye; what the kernel does not take is lost.
    pub(crate) fn close(&mut self, code: u16) {
        if !self.is_closed {
            self.rest.extend_from_slice(&encoder::close_frame(code, ""));
            let _ = self.flush();
            self.rest.clear();
            self.is_closed = true;
        }
    }

    /// The client gets some bytes.
    pub(crate) fn receive(&mut self, count: usize) {
        let count = count.min(self.kernel.len());
        self.received.extend(self.kernel.drain(..count));
    }

    /// The next whole frame that the client has: its first byte and its payload (RFC 6455, section 5.2).
    pub(crate) fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, &short) = (self.received.first()?, self.received.get(1)?);
        let width = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let long = self.received.get(2..2 + width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let length = if width == 0 { usize::from(short) } else { long };
        let end = 2 + width + length;
        let payload = self.received.get(2 + width..end)?.to_vec();
        self.received.drain(..end);
        Some((first, payload))
    }
}
