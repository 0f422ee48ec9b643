//! Socket.IO, protocol version 5, server side, sans-I/O: what the messages of an Engine.IO session carry.
//!
//! A client's packets are read by [`Decoder`], which puts binary events together; [`Sockets`] knows which
//! namespaces it has joined and makes requests of them. The server's packets are written by [`encode`] in
//! the form that the Engine.IO connection sends. Bytes are
//! `{"$bytes":"<base64>"}` in the JSON of the log and attachments on the wire ([`binary`]).

mod args;
pub mod binary;
mod decoder;
pub mod encode;
pub mod frames;
mod namespace;
mod packet;
mod sockets;

pub use args::Args;
pub use decoder::Decoder;
pub use namespace::Namespace;
pub use packet::{Packet, PacketError};
pub use sockets::{AckId, Request, SocketError, Sockets};

/// Event names that the client library keeps for itself; nobody sends them.
pub const LIBRARY_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
