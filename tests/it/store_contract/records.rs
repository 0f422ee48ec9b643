//! Cases about what all records share: they share the database with the log and its troubles.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use santral::ports::event_log::{EventQuery, NewEvent};
use santral::ports::settings::StoredSetting;
use santral::ports::store::{Durability, StoreError};
use santral::store::{Records, StoreOptions, open_records};
use santral_core::entry::Timestamp;
use santral_schema::event_log::{EventLevel, EventType};

use super::place::{Place, append_one, eventually, everything};

fn setting(key: &str) -> StoredSetting {
    StoredSetting {
        key: key.to_owned(),
        value_json: "1".to_owned(),
        description: None,
        updated_by: None,
        updated_at: Timestamp(0),
    }
}

fn put(records: &Records, key: &str) -> Result<(), StoreError> {
    records.settings().put_setting(&setting(key))
}

fn keys(records: &Records) -> Vec<String> {
    let settings = records.settings().settings().expect("no trouble");
    settings.into_iter().map(|setting| setting.key).collect()
}

fn event() -> NewEvent {
    NewEvent {
        at: Timestamp(0),
        level: EventLevel::Info,
        kind: EventType::Connected,
        actor: None,
        message: String::new(),
        details_json: None,
        request_id: None,
    }
}

pub(super) fn a_lock_held_by_somebody_else_makes_records_busy(place: &Place) {
    let log = place.open();
    put(&log.records, "a").expect("no trouble");
    let mut stranger = place.stranger();
    match place.is_sqlite() {
        true => stranger.execute("BEGIN EXCLUSIVE"),
        false => stranger.execute("BEGIN; LOCK TABLE server_settings IN SHARE MODE"),
    }
    assert_eq!(put(&log.records, "b"), Err(StoreError::Busy));
    assert_eq!(keys(&log.records), ["a"], "readers go on");
    stranger.execute("COMMIT");
    put(&log.records, "c").expect("it is over");
    assert_eq!(keys(&log.records), ["a", "c"], "nothing was half done");
}

/// The same threads that a server has, as fast as they can.
pub(super) fn records_and_the_log_are_written_at_the_same_time(place: &Place) {
    let mut log = place.open();
    let records = &log.records.clone();
    let is_over = &AtomicBool::new(false);
    let stored = thread::scope(|scope| {
        let events = scope.spawn(move || {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                count += records.events().append(&vec![event(); 50]).expect("the log's writer holds up nobody").len();
            }
            count
        });
        let settings = scope.spawn(move || {
            for number in 0..50 {
                put(records, &format!("k{number}")).expect("neither do events");
            }
        });
        for _ in 0..200 {
            append_one(&mut log.writer, "a", "1");
        }
        settings.join().expect("no panic");
        is_over.store(true, Ordering::Relaxed);
        events.join().expect("no panic")
    });
    assert_eq!((everything(&log.reader).len(), keys(&log.records).len()), (200, 50));
    let query = EventQuery { limit: usize::MAX, ..EventQuery::default() };
    assert_eq!(log.records.events().read(&query).map(|events| events.len()), Ok(stored));
}

pub(super) fn a_command_opens_records_beside_a_running_server(place: &Place) {
    let log = place.open();
    put(&log.records, "a").expect("no trouble");
    let options = StoreOptions { url: place.url().to_owned(), durability: Durability::Disk, readers: 1 };
    let beside = open_records(&options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(keys(&beside), ["a"]);
    put(&beside, "b").expect("no trouble");
    assert_eq!(keys(&log.records), ["a", "b"]);
}

#[test]
fn records_of_a_file_that_is_gone_fail_until_it_is_back() {
    let place = Place::sqlite();
    let log = place.open();
    put(&log.records, "a").expect("no trouble");
    let here = |suffix: &str| format!("{}{suffix}", place.file().display());
    let suffixes = ["", "-wal", "-shm"];
    for suffix in suffixes {
        fs::rename(here(suffix), here(&format!("{suffix}.elsewhere"))).expect("it is there while it is open");
    }
    for _ in 0..2 {
        assert_eq!(put(&log.records, "lost"), Err(StoreError::Failed));
        assert_eq!(log.records.settings().settings(), Err(StoreError::Failed));
    }
    for suffix in suffixes {
        fs::rename(here(&format!("{suffix}.elsewhere")), here(suffix)).expect("it was moved above");
    }
    eventually("a write after the trouble", || put(&log.records, "b").ok());
    assert_eq!(keys(&log.records), ["a", "b"]);
}
