//! How sessions come, change what they follow, and end.

use std::sync::Arc;

use bytes::Bytes;

use santral_schema::events::{Gap, GapReason, PresenceKind};
use santral_schema::reason::DisconnectReason;

use super::{Effect, PresenceNotice, Shard, timers};
use crate::client::Client;
use crate::feeds::Topic;
use crate::format::Format;
use crate::inbox::Inbox;
use crate::limits::{RETRY_MS, SUBSCRIPTIONS_PER_SESSION_MAX};
use crate::names::{BROADCAST, ChannelName, ConnectionId, Selector, SessionToken};
use crate::position::{Offset, Position, ResumeFrom, SUB_MAX};
use crate::session::{Legacy, Phase, Session, SessionKey, Subscription};
use crate::time::Moment;

/// A client that asks for a stream; everything in it is checked and granted.
#[derive(Debug)]
pub struct AttachRequest {
    /// The session's token, chosen by the client or drawn for it.
    pub token: SessionToken,
    /// Whether the client can come back: it chose the token, or is told it.
    pub resumable: bool,
    /// Whether the token was drawn just now, so that nothing can have waited for it.
    pub is_new: bool,
    /// The id of this attach.
    pub connection: ConnectionId,
    /// Who asks.
    pub client: Arc<Client>,
    /// When the right of the client ends.
    pub expires: Option<Moment>,
    /// How the client wants its messages.
    pub format: Format,
    /// What it follows, `broadcast` and the user's own channel included.
    pub selectors: Vec<Selector>,
    /// Whether it wants presence changes of the channels that it names.
    pub presence: bool,
    /// Where it goes on; `None` for a client that starts at the head.
    pub resume: Option<ResumeFrom>,
    /// The position as the client sent it, for `gap`.
    pub requested: Option<String>,
    /// The last committed offset, which this shard may not have taken yet.
    pub committed: Offset,
    /// What the session's previous attach left behind.
    pub legacy: Option<Legacy>,
    /// What it followed until then and goes on to follow, see [`Shard::following`].
    pub restored: Vec<Followed>,
}

/// What a session follows, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    topic: Topic,
    since: Offset,
}

impl Followed {
    /// The channels whose messages it is about; `None` for the presence of a channel.
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        match &self.topic {
            Topic::Messages(selector) => Some(selector),
            Topic::Presence(_) => None,
        }
    }
}

/// A session that was admitted.
#[derive(Debug)]
pub struct Attached {
    /// Its key in this shard.
    pub session: SessionKey,
    /// The `id` of `hello`; `None` when a `gap` follows, so that a line lost in between loses no gap.
    pub id: Option<Position>,
    /// Whether a position was asked for and nothing behind it is missing.
    pub recovered: bool,
    /// Frames that go out right behind `hello`: the gaps.
    pub gaps: Bytes,
    /// The longest silence on its stream, in milliseconds.
    pub heartbeat_ms: u32,
}

/// A session follows as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session follows at most {SUBSCRIPTIONS_PER_SESSION_MAX} channels")]
pub struct SubscribeError;

/// The session with this token belongs to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session belongs to somebody else")]
pub struct ForeignSession;

/// Where a session starts, and what it missed.
struct Start {
    cursor: Offset,
    /// The position that the client may keep; `None` when it is told of a gap.
    id: Option<Position>,
    recovered: bool,
    gaps: Vec<GapReason>,
    /// The `sub` of the position that a client has once it knows of its gaps.
    gap_sub: u32,
}

impl Shard {
    /// Admits a session. Its link may come later, or never: see [`Shard::link_up`].
    ///
    /// A session with the same token must have been released before ([`Shard::release`]).
    pub fn attach(&mut self, now: Moment, mut request: AttachRequest) -> Attached {
        debug_assert!(!self.by_token.contains_key(&request.token), "INV-5: the earlier attach was not released");
        let mut inbox = request.legacy.as_mut().and_then(|legacy| legacy.inbox.take());
        let start = self.start_of(&request, &mut inbox);
        let restored = request.restored.iter().filter_map(Followed::selector);
        let channels: Vec<_> = request.selectors.iter().chain(restored).map(Selector::to_string).collect();
        let gaps = self.gap_frames(request.format, &start, request.requested.as_deref(), &channels);
        let heartbeat_ms = timers::millis(self.config.heartbeat);
        let session = Session {
            token: request.token.clone(),
            connection: request.connection,
            earlier_connections: request.legacy.map(|legacy| legacy.connections).unwrap_or_default(),
            client: request.client,
            expires: request.expires,
            resumable: request.resumable,
            format: request.format,
            subscriptions: Vec::new(),
            follows_all_since: 0,
            phase: Phase::Opening,
            starts_at_head: request.resume.is_none(),
            cursor: start.cursor,
            next_seq: self.ring.end(),
            outgoing: Bytes::new(),
            dirty: Vec::new(),
            look_everywhere: false,
            queued: false,
            ping_due: false,
            armed: false,
            last_write: now,
            heartbeat_ms,
            bytes_out: 0,
            page: None,
            inbox,
        };
        let key = self.sessions.insert(session);
        self.by_token.insert(request.token, key);
        self.by_connection.insert(request.connection, key);
        for selector in request.selectors {
            self.follow(key, selector, request.presence, 0, 0);
        }
        for Followed { topic, since } in request.restored {
            self.follow_again(key, topic, since);
        }
        self.timers.expect_link(now, key);
        self.counters.connections_started += 1;
        self.timers.expect_expiry(key, None, request.expires);
        Attached { session: key, id: start.id, recovered: start.recovered, gaps, heartbeat_ms }
    }

    /// The session's link is there: from now on it is served, from its cursor.
    pub fn link_up(&mut self, now: Moment, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.phase != Phase::Opening {
            return;
        }
        self.queue_again(key);
        let session = &mut self.sessions[key];
        // Whoever starts at the head has missed nothing, volatile messages since `hello` included.
        session.phase = if session.starts_at_head { Phase::Current } else { Phase::Ready };
        session.look_everywhere = true;
        session.last_write = now;
        self.arm_heartbeat(now, key);
    }

    /// The session's link can take bytes again.
    pub fn writable(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.phase == Phase::Blocked {
            self.blocked -= 1;
            session.phase = Phase::Ready;
            self.queue_again(key);
        }
    }

    /// The session's link is gone. A resumable session waits for the next one.
    pub fn link_down(&mut self, now: Moment, key: SessionKey, reason: DisconnectReason) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.phase == Phase::Detached {
            return;
        }
        let (connection, token) = (session.connection, session.token.clone());
        let client = Arc::clone(&session.client);
        let resumable = session.resumable && reason.may_be_resumed();
        self.blocked -= u64::from(session.phase == Phase::Blocked);
        session.phase = Phase::Detached;
        session.outgoing = Bytes::new();
        session.page = None;
        session.dirty = Vec::new();
        self.counters.connections_ended[reason.index()] += 1;
        self.effects.push_back(Effect::ConnectionEnded { connection, token, client, reason });
        match resumable {
            true => self.keep_detached(now, key),
            false => self.end_session(key),
        }
    }

    /// Says `bye` and closes the link. A resumable session may come back unless it was replaced.
    pub fn disconnect(&mut self, now: Moment, key: SessionKey, reason: DisconnectReason) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if session.is_linked() {
            let bye = session.format.bye(&reason.bye(spread_ms(session.connection)));
            let farewell = Bytes::from([&session.outgoing[..], &bye[..]].concat());
            self.effects.push_back(Effect::Close { session: key, farewell, reason });
        }
        self.link_down(now, key, reason);
    }

    /// Ends a session because its token was attached anew, and returns what it leaves.
    ///
    /// # Errors
    /// [`ForeignSession`]; then nothing was changed.
    pub fn release(
        &mut self,
        now: Moment,
        token: &SessionToken,
        principal: &str,
    ) -> Result<Option<Legacy>, ForeignSession> {
        let Some(key) = self.find_session(token) else { return Ok(None) };
        if !self.sessions[key].client.may_be_taken_over_by(principal) {
            return Err(ForeignSession);
        }
        self.disconnect(now, key, DisconnectReason::Replaced);
        // A session that cannot be resumed has ended with its link.
        Ok(self.remove(key).map(Legacy::of))
    }

    /// Follows more channels from now on.
    ///
    /// # Errors
    /// [`SubscribeError`] when the bound is reached; then nothing was changed.
    pub fn subscribe(
        &mut self,
        key: SessionKey,
        selectors: Vec<Selector>,
        presence: bool,
    ) -> Result<(), SubscribeError> {
        let Some(session) = self.sessions.get(key) else {
            return Ok(());
        };
        let per_selector = if presence { 2 } else { 1 };
        if session.subscriptions.len() + per_selector * selectors.len() > SUBSCRIPTIONS_PER_SESSION_MAX {
            return Err(SubscribeError);
        }
        let (seq, head) = (self.ring.end(), self.ring.head());
        for selector in selectors {
            self.follow(key, selector, presence, seq, head);
        }
        Ok(())
    }

    /// Follows these channels no longer; unknown ones are passed over.
    pub fn unsubscribe(&mut self, key: SessionKey, selectors: &[Selector]) {
        for selector in selectors {
            self.unfollow(key, &Topic::Messages(selector.clone()));
            if let Selector::Channel(channel) = selector {
                self.unfollow(key, &Topic::Presence(channel.clone()));
            }
        }
    }

    /// What the session follows, as it would write it.
    #[must_use]
    pub fn subscriptions(&self, key: SessionKey) -> Vec<Selector> {
        self.sessions.get(key).map(|session| self.selectors_of(session)).unwrap_or_default()
    }

    /// What the session follows, for an attach that goes on where it stopped: entries from before it
    /// followed a channel must not reach it then either.
    #[must_use]
    pub fn following(&self, key: SessionKey) -> Vec<Followed> {
        let subscriptions = self.sessions.get(key).map_or(&[][..], |session| &session.subscriptions);
        let followed = |subscription: &Subscription| {
            let topic = self.feeds.get(subscription.feed)?.topic.clone();
            Some(Followed { topic, since: subscription.since })
        };
        subscriptions.iter().filter_map(followed).collect()
    }

    /// The client has left for good: its session ends, though it could have been resumed.
    pub fn leave(&mut self, now: Moment, key: SessionKey) {
        self.link_down(now, key, DisconnectReason::ClientLeft);
        self.end_session(key);
    }

    pub(super) fn end_session(&mut self, key: SessionKey) {
        if let Some(session) = self.remove(key) {
            self.effects.push_back(Effect::SessionEnded { token: session.token, connection: session.connection });
        }
    }

    fn remove(&mut self, key: SessionKey) -> Option<Session> {
        for subscription in std::mem::take(&mut self.sessions.get_mut(key)?.subscriptions) {
            self.release_feed(key, subscription);
        }
        let session = self.sessions.remove(key)?;
        self.timers.expect_expiry(key, session.expires, None);
        self.by_token.remove(&session.token);
        self.by_connection.remove(&session.connection);
        Some(session)
    }

    fn follow(&mut self, key: SessionKey, selector: Selector, presence: bool, since_seq: u64, since: Offset) {
        if let (true, Selector::Channel(channel)) = (presence, &selector) {
            self.follow_topic(key, &Topic::Presence(channel.clone()), since_seq, since);
        }
        let channel = match &selector {
            Selector::Channel(channel) => Some(channel.clone()),
            Selector::Prefix(_) => None,
        };
        let is_new = self.follow_topic(key, &Topic::Messages(selector), since_seq, since);
        if let (true, Some(channel)) = (is_new, channel) {
            self.notice(key, channel, PresenceKind::Joined);
        }
    }

    fn follow_again(&mut self, key: SessionKey, topic: Topic, since: Offset) {
        let is_new = self.follow_topic(key, &topic, 0, since);
        if let (true, Topic::Messages(Selector::Channel(channel))) = (is_new, topic) {
            self.notice(key, channel, PresenceKind::Joined);
        }
    }

    fn follow_topic(&mut self, key: SessionKey, topic: &Topic, since_seq: u64, since: Offset) -> bool {
        let feed = self.feeds.follow(topic, key, since_seq);
        let session = &mut self.sessions[key];
        let is_new = session.subscription(feed).is_none();
        if is_new {
            session.subscriptions.push(Subscription { feed, since_seq, since });
            session.follows_all_since = session.follows_all_since.max(since);
        }
        is_new
    }

    pub(super) fn unfollow(&mut self, key: SessionKey, topic: &Topic) {
        let Some(feed) = self.feeds.find(topic) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(index) = session.subscriptions.iter().position(|subscription| subscription.feed == feed) else {
            return;
        };
        let subscription = session.subscriptions.swap_remove(index);
        session.dirty.retain(|&(dirty, _)| dirty != feed);
        self.release_feed(key, subscription);
    }

    fn release_feed(&mut self, key: SessionKey, subscription: Subscription) {
        let topic = self.feeds.get(subscription.feed).map(|feed| feed.topic.clone());
        self.feeds.unfollow(subscription.feed, key);
        if let Some(Topic::Messages(Selector::Channel(channel))) = topic {
            self.notice(key, channel, PresenceKind::Left);
        }
    }

    /// Everybody follows `broadcast`, so who does is no news.
    fn notice(&mut self, key: SessionKey, channel: ChannelName, kind: PresenceKind) {
        if channel.as_str() == BROADCAST || channel.is_reserved() {
            return;
        }
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let notice =
            PresenceNotice { channel, kind, user: session.client.user.clone(), connection: session.connection };
        self.effects.push_back(Effect::Presence(notice));
    }

    fn start_of(&self, request: &AttachRequest, inbox: &mut Option<Box<Inbox>>) -> Start {
        let head = self.ring.head();
        let start = match request.resume {
            None => {
                let sub = inbox.as_ref().map_or(0, |inbox| inbox.sent());
                let id = Position { sub, ..self.head() };
                Start { cursor: head, id: Some(id), recovered: false, gaps: Vec::new(), gap_sub: 0 }
            }
            Some(ResumeFrom::Earliest) => {
                let id = Some(self.position(self.trimmed_to));
                Start { id, recovered: true, ..self.start_with_everything(inbox, Vec::new()) }
            }
            Some(ResumeFrom::Unknown) => self.start_with_everything(inbox, vec![GapReason::Unknown]),
            Some(ResumeFrom::Position(position)) if position.epoch != self.config.epoch => {
                self.start_with_everything(inbox, vec![GapReason::Epoch])
            }
            Some(ResumeFrom::Position(position))
                if position.offset > head.max(request.committed) || position.sub > SUB_MAX =>
            {
                self.start_with_everything(inbox, vec![GapReason::Unknown])
            }
            Some(ResumeFrom::Position(position)) => self.start_behind(position, request, inbox),
        };
        if request.resumable && inbox.is_none() {
            *inbox = Some(Box::new(Inbox::since((start.cursor, 0))));
        }
        if let Some(inbox) = inbox {
            inbox.move_unsent(start.cursor, head);
        }
        start
    }

    /// All that is left, of the log and of the inbox.
    fn start_with_everything(&self, inbox: &mut Option<Box<Inbox>>, gaps: Vec<GapReason>) -> Start {
        if let Some(inbox) = inbox {
            inbox.rewind((0, 0));
        }
        Start { cursor: self.trimmed_to, id: None, recovered: false, gaps, gap_sub: 0 }
    }

    fn start_behind(&self, position: Position, request: &AttachRequest, inbox: &mut Option<Box<Inbox>>) -> Start {
        let cursor = position.offset.max(self.trimmed_to);
        let seen = (position.offset, position.sub);
        let mut gaps = Vec::new();
        let mut gap_sub = 0;
        if position.offset < self.trimmed_to {
            gaps.push(GapReason::Retention);
        }
        if request.resumable {
            // Nobody knows what waited in a session that is gone, but nothing did in one that is new.
            let known = inbox.is_some() || request.is_new;
            let empty = if known { Inbox::since } else { Inbox::after_loss };
            let inbox = inbox.get_or_insert_with(|| Box::new(empty(seen)));
            if !known || !inbox.rewind(seen) {
                gap_sub = inbox.loss_told(cursor);
                gaps.push(GapReason::Inbox);
            }
        } else if position.sub > 0 {
            // Nothing is kept for it, but its places must go on growing.
            *inbox = Some(Box::new(Inbox::since(seen)));
        }
        Start { cursor, id: gaps.is_empty().then_some(position), recovered: gaps.is_empty(), gaps, gap_sub }
    }

    /// Only the last gap has an id: a line that is lost between two must not hide the second.
    fn gap_frames(&mut self, format: Format, start: &Start, requested: Option<&str>, channels: &[String]) -> Bytes {
        let resumed_from = self.position(start.cursor);
        let mut frames = Vec::new();
        for (index, &reason) in start.gaps.iter().enumerate() {
            self.count_gap(reason);
            let gap = Gap {
                channels: channels.to_vec(),
                requested: requested.map(str::to_owned),
                resumed_from: resumed_from.to_string(),
                reason,
            };
            let is_last = index + 1 == start.gaps.len();
            let id = is_last.then_some(Position { sub: start.gap_sub, ..resumed_from });
            frames.extend_from_slice(&format.gap(id, &gap));
        }
        Bytes::from(frames)
    }
}

/// A pause before coming back that differs from client to client, in milliseconds.
fn spread_ms(connection: ConnectionId) -> u32 {
    let sum: u32 = connection.as_str().bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    RETRY_MS.start() + sum % (RETRY_MS.end() - RETRY_MS.start())
}
