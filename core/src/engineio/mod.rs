//! Engine.IO, version 4: packets over HTTP polling or over a WebSocket, server side, sans-I/O.
//!
//! Knows nothing of Socket.IO, which is what its messages carry (`crate::socketio`). What is sent is
//! made once in the form of a polling body, each packet closed by [`SEPARATOR`]; a link to a WebSocket
//! cuts there and adds its own frame heads. JSON text cannot hold the separator, since it escapes
//! control characters.

mod close_reason;
mod connection;
mod handshake;
mod heartbeat;
mod outcome;
mod packet;
pub mod payload;

pub use close_reason::CloseReason;
pub use connection::Connection;
pub use handshake::open_packet;
pub use heartbeat::Timing;
pub use outcome::{Output, PollAnswer, ProbeVerdict, Received, Refusal, UpgradeVerdict};
pub use packet::{Packet, PacketError};

/// Parts the packets of a polling body, and closes each packet that the server makes (U+001E).
pub const SEPARATOR: u8 = 0x1E;

/// A ping of the server, closed.
pub const PING: &[u8] = b"2\x1e";

/// Ends the session, closed.
pub const CLOSE: &[u8] = b"1\x1e";

/// Ends a held poll without news, closed.
pub const NOOP: &[u8] = b"6\x1e";

/// What a client sends on its WebSocket before the session moves there.
pub const PROBE: &str = "probe";

/// The answer to the client's probe, as one WebSocket text message.
pub const PROBE_ANSWER: &[u8] = b"3probe";
