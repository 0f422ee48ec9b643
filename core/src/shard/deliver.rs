//! The way of a frame to a link: passes over dirty feeds, visits to sessions, cursors that move.
//!
//! A pass wakes each follower of a dirty feed once and lets it write all that is new in one go.
//! Passes are cut into slices so that the thread can turn to other work, and paced when messages
//! come fast: the first goes at once, later ones wait for company (see `PASS_PAUSE_MAX`).

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use santral_schema::events::{Gap, GapReason};

use super::Shard;
use crate::entry::{Entry, Timestamp};
use crate::feeds::{FeedKey, Topic};
use crate::inbox::Place;
use crate::limits::{FRAMES_PER_WRITE_MAX, PASS_PAUSE_MAX, SESSIONS_PER_SLICE};
use crate::position::{Offset, Position};
use crate::ring::{Item, Ring, Seq};
use crate::session::{Phase, Session, SessionKey};
use crate::sse;
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
    end: Seq,
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

/// One frame that is about to be sent, and where the session stands behind it.
#[derive(Debug)]
enum Pick {
    /// An item of the ring.
    Ring(Seq, Offset),
    /// An entry of the session's page.
    Page(usize),
    /// A direct message, encoded for this session.
    Direct(Place, Bytes),
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
    /// next one starts.
    pub fn slice_ended(&mut self, now: Moment) {
        if self.pass.queue.is_empty() && self.pass.started > Moment::default() {
            let took = now - self.pass.started;
            self.pass.not_before = self.pass.started + (took * 2).min(took + PASS_PAUSE_MAX);
            self.pass.started = Moment::default();
        }
    }

    fn begin_pass(&mut self, now: Moment) {
        self.pass.started = now;
        let seen = std::mem::replace(&mut self.pass.end, self.ring.end());
        let seen_head = std::mem::replace(&mut self.pass.end_head, self.ring.head());
        for key in std::mem::take(&mut self.pass.dirty) {
            let Some(feed) = self.feeds.get_mut(key) else {
                continue;
            };
            feed.dirty = false;
            for &follower in &feed.followers {
                let Some(session) = self.sessions.get_mut(follower) else {
                    continue;
                };
                // Whoever is not current catches up by itself, from its cursor.
                if session.phase != Phase::Current {
                    continue;
                }
                session.dirty.push(key);
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
        self.queue_waiting(key);
    }

    fn visit_once(&mut self, now: Moment, key: SessionKey, links: &mut impl Links) -> Visit {
        let Some(session) = self.sessions.get_mut(key) else {
            return Visit::Done;
        };
        match session.phase {
            Phase::Opening | Phase::Blocked | Phase::Detached => return Visit::Done,
            Phase::Current | Phase::Ready | Phase::AwaitingPage => (),
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
                session.phase = Phase::AwaitingPage;
                self.want_page(key);
                return Visit::Done;
            }
            Phase::Ready | Phase::Current | Phase::Opening | Phase::Blocked | Phase::Detached => (),
        }
        let picks = self.pick(key);
        if picks.is_empty() {
            return self.nothing_left(key);
        }
        self.write_picks(now, key, &picks, links)
    }

    /// Frames of the server's own that have become due for this session.
    fn queue_own_frames(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key];
        if session.inbox.as_mut().is_some_and(|inbox| inbox.take_loss()) {
            self.push_notice(key, GapReason::Inbox, Vec::new());
        } else if std::mem::take(&mut session.ping_due) {
            session.outgoing = sse::PING;
        }
    }

    fn write_outgoing(&mut self, now: Moment, key: SessionKey, links: &mut impl Links) -> Visit {
        let session = &mut self.sessions[key];
        let outgoing = std::mem::take(&mut session.outgoing);
        let written = links.write(key, &[IoSlice::new(&outgoing)]);
        session.last_write = now;
        match written {
            Written::All => {
                self.counters.bytes_out += outgoing.len() as u64;
                Visit::Again
            }
            Written::Partial(taken) => {
                self.counters.bytes_out += taken as u64;
                session.outgoing = outgoing.slice(taken..);
                self.block(key)
            }
            Written::Gone => Visit::Done,
        }
    }

    /// The next frames of a session, in the order of their positions.
    fn pick(&self, key: SessionKey) -> Vec<Pick> {
        let session = &self.sessions[key];
        match &session.page {
            Some(page) => self.pick_from_page(session, page.next, page.reached),
            None => self.pick_from_ring(session),
        }
    }

    fn pick_from_page(&self, session: &Session, next: usize, reached: Offset) -> Vec<Pick> {
        let Some(page) = &session.page else {
            return Vec::new();
        };
        let offset_of = |index: usize| page.entries[index].offset().unwrap_or_default();
        let wanted = (next..page.entries.len()).filter(|&index| self.is_wanted(session, &page.entries[index]));
        let entries = wanted.take(FRAMES_PER_WRITE_MAX).map(|index| ((offset_of(index), 0), Pick::Page(index)));
        merge(entries.collect(), self.direct_picks(session, reached))
    }

    fn pick_from_ring(&self, session: &Session) -> Vec<Pick> {
        let catching_up = session.phase == Phase::Ready;
        let everywhere = catching_up || session.look_everywhere;
        let upto = if everywhere { self.ring.end() } else { self.pass.end };
        let from = if catching_up { self.ring.seq_behind(session.cursor) } else { session.next_seq };
        let mut seqs: Vec<Seq> = Vec::new();
        let mut feeds = 0;
        let mut add = |feed_key: FeedKey, since_seq: Seq| {
            let Some(feed) = self.feeds.get(feed_key) else {
                return;
            };
            let fresh = feed.from_seq(from.max(since_seq)).take_while(|&seq| seq < upto);
            let wanted = fresh.filter(|&seq| self.is_wanted_item(session, seq, catching_up));
            let before = seqs.len();
            seqs.extend(wanted.take(FRAMES_PER_WRITE_MAX));
            feeds += usize::from(seqs.len() > before);
        };
        if everywhere {
            for subscription in &session.subscriptions {
                add(subscription.feed, subscription.since_seq);
            }
        } else {
            for &feed in &session.dirty {
                // A feed that was unfollowed since it got dirty concerns the session no more.
                if let Some(subscription) = session.subscription(feed) {
                    add(feed, subscription.since_seq);
                }
            }
        }
        if feeds > 1 {
            seqs.sort_unstable();
            seqs.dedup();
        }
        let head_at = |seq| self.ring.head_at(seq).unwrap_or_default();
        let items = seqs.into_iter().map(|seq| ((head_at(seq), 0), Pick::Ring(seq, head_at(seq))));
        if session.inbox.is_none() {
            return items.map(|(_, pick)| pick).take(FRAMES_PER_WRITE_MAX).collect();
        }
        let directs = if everywhere { self.direct_picks(session, self.ring.head()) } else { Vec::new() };
        merge(items.collect(), directs)
    }

    fn is_wanted_item(&self, session: &Session, seq: Seq, catching_up: bool) -> bool {
        let Some(item) = self.ring.get(seq) else {
            return false;
        };
        match item {
            Item::Message(entry) => !(catching_up && item.is_volatile()) && self.is_wanted(session, entry),
            Item::Presence(_) => !catching_up,
        }
    }

    /// Whether an entry is new to the session, not excepted, and followed since before it.
    fn is_wanted(&self, session: &Session, entry: &Arc<Entry>) -> bool {
        if entry.publication().except.is_some() && session.is_excepted(entry) {
            return false;
        }
        let Some(offset) = entry.offset() else {
            return true;
        };
        if offset <= session.cursor && session.phase != Phase::Current {
            return false;
        }
        if session.page.is_none() {
            return offset > session.cursor;
        }
        session.subscriptions.iter().any(|subscription| {
            subscription.since < offset
                && self.feeds.get(subscription.feed).is_some_and(|feed| match &feed.topic {
                    Topic::Messages(selector) => selector.matches(&entry.publication().channel),
                    Topic::Presence(_) => false,
                })
        })
    }

    fn direct_picks(&self, session: &Session, reached: Offset) -> Vec<((Offset, u32), Pick)> {
        let Some(inbox) = &session.inbox else {
            return Vec::new();
        };
        let due = inbox.unsent().take_while(|direct| direct.place.0 <= reached).take(FRAMES_PER_WRITE_MAX);
        due.map(|direct| {
            let (offset, sub) = direct.place;
            let position = Position { sub, ..self.position(offset) };
            (direct.place, Pick::Direct(direct.place, encode_direct(session, position, direct.at, &direct.publication)))
        })
        .collect()
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
                && (feed.from_seq(from).next().is_some() || from < oldest)
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
        self.sessions[key].outgoing = sse::gap_frame(None, &gap);
        self.counters.gaps += 1;
    }

    fn write_picks(&mut self, now: Moment, key: SessionKey, picks: &[Pick], links: &mut impl Links) -> Visit {
        let session = &self.sessions[key];
        let slices: Vec<IoSlice<'_>> = picks.iter().map(|pick| IoSlice::new(pick.bytes(session, &self.ring))).collect();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = match links.write(key, &slices) {
            Written::All => total,
            Written::Partial(taken) => taken,
            Written::Gone => return Visit::Done,
        };
        self.counters.bytes_out += taken as u64;
        self.settle(now, key, picks, taken);
        if taken < total { self.block(key) } else { Visit::Again }
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
            let frame = pick.frame(session, &self.ring).cloned().unwrap_or_default();
            if left < frame.len() {
                session.outgoing = frame.slice(left..);
            }
            left = left.saturating_sub(frame.len());
            self.counters.deliveries += 1;
            pick.advance(session);
        }
    }

    /// The link is full: nothing is kept for the session but its cursor and the rest of one frame.
    fn block(&mut self, key: SessionKey) -> Visit {
        self.counters.blocked += 1;
        let session = &mut self.sessions[key];
        session.phase = Phase::Blocked;
        session.page = None;
        session.dirty = Vec::new();
        Visit::Done
    }
}

impl Pick {
    fn bytes<'a>(&'a self, session: &'a Session, ring: &'a Ring) -> &'a [u8] {
        self.frame(session, ring).map_or(&[], |frame| &frame[..])
    }

    fn frame<'a>(&'a self, session: &'a Session, ring: &'a Ring) -> Option<&'a Bytes> {
        match self {
            Self::Ring(seq, _) => ring.get(*seq).map(|item| item.frame(session.format)),
            Self::Page(index) => session.page.as_ref().map(|page| page.entries[*index].frame(session.format)),
            Self::Direct(_, frame) => Some(frame),
        }
    }

    /// Notes that the frame is on its way.
    fn advance(&self, session: &mut Session) {
        match self {
            Self::Ring(seq, head) => {
                session.cursor = session.cursor.max(*head);
                if session.phase == Phase::Current {
                    session.next_seq = seq + 1;
                }
            }
            Self::Page(index) => {
                let Some(page) = &mut session.page else {
                    return;
                };
                page.next = index + 1;
                session.cursor = page.entries[*index].offset().unwrap_or(session.cursor);
            }
            Self::Direct(place, _) => {
                let Some(inbox) = &mut session.inbox else {
                    return;
                };
                inbox.mark_sent(*place);
                if !session.resumable {
                    inbox.forget_sent();
                }
            }
        }
    }
}

/// Frames by their place; a direct message comes behind the entries up to its offset.
fn merge(mut items: Vec<((Offset, u32), Pick)>, directs: Vec<((Offset, u32), Pick)>) -> Vec<Pick> {
    if !directs.is_empty() {
        items.extend(directs);
        // Stable: items of the ring that share a head keep their order.
        items.sort_by_key(|(place, _)| *place);
    }
    items.into_iter().map(|(_, pick)| pick).take(FRAMES_PER_WRITE_MAX).collect()
}

fn encode_direct(
    session: &Session,
    position: Position,
    at: Timestamp,
    publication: &crate::entry::Publication,
) -> Bytes {
    match session.format {
        sse::Format::Raw => sse::raw_frame(Some(position), publication),
        sse::Format::Envelope => sse::envelope_frame(Some(position), at, publication),
    }
}
