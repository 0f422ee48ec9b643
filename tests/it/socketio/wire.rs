//! Engine.IO by hand, over plain HTTP and a raw WebSocket, and how what comes is written in the tables.
//!
//! An answer is written as `200 body`, a frame as `text …`, `binary [1, 2]`, `close 1000 reason` or
//! `end`. The packets of a payload are separated by a space, ids of sockets and sessions become `<id>`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use santral_testkit::http::{Exchange, HttpError, Request, Response};
use santral_testkit::websocket::{Frame, Message, WebSocket};
use serde_json::Value;

use super::target::Target;
use crate::support::{PATIENCE, deadline};

/// Where a new session over polling begins.
pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// Where a new session over WebSocket begins.
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Long enough for whatever a server says at once, on a busy machine.
pub(crate) const MOMENT: Duration = Duration::from_millis(150);

/// A session over polling. Dropping it leaves the server with a client that has vanished.
pub(crate) struct Polling<'a> {
    target: &'a Target,
    pub(crate) sid: String,
}

impl<'a> Polling<'a> {
    /// Shakes hands.
    pub(crate) fn open(target: &'a Target) -> Self {
        let answer = target.send(&Request::get(POLLING));
        Self { target, sid: handshake(&answer.text())["sid"].as_str().expect("a sid is text").to_owned() }
    }

    /// Shakes hands and joins the namespace `/`.
    pub(crate) fn joined(target: &'a Target) -> Self {
        let session = Self::open(target);
        assert_eq!(session.post("40"), "200 ok");
        assert_eq!(session.poll(), "200 40{\"sid\":\"<id>\"}");
        session
    }

    /// The address of the session on this transport.
    pub(crate) fn path(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    /// Waits for what the server has to say.
    pub(crate) fn poll(&self) -> String {
        told(&self.target.send(&Request::get(&self.path("polling"))))
    }

    /// Sends a poll whose answer is read later.
    pub(crate) fn hold(&self) -> Exchange {
        let poll = Request::get(&self.path("polling")).start(self.target.address(), PATIENCE);
        let mut poll = poll.expect("the server takes a poll");
        assert!(poll.is_held_for(MOMENT).expect("the connection stays"), "the server holds the poll");
        poll
    }

    /// Says something.
    pub(crate) fn post(&self, body: &str) -> String {
        told(&self.target.send(&self.posting(body)))
    }

    /// What [`Self::post`] sends.
    pub(crate) fn posting(&self, body: &str) -> Request {
        Request::post(&self.path("polling"), body).header("Content-Type", "text/plain;charset=UTF-8")
    }

    /// A WebSocket to the same session, for an upgrade.
    pub(crate) fn websocket(&self) -> Socket {
        Socket::open(self.target, &self.path("websocket"))
    }

    /// Says `2probe` on a WebSocket and waits for `3probe`.
    pub(crate) fn probed(&self) -> Socket {
        let mut socket = self.websocket();
        socket.say("2probe");
        assert_eq!(socket.hear(), "text 3probe");
        socket
    }
}

/// A WebSocket.
pub(crate) struct Socket {
    pub(crate) raw: WebSocket,
}

impl Socket {
    /// Opens it at this path.
    pub(crate) fn open(target: &Target, path: &str) -> Self {
        let raw = WebSocket::open(target.address(), path, &[], PATIENCE);
        Self { raw: raw.expect("the server takes the WebSocket") }
    }

    /// Opens it on a server of any kind.
    pub(crate) fn at(address: SocketAddr, path: &str) -> Self {
        Self { raw: WebSocket::open(address, path, &[], PATIENCE).expect("the server takes the WebSocket") }
    }

    /// Opens a new session and reads its handshake.
    pub(crate) fn fresh(target: &Target) -> Self {
        let mut socket = Self::open(target, WEBSOCKET);
        let first = socket.hear();
        assert!(first.starts_with("text 0{"), "{first}");
        socket
    }

    /// Opens a new session and joins the namespace `/`.
    pub(crate) fn joined(target: &Target) -> Self {
        let mut socket = Self::fresh(target);
        socket.say("40");
        assert_eq!(socket.hear(), "text 40{\"sid\":\"<id>\"}");
        socket
    }

    /// Says this CONNECT and returns the id of the socket.
    pub(crate) fn join(&mut self, connect: &str) -> String {
        self.say(connect);
        let answer = self.raw.next_message(deadline()).expect("the server answers");
        let Some(Message::Text(text)) = answer else { panic!("{answer:?}") };
        let json = &text[text.find('{').unwrap_or_else(|| panic!("no JSON: {text}"))..];
        let answer: Value = serde_json::from_str(json).expect("the answer is JSON");
        answer["sid"].as_str().unwrap_or_else(|| panic!("no id: {text}")).to_owned()
    }

    /// Sends a text frame. That the server has closed already is seen when something is read.
    pub(crate) fn say(&mut self, text: &str) -> &mut Self {
        self.put(&Frame::text(text))
    }

    /// Sends a binary frame.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(&Frame::new(santral_testkit::websocket::Opcode::BINARY, bytes))
    }

    /// Sends any frame.
    pub(crate) fn put(&mut self, frame: &Frame) -> &mut Self {
        match self.raw.send(frame, deadline()) {
            Ok(()) | Err(HttpError::Broken(_)) => self,
            Err(error) => panic!("the server does not read: {error}"),
        }
    }

    /// The next frame.
    pub(crate) fn hear(&mut self) -> String {
        self.hear_until(deadline()).expect("the server says something")
    }

    /// The next so many frames.
    pub(crate) fn hear_all(&mut self, count: usize) -> String {
        let heard: Vec<String> = (0..count).map(|_| self.hear()).collect();
        heard.join(", ")
    }

    /// The next frame; `None` when none comes before then.
    pub(crate) fn hear_until(&mut self, deadline: Instant) -> Option<String> {
        match self.raw.next_message(deadline) {
            Ok(Some(Message::Text(text))) => Some(format!("text {}", without_ids(&text))),
            Ok(Some(Message::Binary(bytes))) => Some(format!("binary {bytes:?}")),
            Ok(Some(Message::Ping(bytes))) => Some(format!("ping {bytes:?}")),
            Ok(Some(Message::Pong(bytes))) => Some(format!("pong {bytes:?}")),
            Ok(Some(Message::Close { code, reason })) => {
                Some(format!("close {} {reason}", code.unwrap_or_default()).trim_end().to_owned())
            }
            Ok(None) | Err(HttpError::Broken(_) | HttpError::Truncated { .. }) => Some("end".to_owned()),
            Err(HttpError::Deadline { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// `closed` when the connection ends before anything else is said, else what is said.
    pub(crate) fn is_closed(&mut self) -> String {
        let heard = self.hear();
        if heard == "end" || heard.starts_with("close ") { "closed".to_owned() } else { heard }
    }
}

/// An answer as the tables write it.
pub(crate) fn told(answer: &Response) -> String {
    format!("{} {}", answer.status, without_ids(&answer.text().replace('\x1E', " "))).trim_end().to_owned()
}

/// The answer to a request that was sent before.
pub(crate) fn finish(exchange: Exchange) -> String {
    told(&exchange.finish(deadline()).expect("the server answers"))
}

/// What the server opens a session with.
pub(crate) fn handshake(packet: &str) -> Value {
    let json = packet.strip_prefix('0').unwrap_or_else(|| panic!("a handshake begins with 0: {packet}"));
    serde_json::from_str(json).expect("a handshake carries JSON")
}

/// Replaces what is different each time.
fn without_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    for key in ["\"sid\":\"", "\"pid\":\""] {
        if let Some(at) = rest.find(key) {
            let (before, value) = rest.split_at(at + key.len());
            shown.push_str(before);
            shown.push_str("<id>");
            rest = &value[value.find('"').unwrap_or(value.len())..];
        }
    }
    shown + rest
}
