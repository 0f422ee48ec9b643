//! The record of who was connected: written behind, never the truth of who is online.

use std::sync::Arc;

use santral_core::entry::Timestamp;
use santral_core::names::ConnectionId;

use super::store::StoreError;

/// A connection that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStart {
    /// Its id.
    pub id: ConnectionId,
    /// The node that serves it.
    pub node: Arc<str>,
    /// The user, where there is one.
    pub user: Option<Arc<str>>,
    /// How it is connected.
    pub transport: &'static str,
    /// From where.
    pub address: Option<Arc<str>>,
    /// With what.
    pub user_agent: Option<Arc<str>>,
    /// Since when.
    pub at: Timestamp,
}

/// A connection that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionEnd {
    /// Its id.
    pub id: ConnectionId,
    /// The code of the reason.
    pub code: u16,
    /// When.
    pub at: Timestamp,
}

/// Something to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionRecord {
    /// A connection began.
    Started(ConnectionStart),
    /// A connection ended; without its start in the table nothing happens.
    Ended(ConnectionEnd),
}

/// Where connections are recorded. Blocking: never call it on an event loop.
pub trait ConnectionStore: Send + Sync {
    /// Records a batch in one transaction, in order.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch was recorded.
    fn record(&self, records: &[ConnectionRecord]) -> Result<(), StoreError>;

    /// Closes what a crashed run of this node left open, with this code; returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn close_stale(&self, node: &str, code: u16, now: Timestamp) -> Result<usize, StoreError>;

    /// Deletes one bounded slice of ended connections that began before `before`, or are older than
    /// the newest `rows_max`; whether there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune(&self, before: Timestamp, rows_max: u64) -> Result<bool, StoreError>;
}
