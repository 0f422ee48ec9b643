//! The event log over a store in memory that fails when it is told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use santral_schema::event_log::EventLevel;

use super::filter::FilterText;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Rows {
    events: Mutex<Vec<StoredEvent>>,
    is_down: AtomicBool,
    /// Whether a clearing dawdles behind its trace, so that another writer could overtake it.
    dawdles: AtomicBool,
}

impl Rows {
    fn messages(&self) -> Vec<String> {
        self.events.lock().iter().map(|stored| stored.event.message.clone()).collect()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) { Err(StoreError::Full) } else { Ok(()) }
    }
}

impl EventStore for Rows {
    fn append(&self, events: &[NewEvent]) -> Result<Vec<i64>, StoreError> {
        self.check()?;
        let mut rows = self.events.lock();
        let next = rows.last().map_or(1, |last| last.id + 1);
        let ids: Vec<_> = (next..).take(events.len()).collect();
        rows.extend(ids.iter().zip(events).map(|(&id, event)| StoredEvent { id, event: event.clone() }));
        Ok(ids)
    }

    fn read(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        self.check()?;
        let rows = self.events.lock();
        let (after, before) = (query.after.unwrap_or(i64::MIN), query.before.unwrap_or(i64::MAX));
        let mut found: Vec<_> = rows
            .iter()
            .filter(|row| row.id > after && row.id < before && query.level.is_none_or(|level| row.event.level >= level))
            .cloned()
            .collect();
        if !query.oldest_first {
            found.reverse();
        }
        found.truncate(query.limit);
        Ok(found)
    }

    fn begin_clear(&self, before: Timestamp, trace: &dyn Fn(usize) -> NewEvent) -> Result<(usize, i64), StoreError> {
        self.check()?;
        let count = self.events.lock().iter().filter(|row| row.event.at < before).count();
        let id = self.append(&[trace(count)])?[0];
        let end = Instant::now() + Duration::from_millis(600);
        while self.dawdles.load(Ordering::SeqCst) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok((count, id))
    }

    fn clear_slice(&self, before: Timestamp, below: i64) -> Result<bool, StoreError> {
        self.check()?;
        self.events.lock().retain(|row| row.event.at >= before || row.id >= below);
        Ok(false)
    }

    fn prune(&self, _: Timestamp, rows_max: u64) -> Result<bool, StoreError> {
        self.check()?;
        let mut rows = self.events.lock();
        let excess = rows.len().saturating_sub(usize::try_from(rows_max).expect("a small number"));
        rows.drain(..excess.min(10));
        Ok(excess > 10)
    }
}

fn start() -> (Arc<Rows>, Arc<EventLog>) {
    let rows = Arc::<Rows>::default();
    let retention = RecordRetention { rows_max: 1_000_000, age_max: Duration::from_secs(3_600) };
    let log =
        EventLog::start_pruning_every(Duration::from_millis(10), Arc::clone(&rows) as _, retention).expect("a thread");
    (rows, log)
}

fn event(message: &str) -> NewEvent {
    new_event(EventType::Connected, message.to_owned())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_recorded_before_the_end_is_stored_and_clean() {
    let (rows, log) = start();
    log.record(event("a\nb"));
    log.record(event("GET /?token=hunter2"));
    log.close();
    assert!(log.join(PATIENCE));
    assert_eq!(rows.messages(), ["a\u{fffd}b", "GET /?token=[redacted]"]);
    assert_eq!(log.lost(), 0);
}

#[test]
fn losses_are_counted_and_told_when_there_is_room_again() {
    let (rows, log) = start();
    rows.is_down.store(true, Ordering::SeqCst);
    let count = EVENT_QUEUE_MAX + 2_000;
    for _ in 0..count {
        log.record(event("x"));
    }
    let lost = log.lost();
    assert!(lost > 0, "the queue has a bound");
    rows.is_down.store(false, Ordering::SeqCst);
    let told = format!("{lost} events were lost");
    eventually("the loss is told", || rows.messages().contains(&told));
    log.close();
    assert!(log.join(PATIENCE));
    let kept = rows.messages().iter().filter(|message| *message == "x").count();
    assert_eq!(kept + usize::try_from(lost).expect("a small number"), count, "each was stored or counted");
    assert_eq!(rows.events.lock().iter().filter(|row| row.event.kind == EventType::EventsLost).count(), 1);
}

#[test]
fn retention_is_applied_while_the_server_runs() {
    let (rows, log) = start();
    for _ in 0..100 {
        log.record(event("x"));
    }
    eventually("they are stored", || rows.messages().len() == 100);
    log.set_retention(RecordRetention { rows_max: 7, age_max: Duration::MAX });
    eventually("all but seven are gone", || rows.messages().len() == 7);
}

fn numbers(follower_events: &[LoggedEvent]) -> Vec<String> {
    follower_events.iter().map(|event| event.message.clone()).collect()
}

async fn take(follower: &mut Follower, count: usize) -> Vec<LoggedEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        let next = tokio::time::timeout(PATIENCE, follower.next()).await.expect("an event comes");
        events.push(next.expect("the stream goes on"));
    }
    events
}

#[actix_rt::test]
async fn a_follower_goes_on_behind_its_last_event_and_misses_none_however_slow() {
    let (rows, log) = start();
    let all: Vec<_> = (0..EVENT_FOLLOW_LAG_MAX * 3).map(|number| number.to_string()).collect();
    let (before, behind) = all.split_at(700);
    before.iter().for_each(|message| log.record(event(message)));
    eventually("they are stored", || rows.messages().len() == before.len());
    let mut follower = log.follow(EventFilter::default(), Some(10)).await.expect("there is room");
    let mut seen = take(&mut follower, 5).await;
    // It does not look while more comes than is kept for it.
    behind.iter().for_each(|message| log.record(event(message)));
    eventually("they are stored", || rows.messages().len() == all.len());
    seen.extend(take(&mut follower, all.len() - 15).await);
    assert_eq!(numbers(&seen), all[10..]);
    assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id));
    log.record(event("last"));
    assert_eq!(numbers(&take(&mut follower, 1).await), ["last"]);
}

#[actix_rt::test]
async fn a_follower_without_a_place_to_go_on_from_begins_now() {
    let (rows, log) = start();
    log.record(event("old"));
    eventually("it is stored", || rows.messages().len() == 1);
    let warn = EventFilter::parse(FilterText { level: Some("warn".to_owned()), ..FilterText::default() });
    let mut follower = log.follow(EventFilter::default(), None).await.expect("there is room");
    let mut of_warnings = log.follow(warn.expect("a level"), None).await.expect("there is room");
    log.record(event("new"));
    log.record(NewEvent { level: EventLevel::Error, ..event("bad") });
    assert_eq!(numbers(&take(&mut follower, 2).await), ["new", "bad"]);
    assert_eq!(numbers(&take(&mut of_warnings, 1).await), ["bad"]);
    log.end_followers();
    assert!(follower.next().await.is_none() && follower.is_draining());
    assert_eq!(log.follow(EventFilter::default(), None).await.err(), Some(Refusal::Draining));
}

#[actix_rt::test]
async fn followers_and_exports_are_bounded() {
    let (_, log) = start();
    let mut followers = Vec::new();
    for _ in 0..EVENT_READERS_MAX {
        followers.push(log.follow(EventFilter::default(), None).await.expect("there is room"));
    }
    assert_eq!(
        log.follow(EventFilter::default(), None).await.err(),
        Some(Refusal::Full(crate::hub::admission::Full::Total))
    );
    assert_eq!(
        log.export(&EventFilter::default()).await.err(),
        Some(Refusal::Full(crate::hub::admission::Full::Total))
    );
    followers.pop();
    assert!(log.export(&EventFilter::default()).await.is_ok());
}

#[actix_rt::test]
async fn an_export_has_everything_of_its_beginning_in_order() {
    let (rows, log) = start();
    let all: Vec<_> = (0..EVENT_PAGE_MAX * 2).map(|number| number.to_string()).collect();
    all.iter().for_each(|message| log.record(event(message)));
    eventually("they are stored", || rows.messages().len() == all.len());
    let mut export = log.export(&EventFilter::default()).await.expect("there is room");
    log.record(event("later"));
    eventually("it is stored", || rows.messages().len() == all.len() + 1);
    let mut seen = Vec::new();
    while let Some(page) = export.next().await.expect("the store works") {
        assert!(page.len() <= EVENT_PAGE_MAX);
        seen.extend(page);
    }
    assert_eq!(numbers(&seen), all);
}

#[actix_rt::test]
async fn clearing_says_who_did_it_and_followers_hear_of_it() {
    let (rows, log) = start();
    (0..5).for_each(|_| log.record(event("x")));
    eventually("they are stored", || rows.messages().len() == 5);
    let mut follower = log.follow(EventFilter::default(), None).await.expect("there is room");
    assert!(log.clear(Some("soon"), None, None).await.is_err());
    let cleared = log.clear(None, Some("user:ada".to_owned()), Some("r-1".to_owned())).await.expect("the store works");
    assert_eq!((cleared.cleared, cleared.trace.actor.as_deref()), (5, Some("user:ada")));
    assert_eq!(cleared.trace.kind, EventType::LogCleared);
    assert_eq!(take(&mut follower, 1).await[0].id, cleared.trace.id);
    let list = log.list(&EventFilter::default(), None, None).await.expect("the store works");
    assert_eq!(list.events.iter().map(|event| event.id).collect::<Vec<_>>(), [cleared.trace.id]);
    rows.is_down.store(true, Ordering::SeqCst);
    assert_eq!(log.clear(None, None, None).await.err(), Some(Refusal::Store(StoreError::Full)));
}

/// A follower takes a smaller id than the last for an event that it has seen.
#[actix_rt::test]
async fn a_follower_hears_of_a_clearing_though_others_record_meanwhile() {
    let (rows, log) = start();
    let mut follower = log.follow(EventFilter::default(), None).await.expect("there is room");
    log.record(event("first"));
    take(&mut follower, 1).await;
    rows.dawdles.store(true, Ordering::SeqCst);
    // Stored 200 ms from now, while the clearing dawdles.
    log.record(event("meanwhile"));
    let cleared = log.clear(Some("2000-01-01T00:00:00Z"), None, None).await.expect("the store works");
    let mut seen: Vec<_> = take(&mut follower, 2).await.iter().map(|event| event.message.clone()).collect();
    seen.sort_unstable();
    let mut expected = vec![cleared.trace.message, "meanwhile".to_owned()];
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[actix_rt::test]
async fn pages_follow_each_other_without_a_hole() {
    let (rows, log) = start();
    (0..25).for_each(|number| log.record(event(&number.to_string())));
    eventually("they are stored", || rows.messages().len() == 25);
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = log.list(&EventFilter::default(), cursor.as_deref(), Some(5)).await.expect("the store works");
        assert_eq!(page.events.len(), 5);
        seen.extend(numbers(&page.events));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    for cursor in ["", "-1", "x"] {
        assert!(log.list(&EventFilter::default(), Some(cursor), None).await.is_err(), "{cursor}");
    }
}
