//! One client's logical life in a shard: who it is, what it follows, and a cursor. No queue.

use std::sync::Arc;

use bytes::Bytes;
use slotmap::new_key_type;

use crate::client::Client;
use crate::entry::Entry;
use crate::feeds::FeedKey;
use crate::format::Format;
use crate::inbox::Inbox;
use crate::limits::REMEMBERED_CONNECTIONS_MAX;
use crate::names::{ConnectionId, SessionToken};
use crate::position::Offset;
use crate::ring::Seq;
use crate::time::Moment;

new_key_type! {
    /// Names one session of one shard; stale keys are recognised.
    pub struct SessionKey;
}

/// Where a session stands between its link and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Admitted; its link is not there yet.
    Opening,
    /// Has everything that concerns it; woken by a dirty feed or a direct message.
    Current,
    /// Has something to catch up with and may write.
    Ready,
    /// Its link takes no more for now.
    Blocked,
    /// Waits for a page of the log.
    AwaitingPage,
    /// Has no link and may come back.
    Detached,
}

/// A session's claim on a feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscription {
    pub(crate) feed: FeedKey,
    /// Items of the ring before this were published before the session followed.
    pub(crate) since_seq: Seq,
    /// Entries of the log up to this were published before the session followed.
    pub(crate) since: Offset,
}

impl Subscription {
    /// Whether what stands `back` places before the entry came since the session follows.
    pub(crate) fn reaches(&self, entry: &Entry, seq: Option<Seq>, back: usize) -> bool {
        match (entry.offset(), seq) {
            (Some(offset), _) => self.since < offset.saturating_sub(back as Offset),
            (None, Some(seq)) => self.since_seq <= seq.saturating_sub(back as Seq),
            (None, None) => true,
        }
    }
}

/// A page of the log while a session that fell behind is served from it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The first entry that was not sent yet.
    pub(crate) next: usize,
    pub(crate) reached: Offset,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) token: SessionToken,
    pub(crate) connection: ConnectionId,
    /// Earlier connections of this session, oldest first: `except` must hold in a replay too.
    pub(crate) earlier_connections: Vec<ConnectionId>,
    pub(crate) client: Arc<Client>,
    /// When the right of its client ends (INV-9).
    pub(crate) expires: Option<Moment>,
    /// Whether it may outlive its connection.
    pub(crate) resumable: bool,
    pub(crate) format: Format,
    pub(crate) subscriptions: Vec<Subscription>,
    /// Entries behind this came since the session follows whatever it follows: nothing has to be looked up.
    pub(crate) follows_all_since: Offset,
    pub(crate) phase: Phase,
    /// Whether the client asked for no position.
    pub(crate) starts_at_head: bool,
    /// Everything that concerns the session up to here was sent; exact while it stands in a queue.
    pub(crate) cursor: Offset,
    /// The first item of the ring that was not looked at, volatile ones included.
    pub(crate) next_seq: Seq,
    /// What must leave before anything else: the rest of a frame, or frames of the server's own.
    pub(crate) outgoing: Bytes,
    /// Feeds with items for the pass under way, and the first item of each that concerns the session.
    pub(crate) dirty: Vec<(FeedKey, Seq)>,
    /// Whether the next visit must look at all feeds, not only the dirty ones.
    pub(crate) look_everywhere: bool,
    /// Whether it stands in one of the shard's queues.
    pub(crate) queued: bool,
    /// Whether silence has lasted long enough for a ping.
    pub(crate) ping_due: bool,
    /// Whether it stands in the timer wheel.
    pub(crate) armed: bool,
    pub(crate) last_write: Moment,
    /// The longest silence that its client was told of, or less, in milliseconds.
    pub(crate) heartbeat_ms: u32,
    /// Bytes that its links have taken.
    pub(crate) bytes_out: u64,
    pub(crate) page: Option<Box<Page>>,
    pub(crate) inbox: Option<Box<Inbox>>,
}

impl Session {
    /// Whether the session has, or had, one of these connections.
    pub(crate) fn is_any_of(&self, connections: &[ConnectionId]) -> bool {
        connections.iter().any(|id| *id == self.connection || self.earlier_connections.contains(id))
    }

    /// The claim on `feed`, if the session follows it.
    pub(crate) fn subscription(&self, feed: FeedKey) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.feed == feed)
    }

    /// Notes that nothing before this concerns the session any more.
    pub(crate) fn has_seen(&mut self, seq: Seq, head: Offset) {
        self.next_seq = self.next_seq.max(seq);
        self.cursor = self.cursor.max(head);
    }

    /// Whether a link is attached.
    pub(crate) fn is_linked(&self) -> bool {
        match self.phase {
            Phase::Current | Phase::Ready | Phase::Blocked | Phase::AwaitingPage => true,
            Phase::Opening | Phase::Detached => false,
        }
    }
}

/// What a session leaves to its next attach, on this shard or another.
#[derive(Debug)]
pub struct Legacy {
    pub(crate) inbox: Option<Box<Inbox>>,
    pub(crate) connections: Vec<ConnectionId>,
}

impl Legacy {
    /// Takes what the next attach needs out of a session that ends.
    pub(crate) fn of(session: Session) -> Self {
        let mut connections = session.earlier_connections;
        connections.push(session.connection);
        if connections.len() > REMEMBERED_CONNECTIONS_MAX {
            connections.remove(0);
        }
        Self { inbox: session.inbox, connections }
    }
}
