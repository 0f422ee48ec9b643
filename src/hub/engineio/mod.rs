//! Engine.IO connections with the sockets of Socket.IO on them, on the thread where each began.
//!
//! A connection is driven by [`santral_core::engineio::Connection`] and
//! [`santral_core::socketio::Sockets`]; here are its transports: the poll that is held, the POST that
//! waits, the WebSocket and the one that wants to take over. Each socket is a session of the shard, and
//! its link leads here.

mod inbox;
mod link;
mod questions;
mod shown;
mod sid;
mod sockets;
mod table;
mod uplink;

pub use questions::{Question, Questions};
pub use shown::{EngineTally, ShownEngine};
pub use sid::Sid;
pub(crate) use table::{EngineKey, EngineTable, Opening, Posted};
pub use uplink::{Joined, NotJoined, SocketEvent, SocketUplink};
