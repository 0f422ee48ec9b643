//! Sessions that fell behind the ring: served from the log, page by page.
//!
//! A page is read only for a session whose link takes bytes, a few at a time per shard, and what
//! the link does not take is thrown away and read again later. So however many clients are behind,
//! they cost memory for `PAGE_READS_MAX` pages and one write each (INV-6).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use santral_schema::events::{Gap, GapReason};

use super::{Effect, Shard};
use crate::entry::Entry;
use crate::limits::PAGE_READS_MAX;
use crate::names::Selector;
use crate::position::Offset;
use crate::session::{Page, Phase, SessionKey};
use crate::time::Moment;

/// A page of the log that a session needs. Answer with [`Shard::page_read`].
#[derive(Debug)]
pub struct PageRequest {
    /// Whose page.
    pub session: SessionKey,
    /// Entries that match any of these; never empty.
    pub selectors: Vec<Selector>,
    /// Only entries behind this offset.
    pub after: Offset,
    /// Only entries up to this offset.
    pub upto: Offset,
}

/// Reads that are under way and sessions that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct PageReads {
    under_way: usize,
    waiting: VecDeque<SessionKey>,
}

impl PageReads {
    /// Sessions that wait for a page, under way or in line.
    pub(super) fn awaited(&self) -> usize {
        self.under_way + self.waiting.len()
    }
}

impl Shard {
    /// The answer to [`Effect::ReadPage`]: the entries, how far they reach without a hole, and what
    /// retention had removed at that moment; or `None` if the log could not be read now.
    ///
    /// Must be called exactly once for each request, also when the session has ended meanwhile.
    pub fn page_read(&mut self, now: Moment, key: SessionKey, page: Option<(Vec<Arc<Entry>>, Offset, Offset)>) {
        self.pages.under_way -= 1;
        self.accept_page(now, key, page);
        self.read_next_page();
    }

    /// Puts a session into the line for a page.
    pub(super) fn want_page(&mut self, key: SessionKey) {
        if self.sessions.get(key).is_some_and(|session| session.phase == Phase::AwaitingPage) {
            self.pages.waiting.push_back(key);
            self.read_next_page();
        }
    }

    fn accept_page(&mut self, now: Moment, key: SessionKey, page: Option<(Vec<Arc<Entry>>, Offset, Offset)>) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.phase == Phase::AwaitingPage) else {
            return;
        };
        let Some((entries, reached, trimmed_to)) = page else {
            self.counters.page_failures += 1;
            self.timers.retry_page(now, key);
            return;
        };
        self.trimmed_to = self.trimmed_to.max(trimmed_to);
        let behind_retention = session.cursor < trimmed_to;
        if behind_retention {
            let requested = session.cursor;
            session.cursor = trimmed_to;
            if let Some(inbox) = &mut session.inbox {
                inbox.move_unsent(trimmed_to, self.ring.head());
            }
            self.push_gap(key, requested, trimmed_to);
        }
        let session = &mut self.sessions[key];
        session.page = Some(Box::new(Page { entries, next: 0, reached: reached.max(session.cursor) }));
        session.phase = Phase::Ready;
        self.queue_again(key);
    }

    fn read_next_page(&mut self) {
        while self.pages.under_way < PAGE_READS_MAX {
            let Some(key) = self.pages.waiting.pop_front() else {
                return;
            };
            let Some(session) = self.sessions.get(key).filter(|session| session.phase == Phase::AwaitingPage) else {
                continue;
            };
            let selectors = self.selectors_of(session);
            let after = session.cursor;
            let upto = self.ring.head();
            self.pages.under_way += 1;
            self.counters.pages += 1;
            self.effects.push_back(Effect::ReadPage(PageRequest { session: key, selectors, after, upto }));
        }
    }

    /// Tells a session that the entries in `(requested, resumed_from]` are gone (INV-3).
    fn push_gap(&mut self, key: SessionKey, requested: Offset, resumed_from: Offset) {
        let resumed_from = self.position(resumed_from);
        let gap = Gap {
            channels: self.selectors_of(&self.sessions[key]).iter().map(Selector::to_string).collect(),
            requested: Some(self.position(requested).to_string()),
            resumed_from: resumed_from.to_string(),
            reason: GapReason::Retention,
        };
        let frame = self.sessions[key].format.gap(Some(resumed_from), &gap);
        let session = &mut self.sessions[key];
        session.outgoing = Bytes::from([&session.outgoing[..], &frame[..]].concat());
        self.count_gap(GapReason::Retention);
    }
}
