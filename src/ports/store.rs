//! The log of record, as the engine sees it.
//!
//! One contract, two databases: `tests/it/store_contract.rs` runs the same cases against each.
//! One method is one transaction; "not found" is an empty answer, never an error.

use std::sync::Arc;
use std::time::Duration;

use santral_core::entry::{Entry, Publication, Timestamp};
use santral_core::names::{ChannelName, Selector};
use santral_core::position::{Epoch, Offset};

/// Why the log could not do what was asked. Each variant heals when its cause is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else holds the database, or it is out of connections: try again soon.
    #[error("the database is busy")]
    Busy,
    /// No room on the disk, or the database's own size limit.
    #[error("the database is full")]
    Full,
    /// Unreachable, read-only, damaged, or an fsync failed: an operator must look.
    #[error("the database failed")]
    Failed,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk when acknowledged: survives a power cut.
    Disk,
    /// With the operating system when acknowledged: survives a crash of the server, not a power cut.
    Os,
}

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The last offset that was given out; 0 for an empty log.
    pub head: Offset,
    /// The last offset that retention has removed; 0 when nothing was.
    pub trimmed_to: Offset,
}

/// The key under which a publish may be repeated without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different principals never meet.
    pub principal: Arc<str>,
    /// The key as the client sent it.
    pub key: Arc<str>,
    /// Fingerprint of the request: the same key with another fingerprint is a mistake.
    pub fingerprint: [u8; 32],
}

/// Publications that become visible together or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// In the order in which they get their offsets; at least one.
    pub publications: Vec<Publication>,
    /// When the server accepted them.
    pub at: Timestamp,
    /// Set where the publisher may repeat the request.
    pub key: Option<IdempotencyKey>,
}

/// What became of one [`Append`].
#[derive(Debug, Clone)]
pub enum Appended {
    /// Stored under consecutive offsets.
    Stored(Vec<Arc<Entry>>),
    /// The key was used before with the same fingerprint: the offsets of back then, nothing stored now.
    Repeated {
        /// The first offset of back then.
        first: Offset,
        /// How many publications it were.
        count: usize,
    },
    /// The key of this append, or of another of the same request, was used before with another
    /// fingerprint; nothing stored.
    KeyReused,
}

/// Which part of the log to read.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// Entries of these channels and prefixes; an empty list means every entry.
    pub selectors: Vec<Selector>,
    /// Only entries with a greater offset.
    pub after: Offset,
    /// Only entries up to this offset, inclusive.
    pub upto: Offset,
    /// Most entries to return.
    pub entries_max: usize,
    /// Stop behind the entry that reaches this sum of data bytes; the first entry always comes.
    pub bytes_max: usize,
}

/// A part of the log, read in one snapshot.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// In offset order.
    pub entries: Vec<Arc<Entry>>,
    /// Nothing that the query asked for is missing up to here, save what `trimmed_to` says:
    /// `upto` (but no more than the head) when the page is complete, else the offset of the last entry.
    pub reached: Offset,
    /// The last offset that retention had removed in the same snapshot.
    pub trimmed_to: Offset,
}

/// Which part of one channel's history to read: newest first.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The channel.
    pub channel: ChannelName,
    /// Only entries with a smaller offset.
    pub before: Option<Offset>,
    /// Only entries with a greater offset.
    pub since: Option<Offset>,
    /// Most entries to return.
    pub limit: usize,
}

/// One channel that has entries in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSummary {
    /// Its name.
    pub channel: ChannelName,
    /// Its newest retained entry.
    pub last: Offset,
}

/// What retention keeps.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// At most this many entries, counted back from the head.
    pub entries_max: u64,
    /// No entry older than this.
    pub age_max: Duration,
}

/// The only one who appends: owned by the writer thread.
///
/// Dropping it is the clean end. With [`Durability::Os`] it then syncs what was acknowledged; after
/// an end without it, a log whose machine went down meanwhile opens with a fresh epoch.
pub trait LogWriter: Send {
    /// Stores all appends in one commit, in order, and returns what became of each.
    ///
    /// `requests` says how many consecutive appends each publisher asked for at once: a request of
    /// which one key was used otherwise is not stored at all, and each of its appends that would
    /// have been stored is [`Appended::KeyReused`] too.
    ///
    /// `Ok` means: on disk as far as [`Durability`] says, offsets assigned in commit order even
    /// with other writers on the same database, never reused (INV-1, INV-4). `Err` means that no
    /// append is acknowledged. After [`StoreError::Failed`] the outcome of the commit may be
    /// unknown; [`LogReader::state`] tells, and what did get in is read like any foreign entry.
    ///
    /// # Errors
    /// [`StoreError`], after which the next call starts afresh: a failed fsync is never retried
    /// on the same connection, the database is opened and verified anew.
    fn append_requests(&mut self, appends: &[Append], requests: &[usize]) -> Result<Vec<Appended>, StoreError>;

    /// The same, where each append is a request of its own.
    ///
    /// # Errors
    /// See [`LogWriter::append_requests`].
    fn append(&mut self, appends: &[Append]) -> Result<Vec<Appended>, StoreError> {
        self.append_requests(appends, &vec![1; appends.len()])
    }

    /// Commits a change that changes nothing: succeeds where an append would.
    ///
    /// # Errors
    /// [`StoreError`].
    fn probe(&mut self) -> Result<(), StoreError>;

    /// Deletes at most one bounded slice of what `retention` does not keep, and of idempotency
    /// keys past their lifetime. `trimmed_to` moves in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was deleted.
    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError>;
}

/// What one slice of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Where the log stands now.
    pub state: LogState,
    /// Whether another slice would find more to delete.
    pub more: bool,
}

/// Reads the log, from several threads at once, beside the writer. Blocking: never call it on an event loop.
pub trait LogReader: Send + Sync {
    /// Where the log stands.
    ///
    /// # Errors
    /// [`StoreError`].
    fn state(&self) -> Result<LogState, StoreError>;

    /// Entries in offset order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn page(&self, query: &PageQuery) -> Result<LogPage, StoreError>;

    /// One channel's entries, newest first, with the log's state of the same snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    fn history(&self, query: &HistoryQuery) -> Result<(Vec<Arc<Entry>>, LogState), StoreError>;

    /// Channels with retained entries whose name starts with `prefix`, in name order, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn channels(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<ChannelSummary>, LogState), StoreError>;
}
