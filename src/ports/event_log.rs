//! The event log: what happened, for the operator. Not the log of messages.

use santral_core::entry::Timestamp;
use santral_schema::event_log::{EventLevel, EventType};

use super::store::StoreError;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub level: EventLevel,
    /// What kind of thing.
    pub kind: EventType,
    /// Who did it, or whom it happened to: the name of a principal.
    pub actor: Option<String>,
    /// In a sentence.
    pub message: String,
    /// More, as a JSON object; never a secret and never the content of a message.
    pub details_json: Option<String>,
    /// The request in which it happened.
    pub request_id: Option<String>,
}

/// An event with its place in the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Grows; never used again.
    pub id: i64,
    /// What happened.
    pub event: NewEvent,
}

/// Which events to read: newest first. An absent filter lets everything through.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// At least as important as this.
    pub level: Option<EventLevel>,
    /// Of one of these kinds; none means all.
    pub kinds: Vec<EventType>,
    /// Of this actor.
    pub actor: Option<String>,
    /// With this text in the message, the actor or the details; compared without regard to ASCII case.
    pub text: Option<String>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub to: Option<Timestamp>,
    /// Only events with a smaller id.
    pub before: Option<i64>,
    /// Only events with a greater id.
    pub after: Option<i64>,
    /// Oldest first, for an export or a follower that catches up.
    pub oldest_first: bool,
    /// Most events.
    pub limit: usize,
}

/// Where events are kept. Blocking: never call it on an event loop.
pub trait EventStore: Send + Sync {
    /// Stores a batch in one transaction, in order, and returns the ids.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch was stored.
    fn append(&self, events: &[NewEvent]) -> Result<Vec<i64>, StoreError>;

    /// Reads events.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError>;

    /// Begins to delete everything before `before`: stores `trace`, the entry that says how much goes.
    /// Returns how much, and the id of the trace. Nothing is deleted yet, see [`Self::clear_slice`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin_clear(&self, before: Timestamp, trace: &dyn Fn(usize) -> NewEvent) -> Result<(usize, i64), StoreError>;

    /// Deletes one bounded slice of the events that are older than `before` and have a smaller id than
    /// `below`; whether there may be more. In slices, so that others can write meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    fn clear_slice(&self, before: Timestamp, below: i64) -> Result<bool, StoreError>;

    /// Deletes one bounded slice of what is older than `before` or in excess of `rows_max`; whether
    /// there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune(&self, before: Timestamp, rows_max: u64) -> Result<bool, StoreError>;
}
