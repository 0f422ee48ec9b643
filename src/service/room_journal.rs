//! What rooms write down, and whom they tell: rows for the next start, webhooks in the same transaction, and
//! the event log.
//!
//! A thread writes everything that waits in one transaction. Of a row only its last state is kept, so trouble
//! of the database costs no memory, and no call: rooms live in memory, and only a restart would miss what is
//! not written yet.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::json;
use tokio::sync::oneshot;

use santral_core::entry::Timestamp;
use santral_core::limits::{RECORD_RETRY, ROOM_DELIVERIES_MAX, ROOM_PRUNE_INTERVAL, ROOM_SAVE_PATIENCE};
use santral_core::rooms::{News, NewsKind, ParticipantId, Record, RoomId};
use santral_schema::event_log::EventType;
use santral_schema::webhooks::WebhookType;

use super::event_log::new_event;
use super::operator::Recorder;
use super::webhooks::{Event, Webhooks};
use crate::hub::Hub;
use crate::hub::switchboard::RoomObserver;
use crate::ports::event_log::NewEvent;
use crate::ports::video::VideoStore;
use crate::ports::webhooks::NewDelivery;

/// What waits to be written. Of a row only its last state, so this is bounded by what there is.
#[derive(Default)]
struct Pending {
    rows: BTreeMap<RowKey, Record>,
    events: Vec<Event>,
    /// Rung when all that waits is written, or cannot be.
    bells: Vec<oneshot::Sender<()>>,
    is_closed: bool,
}

/// What names a row.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    /// First, since all others refer to it.
    Room(RoomId),
    Participant(ParticipantId),
    Ban(RoomId, Arc<str>),
}

/// What both sides see.
struct Shared {
    pending: Mutex<Pending>,
    news: Condvar,
    /// Rooms that were closed longer ago are forgotten, in seconds.
    age_max: AtomicU64,
}

/// The way into the journal. Shared by everyone.
pub struct RoomJournal {
    shared: Arc<Shared>,
    webhooks: Arc<Webhooks>,
    recorder: Recorder,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Hears of the rooms, on the thread of the switchboard.
pub struct RoomRecorder(Arc<RoomJournal>);

impl RoomJournal {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(
        store: Arc<dyn VideoStore>,
        webhooks: Arc<Webhooks>,
        recorder: Recorder,
        age_max: Duration,
    ) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            news: Condvar::new(),
            age_max: AtomicU64::new(age_max.as_secs()),
        });
        let worker = Worker {
            store,
            webhooks: Arc::clone(&webhooks),
            shared: Arc::clone(&shared),
            is_failing: false,
            next_prune: Instant::now() + ROOM_PRUNE_INTERVAL,
        };
        let thread = std::thread::Builder::new().name("rooms".to_owned()).spawn(move || worker.run())?;
        Ok(Arc::new(Self { shared, webhooks, recorder, thread: Mutex::new(Some(thread)) }))
    }

    /// Waits until all that has happened so far is in the database, or for as long as anybody should.
    pub async fn saved(&self) {
        let (bell, rung) = oneshot::channel();
        self.note(|pending| pending.bells.push(bell));
        // Whether it could be written is told by the log: a call goes on either way.
        let _ = tokio::time::timeout(ROOM_SAVE_PATIENCE, rung).await;
    }

    /// Whoever hears of the rooms.
    #[must_use]
    pub fn observer(self: &Arc<Self>) -> RoomRecorder {
        RoomRecorder(Arc::clone(self))
    }

    /// Forgets rooms that were closed longer ago than this.
    pub fn set_age_max(&self, age_max: Duration) {
        self.shared.age_max.store(age_max.as_secs(), Ordering::Relaxed);
    }

    /// Takes no more; what waits is still written.
    pub fn close(&self) {
        self.note(|pending| pending.is_closed = true);
    }

    /// Waits after [`Self::close`] until everything is written; `false` if that takes longer. Blocking.
    pub fn join(&self, within: Duration) -> bool {
        let Some(thread) = self.thread.lock().take() else { return true };
        let end = Instant::now() + within;
        while !thread.is_finished() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        thread.join().is_ok()
    }

    fn note(&self, work: impl FnOnce(&mut Pending)) {
        work(&mut self.shared.pending.lock());
        self.shared.news.notify_one();
    }
}

impl RoomObserver for RoomRecorder {
    fn record(&mut self, record: Record) {
        let key = match &record {
            Record::Room(room) => RowKey::Room(room.id.clone()),
            Record::Participant(person) => RowKey::Participant(person.id.clone()),
            Record::Ban(room, subject) => RowKey::Ban(room.clone(), Arc::clone(subject)),
        };
        self.0.note(|pending| drop(pending.rows.insert(key, record)));
    }

    fn happened(&mut self, news: News) {
        if let Some(event) = event_of(&news) {
            (self.0.recorder)(event);
        }
        let Some(kind) = webhook_of(news.kind).filter(|kind| self.0.webhooks.wants(*kind)) else { return };
        let event = Event::new(kind, format!("room:{}", news.room), Hub::wall_clock(), &told(&news));
        if self.0.shared.pending.lock().events.len() < ROOM_DELIVERIES_MAX {
            self.0.note(|pending| pending.events.push(event));
        } else {
            // To the queue of all other events, which counts what is lost.
            self.0.webhooks.tell(event);
        }
    }
}

struct Worker {
    store: Arc<dyn VideoStore>,
    webhooks: Arc<Webhooks>,
    shared: Arc<Shared>,
    is_failing: bool,
    next_prune: Instant,
}

impl Worker {
    fn run(mut self) {
        loop {
            let waiting = self.wait();
            let is_closed = waiting.is_closed;
            let bells = self.write(waiting);
            for bell in bells {
                // Whoever waited may have gone away.
                let _ = bell.send(());
            }
            if is_closed {
                return;
            }
            if self.is_failing {
                std::thread::sleep(RECORD_RETRY);
            } else {
                self.prune();
            }
        }
    }

    /// Takes what waits, as soon as there is something.
    fn wait(&self) -> Pending {
        let mut pending = self.shared.pending.lock();
        if pending.rows.is_empty() && pending.events.is_empty() && pending.bells.is_empty() && !pending.is_closed {
            self.shared.news.wait_for(&mut pending, ROOM_PRUNE_INTERVAL);
        }
        std::mem::take(&mut *pending)
    }

    fn write(&mut self, waiting: Pending) -> Vec<oneshot::Sender<()>> {
        let Pending { rows, events, bells, is_closed: _ } = waiting;
        if rows.is_empty() && events.is_empty() {
            self.is_failing = false;
            return bells;
        }
        let records: Vec<Record> = rows.values().cloned().collect();
        let deliveries: Vec<NewDelivery> = self.webhooks.deliveries(&events);
        match self.store.save(&records, &deliveries, Hub::wall_clock()) {
            Ok(()) => {
                self.is_failing = false;
                if !deliveries.is_empty() {
                    self.webhooks.wake();
                }
            }
            Err(error) => {
                if !self.is_failing {
                    log::warn!("video rooms cannot be written down: {error}; calls go on, a restart would miss it");
                }
                self.is_failing = true;
                self.keep(rows, events);
            }
        }
        bells
    }

    /// Puts back what could not be written, where nothing newer stands.
    fn keep(&self, rows: BTreeMap<RowKey, Record>, mut events: Vec<Event>) {
        let mut pending = self.shared.pending.lock();
        for (key, record) in rows {
            pending.rows.entry(key).or_insert(record);
        }
        events.append(&mut pending.events);
        pending.events = events;
    }

    fn prune(&mut self) {
        if Instant::now() < self.next_prune {
            return;
        }
        self.next_prune = Instant::now() + ROOM_PRUNE_INTERVAL;
        let age_max = Duration::from_secs(self.shared.age_max.load(Ordering::Relaxed));
        let before = earlier(Hub::wall_clock(), age_max);
        // An error was told by the store; the next interval tries again.
        while self.store.prune_rooms(before).unwrap_or(false) {}
    }
}

fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}

fn event_of(news: &News) -> Option<NewEvent> {
    let kind = match news.kind {
        NewsKind::RoomCreated => EventType::RoomCreated,
        NewsKind::RoomFinished(_) => EventType::RoomClosed,
        NewsKind::RoomChanged => EventType::RoomChanged,
        NewsKind::ParticipantJoined => EventType::ParticipantJoined,
        NewsKind::ParticipantLeft(_) => EventType::ParticipantLeft,
        NewsKind::HostChanged => EventType::HostChanged,
        NewsKind::RoomStarted | NewsKind::RoomEmptied | NewsKind::LobbyWaiting | NewsKind::QualityPoor => return None,
    };
    let who = news.participant.as_ref().map_or_else(String::new, |person| format!(" {}", person.id));
    let actor = news.participant.as_ref().and_then(|person| person.user.as_ref()).map(|user| format!("user:{user}"));
    let event = new_event(kind, format!("room {}{who}{}", news.room, reason_of(news.kind)));
    Some(NewEvent { actor, details_json: Some(told(news).to_string()), ..event })
}

fn reason_of(kind: NewsKind) -> String {
    let word = match kind {
        NewsKind::RoomFinished(reason) => serde_json::to_value(reason),
        NewsKind::ParticipantLeft(reason) => serde_json::to_value(reason),
        _of_no_reason => return String::new(),
    };
    word.ok().and_then(|word| word.as_str().map(|word| format!(": {word}"))).unwrap_or_default()
}

fn webhook_of(kind: NewsKind) -> Option<WebhookType> {
    use santral_schema::video::LeaveReason;
    Some(match kind {
        NewsKind::RoomStarted => WebhookType::RoomStarted,
        NewsKind::RoomFinished(_) | NewsKind::RoomEmptied => WebhookType::RoomFinished,
        NewsKind::ParticipantJoined => WebhookType::ParticipantJoined,
        NewsKind::ParticipantLeft(LeaveReason::Kicked | LeaveReason::Banned) => WebhookType::ParticipantKicked,
        NewsKind::ParticipantLeft(_) => WebhookType::ParticipantLeft,
        NewsKind::LobbyWaiting => WebhookType::LobbyWaiting,
        NewsKind::HostChanged => WebhookType::HostChanged,
        NewsKind::QualityPoor => WebhookType::QualityPoor,
        NewsKind::RoomCreated | NewsKind::RoomChanged => return None,
    })
}

/// What others learn: no names of devices, no addresses, nothing of what was said.
fn told(news: &News) -> serde_json::Value {
    let mut told = json!({ "roomId": news.room.as_str() });
    if let Some(person) = &news.participant {
        told["participantId"] = person.id.as_str().into();
        told["displayName"] = (*person.display_name).into();
        if let Some(user) = &person.user {
            told["userId"] = (**user).into();
        }
    }
    match news.kind {
        NewsKind::RoomFinished(reason) => told["reason"] = json!(reason),
        NewsKind::ParticipantLeft(reason) => told["reason"] = json!(reason),
        _of_no_reason => (),
    }
    told
}
