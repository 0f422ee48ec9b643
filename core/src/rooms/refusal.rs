//! Why something in a room was not done.

use std::time::Duration;

use santral_schema::video::{CloseReason, LeaveReason};

use super::ids::ParticipantId;
use crate::entry::Timestamp;

/// Why something in a room was not done. Then nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomRefusal {
    /// There is none of this name, or not for the one who asks.
    #[error("there is no such room")]
    NoRoom,
    /// It was closed while one was in it.
    #[error("the room is closed ({0:?})")]
    Closed(CloseReason),
    /// There is one of this name already.
    #[error("there is a room of this id already, with other settings or of somebody else")]
    Exists,
    /// As many as there may be, of one principal or in all.
    #[error("{0}")]
    TooManyRooms(&'static str),
    /// More seats than a mesh can carry.
    #[error("each participant of a mesh sends to all others: at most {limit} take part")]
    ExceedsMesh {
        /// The bound.
        limit: u32,
    },
    /// Fewer seats than are taken.
    #[error("{taken} seats are taken")]
    BelowCurrent {
        /// How many.
        taken: usize,
    },
    /// Kept out.
    #[error("this client is kept out of the room")]
    Banned,
    /// Too early.
    #[error("the room opens at {}", .0.to_rfc3339())]
    NotOpenYet(Timestamp),
    /// No stream is open on which the client could hear anything.
    #[error("no stream of this client is open: open one first, and name its session")]
    NoEventStream,
    /// The room asks for a password, and this is not it.
    #[error("the room has a password, and this is not it")]
    BadPassword,
    /// The same person is in already.
    #[error("the same person is in the room already")]
    AlreadyIn,
    /// No seat.
    #[error("all {max} seats are taken")]
    Full {
        /// The bound.
        max: u32,
    },
    /// Nobody more can wait.
    #[error("as many wait to be let in as can")]
    LobbyFull,
    /// An invitation that was used as often as it may be.
    #[error("the invitation has been used")]
    InvitationUsed,
    /// No participant token, or none that was ever given.
    #[error("this is no participant token of a participant")]
    BadToken,
    /// Of somebody who is gone.
    #[error("the participant has left ({0:?})")]
    Left(LeaveReason),
    /// A resume has given a newer one.
    #[error("there is a newer participant token")]
    Superseded,
    /// Of another room.
    #[error("the participant token is of another room")]
    WrongRoom,
    /// Not yet in.
    #[error("the participant waits to be let in")]
    InLobby,
    /// May not.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// Says that somebody else sends.
    #[error("`from` names somebody else")]
    FromMismatch,
    /// No such participant in this room.
    #[error("there is no such participant in the room")]
    NoParticipant,
    /// Nobody to whom a signal could go. The same wherever else they may be.
    #[error("the target is not in the room")]
    NoTarget,
    /// The target's line is down, and as much waits for it as may.
    #[error("as much waits for the target as may")]
    TargetFull,
    /// Not for everybody.
    #[error("only signals of the type `custom` go to everybody")]
    CannotBroadcast,
    /// Signals are missing.
    #[error("signals are missing: send the one with seq {expected} first")]
    SeqGap {
        /// The number that comes next.
        expected: u64,
    },
    /// Too much at once.
    #[error("too many signals; the next may be sent in {} ms", .0.as_millis())]
    TooFast(Duration),
}

/// What became of some of those who wait.
#[derive(Debug, Default)]
pub struct Decided {
    /// Who is in now.
    pub admitted: Vec<ParticipantId>,
    /// Who was turned away.
    pub denied: Vec<ParticipantId>,
    /// Who waits on, because the room is full.
    pub full: Vec<ParticipantId>,
}
