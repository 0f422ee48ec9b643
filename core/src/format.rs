//! How a session wants what it is sent: the wire forms of messages and of the server's own frames.
//!
//! One form serves several transports; what a transport puts around it is the affair of its link.

use bytes::Bytes;

use santral_schema::events::{Bye, Gap, Hello, PresenceChange};

use crate::entry::{Publication, Timestamp};
use crate::position::Position;
use crate::socketio::frames;
use crate::{json_line, sse};

/// How a session wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Server-Sent Events whose `data` is the message itself.
    #[default]
    Raw,
    /// Server-Sent Events whose `data` is a JSON object around the message that names channel, position,
    /// sender and time.
    Envelope,
    /// One JSON object on a line of its own: WebSocket and long-poll.
    Json,
    /// Events of Socket.IO, as closed packets of Engine.IO.
    SocketIo,
    /// The same with the place of each message behind its arguments, for clients that may come back.
    SocketIoPlaced,
}

impl Format {
    /// Every format, for tables and tests.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Envelope, Self::Json, Self::SocketIo, Self::SocketIoPlaced];

    /// Whether messages carry their place in the protocol of Socket.IO.
    fn is_placed(self) -> bool {
        self == Self::SocketIoPlaced
    }

    /// A message.
    #[must_use]
    pub fn message(self, position: Option<Position>, at: Timestamp, publication: &Publication) -> Bytes {
        match self {
            Self::Raw => sse::raw_frame(position, publication),
            Self::Envelope => sse::envelope_frame(position, at, publication),
            Self::Json => json_line::message(position, at, publication),
            Self::SocketIo | Self::SocketIoPlaced => frames::message(position, publication, self.is_placed()),
        }
    }

    /// The first frame. Its id is the place where the stream goes on, so that a client which loses the line
    /// before its first message can still resume; without one, the client keeps the position that it came
    /// with.
    #[must_use]
    pub fn hello(self, id: Option<Position>, retry_ms: u32, hello: &Hello) -> Bytes {
        match self {
            Self::Raw | Self::Envelope => sse::hello_frame(id, retry_ms, hello),
            Self::Json => json_line::system("hello", id, hello),
            // Says it with the answer to CONNECT, which is no affair of a session.
            Self::SocketIo | Self::SocketIoPlaced => Bytes::new(),
        }
    }

    /// What keeps an idle stream alive.
    #[must_use]
    pub fn ping(self) -> Bytes {
        match self {
            Self::Raw | Self::Envelope => sse::PING,
            Self::Json => json_line::PING,
            // Engine.IO has pings of its own, one for all sockets of a connection.
            Self::SocketIo | Self::SocketIoPlaced => Bytes::new(),
        }
    }

    /// What a client missed, and where it goes on; the id is the place where it goes on.
    #[must_use]
    pub fn gap(self, resumed_from: Option<Position>, gap: &Gap) -> Bytes {
        match self {
            Self::Raw | Self::Envelope => sse::gap_frame(resumed_from, gap),
            Self::Json => json_line::system("gap", resumed_from, gap),
            Self::SocketIo | Self::SocketIoPlaced => frames::system("gap", resumed_from, gap, self.is_placed()),
        }
    }

    /// Somebody joined or left a channel. Has no position: presence is read anew after a reconnect.
    #[must_use]
    pub fn presence(self, change: &PresenceChange) -> Bytes {
        match self {
            Self::Raw | Self::Envelope => sse::presence_frame(change),
            Self::Json => json_line::system("presence", None, change),
            Self::SocketIo | Self::SocketIoPlaced => frames::presence(change, self.is_placed()),
        }
    }

    /// The last frame.
    #[must_use]
    pub fn bye(self, bye: &Bye) -> Bytes {
        match self {
            Self::Raw | Self::Envelope => sse::bye_frame(bye),
            Self::Json => json_line::system("bye", None, bye),
            // What a client hears depends on its other sockets too: its link knows.
            Self::SocketIo | Self::SocketIoPlaced => Bytes::new(),
        }
    }
}
