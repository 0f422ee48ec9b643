//! What is true: what was said, who sits where, and what became of it, as the server's side saw it happen.

use std::collections::{BTreeMap, BTreeSet};

use santral_core::rooms::TokenHash;
use santral_schema::signal::SignalType;

use crate::plan::Micros;

/// Rooms of a run.
pub(crate) const ROOMS: [&str; 2] = ["one", "two"];

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody knows yet.
    Open,
    /// It waits for those that it has overtaken, since then.
    Parked,
    /// It was passed on under this number of the room.
    Accepted(u64),
    Refused,
}

/// A signal that somebody sent, however often.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) room: usize,
    pub(crate) sender: String,
    pub(crate) seq: Option<u64>,
    /// Empty for everybody; then filled in when it is passed on.
    pub(crate) targets: Vec<String>,
    pub(crate) is_broadcast: bool,
    pub(crate) kind: SignalType,
    pub(crate) negotiation: Option<String>,
    pub(crate) pad: usize,
    pub(crate) fate: Fate,
    /// Of the room when the fate was known.
    pub(crate) epoch: String,
    pub(crate) at: Micros,
    pub(crate) handled_by: BTreeSet<String>,
    /// Of whom the sender was told that it did not reach them.
    pub(crate) undelivered: BTreeSet<String>,
}

/// Somebody who was in a room, or its lobby.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) room: usize,
    pub(crate) is_gone: bool,
}

/// Somebody who is kept out.
#[derive(Debug)]
pub(crate) struct Barred {
    pub(crate) room: usize,
    pub(crate) principal: String,
    /// `None` for good.
    pub(crate) until: Option<Micros>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) sent: BTreeMap<u64, Sent>,
    pub(crate) people: BTreeMap<String, Person>,
    /// Whose each token was when it was given.
    pub(crate) tokens: BTreeMap<u64, String>,
    /// Who is in, as the news have it.
    pub(crate) members: [BTreeSet<String>; 2],
    pub(crate) seats: [usize; 2],
    pub(crate) barred: Vec<Barred>,
    /// Which signal a sender gave which number, in an incarnation of the room.
    pub(crate) numbered: BTreeMap<(String, String, u64), u64>,
    pub(crate) last_ordinal: [u32; 2],
}

/// The hash of a token.
pub(crate) fn hash(token: u64) -> TokenHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&token.to_le_bytes());
    TokenHash(bytes)
}

/// The host token of a room.
pub(crate) fn host_token(room: usize) -> TokenHash {
    hash(u64::MAX - room as u64)
}

/// The room of this name.
pub(crate) fn room_index(id: &str) -> usize {
    usize::from(id == ROOMS[1])
}
