//! Participants of calls who send each other signals, each with a connection of its own.
//!
//! `wire` says what the messages of each server look like, `caller` is one participant, `hall` all of them.

mod caller;
mod hall;
mod wire;

pub use hall::{Hall, PARTICIPANTS, PER_ROOM, ROOMS};
pub use wire::Way;
