//! What other programs tell us through the database.

use super::store::StoreError;

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The channel of the database that it came by.
    pub channel: String,
    /// What it says.
    pub payload: String,
}

/// Hears notifications on a connection of its own. Blocks, so it has a thread of its own.
///
/// What is said while nobody listens, or while the connection is gone, is lost: that lies in the nature
/// of notifications. Of several servers on one database only one listens at a time.
pub trait NoticeBoard: Send {
    /// What has come since the last call, in the order in which it was said. Returns at once. Connects
    /// first where need be.
    ///
    /// # Errors
    /// [`StoreError`]; the next call connects anew.
    fn take(&mut self) -> Result<Vec<Notification>, StoreError>;

    /// What a notification refers to that was too long to be said; `None` when it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    fn attachment(&mut self, id: i64) -> Result<Option<Vec<u8>>, StoreError>;
}
