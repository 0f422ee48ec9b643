//! Video rooms: who is in which, in what order everybody hears of it, and who may signal to whom.
//!
//! | file | what |
//! |---|---|
//! | `room`, `seat`, `settings` | one room, one participant, what a room is set to |
//! | `join`, `people`, `signals` | what people do: come in, steer, signal |
//! | `signal_form` | what a request with signals must look like |
//! | `uplink`, `outbox` | what one participant sends, and what it is told, in order |
//! | `registry`, `requests`, `restore` | all rooms of a node, who asks what of which, how they come back |
//! | `links`, `timers` | what their lines and the clock do |
//! | `effect`, `refusal`, `ids` | what comes out, what goes wrong, what things are called |
//! | `audit` | what must hold at any time |
//!
//! Sans-I/O like the shards: both clocks, ids and hashes come in as arguments, effects go out as values.
//! One writer drives all rooms of a node, so a room needs no lock, and its events have one order.
//!
//! A batch of events is on its way to a participant at a time, and its shard says whether it arrived in the
//! session's inbox. So nothing is lost or overtaken while a session moves, and while a line is down events
//! wait here, under the bounds of the room, not in the inbox.

mod audit;
mod effect;
mod ids;
mod join;
mod links;
mod outbox;
mod people;
mod refusal;
mod registry;
mod requests;
mod restore;
mod room;
mod seat;
mod settings;
mod signal_form;
mod signals;
#[cfg(test)]
mod tests;
mod timers;
mod uplink;

pub use effect::{
    Clock, Dead, Effect, IceOffer, News, NewsKind, NewsParticipant, Parcel, ParticipantRecord, Place, Record,
    RoomRecord,
};
pub use ids::{ParticipantId, RoomId, TokenHash};
pub use join::{Door, Invitation, Join, Joined};
pub use people::{Actor, PersonChange, Waiting};
pub use refusal::{Decided, RoomRefusal};
pub use registry::{Created, NewRoom, Rooms, RoomsLimits};
pub use restore::Saved;
pub use seat::Visitor;
pub use settings::{MoreSettings, RoomSettings, SettingsChange};
pub use signal_form::{SignalFault, checked as checked_signals};
pub use signals::{Signal, Target};

use crate::entry::Timestamp;

/// Knows the ICE servers; brought by the caller.
pub trait IceSource {
    /// What a participant is told.
    fn offer(&self, participant: &ParticipantId, relay_only: bool, at: Timestamp) -> IceOffer;
}
