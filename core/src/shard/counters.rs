//! What a shard counts: plain numbers of its own thread, summed by whoever asks all shards.

use std::ops::AddAssign;

use santral_schema::events::GapReason;
use santral_schema::reason::DisconnectReason;

use super::Shard;
use crate::session::Phase;

/// Running totals of a shard since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages and presence changes of which a link took at least a part.
    pub deliveries: u64,
    /// Bytes that links took: messages, gaps and pings; neither response heads nor `hello`.
    pub bytes_out: u64,
    /// `gap` events that were sent, by [`GapReason::index`].
    pub gaps: [u64; GapReason::ALL.len()],
    /// Times that a link could take no more.
    pub blocked: u64,
    /// Pages of the log that were asked for, for sessions which fell behind.
    pub pages: u64,
    /// Pages that could not be read when they were asked for.
    pub page_failures: u64,
    /// Passes that were begun.
    pub passes: u64,
    /// Connections that were admitted.
    pub connections_started: u64,
    /// Connections that ended, by [`DisconnectReason::index`].
    pub connections_ended: [u64; DisconnectReason::ALL.len()],
}

/// How a shard stands at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Sessions, with and without a link.
    pub sessions: u64,
    /// Channels, prefixes and presence that are followed or have recent entries.
    pub feeds: u64,
    /// Sessions whose link takes no more for now: slow consumers.
    pub blocked: u64,
    /// Sessions that wait for a page of the log, under way or in line.
    pub pages_awaited: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.bytes_out += other.bytes_out;
        add_each(&mut self.gaps, &other.gaps);
        self.blocked += other.blocked;
        self.pages += other.pages;
        self.page_failures += other.page_failures;
        self.passes += other.passes;
        self.connections_started += other.connections_started;
        add_each(&mut self.connections_ended, &other.connections_ended);
    }
}

impl AddAssign for Gauges {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.feeds += other.feeds;
        self.blocked += other.blocked;
        self.pages_awaited += other.pages_awaited;
    }
}

impl Shard {
    /// Running totals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How the shard stands; costs nothing that grows with the sessions.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        debug_assert!(self.counts_add_up(), "what is counted differs from what there is");
        Gauges {
            sessions: self.session_count() as u64,
            feeds: self.feed_count() as u64,
            blocked: self.blocked,
            pages_awaited: self.pages.awaited() as u64,
        }
    }

    /// Whether the running counts say what a walk over all sessions would.
    fn counts_add_up(&self) -> bool {
        let in_phase =
            |matches: fn(Phase) -> bool| self.sessions.values().filter(|session| matches(session.phase)).count() as u64;
        let ended: u64 = self.counters.connections_ended.iter().sum();
        self.blocked == in_phase(|phase| phase == Phase::Blocked)
            && self.counters.connections_started - ended == in_phase(|phase| phase != Phase::Detached)
    }

    pub(super) fn count_gap(&mut self, reason: GapReason) {
        self.counters.gaps[reason.index()] += 1;
    }
}

fn add_each(sums: &mut [u64], others: &[u64]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}
