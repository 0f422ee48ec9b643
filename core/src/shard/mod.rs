//! One shard: the sessions of one thread and the recent entries that they follow.
//!
//! Inputs are method calls, each with the time; effects are drained with [`Shard::poll_effect`];
//! bytes leave in [`Shard::run_slice`] through a [`Links`] that the caller brings. The caller runs
//! slices while there is more to do and looks after other work in between.
//!
//! * `attach` — admission, resume, subscriptions, the ways a session ends
//! * `deliver` — passes over dirty feeds and the way of a frame to a link
//! * `pick` — which frames a session gets next, in the order of their positions
//! * `rights` — whose sessions they are, and how a right that ends, ends them
//! * `pages` — sessions that fell behind the ring and are served from the log
//! * `receivers` — whom an entry leaves out, and how many it reaches
//! * `counters` — what is counted, for the operator
//! * `timers` — heartbeats, grace, deadlines, drain

mod attach;
mod counters;
mod deliver;
mod pages;
mod pick;
mod receivers;
mod rights;
mod timers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slotmap::SlotMap;

use santral_schema::events::{PresenceChange, PresenceKind};
use santral_schema::reason::DisconnectReason;

use crate::client::Client;
use crate::entry::{Entry, Publication, Timestamp};
use crate::feeds::{FeedKey, Feeds, Topic};
use crate::inbox::Inbox;
use crate::limits;
use crate::names::{BROADCAST, ChannelName, ConnectionId, Selector, SessionToken};
use crate::position::{Epoch, Offset, Position};
use crate::ring::{Item, PresenceNews, Ring};
use crate::session::{Phase, Session, SessionKey};
use crate::time::Moment;
use crate::wheel::Wheel;

pub use attach::{AttachRequest, Attached, Followed, ForeignSession, SubscribeError};
pub use counters::{Counters, Gauges};
pub use deliver::{Links, Progress, Written};
pub use pages::PageRequest;
pub use rights::SessionView;

/// What a shard needs to know at its start.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The log's head: the shard is fed everything behind it.
    pub head: Offset,
    /// The last offset that retention has removed.
    pub trimmed_to: Offset,
    /// Longest silence on a stream; see [`Shard::set_heartbeat`].
    pub heartbeat: Duration,
    /// How long a resumable session outlives its connection.
    pub grace: Duration,
    /// Most items in the ring.
    pub ring_entries_max: usize,
    /// Most bytes in the ring.
    pub ring_bytes_max: usize,
}

impl ShardConfig {
    /// The defaults of `limits` for a log that stands here.
    #[must_use]
    pub fn new(epoch: Epoch, head: Offset, trimmed_to: Offset) -> Self {
        Self {
            epoch,
            head,
            trimmed_to,
            heartbeat: limits::HEARTBEAT,
            grace: limits::SESSION_GRACE,
            ring_entries_max: limits::RING_ENTRIES_MAX,
            ring_bytes_max: limits::RING_BYTES_MAX,
        }
    }
}

/// What a shard wants done outside.
#[derive(Debug)]
pub enum Effect {
    /// Read a page of the log and hand it to [`Shard::page_read`].
    ReadPage(PageRequest),
    /// Send these last bytes as far as the link takes them, then close it.
    Close {
        /// Whose link.
        session: SessionKey,
        /// The rest of a frame that was under way, and `bye`.
        farewell: Bytes,
        /// Why.
        reason: DisconnectReason,
    },
    /// Tell every shard that somebody joined or left.
    Presence(PresenceNotice),
    /// A connection is over: exactly once for each (INV-8).
    ConnectionEnded {
        /// Which one.
        connection: ConnectionId,
        /// Its session, which may go on without it.
        token: SessionToken,
        /// Whose it was.
        client: Arc<Client>,
        /// Why.
        reason: DisconnectReason,
    },
    /// A session is over and cannot be resumed any more.
    SessionEnded {
        /// Its token.
        token: SessionToken,
        /// Its last connection.
        connection: ConnectionId,
    },
}

/// Somebody joined or left a channel.
#[derive(Debug, Clone)]
pub struct PresenceNotice {
    /// The channel.
    pub channel: ChannelName,
    /// What happened.
    pub kind: PresenceKind,
    /// The user, where there are users.
    pub user: Option<Arc<str>>,
    /// The connection.
    pub connection: ConnectionId,
}

/// One session that follows a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The user, where there are users.
    pub user: Option<Arc<str>>,
    /// Its current connection.
    pub connection: ConnectionId,
}

/// See the module.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    trimmed_to: Offset,
    ring: Ring,
    feeds: Feeds,
    sessions: SlotMap<SessionKey, Session>,
    by_token: BTreeMap<SessionToken, SessionKey>,
    by_connection: BTreeMap<ConnectionId, SessionKey>,
    pass: deliver::Pass,
    /// Sessions that want to write outside of a pass: catching up, direct messages, pings.
    waiting: VecDeque<SessionKey>,
    pages: pages::PageReads,
    scratch: pick::Scratch,
    timers: timers::Timers,
    effects: VecDeque<Effect>,
    counters: Counters,
    /// Sessions whose link takes no more for now.
    blocked: u64,
    /// Feeds of the item in hand; kept to spare an allocation each.
    matching: Vec<FeedKey>,
    /// Whom the copies of the message in hand have reached.
    reached: receivers::Reached,
}

impl Shard {
    /// A shard without sessions at the head of the log.
    #[must_use]
    pub fn new(now: Moment, config: ShardConfig) -> Self {
        Self {
            trimmed_to: config.trimmed_to,
            ring: Ring::new(config.head, config.ring_entries_max, config.ring_bytes_max),
            feeds: Feeds::default(),
            sessions: SlotMap::with_key(),
            by_token: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            pass: deliver::Pass::new(config.head),
            waiting: VecDeque::new(),
            pages: pages::PageReads::default(),
            scratch: pick::Scratch::default(),
            timers: timers::Timers::new(Wheel::new(now, limits::HEARTBEAT_MAX.max(config.heartbeat))),
            effects: VecDeque::new(),
            counters: Counters::default(),
            blocked: 0,
            matching: Vec::new(),
            reached: receivers::Reached::default(),
            config,
        }
    }

    /// Takes committed entries, in offset order, and says for each how many sessions follow it.
    pub fn publish_stored(&mut self, entries: &[Arc<Entry>]) -> Vec<u32> {
        entries.iter().map(|entry| self.publish(entry)).collect()
    }

    /// Takes one message, stored or volatile, and says how many sessions follow it.
    ///
    /// A stored entry must come behind every stored entry before it.
    pub fn publish(&mut self, entry: &Arc<Entry>) -> u32 {
        let mut matching = std::mem::take(&mut self.matching);
        self.feeds.matching(&entry.publication().channel, &mut matching);
        let receivers = self.count_receivers(&matching, entry.publication().unless.as_deref());
        self.enqueue(Item::Message(Arc::clone(entry)), &matching);
        self.matching = matching;
        receivers
    }

    /// Takes a presence change of this or another shard.
    pub fn publish_presence(&mut self, notice: &PresenceNotice) {
        let Some(feed) = self.feeds.find(&Topic::Presence(notice.channel.clone())) else {
            return;
        };
        let news = PresenceNews::new(PresenceChange {
            channel: notice.channel.to_string(),
            change: notice.kind,
            user: notice.user.as_deref().map(str::to_owned),
            connection: notice.connection.as_str().to_owned(),
        });
        self.enqueue(Item::Presence(Arc::new(news)), &[feed]);
    }

    /// Puts a direct message into the inbox of a connection's session; `None` if it is not here.
    pub fn send_direct(
        &mut self,
        connection: ConnectionId,
        at: Timestamp,
        publication: Arc<Publication>,
    ) -> Option<Position> {
        let &key = self.by_connection.get(&connection)?;
        Some(self.put_direct(key, at, publication))
    }

    /// Puts direct messages into the inbox of a session to which a link is attached, and says to which
    /// connection that is. `None` if there is none: then nothing was put anywhere.
    pub fn send_to_session(
        &mut self,
        token: &SessionToken,
        at: Timestamp,
        publications: Vec<Arc<Publication>>,
    ) -> Option<ConnectionId> {
        let &key = self.by_token.get(token)?;
        let session = self.sessions.get(key).filter(|session| session.phase != Phase::Detached)?;
        let connection = session.connection;
        for publication in publications {
            self.put_direct(key, at, publication);
        }
        Some(connection)
    }

    fn put_direct(&mut self, key: SessionKey, at: Timestamp, publication: Arc<Publication>) -> Position {
        let session = &mut self.sessions[key];
        let cursor = session.cursor;
        let inbox = session.inbox.get_or_insert_with(|| Box::new(Inbox::since((cursor, 0))));
        // The client may be ahead of this shard: it came from another, or was told of a gap.
        let (offset, sub) = inbox.push(self.ring.head().max(cursor), at, publication);
        session.look_everywhere = true;
        if session.phase == Phase::Current {
            self.queue_current(key);
        }
        Position { epoch: self.config.epoch, offset, sub }
    }

    /// Retention has removed everything up to here.
    pub fn log_trimmed(&mut self, trimmed_to: Offset) {
        self.trimmed_to = self.trimmed_to.max(trimmed_to);
    }

    /// The next thing to do outside. Drain after every input, before the next one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The sessions that follow exactly this channel, at most `limit`, and how many there are in all.
    #[must_use]
    pub fn present(&self, channel: &ChannelName, limit: usize) -> (Vec<Present>, usize) {
        let Some(feed) = self.feeds.of_channel(channel) else {
            return (Vec::new(), 0);
        };
        let sessions = feed.followers.keys().filter_map(|&key| self.sessions.get(key));
        let present = sessions
            .take(limit)
            .map(|session| Present { user: session.client.user.clone(), connection: session.connection });
        (present.collect(), feed.followers.len())
    }

    /// Channels that are followed by name, at most `limit`, without those of which presence tells nothing.
    #[must_use]
    pub fn followed_channels(&self, limit: usize) -> Vec<ChannelName> {
        let is_told = |channel: &&ChannelName| channel.as_str() != BROADCAST && !channel.is_reserved();
        self.feeds.followed_channels().filter(is_told).take(limit).cloned().collect()
    }

    /// The session with this token, if it lives here.
    #[must_use]
    pub fn find_session(&self, token: &SessionToken) -> Option<SessionKey> {
        self.by_token.get(token).copied()
    }

    /// What the server knows of a session's client.
    #[must_use]
    pub fn identity(&self, session: SessionKey) -> Option<Present> {
        let session = self.sessions.get(session)?;
        Some(Present { user: session.client.user.clone(), connection: session.connection })
    }

    /// Whether a link is attached to the session.
    #[must_use]
    pub fn is_linked(&self, session: SessionKey) -> bool {
        self.sessions.get(session).is_some_and(Session::is_linked)
    }

    /// The position of the last entry that the shard has taken.
    #[must_use]
    pub fn head(&self) -> Position {
        Position::new(self.config.epoch, self.ring.head())
    }

    /// Sessions, with and without a link.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Feeds: channels, prefixes and presence that are followed or have recent entries.
    #[must_use]
    pub fn feed_count(&self) -> usize {
        self.feeds.len()
    }

    fn enqueue(&mut self, item: Item, feeds: &[FeedKey]) {
        let seq = self.ring.push(item);
        let oldest = self.ring.first();
        for &key in feeds {
            let Some(feed) = self.feeds.get_mut(key) else {
                continue;
            };
            while feed.recent.front().is_some_and(|&front| front < oldest) {
                feed.recent.pop_front();
            }
            feed.recent.push_back(seq);
            if !feed.dirty && !feed.followers.is_empty() {
                feed.dirty = true;
                self.pass.mark(key);
            }
        }
        self.pass.skip_to(self.ring.end(), self.ring.head());
        self.evict();
    }

    fn evict(&mut self) {
        while let Some((seq, item)) = self.ring.pop_excess() {
            if let Item::Message(entry) = item {
                self.feeds.forget(&entry.publication().channel, seq);
            }
        }
    }

    /// Wakes a current session. One that stands in no queue has seen all passes before this one.
    fn queue_current(&mut self, key: SessionKey) {
        let (seen, seen_head) = self.pass.seen();
        let session = &mut self.sessions[key];
        if session.phase == Phase::Current && !session.queued {
            session.has_seen(seen, seen_head);
        }
        self.queue_again(key);
    }

    /// Queues a session that goes on from where it stands.
    fn queue_again(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        if !session.queued {
            session.queued = true;
            self.waiting.push_back(key);
        }
    }

    fn selectors_of(&self, session: &Session) -> Vec<Selector> {
        let topics = session.subscriptions.iter().filter_map(|subscription| self.feeds.get(subscription.feed));
        topics
            .filter_map(|feed| match &feed.topic {
                Topic::Messages(selector) => Some(selector.clone()),
                Topic::Presence(_) => None,
            })
            .collect()
    }

    fn position(&self, offset: Offset) -> Position {
        Position::new(self.config.epoch, offset)
    }
}
