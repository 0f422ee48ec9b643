//! Cases about appends: offsets, what is stored, keys, several writers, epochs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use santral::ports::store::{Append, Appended, Durability, HistoryQuery, LogReader, PageQuery, StoreError};
use santral_core::entry::{Publication, Sender, Timestamp};
use santral_core::limits::IDEMPOTENCY_KEY_LIFETIME;
use santral_core::names::{ChannelName, ConnectionId, EventName, Selector};
use santral_core::namespace::Namespace;
use santral_core::position::Position;
use santral_core::unless::Unless;

use super::place::{
    Place, all_of, append, append_one, channel, eventually, everything, key, message, now, offsets, plain, stored,
};

/// INV-1.
pub(super) fn offsets_are_consecutive_over_batches_and_restarts(place: &Place) {
    let mut log = place.open();
    assert_eq!((log.state.head, log.state.trimmed_to), (0, 0));
    let batch = |count: usize| Append { publications: vec![message("a", "1"); count], at: now(), key: None };
    let appended = append(&mut log.writer, &[batch(1), batch(3), batch(2_500), batch(1)]);
    let all: Vec<_> = appended.iter().flat_map(stored).collect();
    assert_eq!(all, (1..=2_505).collect::<Vec<_>>());
    let Appended::Stored(entries) = &appended[1] else { panic!("stored as it was shown above") };
    assert_eq!(entries[0].position(), Some(Position::new(log.state.epoch, 2)));

    drop(log);
    let mut log = place.open();
    assert_eq!(log.state.head, 2_505);
    assert_eq!(append_one(&mut log.writer, "a", "1"), 2_506);
    assert_eq!(log.reader.state().expect("it can be read").head, 2_506);
    assert_eq!(offsets(&everything(&log.reader)), (1..=2_506).collect::<Vec<_>>());
}

pub(super) fn what_was_published_is_read_back_byte_for_byte(place: &Place) {
    let mut log = place.open();
    let connection = |text: &str| ConnectionId::parse(&text.repeat(22)).expect("22 characters");
    let texts = [
        r#"{"a": "\"quoted\" \\ back\/slash \u0000 \n"}"#.to_owned(),
        "\"\u{2028}\u{2029}\u{7f}\u{85}\u{feff}\u{10ffff}\u{fffd}\"".to_owned(),
        "\"Yeni güncelleme mevcut! 👩‍👩‍👧 عربى ' ; -- %_ $1 ?1\"".to_owned(),
        "[1.0e+300,-0,\"\",null,{}]".to_owned(),
        (0x20..0x3000).filter_map(char::from_u32).filter(|c| !"\"\\".contains(*c)).fold(
            "\"".to_owned(),
            |mut text, c| {
                text.push(c);
                text
            },
        ) + "\"",
        format!("\"{}\"", "x".repeat(65_534)),
    ];
    let publications: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(number, data)| Publication {
            data: data.as_str().into(),
            event: (number % 2 == 0).then(|| EventName::parse("order.created").expect("a valid name")),
            from: Sender {
                user: (number % 3 == 0).then(|| "Ada ' Łukasz \u{2028}".into()),
                connection: (number % 3 == 1).then(|| connection("c")),
            },
            unless: unless_of(number),
            spread: number % 4 == 1,
            ..message("a.b:c@d/e_f-9", "")
        })
        .collect();
    let at = Timestamp(1_731_000_000_123_457);
    append(&mut log.writer, &[Append { publications: publications.clone(), at, key: None }]);

    let read = everything(&log.reader);
    let found: Vec<_> = read.iter().map(|entry| entry.publication().clone()).collect();
    assert_eq!(found, publications);
    assert!(read.iter().all(|entry| entry.at() == at), "times are exact to the microsecond");
    let at = Timestamp(-1);
    append(&mut log.writer, &[Append { publications: vec![message("a", "1")], at, key: None }]);
    assert_eq!(everything(&log.reader).last().map(|entry| entry.at()), Some(at));
}

/// One connection, several, channels, all together, nobody.
fn unless_of(number: usize) -> Option<Arc<Unless>> {
    let connection = |text: &str| ConnectionId::parse(&text.repeat(22)).expect("22 characters");
    match number {
        0 => Some(Unless::connection(connection("-"))),
        1 => Some(Arc::new(Unless { connections: ["-", "c"].map(connection).into(), ..Unless::default() })),
        2 => Some(Arc::new(Unless { channels: ["a", "user:ada"].map(channel).into(), ..Unless::default() })),
        3 => Unless::of_copies(&[channel("a")], vec![connection("-")], vec![channel("b")]).next().flatten(),
        _ => None,
    }
}

/// Copies of one message stand together in the log; the store remembers only how many.
pub(super) fn copies_of_a_message_know_each_other_again(place: &Place) {
    let mut log = place.open();
    let chat = Namespace::parse("/chat").expect("a namespace");
    let names = ["b", "a", "user:ada", "c"].map(channel);
    let names: Vec<_> = names.into_iter().chain([ChannelName::in_namespace(&chat, &channel("a"))]).collect();
    let copies = |data: &str| {
        let unless = Unless::of_copies(&names, Vec::new(), vec![channel("x")]);
        let copy = |(name, unless): (&ChannelName, _)| Publication { unless, ..Publication::new(name.clone(), data) };
        names.iter().zip(unless).map(copy).collect::<Vec<_>>()
    };
    let publications: Vec<_> = [copies("1"), vec![message("a", "2")], copies("3")].concat();
    append(&mut log.writer, &[Append { publications: publications.clone(), at: now(), key: None }]);
    let read = |query: PageQuery| {
        let page = log.reader.page(&query).expect("it can be read");
        page.entries.iter().map(|entry| entry.publication().clone()).collect::<Vec<_>>()
    };
    assert_eq!(read(all_of(&[])), publications);
    let of_c: Vec<_> = publications.iter().filter(|publication| publication.channel == channel("c")).cloned().collect();
    assert_eq!(read(all_of(&["c"])), of_c, "the other copies are known though they are not on the page");
    let query = HistoryQuery { channel: channel("c"), before: None, since: None, limit: 9 };
    let (history, _) = log.reader.history(&query).expect("it can be read");
    assert!(history.iter().rev().map(|entry| entry.publication()).eq(&of_c));
    // The names count as what a page holds.
    let narrow = PageQuery { bytes_max: 6, ..all_of(&["a", "c"]) };
    assert_eq!(read(narrow).len(), 1);

    // Retention has removed the first two copies: they leave nobody out any more.
    place.execute("DELETE FROM messages WHERE \"offset\" <= 2");
    let rest = read(all_of(&["c"]));
    let unless = rest[0].unless.as_ref().and_then(|unless| unless.copy.as_ref()).expect("it is a copy");
    let back = |name: &str| unless.back_to(&Selector::Channel(channel(name)));
    assert_eq!((back("user:ada"), back("a"), back("b")), (Some(1), None, None));
}

/// A row that somebody inserted by hand stands in the way of the third entry.
pub(super) fn an_append_that_fails_leaves_nothing_behind(place: &Place) {
    let mut log = place.open();
    place.execute("INSERT INTO messages (\"offset\", channel, data, created_at) VALUES (3, 'x', '1', 0)");
    let batch = Append { publications: vec![message("a", "1"); 4], at: now(), key: Some(key("k", 1)) };
    let other = plain("b", "1");
    assert_eq!(log.writer.append(&[other, batch.clone()]).err(), Some(StoreError::Failed));
    let names = |reader: &Arc<dyn LogReader>| -> Vec<String> {
        everything(reader).iter().map(|entry| entry.publication().channel.to_string()).collect()
    };
    assert!(names(&log.reader).is_empty(), "nothing of either append is there");
    let appended = append(&mut log.writer, &[batch]);
    assert_eq!(stored(&appended[0]), [4, 5, 6, 7], "the key was not remembered, the foreign offset is not reused");
    assert_eq!(names(&log.reader), ["x", "a", "a", "a", "a"]);
}

pub(super) fn a_repeated_key_stores_nothing(place: &Place) {
    let mut log = place.open();
    let keyed = |name: &str, fingerprint: u8, count: usize| Append {
        publications: vec![message("a", "1"); count],
        at: now(),
        key: Some(key(name, fingerprint)),
    };
    let of_another = |mut append: Append| {
        append.key.as_mut().expect("it has a key").principal = "bob".into();
        append
    };
    let outcome = |appended: &Appended| match appended {
        Appended::Stored(entries) => format!("stored {:?}", offsets(entries)),
        Appended::Repeated { first, count } => format!("repeated {first} {count}"),
        Appended::KeyReused => "reused".to_owned(),
    };
    let outcomes = |appended: Vec<Appended>| appended.iter().map(outcome).collect::<Vec<_>>();

    let appends = [
        keyed("k", 1, 2),
        plain("a", "1"),
        keyed("k", 1, 2),
        keyed("k", 2, 1),
        of_another(keyed("k", 2, 1)),
        keyed("K", 3, 1),
    ];
    let found = outcomes(append(&mut log.writer, &appends));
    assert_eq!(found, ["stored [1, 2]", "stored [3]", "repeated 1 2", "reused", "stored [4]", "stored [5]"]);
    drop(log);
    let mut log = place.open();
    let found = outcomes(append(&mut log.writer, &appends));
    assert_eq!(found, ["repeated 1 2", "stored [6]", "repeated 1 2", "reused", "repeated 4 1", "repeated 5 1"]);
    let many: Vec<_> = (0..1_500).map(|number| keyed(&format!("many {number} % ' \u{2028}"), 1, 1)).collect();
    let first = append(&mut log.writer, &many);
    assert!(first.iter().all(|appended| matches!(appended, Appended::Stored(_))));
    let again = append(&mut log.writer, &many);
    assert_eq!(outcome(&again[1_499]), "repeated 1506 1");
    assert!(again.iter().all(|appended| matches!(appended, Appended::Repeated { .. })));
    assert_eq!(log.reader.state().expect("it can be read").head, 1_506);
}

pub(super) fn a_key_counts_for_24_hours(place: &Place) {
    let mut log = place.open();
    let day = i64::try_from(IDEMPOTENCY_KEY_LIFETIME.as_micros()).expect("24 hours");
    let start = now();
    let mut publish = |after: i64| {
        let at = Timestamp(start.0 + after);
        append(&mut log.writer, &[Append { at, key: Some(key("k", 1)), ..plain("a", "1") }]).remove(0)
    };
    assert_eq!(stored(&publish(0)), [1]);
    assert!(matches!(publish(day - 1), Appended::Repeated { first: 1, count: 1 }));
    assert_eq!(stored(&publish(day)), [2], "the key is free again");
    assert!(matches!(publish(day + 1), Appended::Repeated { first: 2, count: 1 }));
}

/// INV-1: a reader that sees an offset sees every smaller one.
pub(super) fn two_writers_commit_in_offset_order(place: &Place) {
    const APPENDS: usize = 60;
    let log = place.open();
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = ["ada", "bob"]
            .into_iter()
            .map(|name| {
                let mut log = place.open();
                scope.spawn(move || {
                    for number in 0..APPENDS {
                        let publications = vec![message(name, "1"); 1 + number % 7];
                        let batch = Append { publications, at: now(), key: None };
                        // Two writers on one SQLite file may be in each other's way for a moment.
                        let appended = eventually("an append", || log.writer.append(std::slice::from_ref(&batch)).ok());
                        let offsets = stored(&appended[0]);
                        assert!(offsets.windows(2).all(|pair| pair[1] == pair[0] + 1), "a batch is in one piece");
                    }
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            let mut seen = 0;
            let mut is_last = false;
            while !is_last {
                is_last = has_ended.load(Ordering::Acquire);
                let Ok(page) = log.reader.page(&all_of(&[])) else { continue };
                let found = offsets(&page.entries);
                assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "no hole, in no snapshot");
                assert_eq!(page.reached, found.len() as u64);
                assert!(found.len() >= seen, "nothing vanishes");
                seen = found.len();
            }
            seen
        });
        let ended: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        has_ended.store(true, Ordering::Release);
        assert!(ended.iter().all(Result::is_ok), "both writers came to their end");
        let per_writer: usize = (0..APPENDS).map(|number| 1 + number % 7).sum();
        assert_eq!(watcher.join().expect("the reader came to its end"), 2 * per_writer);
    });
}

pub(super) fn of_two_writers_with_the_same_key_one_stores(place: &Place) {
    let log = place.open();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut log = place.open();
            scope.spawn(move || {
                for number in 0..40 {
                    let keyed = Append { key: Some(key(&format!("key {number}"), 1)), ..plain("a", "1") };
                    eventually("an append", || log.writer.append(std::slice::from_ref(&keyed)).ok());
                }
            });
        }
    });
    assert_eq!(everything(&log.reader).len(), 40);
}

pub(super) fn the_epoch_is_stable_and_every_log_has_its_own(place: &Place) {
    let epoch = place.open().state.epoch;
    for durability in [Durability::Os, Durability::Os, Durability::Disk, Durability::Disk] {
        let mut log = place.open_with(durability);
        assert_eq!(log.state.epoch, epoch);
        append_one(&mut log.writer, "a", "1");
        assert_eq!(log.reader.state().expect("it can be read").epoch, epoch);
    }
    // Of 2^32 epochs two are the same once in a blue moon, but not twice in a row.
    let others = [place.another(), place.another()].map(|other| other.open().state.epoch);
    assert!(others.iter().any(|other| *other != epoch));
}

/// INV-3: with `durability=os` a power cut may take acknowledged entries, whose offsets are used
/// again. A fresh epoch tells every client.
pub(super) fn entries_that_may_be_lost_end_the_epoch(place: &Place) {
    let mut log = place.open_with(Durability::Os);
    let epoch = log.state.epoch;
    append_one(&mut log.writer, "a", "1");
    assert_eq!(place.stranger().count("log_state WHERE unsynced_boot IS NOT NULL"), 1);
    // The server was killed, the machine went on: a second start while the mark is set.
    assert_eq!(place.open_with(Durability::Os).state.epoch, epoch);
    // That second one ended cleanly and took back the mark; the first one notices.
    assert_eq!(place.stranger().count("log_state WHERE unsynced_boot IS NULL"), 1);
    eventually("an append that sets the mark again", || log.writer.append(&[plain("a", "1")]).ok());
    assert_eq!(place.stranger().count("log_state WHERE unsynced_boot IS NOT NULL"), 1);
    drop(log);
    assert_eq!(place.stranger().count("log_state WHERE unsynced_boot IS NULL"), 1, "a clean end syncs");

    for durability in [Durability::Disk, Durability::Os] {
        let before = place.open_with(Durability::Disk).state;
        place.execute("UPDATE log_state SET unsynced_boot = 'another boot'");
        let log = place.open_with(durability);
        assert_ne!(log.state.epoch, before.epoch);
        assert_eq!(log.state.head, before.head);
        drop(log);
        assert_ne!(place.open_with(durability).state.epoch, before.epoch);
    }
}

/// What whoever restores a backup does (decision 0011).
pub(super) fn a_cleared_state_starts_a_fresh_epoch_behind_the_last_entry(place: &Place) {
    let mut log = place.open();
    let epoch = log.state.epoch;
    for _ in 0..3 {
        append_one(&mut log.writer, "a", "1");
    }
    drop(log);
    place.execute("DELETE FROM log_state");
    let mut log = place.open();
    assert_eq!(log.state.head, 3);
    // Of 2^32 epochs the same one may come again, once in a blue moon.
    assert_ne!(log.state.epoch, epoch);
    assert_eq!(append_one(&mut log.writer, "a", "1"), 4);
    assert_eq!(offsets(&everything(&log.reader)), [1, 2, 3, 4]);
}
