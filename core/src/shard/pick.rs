//! Which frames a session gets next: from the ring, from a page of the log, from its inbox.
//!
//! A pick is a reference, not a copy: the bytes stay where they are shared until they are written.

use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use crate::entry::Entry;
use crate::feeds::{FeedKey, Topic};
use crate::inbox::{Direct, Place};
use crate::limits::FRAMES_PER_WRITE_MAX;
use crate::position::{Offset, Position};
use crate::ring::{Item, Ring, Seq};
use crate::session::{Page, Phase, Session, SessionKey};

/// One frame that is about to be sent, and where the session stands behind it.
#[derive(Debug)]
pub(super) enum Pick {
    /// An item of the ring, and the log's head at its time.
    Ring(Seq, Offset),
    /// An entry of the session's page, and its offset.
    Page(usize, Offset),
    /// A direct message, encoded for this session.
    Direct(Place, Bytes),
}

/// Lists that every visit needs; kept to spare their allocation.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    seqs: Vec<Seq>,
    pub(super) picks: Vec<Pick>,
}

impl Shard {
    /// The next frames of a session, in the order of their positions.
    pub(super) fn pick(&self, key: SessionKey, scratch: &mut Scratch) {
        scratch.picks.clear();
        scratch.seqs.clear();
        let session = &self.sessions[key];
        match &session.page {
            Some(page) => self.pick_from_page(session, page, &mut scratch.picks),
            None => self.pick_from_ring(session, scratch),
        }
    }

    fn pick_from_page(&self, session: &Session, page: &Page, picks: &mut Vec<Pick>) {
        let offset_of = |index: usize| page.entries[index].offset().unwrap_or_default();
        let wanted =
            (page.next..page.entries.len()).filter(|&index| self.is_wanted(session, &page.entries[index], None));
        picks.extend(wanted.take(FRAMES_PER_WRITE_MAX).map(|index| Pick::Page(index, offset_of(index))));
        self.add_directs(session, page.reached, picks);
    }

    fn pick_from_ring(&self, session: &Session, scratch: &mut Scratch) {
        let Scratch { seqs, picks } = scratch;
        let catching_up = session.phase == Phase::Ready;
        let everywhere = catching_up || session.look_everywhere;
        let upto = if everywhere { self.ring.end() } else { self.pass.end };
        let from = if catching_up { self.ring.seq_behind(session.cursor) } else { session.next_seq };
        let mut feeds = 0;
        let mut add = |feed_key: FeedKey, since_seq: Seq| {
            let Some(feed) = self.feeds.get(feed_key) else {
                return;
            };
            let fresh = feed.since(from.max(since_seq)).take_while(|&seq| seq < upto);
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
            for &(feed, since_seq) in &session.dirty {
                add(feed, since_seq);
            }
        }
        if feeds > 1 {
            seqs.sort_unstable();
            seqs.dedup();
        }
        let head_at = |seq| self.ring.head_at(seq).unwrap_or_default();
        picks.extend(seqs.iter().take(FRAMES_PER_WRITE_MAX).map(|&seq| Pick::Ring(seq, head_at(seq))));
        if everywhere {
            // The client may be ahead of this shard: it came from another, or was told of a gap.
            self.add_directs(session, self.ring.head().max(session.cursor), picks);
        }
    }

    fn is_wanted_item(&self, session: &Session, seq: Seq, catching_up: bool) -> bool {
        let Some(item) = self.ring.get(seq) else {
            return false;
        };
        match item {
            Item::Message(entry) => !(catching_up && item.is_volatile()) && self.is_wanted(session, entry, Some(seq)),
            Item::Presence(_) => !catching_up,
        }
    }

    /// Whether an entry is new to the session, does not leave it out, and is followed since before it.
    fn is_wanted(&self, session: &Session, entry: &Arc<Entry>, seq: Option<Seq>) -> bool {
        if let Some(unless) = &entry.publication().unless
            && self.leaves_out(session, unless, entry, seq)
        {
            return false;
        }
        let Some(offset) = entry.offset() else {
            return true;
        };
        if offset <= session.cursor {
            return false;
        }
        // Items of the ring come from feeds that the session follows; a page knows selectors only. A session
        // that came back may follow some of them since an entry that this shard has, or has not even taken.
        if session.page.is_none() && offset > session.follows_all_since {
            return true;
        }
        session.subscriptions.iter().any(|subscription| {
            subscription.since < offset
                && self.feeds.get(subscription.feed).is_some_and(|feed| match &feed.topic {
                    Topic::Messages(selector) => selector.matches(&entry.publication().channel),
                    Topic::Presence(_) => false,
                })
        })
    }

    /// Puts direct messages between the entries, each behind the entries up to its offset.
    fn add_directs(&self, session: &Session, reached: Offset, picks: &mut Vec<Pick>) {
        let Some(inbox) = &session.inbox else {
            return;
        };
        let entries = picks.len();
        let due = inbox.unsent().take_while(|direct| direct.place.0 <= reached).take(FRAMES_PER_WRITE_MAX);
        picks.extend(due.map(|direct| Pick::Direct(direct.place, self.encode_direct(session, direct))));
        if picks.len() > entries {
            // Stable: items of the ring that share a head keep their order.
            picks.sort_by_key(Pick::place);
            picks.truncate(FRAMES_PER_WRITE_MAX);
        }
    }

    fn encode_direct(&self, session: &Session, direct: &Direct) -> Bytes {
        let (offset, sub) = direct.place;
        let position = Some(Position { sub, ..self.position(offset) });
        session.format.message(position, direct.at, &direct.publication)
    }
}

impl Pick {
    /// Where the frame stands among the session's others.
    fn place(&self) -> Place {
        match self {
            Self::Ring(_, head) => (*head, 0),
            Self::Page(_, offset) => (*offset, 0),
            Self::Direct(place, _) => *place,
        }
    }

    /// The bytes to send.
    pub(super) fn bytes<'a>(&'a self, session: &'a Session, ring: &'a Ring) -> &'a [u8] {
        self.frame(session, ring).map_or(&[], |frame| &frame[..])
    }

    /// What a link left over that took `taken` bytes.
    pub(super) fn rest(&self, session: &Session, ring: &Ring, taken: usize) -> Bytes {
        self.frame(session, ring).map(|frame| frame.slice(taken..)).unwrap_or_default()
    }

    fn frame<'a>(&'a self, session: &'a Session, ring: &'a Ring) -> Option<&'a Bytes> {
        match self {
            Self::Ring(seq, _) => ring.get(*seq).map(|item| item.frame(session.format)),
            Self::Page(index, _) => session.page.as_ref().map(|page| page.entries[*index].frame(session.format)),
            Self::Direct(_, frame) => Some(frame),
        }
    }

    /// Notes that the frame is on its way.
    pub(super) fn advance(&self, session: &mut Session) {
        match self {
            Self::Ring(seq, head) => {
                session.cursor = session.cursor.max(*head);
                if session.phase == Phase::Current {
                    session.next_seq = seq + 1;
                }
            }
            Self::Page(index, offset) => {
                session.cursor = *offset;
                if let Some(page) = &mut session.page {
                    page.next = index + 1;
                }
            }
            Self::Direct(place, _) => {
                let Some(inbox) = &mut session.inbox else {
                    return;
                };
                inbox.mark_sent(*place);
                if !session.resumable {
                    inbox.forget_sent();
                }
                // All entries up to it went out before it; a later gap must not begin before it.
                session.cursor = session.cursor.max(place.0);
            }
        }
    }
}
