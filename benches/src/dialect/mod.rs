//! How the clients of the swarm talk with a server: what they ask, what they answer, what they find.
//!
//! One [`Dialect`] for each client, sans-I/O: bytes of the server go in, findings and bytes for the server come
//! out. Nothing more is understood than a sound server sends to these clients; all else is a finding.

mod carry;
mod json_events;
mod long_poll;
mod socketio;
mod socketio_polling;
pub mod stream_parser;
pub(crate) mod websocket;

use crate::http;
use crate::payload::{Payload, Stamp};

use long_poll::LongPoll;
use socketio::SocketIo;
use socketio_polling::SocketIoPolling;
use stream_parser::StreamParser;
use websocket::WebSocket;

/// How a client reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Server-sent events.
    EventStream,
    /// Santral's own WebSocket.
    WebSocket,
    /// Santral's own long polls, on one kept connection.
    LongPoll,
    /// Socket.IO by WebSocket only.
    SocketIoWebSocket,
    /// Socket.IO by polling only, on one kept connection.
    SocketIoPolling,
}

/// Where a client comes in, and what it follows.
#[derive(Debug, Clone, Copy)]
pub struct Entrance {
    /// How.
    pub transport: Transport,
    /// Path and query; the channel is in it save for Socket.IO.
    pub path: &'static str,
    /// The room that a Socket.IO client joins before it counts as open, if any.
    pub room: Option<&'static str>,
}

/// What a client finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The server has let the client in.
    Open,
    /// The server has refused the client with this status.
    Refused(u16),
    /// A publication of ours.
    Publication(Stamp),
    /// Anything that a sound server does not send to this client: foreign data, a `gap`, a close.
    Foreign,
}

/// One client's side of its conversation.
#[derive(Debug)]
pub(crate) enum Dialect {
    EventStream(StreamParser),
    WebSocket(WebSocket),
    LongPoll(LongPoll),
    SocketIoPolling(SocketIoPolling),
}

impl Transport {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventStream => "SSE",
            Self::WebSocket | Self::SocketIoWebSocket => "WebSocket",
            Self::LongPoll => "long-poll",
            Self::SocketIoPolling => "polling",
        }
    }
}

impl Dialect {
    /// A client that has said nothing.
    pub(crate) fn new(entrance: &Entrance) -> Self {
        match entrance.transport {
            Transport::EventStream => Self::EventStream(StreamParser::default()),
            Transport::WebSocket => Self::WebSocket(WebSocket::with_json_events()),
            Transport::SocketIoWebSocket => Self::WebSocket(WebSocket::with_socketio(SocketIo::new(entrance.room))),
            Transport::LongPoll => Self::LongPoll(LongPoll::new(entrance.path)),
            Transport::SocketIoPolling => {
                Self::SocketIoPolling(SocketIoPolling::new(entrance.path, SocketIo::new(entrance.room)))
            }
        }
    }

    /// What the client says first.
    pub(crate) fn opening(entrance: &Entrance) -> Vec<u8> {
        match entrance.transport {
            Transport::EventStream => http::get(entrance.path, "text/event-stream"),
            Transport::WebSocket | Transport::SocketIoWebSocket => websocket::handshake(entrance.path),
            Transport::LongPoll | Transport::SocketIoPolling => http::get(entrance.path, "*/*"),
        }
    }

    /// Takes what the server said and calls `on_found` for each finding; what is to be said in return is
    /// put into `answer`.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        payload: &Payload,
        answer: &mut Vec<u8>,
        on_found: &mut impl FnMut(Found),
    ) {
        match self {
            Self::EventStream(parser) => parser.feed(input, payload, on_found),
            Self::WebSocket(socket) => socket.feed(input, payload, answer, on_found),
            Self::LongPoll(polls) => polls.feed(input, payload, answer, on_found),
            Self::SocketIoPolling(polls) => polls.feed(input, payload, answer, on_found),
        }
    }
}
