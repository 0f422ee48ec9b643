//! What a participant sends, put back into the order in which it was sent.
//!
//! Requests that nobody waits for overtake each other, and one whose answer was lost is sent again. So
//! signals may have numbers: a repeated one is recognised, and one that is too early waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::limits::{PARKED_BYTES_MAX, PARKED_PATIENCE, REFUSED_SIGNALS_MAX, SIGNALS_AHEAD_MAX};
use crate::time::Moment;

use super::audit::require;
use super::signals::Signal;

/// What to do with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Pass it on.
    Now,
    /// It had come before.
    Duplicate,
    /// Let it wait for those that it has overtaken.
    Wait,
    /// Those that it has overtaken did not come in time.
    Gap,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    last_seq: u64,
    parked: BTreeMap<u64, Signal>,
    parked_bytes: usize,
    parked_until: Option<Moment>,
    /// Signals are missing, and nobody waits for them any more.
    is_broken: bool,
    /// The last that were not passed on, and why: their repetition gets the same answer.
    refused: VecDeque<(u64, &'static str)>,
}

impl Uplink {
    /// The last number up to which nothing is missing.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// What is to be done with a signal of this number and size.
    pub(super) fn turn(&self, seq: Option<u64>, bytes: usize) -> Turn {
        let Some(seq) = seq else { return Turn::Now };
        if seq <= self.last_seq || self.parked.contains_key(&seq) {
            return Turn::Duplicate;
        }
        if seq == self.last_seq + 1 {
            return Turn::Now;
        }
        let is_near = seq - self.last_seq <= SIGNALS_AHEAD_MAX && self.parked_bytes + bytes <= PARKED_BYTES_MAX;
        if is_near && !self.is_broken { Turn::Wait } else { Turn::Gap }
    }

    /// The signal of this number is passed on.
    pub(super) fn passed(&mut self, seq: Option<u64>) {
        if let Some(seq) = seq {
            self.last_seq = seq;
            self.is_broken = false;
        }
    }

    /// The signal of this number was not passed on.
    pub(super) fn refused(&mut self, seq: Option<u64>, why: &'static str) {
        let Some(seq) = seq else { return };
        if self.refused.len() == REFUSED_SIGNALS_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((seq, why));
    }

    /// Why the signal of this number was not passed on.
    pub(super) fn refusal_of(&self, seq: Option<u64>) -> Option<&'static str> {
        self.refused.iter().find(|(refused, _)| Some(*refused) == seq).map(|(_, why)| *why)
    }

    /// Lets a signal wait.
    pub(super) fn park(&mut self, now: Moment, seq: u64, signal: Signal) {
        self.parked_bytes += signal.data.get().len();
        self.parked.insert(seq, signal);
        self.parked_until.get_or_insert(now + PARKED_PATIENCE);
    }

    /// The next signal that waits no longer.
    pub(super) fn take_next(&mut self, now: Moment) -> Option<Signal> {
        let signal = self.parked.remove(&(self.last_seq + 1))?;
        self.parked_bytes -= signal.data.get().len();
        // Those behind the next hole have their own patience.
        self.parked_until = (!self.parked.is_empty()).then_some(now + PARKED_PATIENCE);
        Some(signal)
    }

    /// Forgets what waits: its sender begins anew behind the last number.
    pub(super) fn restart(&mut self) {
        self.parked.clear();
        (self.parked_until, self.parked_bytes) = (None, 0);
    }

    /// When the patience with a hole ends.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.parked_until
    }

    /// See [`super::Rooms::audit`].
    pub(super) fn audit(&self) -> Result<(), String> {
        let bytes: usize = self.parked.values().map(|signal| signal.data.get().len()).sum();
        require(bytes == self.parked_bytes && bytes <= PARKED_BYTES_MAX, "parked bytes are counted and bounded")?;
        let is_ahead = |seq: &u64| *seq > self.last_seq + 1 && *seq <= self.last_seq + SIGNALS_AHEAD_MAX;
        require(self.parked.keys().all(is_ahead), "what is parked waits for something")?;
        require(self.parked.is_empty() == self.parked_until.is_none(), "what is parked does not wait for ever")
    }

    /// Gives up what waits behind a hole.
    pub(super) fn give_up(&mut self) -> Vec<Signal> {
        (self.parked_until, self.parked_bytes, self.is_broken) = (None, 0, true);
        std::mem::take(&mut self.parked).into_values().collect()
    }
}

/// A rate limit: the generic cell rate algorithm (ITU-T I.371), one number of state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    full_until: Moment,
}

impl Bucket {
    /// Takes `count` of `per_second`, of which `burst` may come at once; else says how long to wait.
    pub(super) fn take(&mut self, now: Moment, count: u32, per_second: u32, burst: u32) -> Result<(), Duration> {
        let one = Duration::from_secs(1) / per_second;
        let after = self.full_until.max(now) + one * count;
        let ahead = after - now;
        match ahead.checked_sub(one * burst) {
            None | Some(Duration::ZERO) => {
                self.full_until = after;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::default();
        let start = Moment(1_000_000);
        assert_eq!(bucket.take(start, 200, 50, 200), Ok(()));
        assert_eq!(bucket.take(start, 1, 50, 200), Err(Duration::from_millis(20)));
        assert_eq!(bucket.take(start + Duration::from_millis(20), 1, 50, 200), Ok(()));
        assert!(bucket.take(start + Duration::from_secs(60), 201, 50, 200).is_err());
    }
}
