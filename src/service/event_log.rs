//! The event log: records what happened without holding up anybody, and lets the operator read it.
//!
//! [`EventLog::record`] only queues; a thread cleans (see [`clean`]), stores in batches, tells the
//! followers (see [`follow`]) and applies retention. What was lost is itself an event.

mod clean;
pub mod filter;
pub mod follow;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use parking_lot::Mutex;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use santral_core::entry::Timestamp;
use santral_core::limits::{
    EVENT_FOLLOW_LAG_MAX, EVENT_PAGE_MAX, EVENT_QUEUE_MAX, EVENT_READERS_MAX, LISTING_ITEMS, LISTING_ITEMS_MAX,
    PRUNE_INTERVAL,
};
use santral_schema::event_log::{EventList, EventType, EventsCleared, LoggedEvent};

use super::Refusal;
use super::write_behind::{Sink, Tally, WriteBehind};
use crate::hub::admission::Full;
use crate::ports::event_log::{EventQuery, EventStore, NewEvent, StoredEvent};
use crate::ports::store::StoreError;
pub(super) use clean::shortened;
use filter::EventFilter;
use follow::Follower;

/// What retention keeps of the event log or of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRetention {
    /// At most this many rows, the newest.
    pub rows_max: u64,
    /// No row older than this.
    pub age_max: Duration,
}

impl RecordRetention {
    /// What is older is to be deleted.
    pub(super) fn oldest_kept(self) -> Timestamp {
        let age = i64::try_from(self.age_max.as_micros()).unwrap_or(i64::MAX);
        Timestamp(now().0.saturating_sub(age))
    }
}

/// Held from the storing of events until followers were told: a follower takes an id that is smaller
/// than the last for one that it has seen.
type Order = Arc<Mutex<()>>;

/// The event log. Shared by everyone.
pub struct EventLog {
    store: Arc<dyn EventStore>,
    queue: WriteBehind<NewEvent>,
    retention: Arc<Mutex<RecordRetention>>,
    live: broadcast::Sender<Arc<StoredEvent>>,
    order: Order,
    has_ended: watch::Sender<bool>,
    /// Places for followers and exports.
    places: Arc<Semaphore>,
}

/// An event of this moment, with the level of its type and nothing but a sentence.
#[must_use]
pub fn new_event(kind: EventType, message: String) -> NewEvent {
    NewEvent { at: now(), level: kind.level(), kind, actor: None, message, details_json: None, request_id: None }
}

impl EventLog {
    /// Starts the thread that stores.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(store: Arc<dyn EventStore>, retention: RecordRetention) -> io::Result<Arc<Self>> {
        Self::start_pruning_every(PRUNE_INTERVAL, store, retention)
    }

    fn start_pruning_every(
        prune_interval: Duration,
        store: Arc<dyn EventStore>,
        retention: RecordRetention,
    ) -> io::Result<Arc<Self>> {
        let (live, _) = broadcast::channel(EVENT_FOLLOW_LAG_MAX);
        let retention = Arc::new(Mutex::new(retention));
        let order = Order::default();
        let make_sink = |tally| EventSink {
            store: Arc::clone(&store),
            retention: Arc::clone(&retention),
            live: live.clone(),
            order: Arc::clone(&order),
            tally,
            told: 0,
        };
        let queue = WriteBehind::start("events", EVENT_QUEUE_MAX, prune_interval, make_sink)?;
        let (has_ended, _) = watch::channel(false);
        let places = Arc::new(Semaphore::new(EVENT_READERS_MAX));
        Ok(Arc::new(Self { store, queue, retention, live, order, has_ended, places }))
    }

    /// Records an event. Never blocks: without room it is counted as lost.
    pub fn record(&self, event: NewEvent) {
        self.queue.push(clean::bounded(event));
    }

    /// Events that were lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Changes what retention keeps; in force within [`PRUNE_INTERVAL`].
    pub fn set_retention(&self, retention: RecordRetention) {
        *self.retention.lock() = retention;
    }

    /// Ends every follower, and lets no new one begin: the server is about to stop.
    pub fn end_followers(&self) {
        self.has_ended.send_replace(true);
    }

    /// Takes no more events; what waits is still stored.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits after [`Self::close`] until everything is stored; `false` if that takes longer. Blocking.
    pub fn join(&self, within: Duration) -> bool {
        self.queue.join(within)
    }

    /// A page of events, newest first, behind `cursor`.
    ///
    /// # Errors
    /// [`Refusal::EventFilter`] for a cursor that was not given by us, and [`Refusal::Store`].
    pub async fn list(
        &self,
        filter: &EventFilter,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<EventList, Refusal> {
        let limit = limit.unwrap_or(LISTING_ITEMS).clamp(1, LISTING_ITEMS_MAX);
        let before = cursor.map(filter::parse_id).transpose()?;
        // One more than asked for tells whether there is more.
        let query = EventQuery { before, limit: limit + 1, ..filter.query() };
        let mut events = self.read(query).await?;
        let more = events.len() > limit;
        events.truncate(limit);
        let cursor = more.then(|| events.last().map(|last| last.id.to_string())).flatten();
        Ok(EventList { events: events.into_iter().map(wire).collect(), cursor })
    }

    /// Follows the log: what comes behind the event `after`, or from now on.
    ///
    /// # Errors
    /// [`Refusal`]: no place, or a server that is about to stop.
    pub async fn follow(self: &Arc<Self>, filter: EventFilter, after: Option<i64>) -> Result<Follower, Refusal> {
        if *self.has_ended.borrow() {
            return Err(Refusal::Draining);
        }
        let place = self.take_place()?;
        let after = match after {
            Some(after) => after,
            None => self.newest_id().await?,
        };
        Ok(Follower::new(Arc::clone(self), filter, after, place))
    }

    /// Reads everything that there is now, oldest first, page by page.
    ///
    /// # Errors
    /// [`Refusal::Full`] without a place, and [`Refusal::Store`].
    pub async fn export(self: &Arc<Self>, filter: &EventFilter) -> Result<Export, Refusal> {
        let place = self.take_place()?;
        // What comes meanwhile is left to another export, else a busy log would have no end.
        let before = self.newest_id().await?.saturating_add(1);
        let query = EventQuery { before: Some(before), oldest_first: true, limit: EVENT_PAGE_MAX, ..filter.query() };
        let mut export = Export { log: Arc::clone(self), query, first: None, is_over: false, _place: place };
        export.first = export.next().await?;
        Ok(export)
    }

    /// Deletes everything before a time, by default all there is, and leaves one event that says who
    /// did it. Takes seconds for a million events, without holding up who publishes or records.
    ///
    /// # Errors
    /// [`Refusal::EventFilter`] for what is no time, and [`Refusal::Store`].
    pub async fn clear(
        &self,
        before: Option<&str>,
        actor: Option<String>,
        request_id: Option<String>,
    ) -> Result<EventsCleared, Refusal> {
        let now = now();
        let before = before.map(|text| filter::parse_time("before", text)).transpose()?.map_or(now, |at| at.min(now));
        let trace = move |count: usize| {
            let until = before.to_rfc3339();
            clean::cleaned(NewEvent {
                at: now,
                actor: actor.clone(),
                details_json: Some(json!({ "count": count, "before": until }).to_string()),
                request_id: request_id.clone(),
                ..new_event(EventType::LogCleared, format!("the event log was cleared before {until}: {count} events"))
            })
        };
        let (store, order, live) = (Arc::clone(&self.store), Arc::clone(&self.order), self.live.clone());
        let cleared = actix_rt::task::spawn_blocking(move || {
            let turn = order.lock();
            let (count, id) = store.begin_clear(before, &trace)?;
            let trace = StoredEvent { id, event: trace(count) };
            // Without a follower nobody wants it.
            let _ = live.send(Arc::new(trace.clone()));
            drop(turn);
            while store.clear_slice(before, id)? {}
            Ok::<_, StoreError>((count, trace))
        });
        let (cleared, trace) = cleared.await.map_err(|_| Refusal::Stopped)??;
        Ok(EventsCleared { cleared, trace: wire(trace) })
    }

    fn take_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Full(Full::Total))
    }

    async fn newest_id(&self) -> Result<i64, Refusal> {
        let newest = self.read(EventQuery { limit: 1, ..EventQuery::default() }).await?;
        Ok(newest.first().map_or(0, |event| event.id))
    }

    /// Reads on a thread that may block.
    async fn read(&self, query: EventQuery) -> Result<Vec<StoredEvent>, Refusal> {
        let store = Arc::clone(&self.store);
        let read = actix_rt::task::spawn_blocking(move || store.read(&query)).await;
        Ok(read.map_err(|_| Refusal::Stopped)??)
    }
}

/// A read of everything, see [`EventLog::export`].
pub struct Export {
    log: Arc<EventLog>,
    query: EventQuery,
    first: Option<Vec<LoggedEvent>>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Export {
    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// [`Refusal::Store`]: the export is incomplete.
    pub async fn next(&mut self) -> Result<Option<Vec<LoggedEvent>>, Refusal> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.is_over {
            return Ok(None);
        }
        let page = self.log.read(self.query.clone()).await?;
        self.is_over = page.len() < self.query.limit;
        self.query.after = page.last().map(|last| last.id).or(self.query.after);
        Ok((!page.is_empty()).then(|| page.into_iter().map(wire).collect()))
    }
}

/// Stores events, on the thread of the queue.
struct EventSink {
    store: Arc<dyn EventStore>,
    retention: Arc<Mutex<RecordRetention>>,
    live: broadcast::Sender<Arc<StoredEvent>>,
    order: Order,
    tally: Arc<Tally>,
    /// Losses that an event tells of.
    told: u64,
}

impl Sink for EventSink {
    type Item = NewEvent;

    fn store(&mut self, batch: &[NewEvent]) -> Result<(), StoreError> {
        let lost = self.tally.lost();
        let mut events: Vec<_> = batch.iter().cloned().map(clean::cleaned).collect();
        if lost > self.told {
            let count = lost - self.told;
            events.push(NewEvent {
                details_json: Some(json!({ "count": count }).to_string()),
                ..new_event(EventType::EventsLost, format!("{count} events were lost"))
            });
        }
        let _turn = self.order.lock();
        let ids = self.store.append(&events)?;
        self.told = lost;
        for (id, event) in ids.into_iter().zip(events) {
            // Without a follower nobody wants it.
            let _ = self.live.send(Arc::new(StoredEvent { id, event }));
        }
        Ok(())
    }

    fn has_more_to_say(&self) -> bool {
        self.tally.lost() > self.told
    }

    fn prune(&mut self) -> Result<bool, StoreError> {
        let retention = *self.retention.lock();
        self.store.prune(retention.oldest_kept(), retention.rows_max)
    }
}

/// The event as it is shown.
pub(crate) fn wire(stored: StoredEvent) -> LoggedEvent {
    let StoredEvent { id, event } = stored;
    LoggedEvent {
        id,
        at: event.at.to_rfc3339(),
        level: event.level,
        kind: event.kind,
        actor: event.actor,
        message: event.message,
        // What is none was not stored by us.
        details: event.details_json.and_then(|text| RawValue::from_string(text).ok()),
        request_id: event.request_id,
    }
}

/// The wall clock.
pub(super) fn now() -> Timestamp {
    Timestamp(Utc::now().timestamp_micros())
}

#[cfg(test)]
mod tests;
