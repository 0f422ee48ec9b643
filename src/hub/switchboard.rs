//! The one writer of all video rooms: takes whatever is asked of them, and has it delivered.
//!
//! A thread of its own, like the log's writer, so that a room needs no lock and its events have one order.
//! What one turn has for a shard goes there in one mail. The shard answers which of it has arrived, and
//! until then nothing more is sent to the same participant: see [`santral_core::rooms`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc, oneshot};

use santral_core::entry::{Publication, Timestamp};
use santral_core::limits::{ROOM_NEWS_MAX, ROOM_REQUESTS_MAX};
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::{Clock, Effect, News, Parcel, Place, Record, Rooms};
use santral_core::shard::Shard;
use santral_schema::reason::DisconnectReason;

use super::Hub;

/// Inputs that are taken before effects are carried out.
const INPUTS_AT_ONCE: usize = 256;

/// Something to do with the rooms.
type RoomCall = Box<dyn FnOnce(&mut Rooms, Clock) + Send>;

/// What shards tell without being asked.
enum LinkNews {
    Up(Place),
    Down(SessionToken, ConnectionId, DisconnectReason),
}

/// What became of one batch: where it has arrived, if it has.
struct Outcome {
    parcel: Parcel,
    sent_to: Place,
    arrived_at: Option<ConnectionId>,
}

/// One batch on its way to a shard.
struct Shipment {
    to: Place,
    parcel: Option<Parcel>,
    batch: Vec<Arc<Publication>>,
}

/// The way to the rooms.
pub struct Switchboard {
    calls: mpsc::Sender<RoomCall>,
    news: mpsc::Sender<LinkNews>,
    shared: Arc<Shared>,
}

/// The thread's end of the way to the rooms.
pub struct SwitchboardInbox {
    calls: mpsc::Receiver<RoomCall>,
    news: mpsc::Receiver<LinkNews>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Sessions of which the rooms want news.
    watched: RwLock<HashSet<SessionToken>>,
    /// There was no room for some news: whoever drives the rooms has to look for itself.
    missed_news: AtomicBool,
    stops: Notify,
}

/// Hears on the switchboard's thread of what is to be written down, and of what has happened. Must not block.
pub trait RoomObserver: Send + 'static {
    /// A row is to be as this from now on.
    fn record(&mut self, record: Record);

    /// Something happened.
    fn happened(&mut self, news: News);
}

/// A switchboard whose thread is started later.
#[must_use]
pub fn switchboard() -> (Switchboard, SwitchboardInbox) {
    let (call_sender, calls) = mpsc::channel(ROOM_REQUESTS_MAX);
    let (news_sender, news) = mpsc::channel(ROOM_NEWS_MAX);
    let shared = Arc::<Shared>::default();
    let inbox = SwitchboardInbox { calls, news, shared: Arc::clone(&shared) };
    (Switchboard { calls: call_sender, news: news_sender, shared }, inbox)
}

impl Switchboard {
    /// Does something with the rooms on their thread and returns the answer; `None` when it has stopped.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Rooms, Clock) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let call: RoomCall = Box::new(move |rooms, clock| {
            // The asker may have gone away; the work is done all the same.
            let _ = answer.send(work(rooms, clock));
        });
        self.calls.send(call).await.ok()?;
        answered.await.ok()
    }

    /// Ends the thread; rooms stay as they are written down.
    pub fn close(&self) {
        self.shared.stops.notify_one();
    }

    /// A session has a link.
    pub(super) fn link_up(&self, place: impl FnOnce() -> Place) {
        if self.shared.watched.read().is_empty() {
            return;
        }
        let place = place();
        if self.shared.watched.read().contains(&place.session) {
            self.tell(LinkNews::Up(place));
        }
    }

    /// A connection of a session is over.
    pub(super) fn link_down(&self, session: SessionToken, connection: ConnectionId, reason: DisconnectReason) {
        if self.shared.watched.read().contains(&session) {
            self.tell(LinkNews::Down(session, connection, reason));
        }
    }

    fn tell(&self, news: LinkNews) {
        if self.news.try_send(news).is_err() {
            self.shared.missed_news.store(true, Ordering::Release);
        }
    }
}

impl SwitchboardInbox {
    /// Drives the rooms until [`Switchboard::close`]. For a thread of its own.
    ///
    /// # Errors
    /// When the system gives no timers.
    pub fn run(self, rooms: Rooms, hub: &Arc<Hub>, observer: impl RoomObserver) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let Self { calls, news, shared } = self;
        let shipped = FuturesUnordered::new();
        let (hub, astray) = (Arc::clone(hub), Vec::new());
        let operator = Operator { rooms, hub, observer, calls, news, shared, shipped, astray };
        runtime.block_on(operator.run());
        Ok(())
    }
}

/// Who sits at the switchboard.
struct Operator<O> {
    rooms: Rooms,
    hub: Arc<Hub>,
    observer: O,
    calls: mpsc::Receiver<RoomCall>,
    news: mpsc::Receiver<LinkNews>,
    shared: Arc<Shared>,
    /// Mails of which the shards have not said yet what became of them; as many as their mailboxes hold.
    shipped: FuturesUnordered<oneshot::Receiver<Vec<Outcome>>>,
    /// Sessions that were not where they were looked for.
    astray: Vec<SessionToken>,
}

impl<O: RoomObserver> Operator<O> {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            self.carry_out().await;
            let now = self.hub.now();
            let pause = self.rooms.next_timeout().map_or(Duration::from_secs(3_600), |timeout| timeout - now);
            tokio::select! {
                biased;
                () = shared.stops.notified() => return,
                Some(news) = self.news.recv() => self.take_news(news),
                Some(outcomes) = self.shipped.next() => self.take_outcomes(outcomes.unwrap_or_default()),
                Some(call) = self.calls.recv() => self.take_call(call),
                () = tokio::time::sleep(pause) => (),
            }
            self.take_more();
            self.look_for_astray().await;
            if self.shared.missed_news.swap(false, Ordering::AcqRel) {
                self.look_for_links().await;
            }
            self.rooms.handle_timeout(self.clock());
        }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.hub.now(), at: Hub::wall_clock() }
    }

    /// Takes what else waits, up to a bound, so that effects of many inputs go out together.
    fn take_more(&mut self) {
        for _ in 0..INPUTS_AT_ONCE {
            if let Ok(news) = self.news.try_recv() {
                self.take_news(news);
            } else if let Ok(call) = self.calls.try_recv() {
                self.take_call(call);
            } else {
                return;
            }
        }
    }

    fn take_call(&mut self, call: RoomCall) {
        let clock = self.clock();
        call(&mut self.rooms, clock);
    }

    fn take_news(&mut self, news: LinkNews) {
        match news {
            LinkNews::Up(place) => self.rooms.link_up(&place),
            LinkNews::Down(session, connection, reason) => {
                self.rooms.link_down(self.clock(), &session, connection, reason);
            }
        }
    }

    fn take_outcomes(&mut self, outcomes: Vec<Outcome>) {
        let clock = self.clock();
        for outcome in outcomes {
            self.rooms.delivered(clock, &outcome.parcel, outcome.arrived_at.is_some());
            if outcome.arrived_at.is_none() {
                self.astray.push(outcome.sent_to.session);
                continue;
            }
            // The session has another connection than the rooms have heard of.
            if let Some(connection) = outcome.arrived_at.filter(|found| *found != outcome.sent_to.connection) {
                self.rooms.link_up(&Place { connection, ..outcome.sent_to });
            }
        }
    }

    /// A session may have moved before anybody watched it, and then nobody tells where it is.
    async fn look_for_astray(&mut self) {
        for session in std::mem::take(&mut self.astray) {
            if let Some(place) = self.hub.place_of_watched(&session).await {
                self.rooms.link_up(&place);
            }
        }
    }

    /// Asks for the link of every session that sits in a room, after a flood of news that found no room.
    async fn look_for_links(&mut self) {
        for session in self.rooms.sessions() {
            let clock = self.clock();
            match self.hub.place_of_watched(&session).await {
                Some(place) => self.rooms.link_up(&place),
                None => self.rooms.link_lost(clock, &session),
            }
        }
    }

    /// Does what the rooms want done: all for one shard goes there at once.
    async fn carry_out(&mut self) {
        let mut shipments: Vec<Vec<Shipment>> = Vec::new();
        while let Some(effect) = self.rooms.poll_effect() {
            match effect {
                Effect::Deliver { to, parcel, batch } => {
                    if shipments.len() <= to.shard {
                        shipments.resize_with(to.shard + 1, Vec::new);
                    }
                    shipments[to.shard].push(Shipment { to, parcel, batch });
                }
                Effect::Watch(session, true) => drop(self.shared.watched.write().insert(session)),
                Effect::Watch(session, false) => drop(self.shared.watched.write().remove(&session)),
                Effect::Record(record) => self.observer.record(*record),
                Effect::Happened(news) => self.observer.happened(news),
            }
        }
        for (shard, shipments) in shipments.into_iter().enumerate() {
            if !shipments.is_empty() {
                self.ship(shard, shipments).await;
            }
        }
    }

    /// Waits while the shard's mailbox is full, and everything else here with it.
    async fn ship(&self, shard: usize, shipments: Vec<Shipment>) {
        let at = Hub::wall_clock();
        let (answer, outcomes) = oneshot::channel();
        let unload_all = move |shard: &mut Shard, _| {
            let outcomes = shipments.into_iter().filter_map(|shipment| unload(shard, at, shipment)).collect();
            // Nobody waits for it once the thread has ended.
            let _ = answer.send(outcomes);
        };
        if self.hub.tell(shard, unload_all).await {
            self.shipped.push(outcomes);
        }
    }
}

/// Puts a batch into the inbox of its session, if there is a link.
fn unload(shard: &mut Shard, at: Timestamp, shipment: Shipment) -> Option<Outcome> {
    let Shipment { to, parcel, batch } = shipment;
    let arrived_at = shard.send_to_session(&to.session, at, batch);
    parcel.map(|parcel| Outcome { parcel, sent_to: to, arrived_at })
}
