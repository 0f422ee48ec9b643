//! Cases about reading: pages, history, the list of channels, rows that are no entries.

use std::sync::Arc;

use santral::ports::store::{Append, HistoryQuery, LogPage, PageQuery, Retention};
use santral_core::entry::Entry;
use santral_core::names::{ChannelName, Selector};
use santral_core::position::Offset;

use super::place::{Place, all_of, append, append_one, channel, everything, message, now, offsets};

/// Small, seeded, good enough to mix cases.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

const NAMES: [&str; 12] = [
    "broadcast",
    "orders.1",
    "orders.2",
    "orders.10",
    "orders",
    "orders_1",
    "ordersX",
    "u",
    "user",
    "user:ada",
    "user:b",
    "zz",
];

fn fill(place: &Place, random: &mut Random, count: usize) -> santral::store::Opened {
    let mut log = place.open();
    let publications = (0..count).map(|_| {
        // Many channels below one prefix, so that both ways to search are taken.
        let name = match random.below(3) {
            0 => format!("room:{}", random.below(200)),
            _ => random.pick(&NAMES).to_owned(),
        };
        message(&name, &format!("\"{}\"", "x".repeat(random.below(300))))
    });
    let publications = publications.collect();
    append(&mut log.writer, &[Append { publications, at: now(), key: None }]);
    log.state = log.reader.state().expect("it can be read");
    log
}

/// Follows `reached` to the end, as a client that catches up does.
fn read_to_end(log: &santral::store::Opened, query: &PageQuery) -> Vec<Offset> {
    let mut found = Vec::new();
    let mut after = query.after;
    loop {
        let page = log.reader.page(&PageQuery { after, ..query.clone() }).expect("it can be read");
        assert!(page.entries.len() <= query.entries_max);
        check_bytes(&page, query);
        found.extend(offsets(&page.entries));
        let end = query.upto.min(log.state.head);
        if page.reached >= end {
            return found;
        }
        assert!(page.reached > after, "each page gets further");
        assert_eq!(page.reached, *found.last().expect("a page that is not complete has entries"));
        after = page.reached;
    }
}

fn check_bytes(page: &LogPage, query: &PageQuery) {
    let bytes = |entries: &[Arc<Entry>]| entries.iter().map(|entry| entry.publication().data.len()).sum::<usize>();
    let but_last = page.entries.len().saturating_sub(1);
    assert!(but_last == 0 || bytes(&page.entries[..but_last]) < query.bytes_max);
}

pub(super) fn pages_hold_what_a_naive_reader_finds(place: &Place) {
    let random = &mut Random(7);
    let mut log = fill(place, random, 3_000);
    let retention = Retention { entries_max: 2_900, age_max: std::time::Duration::MAX };
    log.state = log.writer.prune(retention, now()).expect("it can be pruned").state;
    let all = everything(&log.reader);
    assert_eq!(all.len(), 2_900);
    let prefixes = ["", "orders", "orders.", "orders.1", "u", "user", "room:", "room:1", "room:19", "z", "none"];
    let mut compared = 0;
    while compared < 100 {
        let selectors: Vec<Selector> = (0..random.below(5))
            .map(|_| match random.below(2) {
                0 => Selector::Prefix(random.pick(&prefixes).into()),
                _ => Selector::Channel(channel(random.pick(&NAMES))),
            })
            .collect();
        let after = random.below(3_100) as Offset;
        let query = PageQuery {
            after,
            upto: after + random.below(3_000) as Offset,
            entries_max: random.pick(&[1, 2, 7, 100, 5_000]),
            bytes_max: random.pick(&[1, 1_000, 65_536]),
            selectors,
        };
        let expected: Vec<_> = all
            .iter()
            .filter(|entry| {
                let offset = entry.offset().expect("it is stored");
                let channel = &entry.publication().channel;
                let is_followed = query.selectors.iter().any(|selector| selector.matches(channel));
                offset > query.after && offset <= query.upto && (is_followed || query.selectors.is_empty())
            })
            .cloned()
            .collect();
        // A page costs PostgreSQL some round trips: a few dozen show as much as a thousand.
        let pages = expected.len() / query.entries_max + expected.len() / (1 + query.bytes_max / 150);
        if pages > 30 {
            continue;
        }
        compared += 1;
        assert_eq!(read_to_end(&log, &query), offsets(&expected), "{query:?}");
    }
}

pub(super) fn a_page_ends_at_its_limits(place: &Place) {
    let mut log = place.open();
    for number in 0..10 {
        append_one(&mut log.writer, if number % 2 == 0 { "a" } else { "b" }, "\"12345678\"");
    }
    let page = |query: PageQuery| {
        let page = log.reader.page(&query).expect("it can be read");
        (offsets(&page.entries), page.reached, page.trimmed_to)
    };
    assert_eq!(page(PageQuery { entries_max: 2, ..all_of(&["a"]) }), (vec![1, 3], 3, 0));
    assert_eq!(page(PageQuery { entries_max: 2, after: 3, upto: 6, ..all_of(&["a"]) }), (vec![5], 6, 0));
    assert_eq!(page(PageQuery { bytes_max: 0, ..all_of(&["b"]) }), (vec![2], 2, 0), "the first one always comes");
    assert_eq!(page(PageQuery { bytes_max: 10, ..all_of(&["b"]) }), (vec![2], 2, 0));
    assert_eq!(page(PageQuery { bytes_max: 11, ..all_of(&["b"]) }), (vec![2, 4], 4, 0));
    assert_eq!(page(PageQuery { bytes_max: 30, upto: 7, ..all_of(&["b"]) }).0, [2, 4, 6]);
    assert_eq!(page(PageQuery { upto: 9, ..all_of(&["none"]) }), (vec![], 9, 0));
    assert_eq!(page(PageQuery { entries_max: 5, upto: 9, ..all_of(&["a"]) }), (vec![1, 3, 5, 7, 9], 9, 0));
}

/// What lies behind the head may still come: a page must not claim to have read it.
pub(super) fn a_page_goes_no_further_than_the_head(place: &Place) {
    let mut log = place.open();
    let reached = |after: Offset, upto: Offset, log: &santral::store::Opened| {
        log.reader.page(&PageQuery { after, upto, ..all_of(&["a"]) }).expect("it can be read").reached
    };
    assert_eq!(reached(0, 100, &log), 0);
    append_one(&mut log.writer, "a", "1");
    append_one(&mut log.writer, "b", "1");
    assert_eq!(reached(0, 100, &log), 2);
    assert_eq!(reached(0, Offset::MAX, &log), 2);
    assert_eq!(reached(2, 2, &log), 2);
    assert_eq!(reached(50, 100, &log), 50, "a position from the future is answered, not searched");
}

pub(super) fn a_thousand_selectors_are_served(place: &Place) {
    let log = fill(place, &mut Random(3), 2_000);
    let all = everything(&log.reader);
    let numbers = 0..1_000;
    let channels: Vec<_> = numbers.clone().map(|number| format!("room:{number}")).collect();
    let prefixes: Vec<_> = numbers.clone().map(|number| format!("room:{number}*")).collect();
    let mixed: Vec<_> =
        numbers.map(|number| format!("r{}{number}*", if number % 2 == 0 { "oom:" } else { "" })).collect();
    for texts in [channels, prefixes, mixed] {
        let selectors: Vec<_> = texts.iter().map(|text| Selector::parse(text).expect("a valid selector")).collect();
        let follows = |channel: &ChannelName| selectors.iter().any(|selector| selector.matches(channel));
        let expected: Vec<_> = all.iter().filter(|entry| follows(&entry.publication().channel)).cloned().collect();
        let query = PageQuery { selectors: selectors.clone(), entries_max: 100, ..all_of(&[]) };
        assert!(expected.len() > 100);
        assert_eq!(read_to_end(&log, &query), offsets(&expected));
    }
}

pub(super) fn history_is_read_backwards(place: &Place) {
    let mut log = place.open();
    for number in 0..10 {
        append_one(&mut log.writer, if number % 2 == 0 { "a" } else { "ab" }, "1");
    }
    let history = |before: Option<Offset>, since: Option<Offset>, limit: usize| {
        let query = HistoryQuery { channel: channel("a"), before, since, limit };
        let (entries, state) = log.reader.history(&query).expect("it can be read");
        assert_eq!((state.head, state.epoch), (10, log.state.epoch));
        offsets(&entries)
    };
    assert_eq!(history(None, None, 100), [9, 7, 5, 3, 1]);
    assert_eq!(history(None, None, 2), [9, 7]);
    assert_eq!(history(Some(7), None, 2), [5, 3]);
    assert_eq!(history(None, Some(5), 100), [9, 7]);
    assert_eq!(history(Some(9), Some(3), 100), [7, 5]);
    assert!(history(Some(1), None, 100).is_empty());
    assert!(history(None, None, 0).is_empty());
}

pub(super) fn channels_are_listed_in_byte_order(place: &Place) {
    let mut log = place.open();
    for name in ["b", "a_x", "aBx", "a-x", "a", "a:x", "B", "a_x", "0", "a_", "user:ada"] {
        append_one(&mut log.writer, name, "1");
    }
    let list = |prefix: &str, after: Option<&str>, limit: usize| -> Vec<(String, Offset)> {
        let (found, state) = log.reader.channels(prefix, after, limit).expect("it can be read");
        assert_eq!(state.head, 11);
        found.into_iter().map(|summary| (summary.channel.to_string(), summary.last)).collect()
    };
    let names = |found: Vec<(String, Offset)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let all = ["0", "B", "a", "a-x", "a:x", "aBx", "a_", "a_x", "b", "user:ada"];
    assert_eq!(names(list("", None, 100)), all);
    assert_eq!(list("a_", None, 100), [("a_".to_owned(), 10), ("a_x".to_owned(), 8)], "an underscore is no wildcard");
    assert!(list("%", None, 100).is_empty());
    assert_eq!(names(list("a", Some("a:x"), 2)), ["aBx", "a_"]);
    assert_eq!(names(list("a", Some("a"), 1)), ["a-x"]);
    assert!(list("a", Some("b"), 100).is_empty(), "a cursor behind the prefix");
    assert_eq!(names(list("b", Some("a"), 100)), ["b"], "a cursor before the prefix");
    assert!(list("", None, 0).is_empty());
    let mut paged = Vec::new();
    while let Some(next) = names(list("", paged.last().map(String::as_str), 1)).pop() {
        paged.push(next);
    }
    assert_eq!(paged, all);
}

/// Anybody with access to the database may write nonsense: it ends nothing and reaches nobody.
pub(super) fn rows_that_are_no_entries_are_skipped(place: &Place) {
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let bad = [
        ("'no name'", "NULL", "'1'", "NULL"),
        ("''", "NULL", "'1'", "NULL"),
        ("'~'", "NULL", "'1'", "NULL"),
        ("'a'", "'santral:x'", "'1'", "NULL"),
        ("'$/chat'", "NULL", "'1'", "NULL"),
        ("'a'", "E'x\\ny'", "'1'", "NULL"),
        ("'a'", "NULL", "'{'", "NULL"),
        ("'a'", "NULL", "''", "NULL"),
        ("'a'", "NULL", "'1'", "'short'"),
    ];
    for (number, (name, event, data, connection)) in bad.into_iter().enumerate() {
        let event = event.replace("E'x\\ny'", "'x' || chr(10)");
        let event = if place.is_sqlite() { event.replace("chr(", "char(") } else { event };
        place.execute(&format!(
            "INSERT INTO messages (\"offset\", channel, event, data, sender_connection, created_at)
             VALUES ({}, {name}, {event}, {data}, {connection}, 0)",
            number + 2
        ));
    }
    let bad_options =
        ["{", "[1]", "1", r#"{"exceptChannels":["a b"]}"#, r#"{"exceptConnections":["-"]}"#, r#"{"copy":1}"#];
    for (number, options) in bad_options.into_iter().enumerate() {
        place.execute(&format!(
            "INSERT INTO messages (\"offset\", channel, data, options, created_at) VALUES ({}, 'a', '1', '{options}', 0)",
            number + 11
        ));
    }
    place.execute("UPDATE log_state SET head = 16");
    let last = append_one(&mut log.writer, "a", "2");
    assert_eq!(last, 17);
    let page = |query: PageQuery| {
        let page = log.reader.page(&query).expect("it can be read");
        (offsets(&page.entries), page.reached)
    };
    for selectors in [&[][..], &["a"], &["a*"], &["*"]] {
        assert_eq!(page(all_of(selectors)), (vec![1, last], last), "{selectors:?}");
        let one = PageQuery { entries_max: 1, after: 1, ..all_of(selectors) };
        assert_eq!(page(one), (vec![last], last), "{selectors:?}");
    }
    let query = HistoryQuery { channel: channel("a"), before: None, since: None, limit: 2 };
    let (history, _) = log.reader.history(&query).expect("it can be read");
    assert_eq!(offsets(&history), [last, 1]);
    let (channels, _) = log.reader.channels("", None, 1).expect("it can be read");
    assert_eq!(channels.len(), 1);
    assert_eq!(channels[0].channel, channel("a"));
}
