//! The engine of Santral without I/O: names, positions, entries, frames, feeds, sessions, shards.
//!
//! Nothing here knows a clock, a thread, a lock, a socket or a random source. Time, ids and
//! randomness come in as arguments; effects go out as values. So a whole service with its clients
//! and crashes runs in one thread from one seed (`tests/sim`).

#![forbid(unsafe_code)]

pub mod call_quality;
pub mod client;
pub mod engineio;
pub mod entry;
pub mod event_name;
mod feeds;
pub mod format;
pub mod grants;
mod inbox;
pub mod json;
pub mod json_line;
pub mod limits;
pub mod names;
pub mod namespace;
pub mod position;
mod ring;
pub mod rooms;
pub mod session;
pub mod shard;
pub mod socketio;
pub mod sse;
pub mod time;
pub mod unless;
pub mod websocket;
mod wheel;
