//! Whose sessions they are, and how a right that ends, ends them (INV-9).

use std::ops::Bound;
use std::sync::Arc;

use santral_schema::reason::DisconnectReason;

use super::Shard;
use crate::client::Client;
use crate::feeds::Topic;
use crate::names::{ChannelName, ConnectionId, Selector, SessionToken};
use crate::position::{Offset, Position};
use crate::session::{Phase, Session, SessionKey};
use crate::time::Moment;

/// What can be seen of a session from outside.
#[derive(Clone, Copy)]
pub struct SessionView<'a> {
    key: SessionKey,
    session: &'a Session,
    shard: &'a Shard,
}

impl SessionView<'_> {
    /// Its key in this shard.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// Its present or last connection.
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.session.connection
    }

    /// Its token; a secret.
    #[must_use]
    pub fn token(&self) -> &SessionToken {
        &self.session.token
    }

    /// Who holds it.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.session.client
    }

    /// Whether a connection is attached; else it waits for the next one.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.session.is_linked()
    }

    /// Whether it waits for its next connection. One that is just being opened does not.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.session.phase == Phase::Detached
    }

    /// Whether its connection takes no more for now.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.session.phase == Phase::Blocked
    }

    /// How many things it follows: channels, prefixes, and the presence of channels.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.session.subscriptions.len()
    }

    /// What it follows.
    #[must_use]
    pub fn selectors(&self) -> Vec<Selector> {
        self.shard.selectors_of(self.session)
    }

    /// Whether messages of this channel concern it.
    #[must_use]
    pub fn follows(&self, channel: &ChannelName) -> bool {
        self.session.subscriptions.iter().any(|subscription| {
            self.shard.feeds.get(subscription.feed).is_some_and(|feed| match &feed.topic {
                Topic::Messages(selector) => selector.matches(channel),
                Topic::Presence(_) => false,
            })
        })
    }

    /// Everything that concerns it was sent up to here.
    #[must_use]
    pub fn position(&self) -> Position {
        self.shard.position(self.cursor())
    }

    /// Whether everything up to here has left: entries, direct messages, and word of a gap.
    #[must_use]
    pub fn has_sent(&self, upto: Offset) -> bool {
        let waiting = self.session.inbox.as_ref().and_then(|inbox| inbox.unsent().next());
        let is_direct_due = waiting.is_some_and(|direct| direct.place.0 <= upto);
        self.cursor() >= upto && self.session.outgoing.is_empty() && !is_direct_due
    }

    /// Entries of the log between it and the head, whether they concern it or not.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.shard.ring.head().saturating_sub(self.cursor())
    }

    /// Bytes that its links have taken.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.session.bytes_out
    }

    /// When the right of its client ends.
    #[must_use]
    pub fn expires(&self) -> Option<Moment> {
        self.session.expires
    }

    /// A current session that stands in no queue has seen every pass.
    fn cursor(&self) -> u64 {
        let (_, seen_head) = self.shard.pass.seen();
        match self.session.phase {
            Phase::Current if !self.session.queued => self.session.cursor.max(seen_head),
            Phase::Current | Phase::Opening | Phase::Ready | Phase::Blocked | Phase::AwaitingPage | Phase::Detached => {
                self.session.cursor
            }
        }
    }
}

impl Shard {
    /// Every session, with and without a connection.
    pub fn views(&self) -> impl Iterator<Item = SessionView<'_>> {
        self.sessions.iter().map(|(key, session)| SessionView { key, session, shard: self })
    }

    /// Sessions in the order of their connection ids, behind `after`.
    pub fn views_after(&self, after: Option<ConnectionId>) -> impl Iterator<Item = SessionView<'_>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_connection.range((start, Bound::Unbounded)).filter_map(|(_, &key)| self.view(key))
    }

    /// One session.
    #[must_use]
    pub fn view(&self, key: SessionKey) -> Option<SessionView<'_>> {
        self.sessions.get(key).map(|session| SessionView { key, session, shard: self })
    }

    /// The session of a connection, if it lives here.
    #[must_use]
    pub fn find_connection(&self, connection: &ConnectionId) -> Option<SessionKey> {
        self.by_connection.get(connection).copied()
    }

    /// The session with this token, if it is the principal's.
    #[must_use]
    pub fn find_own_session(&self, token: &SessionToken, principal: &str) -> Option<SessionKey> {
        self.find_session(token).filter(|&key| *self.sessions[key].client.principal == *principal)
    }

    /// Ends every session that the predicate picks, and says how many. For a reason that does not
    /// let a session come back, those that wait for a connection end too.
    pub fn end_where(
        &mut self,
        now: Moment,
        reason: DisconnectReason,
        mut is_meant: impl FnMut(&SessionView<'_>) -> bool,
    ) -> usize {
        let meant: Vec<_> = self.views().filter(|view| is_meant(view)).map(|view| view.key).collect();
        for &key in &meant {
            self.disconnect(now, key, reason);
            if !reason.may_be_resumed() {
                self.end_session(key);
            }
        }
        meant.len()
    }

    /// Lets a session go on under a fresh right of the same principal, without losing its place.
    /// What it follows and the new right does not cover is given up, and returned.
    pub fn renew_right(
        &mut self,
        key: SessionKey,
        client: Arc<Client>,
        expires: Option<Moment>,
        covers: impl Fn(&Selector) -> bool,
        may_see: impl Fn(&ChannelName) -> bool,
    ) -> Vec<Selector> {
        let Some(session) = self.sessions.get_mut(key) else {
            return Vec::new();
        };
        debug_assert!(session.client.principal == client.principal, "INV-9: a right of somebody else");
        let before = std::mem::replace(&mut session.expires, expires);
        session.client = client;
        self.timers.expect_expiry(key, before, expires);
        let mut lost = self.subscriptions(key);
        lost.retain(|selector| !covers(selector));
        self.unsubscribe(key, &lost);
        self.stop_seeing(key, may_see);
        lost
    }

    /// Gives up the presence of channels that the session may no longer see.
    fn stop_seeing(&mut self, key: SessionKey, may_see: impl Fn(&ChannelName) -> bool) {
        let topics =
            self.sessions[key].subscriptions.iter().filter_map(|subscription| self.feeds.get(subscription.feed));
        let unseen = topics.map(|feed| feed.topic.clone()).filter(|topic| match topic {
            Topic::Presence(channel) => !may_see(channel),
            Topic::Messages(_) => false,
        });
        for topic in unseen.collect::<Vec<_>>() {
            self.unfollow(key, &topic);
        }
    }

    /// The right of a session's client has ended. The session may be resumed with a fresh one; until
    /// then it is served nothing.
    pub(super) fn right_ended(&mut self, now: Moment, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.expires = None;
            self.disconnect(now, key, DisconnectReason::TokenExpired);
        }
    }
}
