//! The way of a frame to a link: passes over dirty feeds, visits to sessions, cursors that move.
//!
//! A pass wakes each follower of a dirty feed once and lets it write all that is new in one go.
//! Passes are cut into slices so that the thread can turn to other work, and paced when messages
//! come fast: the first goes at once, later ones wait for company (see `PASS_PAUSE_MAX`).

use std::collections::VecDeque;
use std::io::IoSlice;

use santral_schema::events::{Gap, GapReason};

use super::Shard;
use super::pick::Pick;
use crate::feeds::{FeedKey, Topic};
use crate::limits::{FRAMES_PER_WRITE_MAX, PASS_PAUSE_MAX, PASS_PAUSE_MIN, SESSIONS_PER_SLICE};
use crate::position::Offset;
use crate::ring::Seq;
use crate::session::{Phase, SessionKey};
use crate::time::Moment;

/// Writes to one session before the others get their turn.
const WRITES_PER_VISIT: usize = 4;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it was taken.
    All,
    /// Only so many bytes were taken; the caller says [`Shard::writable`] when there is room again.
    Partial(usize),
    /// The link is dead; the caller says [`Shard::link_down`].
    Gone,
}

/// The links of a shard's sessions: sockets, response bodies, or a simulation.
pub trait Links {
    /// Hands frames to a session's link, in order, without waiting.
    fn write(&mut self, session: SessionKey, frames: &[IoSlice<'_>]) -> Written;
}

/// Whether there is more to write at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Call again after looking after other work.
    More,
    /// Nothing to do before the next input or [`Shard::next_timeout`].
    Idle,
}

/// The pass under way, and what waits for the next.
#[derive(Debug, Default)]
pub(super) struct Pass {
    dirty: Vec<FeedKey>,
    queue: VecDeque<SessionKey>,
    /// Items from here on belong to the next pass. A current session that stands in no queue has
    /// seen everything before it.
    pub(super) end: Seq,
    /// The head of the log at the end.
    end_head: Offset,
    started: Moment,
    not_before: Moment,
}

impl Pass {
    /// No pass yet; the log stands at `head`.
    pub(super) fn new(head: Offset) -> Self {
        Self { end_head: head, ..Self::default() }
    }

    /// Where a current session stands that is in no queue.
    pub(super) fn seen(&self) -> (Seq, Offset) {
        (self.end, self.end_head)
    }

    /// Nobody waits for the items up to here: they belong to no pass.
    pub(super) fn skip_to(&mut self, end: Seq, head: Offset) {
        if self.dirty.is_empty() {
            self.end = end;
            self.end_head = head;
        }
    }

    /// Lets a feed take part in the next pass.
    pub(super) fn mark(&mut self, feed: FeedKey) {
        self.dirty.push(feed);
    }

    /// When the next pass may start, if there is reason for one.
    pub(super) fn next_start(&self) -> Option<Moment> {
        (!self.dirty.is_empty() && self.queue.is_empty()).then_some(self.not_before)
    }
}

/// What one visit found to do.
enum Visit {
    Again,
    Done,
}

impl Shard {
    /// Writes to some sessions, at most [`SESSIONS_PER_SLICE`].
    pub fn run_slice(&mut self, now: Moment, links: &mut impl Links) -> Progress {
        if self.pass.queue.is_empty() && !self.pass.dirty.is_empty() && now >= self.pass.not_before {
            self.begin_pass(now);
        }
        // Whoever catches up shares the slice with the pass, so neither starves the other.
        let waiting = self.waiting.len().min(SESSIONS_PER_SLICE / 2);
        for _ in 0..waiting {
            let Some(key) = self.waiting.pop_front() else {
                break;
            };
            self.visit(now, key, links);
        }
        for _ in waiting..SESSIONS_PER_SLICE {
            let Some(key) = self.pass.queue.pop_front() else {
                break;
            };
            self.visit(now, key, links);
        }
        let pass_waits = !self.pass.queue.is_empty() || (!self.pass.dirty.is_empty() && now >= self.pass.not_before);
        if pass_waits || !self.waiting.is_empty() { Progress::More } else { Progress::Idle }
    }

    /// Notes the end of a slice: a pass that took long lets more messages come together before the
    /// next one starts. Says whether a pass has ended with the slice.
    pub fn slice_ended(&mut self, now: Moment) -> bool {
        let pass_ended = self.pass.queue.is_empty() && self.is_in_pass();
        if pass_ended {
            let took = now - self.pass.started;
            if took >= PASS_PAUSE_MIN {
                self.pass.not_before = now + took.min(PASS_PAUSE_MAX);
            }
            self.pass.started = Moment::default();
        }
        pass_ended
    }

    /// Whether a pass was begun that has not ended, see [`Shard::slice_ended`].
    #[must_use]
    pub fn is_in_pass(&self) -> bool {
        self.pass.started > Moment::default()
    }

    fn begin_pass(&mut self, now: Moment) {
        self.pass.started = now;
        self.counters.passes += 1;
        let seen = std::mem::replace(&mut self.pass.end, self.ring.end());
        let seen_head = std::mem::replace(&mut self.pass.end_head, self.ring.head());
        for key in std::mem::take(&mut self.pass.dirty) {
            let Some(feed) = self.feeds.get_mut(key) else {
                continue;
            };
            feed.dirty = false;
            for (&follower, &since) in &feed.followers {
                let Some(session) = self.sessions.get_mut(follower) else {
                    continue;
                };
                // Whoever is not current catches up by itself, from its cursor.
                if session.phase != Phase::Current {
                    continue;
                }
                session.dirty.push((key, since));
                if !session.queued {
                    session.queued = true;
                    session.has_seen(seen, seen_head);
                    self.pass.queue.push_back(follower);
                }
            }
        }
    }

    fn visit(&mut self, now: Moment, key: SessionKey, links: &mut impl Links) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.queued = false;
        for _ in 0..WRITES_PER_VISIT {
            match self.visit_once(now, key, links) {
                Visit::Again => (),
                Visit::Done => return,
            }
        }
        self.queue_again(key);
    }

    fn visit_once(&mut self, now: Moment, key: SessionKey, links: &mut impl Links) -> Visit {
        let Some(session) = self.sessions.get_mut(key) else {
            return Visit::Done;
        };
        match session.phase {
            Phase::Opening | Phase::Blocked | Phase::Detached => return Visit::Done,
            Phase::Current | Phase::Ready | Phase::AwaitingPage => (),
        }
        // The timer may be late; nothing is sent beyond the end of a right (INV-9).
        if session.expires.is_some_and(|expires| expires <= now) {
            self.right_ended(now, key);
            return Visit::Done;
        }
        if session.outgoing.is_empty() {
            self.queue_own_frames(key);
        }
        let session = &mut self.sessions[key];
        if !session.outgoing.is_empty() {
            return self.write_outgoing(now, key, links);
        }
        // A burst may push items out of the ring before the session's turn comes.
        if session.phase == Phase::Current && self.ring.first() > session.next_seq {
            session.phase = Phase::Ready;
        }
        match session.phase {
            Phase::AwaitingPage => return Visit::Done,
            Phase::Ready if session.page.is_none() && session.cursor < self.ring.floor() => {
                if self.follows_messages(key) {
                    self.sessions[key].phase = Phase::AwaitingPage;
                    self.want_page(key);
                    return Visit::Done;
                }
                // The log has nothing for it.
                self.sessions[key].cursor = self.ring.floor();
            }
            Phase::Ready | Phase::Current | Phase::Opening | Phase::Blocked | Phase::Detached => (),
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        self.pick(key, &mut scratch);
        let visit = if scratch.picks.is_empty() {
            self.nothing_left(key)
        } else {
            self.write_picks(now, key, &scratch.picks, links)
        };
        self.scratch = scratch;
        visit
    }

    fn follows_messages(&self, key: SessionKey) -> bool {
        self.sessions[key].subscriptions.iter().any(|subscription| {
            self.feeds.get(subscription.feed).is_some_and(|feed| matches!(feed.topic, Topic::Messages(_)))
        })
    }

    /// Frames of the server's own that have become due for this session.
    fn queue_own_frames(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        if session.inbox.as_mut().is_some_and(|inbox| inbox.take_loss()) {
            self.push_notice(key, GapReason::Inbox, Vec::new());
        } else if std::mem::take(&mut session.ping_due) {
            session.outgoing = session.format.ping();
        }
    }

    fn write_outgoing(&mut self, now: Moment, key: SessionKey, links: &mut impl Links) -> Visit {
        let session = &mut self.sessions[key];
        let outgoing = std::mem::take(&mut session.outgoing);
        let written = links.write(key, &[IoSlice::new(&outgoing)]);
        session.last_write = now;
        match written {
            Written::All => {
                session.bytes_out += outgoing.len() as u64;
                self.counters.bytes_out += outgoing.len() as u64;
                Visit::Again
            }
            Written::Partial(taken) => {
                session.bytes_out += taken as u64;
                self.counters.bytes_out += taken as u64;
                session.outgoing = outgoing.slice(taken..);
                self.block(key)
            }
            Written::Gone => Visit::Done,
        }
    }

    fn nothing_left(&mut self, key: SessionKey) -> Visit {
        let (ring_end, pass_end) = (self.ring.end(), self.pass.end);
        let session = &mut self.sessions[key];
        if let Some(page) = session.page.take() {
            session.cursor = session.cursor.max(page.reached);
            return Visit::Again;
        }
        session.dirty.clear();
        match session.phase {
            Phase::Ready => {
                let missed_from = session.next_seq;
                session.phase = Phase::Current;
                session.next_seq = ring_end;
                session.look_everywhere = false;
                self.tell_missed_presence(key, missed_from)
            }
            Phase::Current => {
                let seen = if std::mem::take(&mut session.look_everywhere) { ring_end } else { pass_end };
                session.next_seq = session.next_seq.max(seen);
                Visit::Done
            }
            Phase::Opening | Phase::Blocked | Phase::AwaitingPage | Phase::Detached => Visit::Done,
        }
    }

    /// Presence changes are volatile; whoever missed some is told to read presence anew.
    fn tell_missed_presence(&mut self, key: SessionKey, from: Seq) -> Visit {
        let oldest = self.ring.first();
        let session = &self.sessions[key];
        let mut channels = Vec::new();
        for subscription in &session.subscriptions {
            let Some(feed) = self.feeds.get(subscription.feed) else {
                continue;
            };
            if let Topic::Presence(channel) = &feed.topic
                && (feed.since(from).next().is_some() || from < oldest)
            {
                channels.push(channel.to_string());
            }
        }
        if channels.is_empty() {
            return Visit::Done;
        }
        self.push_notice(key, GapReason::Presence, channels);
        Visit::Again
    }

    /// A gap without a position of its own: nothing of the log is missing.
    fn push_notice(&mut self, key: SessionKey, reason: GapReason, channels: Vec<String>) {
        let resumed_from = self.position(self.ring.head()).to_string();
        let gap = Gap { channels, requested: None, resumed_from, reason };
        let session = &mut self.sessions[key];
        session.outgoing = session.format.gap(None, &gap);
        self.count_gap(reason);
    }

    fn write_picks(&mut self, now: Moment, key: SessionKey, picks: &[Pick], links: &mut impl Links) -> Visit {
        let session = &self.sessions[key];
        let slice = |pick| IoSlice::new(Pick::bytes(pick, session, &self.ring));
        let total: usize = picks.iter().map(|pick| pick.bytes(session, &self.ring).len()).sum();
        let written = match picks {
            // The usual case goes without an allocation.
            [pick] => links.write(key, &[slice(pick)]),
            picks => links.write(key, &picks.iter().map(slice).collect::<Vec<_>>()),
        };
        let taken = match written {
            Written::All => total,
            Written::Partial(taken) => taken,
            Written::Gone => return Visit::Done,
        };
        self.counters.bytes_out += taken as u64;
        self.sessions[key].bytes_out += taken as u64;
        self.settle(now, key, picks, taken);
        match taken < total {
            true => self.block(key),
            // Fewer than were asked for: there are no more.
            false if picks.len() < FRAMES_PER_WRITE_MAX => self.nothing_left(key),
            false => Visit::Again,
        }
    }

    /// Moves the cursor behind every frame of which the link took at least a part.
    fn settle(&mut self, now: Moment, key: SessionKey, picks: &[Pick], taken: usize) {
        let session = &mut self.sessions[key];
        session.last_write = now;
        let mut left = taken;
        for pick in picks {
            if left == 0 {
                return;
            }
            let length = pick.bytes(session, &self.ring).len();
            if left < length {
                session.outgoing = pick.rest(session, &self.ring, left);
            }
            left = left.saturating_sub(length);
            self.counters.deliveries += 1;
            pick.advance(session);
        }
    }

    /// The link is full: nothing is kept for the session but its cursor and the rest of one frame.
    fn block(&mut self, key: SessionKey) -> Visit {
        self.counters.blocked += 1;
        self.blocked += 1;
        let session = &mut self.sessions[key];
        session.phase = Phase::Blocked;
        session.page = None;
        session.dirty = Vec::new();
        Visit::Done
    }
}
