//! The link of a session whose client speaks on the same connection: lines of JSON as text messages of a
//! WebSocket, and the messages that come back.
//!
//! One message of a client is carried out at a time, and no further one is read meanwhile.

use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use santral_core::json_line::PING;
use santral_core::session::SessionKey;
use santral_core::shard::Written;
use santral_core::websocket::{Message, Opcode, Rules};
use santral_schema::reason::DisconnectReason;

use super::StreamSlot;
use super::framed_socket::{FramedSocket, Incoming, Outgoing};

/// Who takes what the client of one connection says.
pub trait Uplink {
    /// Carries out one message, on the thread of the session's shard.
    fn take(self: Rc<Self>, session: SessionKey, text: String) -> LocalBoxFuture<'static, Reply>;

    /// What is taken from the client.
    fn rules(&self) -> Rules;
}

/// What a client hears of a message of its own.
#[derive(Debug)]
pub enum Reply {
    /// Nothing.
    Nothing,
    /// A text message.
    Text(Bytes),
}

/// What comes next on a link of both directions.
pub(crate) enum Input {
    /// Nothing, until the kernel tells of more.
    Nothing,
    /// A message for the uplink. Nothing is read until [`WebSocketLink::reply`].
    Message(Rc<dyn Uplink>, String),
    /// The connection is over.
    Over(DisconnectReason),
}

/// See the module.
pub(crate) struct WebSocketLink {
    pub(super) socket: FramedSocket,
    uplink: Rc<dyn Uplink>,
    is_busy: bool,
    _slot: StreamSlot,
}

impl WebSocketLink {
    /// A link whose client is told `lines` before anything else.
    pub(crate) fn new(socket: FramedSocket, uplink: Rc<dyn Uplink>, lines: &[u8], slot: StreamSlot) -> Self {
        let mut link = Self { socket, uplink, is_busy: false, _slot: slot };
        link.push_lines(lines);
        link
    }

    /// Sends frames without waiting; see [`santral_core::shard::Links::write`]. Takes whole lines only.
    pub(crate) fn write(&mut self, frames: &[IoSlice<'_>]) -> io::Result<Written> {
        // The usual case goes without an allocation.
        if let [frame] = frames
            && let Some(line) = only_line(frame)
        {
            let is_ping = frame[..] == PING;
            if is_ping && self.socket.awaits_pong() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let taken = self.socket.send(&[(Opcode::Text, line)])?;
            if is_ping && taken == 1 {
                self.socket.ping();
            }
            return Ok(if taken == 1 { Written::All } else { Written::Partial(0) });
        }
        let messages: Vec<Outgoing<'_>> =
            frames.iter().flat_map(|frame| lines(frame)).map(|line| (Opcode::Text, line)).collect();
        let taken = self.socket.send(&messages)?;
        Ok(match messages.len() - taken {
            0 => Written::All,
            // Each line has its line break.
            _ => Written::Partial(messages[..taken].iter().map(|(_, line)| line.len() + 1).sum()),
        })
    }

    /// What the client says next.
    pub(crate) fn next_input(&mut self) -> Input {
        if self.is_busy {
            return Input::Nothing;
        }
        match self.socket.receive(&self.uplink.rules()) {
            Incoming::Message(Message::Text(text)) => {
                self.is_busy = true;
                Input::Message(Rc::clone(&self.uplink), text)
            }
            Incoming::Broken(violation) => {
                self.socket.close(violation.close_code(), &violation.to_string());
                Input::Over(DisconnectReason::BadInput)
            }
            Incoming::Closed => Input::Over(DisconnectReason::ClientLeft),
            Incoming::Dead => Input::Over(DisconnectReason::Unreachable),
            // The rules let no other message through.
            Incoming::Nothing | Incoming::Message(_) => Input::Nothing,
        }
    }

    /// The message in hand is done.
    pub(crate) fn reply(&mut self, reply: Reply) {
        self.is_busy = false;
        match reply {
            Reply::Nothing => (),
            Reply::Text(text) => self.socket.push(Opcode::Text, &text),
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, farewell: &[u8], reason: DisconnectReason) {
        self.push_lines(farewell);
        self.socket.close(reason.close_code(), &reason.close_text());
    }

    fn push_lines(&mut self, text: &[u8]) {
        for line in lines(text) {
            self.socket.push(Opcode::Text, line);
        }
    }
}

/// The frame without its line break, if it is one line.
fn only_line(frame: &[u8]) -> Option<&[u8]> {
    let line = frame.strip_suffix(b"\n")?;
    (!line.contains(&b'\n')).then_some(line)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}
