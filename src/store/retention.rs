//! Retention: deletes old entries in bounded slices, and keys past their lifetime.
//!
//! Entries leave from the front of the log only, so one number, `trimmed_to`, says what is gone.
//! The count is exact. The age is judged with care, because a clock that jumps ahead must not
//! empty the log: see [`ClockGuard`] and [`first_young`].

use std::time::{Duration, Instant};

use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::limits::PRUNE_ROWS_MAX;
use santral_core::position::Offset;

use super::database::Database;
use super::error::Trouble;
use super::idempotency;
use super::log_state::{self, to_column};
use super::schema::messages;
use crate::ports::store::{LogState, Pruned, Retention};

/// Deletes one slice. `now` is `None` while the clock is not trusted: then only the count decides.
pub(super) fn prune(
    database: &mut Database,
    state: LogState,
    retention: Retention,
    now: Option<Timestamp>,
) -> Result<Pruned, Trouble> {
    let keys_left = match now {
        Some(now) => idempotency::prune(database, now, PRUNE_ROWS_MAX)?,
        None => false,
    };
    let Some(slice) = slice(database, state)? else {
        return Ok(Pruned { state, more: keys_left });
    };
    let by_count = state.head.saturating_sub(retention.entries_max);
    let by_age = match now {
        Some(now) => last_old(database, slice, now, retention.age_max)?,
        None => 0,
    };
    let wanted = by_count.max(by_age);
    let cut = wanted.min(slice.last);
    if cut < slice.first {
        return Ok(Pruned { state, more: keys_left });
    }
    diesel::delete(messages::table.filter(messages::offset.le(to_column(cut)?))).execute(database)?;
    log_state::set_trimmed_to(database, cut)?;
    // Where the whole slice was old, so may be what follows.
    let more = keys_left || wanted > cut || (cut == slice.last && cut < state.head);
    Ok(Pruned { state: LogState { trimmed_to: cut, ..state }, more })
}

/// The time of the newest entry, if there is one.
pub(super) fn newest_time(database: &mut Database) -> Result<Option<Timestamp>, Trouble> {
    let newest: Option<i64> =
        messages::table.order(messages::offset.desc()).select(messages::created_at).first(database).optional()?;
    Ok(newest.map(Timestamp))
}

/// Offsets that one slice may delete.
#[derive(Debug, Clone, Copy)]
struct Slice {
    first: Offset,
    last: Offset,
}

/// Starts at the first row that is there, so that offsets which nobody has cost nothing.
fn slice(database: &mut Database, state: LogState) -> Result<Option<Slice>, Trouble> {
    let first: Option<i64> =
        messages::table.order(messages::offset).select(messages::offset).first(database).optional()?;
    let first = first.map(|offset| Offset::try_from(offset).unwrap_or(0)).filter(|first| *first <= state.head);
    Ok(first.map(|first| Slice { first, last: state.head.min(first + PRUNE_ROWS_MAX as Offset - 1) }))
}

/// The last offset that is too old, 0 if none is.
fn last_old(database: &mut Database, slice: Slice, now: Timestamp, age_max: Duration) -> Result<Offset, Trouble> {
    let age_max = i64::try_from(age_max.as_micros()).unwrap_or(i64::MAX);
    let oldest_kept = now.0.saturating_sub(age_max);
    let end = match first_young(database, slice, oldest_kept, now)? {
        Some(young) => young - 1,
        None => to_column(slice.last)?,
    };
    let last: Option<i64> = messages::table
        .filter(messages::offset.between(to_column(slice.first)?, end))
        .filter(messages::created_at.lt(oldest_kept))
        .order(messages::offset.desc())
        .select(messages::offset)
        .first(database)
        .optional()?;
    Ok(last.map_or(0, i64::unsigned_abs))
}

/// The first entry that must stay. One from the future tells nothing, because the clock was wrong
/// when it was written: it goes when its neighbours go.
fn first_young(
    database: &mut Database,
    slice: Slice,
    oldest_kept: i64,
    now: Timestamp,
) -> Result<Option<i64>, Trouble> {
    let newest_believed = now.0.saturating_add(micros(JUMP));
    Ok(messages::table
        .filter(messages::offset.between(to_column(slice.first)?, to_column(slice.last)?))
        .filter(messages::created_at.between(oldest_kept, newest_believed))
        .order(messages::offset)
        .select(messages::offset)
        .first(database)
        .optional()?)
}

/// Decides whether the wall clock may be believed.
///
/// It is compared with the monotonic clock, or at the start with the newest entry. When it is more
/// than an hour ahead of what that predicts, it is believed only after it has gone on steadily
/// for an hour: a server that was off for weeks prunes an hour later, and a clock that was wrong
/// for less than an hour deletes nothing.
#[derive(Debug, Default)]
pub(super) struct ClockGuard {
    trusted: Option<Reading>,
    doubted: Option<Reading>,
}

/// Both clocks at the same moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    monotonic: Instant,
}

impl Reading {
    /// How far ahead the wall clock is of what this reading predicts, in microseconds.
    fn ahead(&self, wall: Timestamp, monotonic: Instant) -> i64 {
        let passed = micros(monotonic.saturating_duration_since(self.monotonic));
        wall.0.saturating_sub(self.wall.0.saturating_add(passed))
    }
}

impl ClockGuard {
    /// Whether `wall` may be believed now.
    pub(super) fn check(&mut self, wall: Timestamp, newest: Option<Timestamp>, monotonic: Instant) -> bool {
        let reading = Reading { wall, monotonic };
        let trusted = *self.trusted.get_or_insert(Reading { wall: newest.unwrap_or(wall), monotonic });
        let has_proved = self.doubted.is_some_and(|doubted| {
            let is_steady = doubted.ahead(wall, monotonic).abs() <= micros(JUMP);
            is_steady && monotonic.saturating_duration_since(doubted.monotonic) >= PROBATION
        });
        if trusted.ahead(wall, monotonic) <= micros(JUMP) || has_proved {
            *self = Self { trusted: Some(reading), doubted: None };
            return true;
        }
        let is_known = self.doubted.is_some_and(|doubted| doubted.ahead(wall, monotonic).abs() <= micros(JUMP));
        if !is_known {
            log::warn!("the clock jumped ahead: nothing is deleted by age until it has been steady for an hour");
            self.doubted = Some(reading);
        }
        false
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How far the clock may be ahead without doubt: time servers correct less in one step.
const JUMP: Duration = Duration::from_secs(60 * 60);

/// How long a clock that jumped must be steady.
const PROBATION: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn at(duration: Duration) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + micros(duration))
    }

    #[test]
    fn a_steady_clock_is_believed() {
        let (mut guard, start) = (ClockGuard::default(), Instant::now());
        for hours in 0..100 {
            assert!(guard.check(at(HOUR * hours), None, start + HOUR * hours));
        }
        assert!(guard.check(at(HOUR), None, start + HOUR * 100), "a clock that goes back deletes nothing");
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_doubted_until_it_was_steady_for_an_hour() {
        let (mut guard, start) = (ClockGuard::default(), Instant::now());
        assert!(guard.check(at(Duration::ZERO), None, start));
        assert!(!guard.check(at(YEAR), None, start));
        assert!(!guard.check(at(YEAR + HOUR / 2), None, start + HOUR / 2));
        assert!(!guard.check(at(YEAR * 2), None, start + HOUR), "a second jump starts another hour");
        assert!(!guard.check(at(YEAR * 2 + HOUR / 2), None, start + HOUR * 3 / 2));
        assert!(guard.check(at(YEAR * 2 + HOUR), None, start + HOUR * 2));
    }

    #[test]
    fn a_clock_that_comes_back_is_believed_at_once() {
        let (mut guard, start) = (ClockGuard::default(), Instant::now());
        assert!(guard.check(at(Duration::ZERO), None, start));
        assert!(!guard.check(at(YEAR), None, start + HOUR / 2));
        assert!(guard.check(at(HOUR), None, start + HOUR));
        assert!(!guard.check(at(YEAR), None, start + HOUR * 9), "the old doubt is forgotten");
    }

    #[test]
    fn at_the_start_the_newest_entry_is_the_witness() {
        let start = Instant::now();
        assert!(ClockGuard::default().check(at(YEAR), None, start), "an empty log has nothing to lose");
        assert!(ClockGuard::default().check(at(HOUR / 2), Some(at(Duration::ZERO)), start));
        let mut guard = ClockGuard::default();
        assert!(!guard.check(at(YEAR), Some(at(Duration::ZERO)), start));
        assert!(guard.check(at(YEAR + HOUR), Some(at(YEAR + HOUR)), start + HOUR));
    }
}
