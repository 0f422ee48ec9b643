//! Cases about retention: by count, by age, in slices, and clocks that lie.

use std::time::Duration;

use santral::ports::store::{Append, Pruned, Retention};
use santral::store::Opened;
use santral_core::entry::Timestamp;
use santral_core::limits::{IDEMPOTENCY_KEY_LIFETIME, PRUNE_ROWS_MAX};
use santral_core::position::Offset;

use super::place::{Place, all_of, append, append_one, everything, key, message, now, offsets, plain};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const FOREVER: Duration = Duration::MAX;

fn later(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp(at.0 + i64::try_from(by.as_micros()).expect("a short time"))
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp(at.0 - i64::try_from(by.as_micros()).expect("a short time"))
}

fn prune(log: &mut Opened, entries_max: u64, age_max: Duration, now: Timestamp) -> Pruned {
    let pruned = log.writer.prune(Retention { entries_max, age_max }, now).expect("it can be pruned");
    assert_eq!(log.reader.state().expect("it can be read"), pruned.state);
    pruned
}

fn add(log: &mut Opened, count: usize, at: Timestamp) {
    append(&mut log.writer, &[Append { publications: vec![message("a", "1"); count], at, key: None }]);
}

fn kept(log: &Opened) -> (Option<Offset>, usize) {
    let entries = everything(&log.reader);
    (offsets(&entries).first().copied(), entries.len())
}

pub(super) fn the_oldest_entries_go_in_slices(place: &Place) {
    let mut log = place.open();
    add(&mut log, PRUNE_ROWS_MAX * 2 + 50, now());
    let head = log.reader.state().expect("it can be read").head;
    let slice = PRUNE_ROWS_MAX as Offset;
    let outcome = |pruned: Pruned| (pruned.state.trimmed_to, pruned.more);
    assert_eq!(outcome(prune(&mut log, head, FOREVER, now())), (0, false), "nothing is too much");
    assert_eq!(outcome(prune(&mut log, 10, FOREVER, now())), (slice, true));
    assert_eq!(kept(&log), (Some(slice + 1), PRUNE_ROWS_MAX + 50));
    assert_eq!(outcome(prune(&mut log, 10, FOREVER, now())), (2 * slice, true));
    assert_eq!(outcome(prune(&mut log, 10, FOREVER, now())), (head - 10, false));
    assert_eq!(outcome(prune(&mut log, 10, FOREVER, now())), (head - 10, false));
    assert_eq!(kept(&log), (Some(head - 9), 10));
    let page = log.reader.page(&all_of(&["a"])).expect("it can be read");
    assert_eq!((page.trimmed_to, page.reached), (head - 10, head), "a reader learns what it missed");
}

pub(super) fn old_entries_go_and_young_ones_stay(place: &Place) {
    let mut log = place.open();
    let now = now();
    add(&mut log, PRUNE_ROWS_MAX + 10, earlier(now, DAY));
    add(&mut log, 5, earlier(now, HOUR / 2));
    let slice = PRUNE_ROWS_MAX as Offset;
    let pruned = prune(&mut log, 1_000_000, HOUR, now);
    assert_eq!((pruned.state.trimmed_to, pruned.more), (slice, true));
    let pruned = prune(&mut log, 1_000_000, HOUR, now);
    assert_eq!((pruned.state.trimmed_to, pruned.more), (slice + 10, false));
    assert_eq!(kept(&log), (Some(slice + 11), 5));
}

pub(super) fn a_clock_that_jumps_deletes_nothing(place: &Place) {
    let mut log = place.open();
    let now = now();
    add(&mut log, 10, now);
    for ahead in [YEAR, YEAR * 2, DAY, Duration::from_secs(3 * 60 * 60)] {
        assert_eq!(prune(&mut log, 1_000_000, HOUR, later(now, ahead)).state.trimmed_to, 0, "{ahead:?}");
    }
    assert_eq!(prune(&mut log, 4, HOUR, later(now, YEAR)).state.trimmed_to, 6, "the count needs no clock");
    assert_eq!(prune(&mut log, 1_000_000, HOUR, now).state.trimmed_to, 6);
    // Also at the start, where only the entries tell the time.
    drop(log);
    let mut log = place.open();
    assert_eq!(prune(&mut log, 1_000_000, HOUR, later(now, YEAR)).state.trimmed_to, 6);
    assert_eq!(kept(&log), (Some(7), 4));
}

pub(super) fn an_entry_from_the_future_holds_up_nothing(place: &Place) {
    let mut log = place.open();
    let now = now();
    add(&mut log, 2, earlier(now, DAY));
    add(&mut log, 1, later(now, YEAR));
    add(&mut log, 2, earlier(now, DAY));
    add(&mut log, 1, later(now, YEAR));
    add(&mut log, 1, now);
    // Its neighbours decide: it goes with the old ones behind it, and stays with the young ones.
    assert_eq!(prune(&mut log, 1_000_000, HOUR, now).state.trimmed_to, 5);
    assert_eq!(kept(&log), (Some(6), 2));
}

pub(super) fn expired_keys_are_deleted(place: &Place) {
    let mut log = place.open();
    let now = now();
    let keyed = |name: &str, at: Timestamp| Append { at, key: Some(key(name, 1)), ..plain("a", "1") };
    let old = earlier(now, IDEMPOTENCY_KEY_LIFETIME);
    append(&mut log.writer, &[keyed("old", old), keyed("older", earlier(old, HOUR)), keyed("young", now)]);
    assert_eq!(place.stranger().count("idempotency_keys"), 3);
    assert!(!prune(&mut log, 1_000_000, YEAR, now).more);
    assert_eq!(place.stranger().count("idempotency_keys"), 1);
}

/// INV-1.
pub(super) fn offsets_are_not_used_again_after_everything_was_deleted(place: &Place) {
    let mut log = place.open();
    add(&mut log, 7, now());
    let pruned = prune(&mut log, 0, FOREVER, now());
    assert_eq!((pruned.state.trimmed_to, pruned.state.head, pruned.more), (7, 7, false));
    assert_eq!(kept(&log), (None, 0));
    drop(log);
    let mut log = place.open();
    assert_eq!((log.state.head, log.state.trimmed_to), (7, 7));
    assert_eq!(append_one(&mut log.writer, "a", "1"), 8);
}
