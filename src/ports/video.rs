//! The record of video rooms: what a restart brings back, and what was.

use santral_core::entry::Timestamp;
use santral_core::rooms::{Record, RoomId, Saved};
use santral_schema::video::Room;

use super::store::StoreError;
use super::webhooks::NewDelivery;

/// Which closed rooms to list, the newest first.
#[derive(Debug, Clone, Default)]
pub struct ClosedRooms {
    /// Only rooms of this principal; every room where it is none.
    pub owner: Option<String>,
    /// Only rooms whose id or name has this in it.
    pub text: Option<String>,
    /// Only rooms behind this one in the list: when it was created, and its id.
    pub behind: Option<(Timestamp, String)>,
    /// Most rooms to return.
    pub limit: usize,
}

/// Keeps video rooms. Blocks.
pub trait VideoStore: Send + Sync {
    /// Writes rows as they are from `at` on, and webhooks that tell of it, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    fn save(&self, records: &[Record], deliveries: &[NewDelivery], at: Timestamp) -> Result<(), StoreError>;

    /// Rooms that are not closed, with whoever has not left.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_rooms(&self) -> Result<Vec<Saved>, StoreError>;

    /// Rooms that are over.
    ///
    /// # Errors
    /// [`StoreError`].
    fn closed_rooms(&self, query: &ClosedRooms) -> Result<Vec<Room>, StoreError>;

    /// The first number in the order of admission that no participant of a room of this id has had.
    ///
    /// # Errors
    /// [`StoreError`].
    fn next_ordinal(&self, room: &RoomId) -> Result<u32, StoreError>;

    /// Deletes a slice of the rooms that were closed before, with everybody who was in them; whether there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune_rooms(&self, closed_before: Timestamp) -> Result<bool, StoreError>;
}
