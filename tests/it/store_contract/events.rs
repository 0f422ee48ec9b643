//! Cases about the event log's store.

use std::sync::Arc;
use std::thread;

use santral::ports::event_log::{EventQuery, EventStore, NewEvent, StoredEvent};
use santral_core::entry::Timestamp;
use santral_core::limits::RECORD_PRUNE_ROWS_MAX;
use santral_schema::event_log::{EventLevel, EventType};

use super::accounts::HOSTILE;
use super::place::Place;

fn event(kind: EventType, at: i64) -> NewEvent {
    NewEvent {
        at: Timestamp(at),
        level: kind.level(),
        kind,
        actor: None,
        message: format!("{} at {at}", kind.name()),
        details_json: None,
        request_id: None,
    }
}

fn all() -> EventQuery {
    EventQuery { limit: 1_000_000, ..EventQuery::default() }
}

fn ids(events: &[StoredEvent]) -> Vec<i64> {
    events.iter().map(|event| event.id).collect()
}

#[track_caller]
fn found(store: &Arc<dyn EventStore>, query: EventQuery) -> Vec<i64> {
    ids(&store.read(&query).expect("no trouble"))
}

/// A log of 600 events of several types, levels and actors, whose clock went back in the middle.
fn filled(place: &Place) -> (Arc<dyn EventStore>, Vec<StoredEvent>) {
    let store = place.open().records.events();
    let kinds = [EventType::Connected, EventType::Disconnected, EventType::LoginRefused, EventType::EventsLost];
    let events: Vec<_> = (0..600)
        .map(|number: i64| {
            let kind = kinds[usize::try_from(number * number % 7 % 4).expect("a small number")];
            NewEvent {
                actor: (number % 3 != 0).then(|| format!("user:{}", number % 5)),
                details_json: (number % 2 == 0).then(|| format!("{{\"number\":{number},\"Text\":\"Ğ%_\"}}")),
                request_id: (number % 4 == 0).then(|| format!("r-{number}")),
                ..event(kind, if number < 300 { number } else { number - 250 })
            }
        })
        .collect();
    let ids = store.append(&events).expect("no trouble");
    let stored = ids.into_iter().zip(events).map(|(id, event)| StoredEvent { id, event }).collect();
    (store, stored)
}

pub(super) fn events_are_read_back_as_they_were_stored_newest_first(place: &Place) {
    let (store, mut stored) = filled(place);
    assert!(stored.windows(2).all(|pair| pair[0].id < pair[1].id));
    let oldest_first = EventQuery { oldest_first: true, ..all() };
    assert_eq!(store.read(&oldest_first).as_ref(), Ok(&stored));
    stored.reverse();
    assert_eq!(store.read(&all()), Ok(stored));
    assert_eq!(store.append(&[]), Ok(Vec::new()));
}

/// Every filter, alone and with others, finds what a loop over all events finds.
pub(super) fn filters_find_what_a_naive_reader_finds(place: &Place) {
    let (store, stored) = filled(place);
    let kinds = [vec![], vec![EventType::LoginRefused], vec![EventType::EventsLost, EventType::Connected]];
    let levels = [None, Some(EventLevel::Info), Some(EventLevel::Warn), Some(EventLevel::Error)];
    let actors = [None, Some("user:2"), Some("USER:2"), Some("user:%")];
    let texts =
        [None, Some("OPENED AT 1"), Some("user:1"), Some("\"NUMBER\":5"), Some("Ğ%_"), Some("ğ"), Some("%"), Some("")];
    let times = [(None, None), (Some(100), None), (None, Some(100)), (Some(60), Some(61))];
    let mut matched = 0;
    for (number, ((kinds, level), (actor, text))) in
        pairs(&pairs(&kinds, &levels), &pairs(&actors, &texts)).into_iter().enumerate()
    {
        let (from, to) = times[number / 7 % times.len()];
        let bounds = [(None, None), (Some(stored[450].id), None), (None, Some(stored[100].id))][number / 5 % 3];
        let query = EventQuery {
            level,
            kinds,
            actor: actor.map(str::to_owned),
            text: text.map(str::to_owned),
            from: from.map(Timestamp),
            to: to.map(Timestamp),
            before: bounds.0,
            after: bounds.1,
            oldest_first: number % 2 == 0,
            limit: [7, 1_000][number / 3 % 2],
        };
        let expected = naive(&stored, &query);
        matched += expected.len();
        assert_eq!(found(&store, query.clone()), expected, "{query:?}");
    }
    assert!(matched > 1_000, "the filters let {matched} through");
}

fn pairs<A: Clone, B: Clone>(left: &[A], right: &[B]) -> Vec<(A, B)> {
    left.iter().flat_map(|left| right.iter().map(|right| (left.clone(), right.clone()))).collect()
}

fn naive(stored: &[StoredEvent], query: &EventQuery) -> Vec<i64> {
    let has_text = |event: &NewEvent| {
        query.text.as_ref().is_none_or(|text| {
            let texts = [Some(&event.message), event.actor.as_ref(), event.details_json.as_ref()];
            texts.into_iter().flatten().any(|field| field.to_ascii_lowercase().contains(&text.to_ascii_lowercase()))
        })
    };
    let mut ids: Vec<_> = stored
        .iter()
        .filter(|stored| {
            let (id, event) = (stored.id, &stored.event);
            query.level.is_none_or(|level| event.level >= level)
                && (query.kinds.is_empty() || query.kinds.contains(&event.kind))
                && (query.actor.is_none() || event.actor == query.actor)
                && has_text(event)
                && query.from.is_none_or(|from| event.at >= from)
                && query.to.is_none_or(|to| event.at < to)
                && query.before.is_none_or(|before| id < before)
                && query.after.is_none_or(|after| id > after)
        })
        .map(|stored| stored.id)
        .collect();
    if !query.oldest_first {
        ids.reverse();
    }
    ids.truncate(query.limit);
    ids
}

pub(super) fn events_are_paged_by_id_though_the_clock_went_back(place: &Place) {
    let (store, stored) = filled(place);
    let mut expected = ids(&stored);
    for oldest_first in [true, false] {
        let mut query = EventQuery { oldest_first, limit: 77, ..EventQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = found(&store, query.clone());
            let Some(last) = page.last() else { break };
            match oldest_first {
                true => query.after = Some(*last),
                false => query.before = Some(*last),
            }
            seen.extend(page);
        }
        assert_eq!(seen, expected);
        expected.reverse();
    }
    for (before, after, count) in [
        (Some(i64::MIN), None, 0),
        (Some(0), None, 0),
        (Some(i64::MAX), Some(i64::MIN), 600),
        (None, Some(i64::MAX), 0),
        (None, Some(-1), 600),
    ] {
        assert_eq!(found(&store, EventQuery { before, after, ..all() }).len(), count, "{before:?} {after:?}");
    }
    assert_eq!(found(&store, EventQuery { limit: 0, ..all() }), [0; 0]);
    for (from, to) in [(Some(i64::MAX), None), (None, Some(i64::MIN)), (Some(5), Some(5))] {
        let query = EventQuery { from: from.map(Timestamp), to: to.map(Timestamp), ..all() };
        assert_eq!(found(&store, query), [0; 0]);
    }
}

pub(super) fn hostile_texts_are_stored_and_searched_as_text(place: &Place) {
    let store = place.open().records.events();
    let events: Vec<_> = HOSTILE
        .iter()
        .map(|text| NewEvent {
            actor: Some((*text).to_owned()),
            message: format!("<{text}>"),
            details_json: Some(serde_json::to_string(text).expect("text serializes")),
            request_id: Some((*text).to_owned()),
            ..event(EventType::Connected, 0)
        })
        .collect();
    let stored = store.append(&events).expect("no trouble");
    let read = store.read(&EventQuery { oldest_first: true, ..all() }).expect("no trouble");
    assert_eq!(read.into_iter().map(|stored| stored.event).collect::<Vec<_>>(), events);
    for (text, id) in HOSTILE.iter().zip(stored) {
        let by_actor = EventQuery { actor: Some((*text).to_owned()), ..all() };
        assert_eq!(found(&store, by_actor), [id], "{text:?}");
        let by_text = EventQuery { text: Some(format!("<{text}>")), ..all() };
        assert_eq!(found(&store, by_text), [id], "{text:?}");
    }
    let with_nul = NewEvent { message: "a\0b".to_owned(), ..event(EventType::Connected, 0) };
    let nul = store.append(&[with_nul]).expect("PostgreSQL gets no NUL");
    let read = store.read(&EventQuery { text: Some("A\0B".to_owned()), ..all() }).expect("no trouble");
    assert_eq!((ids(&read), read[0].event.message.as_str()), (nul, "a\u{fffd}b"));
}

pub(super) fn rows_that_are_no_events_are_skipped(place: &Place) {
    let (store, stored) = filled(place);
    let id = |index: usize| stored[index].id;
    place.execute(&format!("UPDATE event_logs SET level = 'fatal' WHERE id = {}", id(599)));
    place.execute(&format!("UPDATE event_logs SET type = 'nothing.known' WHERE id = {}", id(598)));
    place.execute(&format!("UPDATE event_logs SET details_json = '{{' WHERE id = {}", id(597)));
    let page = EventQuery { limit: 3, ..EventQuery::default() };
    assert_eq!(found(&store, page), [id(596), id(595), id(594)], "others take their place");
    let last = EventQuery { after: Some(id(590)), oldest_first: true, ..all() };
    assert_eq!(found(&store, last), (591..597).map(id).collect::<Vec<_>>());
}

/// A follower that has seen an id must not be given a smaller one later.
pub(super) fn ids_have_the_order_of_commits(place: &Place) {
    let store = place.open().records.events();
    let other = place.open().records.events();
    thread::scope(|scope| {
        let writers: Vec<_> = [&store, &other]
            .into_iter()
            .map(|writer| {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let batch = vec![event(EventType::Connected, 0); 5];
                        let ids = writer.append(&batch).expect("no trouble");
                        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
                    }
                })
            })
            .collect();
        let mut seen = Vec::new();
        loop {
            let is_over = writers.iter().all(|writer| writer.is_finished());
            let query = EventQuery { after: seen.last().copied(), oldest_first: true, ..all() };
            seen.extend(found(&store, query));
            if is_over {
                break;
            }
        }
        assert_eq!(seen.len(), 500);
    });
}

pub(super) fn clearing_leaves_a_trace_and_no_id_is_used_again(place: &Place) {
    let (store, stored) = filled(place);
    let trace = |count: usize| NewEvent { message: format!("{count} cleared"), ..event(EventType::LogCleared, 1_000) };
    let clear = |before: Timestamp| {
        let (count, id) = store.begin_clear(before, &trace).expect("no trouble");
        while store.clear_slice(before, id).expect("no trouble") {}
        (count, id)
    };
    let (count, id) = clear(Timestamp(100));
    assert!(id > stored[599].id);
    let kept: Vec<_> =
        stored.iter().filter(|stored| stored.event.at >= Timestamp(100)).map(|stored| stored.id).collect();
    assert_eq!(count, 600 - kept.len());
    let oldest_first = EventQuery { oldest_first: true, ..all() };
    assert_eq!(found(&store, oldest_first.clone()), [kept, vec![id]].concat());
    let (_, second) = clear(Timestamp(i64::MAX));
    assert_eq!(found(&store, oldest_first.clone()), [second], "of everything the trace itself stays");
    while store.prune(Timestamp(i64::MAX), 0).expect("no trouble") {}
    assert_eq!(found(&store, oldest_first), [0; 0]);
    assert!(store.append(&[event(EventType::Connected, 0)]).expect("no trouble")[0] > second);
}

pub(super) fn old_and_excess_events_go_in_slices(place: &Place) {
    let store = place.open().records.events();
    let count = i64::try_from(RECORD_PRUNE_ROWS_MAX).expect("a small number") + 500;
    let events: Vec<_> = (0..count).map(|number| event(EventType::Connected, number)).collect();
    let stored = store.append(&events).expect("no trouble");
    let left = || found(&store, EventQuery { oldest_first: true, ..all() });
    assert_eq!(store.prune(Timestamp(0), u64::MAX), Ok(false));
    assert_eq!(left(), stored);
    assert_eq!(store.prune(Timestamp(10), u64::MAX), Ok(false));
    assert_eq!(left(), stored[10..], "what is not younger than the bound goes");
    assert_eq!(store.prune(Timestamp(0), 100), Ok(true));
    assert_eq!(left().len(), stored.len() - 10 - RECORD_PRUNE_ROWS_MAX, "one slice");
    while store.prune(Timestamp(0), 100).expect("no trouble") {}
    assert_eq!(left(), stored[stored.len() - 100..]);
    assert_eq!(store.prune(Timestamp(i64::MAX), 100), Ok(false));
    assert_eq!(left(), [0; 0]);
}
