//! Following the event log: first what is in the store, then what is recorded.
//!
//! Who is slower than the events loses none: it reads from the store what it has missed.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_rt::task::{JoinHandle, spawn_blocking};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use santral_core::limits::EVENT_PAGE_MAX;
use santral_schema::event_log::LoggedEvent;

use super::filter::EventFilter;
use super::{EventLog, wire};
use crate::ports::event_log::{EventQuery, StoredEvent};
use crate::ports::store::StoreError;

/// Somebody who follows the event log, see [`EventLog::follow`].
pub struct Follower {
    log: Arc<EventLog>,
    filter: EventFilter,
    /// Everything up to this id was given or does not pass.
    last: i64,
    live: broadcast::Receiver<Arc<StoredEvent>>,
    has_ended: watch::Receiver<bool>,
    /// Read from the store and not given yet.
    page: VecDeque<StoredEvent>,
    is_behind: bool,
    /// Kept, so that who stops waiting for an event does not stop the read.
    reading: Option<JoinHandle<Result<Vec<StoredEvent>, StoreError>>>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    pub(super) fn new(log: Arc<EventLog>, filter: EventFilter, after: i64, place: OwnedSemaphorePermit) -> Self {
        // Before the first read of the store: what is recorded meanwhile comes twice rather than never.
        let live = log.live.subscribe();
        let has_ended = log.has_ended.subscribe();
        Self {
            log,
            filter,
            last: after,
            live,
            has_ended,
            page: VecDeque::new(),
            is_behind: true,
            reading: None,
            _place: place,
        }
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.has_ended.borrow()
    }

    /// The next event; `None` at the end, which comes when the server stops or the store fails: who
    /// comes back with the last id has missed nothing. Cancel-safe.
    pub async fn next(&mut self) -> Option<LoggedEvent> {
        let mut has_ended = self.has_ended.clone();
        tokio::select! {
            biased;
            _ = has_ended.wait_for(|has_ended| *has_ended) => None,
            event = self.next_event() => event,
        }
    }

    async fn next_event(&mut self) -> Option<LoggedEvent> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.last = event.id;
                return Some(wire(event));
            }
            if self.is_behind {
                self.read_page().await.ok()?;
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.id <= self.last => (),
                Ok(event) => {
                    self.last = event.id;
                    if self.filter.passes(&event.event) {
                        return Some(wire(StoredEvent::clone(&event)));
                    }
                }
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn read_page(&mut self) -> Result<(), StoreError> {
        let reading = self.reading.get_or_insert_with(|| {
            let after = Some(self.last);
            let query = EventQuery { after, oldest_first: true, limit: EVENT_PAGE_MAX, ..self.filter.query() };
            let store = Arc::clone(&self.log.store);
            spawn_blocking(move || store.read(&query))
        });
        let read = reading.await;
        self.reading = None;
        let page = read.map_err(|_| StoreError::Failed)??;
        self.is_behind = page.len() == EVENT_PAGE_MAX;
        self.page = page.into();
        Ok(())
    }
}
