//! One shard on its worker thread: drives core with the mailbox, the sockets and the clock.
//!
//! Handlers of the same thread reach the shard directly ([`LocalShard`]); everybody else by mail.
//! The loop serves a slice of sessions, then yields to the thread's other tasks, so a pass over
//! ten thousand clients does not hold up a request.

mod dialogue;
mod engines;
mod sightings;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use mio::Events;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use santral_core::limits::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX};
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::Place;
use santral_core::session::{Legacy, SessionKey};
use santral_core::shard::{
    AttachRequest, Attached, Effect, ForeignSession, PageRequest, PresenceNotice, Progress, SessionView, Shard,
    ShardConfig,
};
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use super::delivery::{Delivery, ShardPart};
use super::links::{BodyPipe, BodyReader, LinkEvent, LinkTable, Notices};
use super::{ConnectionNews, Hub, Mail, StreamSlot};
use crate::ports::store::PageQuery;

pub(crate) use dialogue::WebSocketOpening;
pub use sightings::{Sighting, Sightings};

/// Mails that are taken before sessions are served again.
const MAILS_AT_ONCE: usize = 256;

/// Readiness events that are taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 1_024;

struct State {
    shard: Shard,
    links: LinkTable,
    waits: Waits,
}

/// Since when the message has waited that waits longest; only of messages that somebody follows.
#[derive(Default)]
struct Waits {
    /// For the next pass.
    next_pass: Option<Instant>,
    /// Of what the pass under way writes.
    this_pass: Option<Instant>,
}

impl Waits {
    fn add(&mut self, since: Instant) {
        self.next_pass = Some(self.next_pass.map_or(since, |earlier| earlier.min(since)));
    }

    fn pass_began(&mut self) {
        self.this_pass = self.next_pass.take();
    }

    fn pass_ended(&mut self) -> Option<Duration> {
        self.this_pass.take().map(|since| since.elapsed())
    }
}

/// The shard of this thread.
#[derive(Clone)]
pub struct LocalShard {
    index: usize,
    hub: Arc<Hub>,
    state: Rc<RefCell<State>>,
    notices: Rc<Notices>,
    /// When the loop wakes by itself.
    wakes_at: Rc<Cell<Option<Moment>>>,
}

impl LocalShard {
    /// Starts the shard with this index on the current thread, inside its `LocalSet`.
    ///
    /// # Errors
    /// When the kernel has no poll for it.
    pub fn start(hub: &Arc<Hub>, index: usize, mailbox: Receiver<Mail>) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let notices = Rc::new(Notices::default());
        let start = &hub.log_start;
        let config = ShardConfig {
            heartbeat: hub.config.load().heartbeat,
            ..ShardConfig::new(start.epoch, start.behind, start.trimmed_to)
        };
        let mut shard = Shard::new(hub.now(), config);
        shard.publish_stored(&start.recent);
        let links = LinkTable::new(poll.registry().try_clone()?, Rc::clone(&notices))?;
        let state = Rc::new(RefCell::new(State { shard, links, waits: Waits::default() }));
        let local = Self { index, hub: Arc::clone(hub), state, notices, wakes_at: Rc::default() };
        let readiness = watch(poll.registry().as_fd().try_clone_to_owned()?)?;
        let driver = Driver { local: local.clone(), mailbox, poll, readiness };
        actix_rt::spawn(async move {
            // The log is durable, so a fresh process serves better than one without this shard.
            let ended = actix_rt::spawn(driver.run()).await;
            if let Err(error) = ended
                && error.is_panic()
            {
                log::error!("shard {index} failed and takes the process with it: {error}");
                std::process::abort();
            }
        });
        Ok(local)
    }

    /// The index of this shard in its hub.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The hub of this shard.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Does something with the shard at once.
    pub fn with<T>(&self, work: impl FnOnce(&mut Shard, Moment) -> T) -> T {
        let now = self.hub.now();
        let result = work(&mut self.state.borrow_mut().shard, now);
        self.settle();
        self.notices.ring();
        result
    }

    /// Admits a session; see [`Shard::attach`].
    #[must_use]
    pub fn attach(&self, request: AttachRequest) -> Attached {
        let heartbeat = self.hub.config.load().heartbeat;
        self.with(|shard, now| {
            shard.set_heartbeat(now, heartbeat);
            shard.attach(now, request)
        })
    }

    /// Ends an earlier attach of the token; see [`Shard::release`].
    ///
    /// # Errors
    /// [`ForeignSession`].
    pub fn release(&self, token: &SessionToken, principal: &str) -> Result<Option<Legacy>, ForeignSession> {
        self.with(|shard, now| shard.release(now, token, principal))
    }

    /// Takes over the socket of a session whose response head was sent.
    pub(crate) fn link_socket(&self, key: SessionKey, stream: std::net::TcpStream, slot: StreamSlot) {
        if let Err(error) = self.state.borrow_mut().links.add_socket(key, stream, slot) {
            log::warn!("a stream's socket cannot be watched: {error}");
            self.abandon(key);
            return;
        }
        self.link_up(key);
    }

    /// Makes a response body the session's link.
    pub(crate) fn link_body(&self, key: SessionKey, slot: StreamSlot) -> BodyReader {
        let pipe = BodyPipe::new();
        self.state.borrow_mut().links.add_body(key, pipe.clone(), slot);
        self.link_up(key);
        BodyReader::new(pipe, key, Rc::clone(&self.notices))
    }

    fn link_up(&self, key: SessionKey) {
        let started = self.with(|shard, now| {
            shard.link_up(now, key);
            let view = shard.view(key).filter(SessionView::is_linked);
            view.map(|view| (view.token().clone(), view.connection(), Arc::clone(view.client())))
        });
        if let Some((session, connection, client)) = started {
            self.hub.switchboard.link_up(|| Place { session, connection, shard: self.index });
            self.hub.tell_of_connection(ConnectionNews::Started(connection, client));
        }
    }

    /// The session's connection never took the response.
    pub(crate) fn abandon(&self, key: SessionKey) {
        self.with(|shard, now| shard.link_down(now, key, DisconnectReason::NeverOpened));
    }

    /// Carries out what the shard wants done outside.
    fn settle(&self) {
        loop {
            let effect = self.state.borrow_mut().shard.poll_effect();
            let Some(effect) = effect else { return };
            match effect {
                Effect::ReadPage(request) => self.read_page(request),
                Effect::Close { session, farewell, reason } => {
                    self.state.borrow_mut().links.close(self.hub.now(), session, &farewell, reason);
                }
                Effect::Presence(notice) => self.spread_presence(notice),
                Effect::ConnectionEnded { connection, token, client, reason } => {
                    log_end(connection, reason);
                    self.hub.switchboard.link_down(token, connection, reason);
                    self.hub.tell_of_connection(ConnectionNews::Ended(connection, client, reason));
                }
                Effect::SessionEnded { token, connection: _ } => self.hub.directory.forget(&token, self.index),
            }
        }
    }

    fn spread_presence(&self, notice: PresenceNotice) {
        self.hub.occupancy.touch(&notice.channel);
        if self.hub.is_presence_watched() {
            self.hub.try_tell_all(move |shard, _| shard.publish_presence(&notice));
        }
    }

    fn read_page(&self, request: PageRequest) {
        let reader = Arc::clone(&self.hub.reader);
        let query = PageQuery {
            selectors: request.selectors,
            after: request.after,
            upto: request.upto,
            entries_max: PAGE_ENTRIES_MAX,
            bytes_max: PAGE_BYTES_MAX,
        };
        let local = self.clone();
        actix_rt::spawn(async move {
            let read = actix_rt::task::spawn_blocking(move || reader.page(&query)).await;
            let page = match read {
                Ok(Ok(page)) => Some((page.entries, page.reached, page.trimmed_to)),
                Ok(Err(error)) => {
                    log::debug!("a page of the log cannot be read yet: {error}");
                    None
                }
                Err(_) => None,
            };
            local.with(|shard, now| shard.page_read(now, request.session, page));
        });
    }

    fn take_link_event(&self, event: LinkEvent) {
        match event {
            LinkEvent::Writable(key) => self.with(|shard, _| shard.writable(key)),
            LinkEvent::Ready(key) => {
                let takes_more = self.state.borrow_mut().links.flush(key);
                if takes_more {
                    self.with(|shard, _| shard.writable(key));
                }
                self.hear(key);
            }
            LinkEvent::Down(key, reason) => {
                self.state.borrow_mut().links.remove(key);
                self.with(|shard, now| shard.link_down(now, key, reason));
            }
            LinkEvent::EngineReady(key) => self.with_engines(|engines, now| engines.ready(now, key)),
            LinkEvent::Heard(key) => self.hear_engine(key),
        }
    }

    fn take_mail(&self, mail: Mail) {
        match mail {
            Mail::Deliver(part) => self.deliver(part),
            Mail::Call(call) => self.with(|shard, now| call(shard, now)),
            Mail::Local(call) => call(self),
        }
    }

    /// Hands volatile messages to every shard; those of this thread's sessions leave at once.
    pub async fn deliver_volatile(&self, delivery: &Arc<Delivery>) {
        self.hub.deliver_to_others(self.index, delivery).await;
        self.deliver(delivery.part());
        let progress = self.run_slice();
        self.settle();
        let next = self.next_timeout();
        let is_early = next.is_some_and(|next| self.wakes_at.get().is_none_or(|wakes_at| next < wakes_at));
        if progress == Progress::More || is_early {
            self.notices.ring();
        }
    }

    fn next_timeout(&self) -> Option<Moment> {
        let state = self.state.borrow();
        [state.shard.next_timeout(), state.links.next_timeout()].into_iter().flatten().min()
    }

    fn deliver(&self, part: ShardPart) {
        let State { shard, waits, .. } = &mut *self.state.borrow_mut();
        let mut is_followed = false;
        for (index, entry) in part.entries().iter().enumerate() {
            let receivers = shard.publish(entry);
            is_followed |= receivers > 0;
            part.add_receivers(index, receivers);
        }
        if is_followed {
            waits.add(part.accepted_at());
        }
    }

    fn run_slice(&self) -> Progress {
        let mut state = self.state.borrow_mut();
        let State { shard, links, waits } = &mut *state;
        let was_in_pass = shard.is_in_pass();
        let now = self.hub.now();
        let progress = shard.run_slice(now, links);
        engines::answer_late(shard, links, now);
        links.answer_polls(self.hub.now());
        if !was_in_pass && shard.is_in_pass() {
            waits.pass_began();
        }
        if shard.slice_ended(self.hub.now())
            && let Some(waited) = waits.pass_ended()
        {
            self.hub.metrics.publish_to_write.observe_duration(waited);
        }
        progress
    }
}

#[expect(
    deprecated,
    reason = "its successor is an unsafe fn; an OwnedFd keeps the descriptor valid, which is all it asks"
)]
fn watch(poll: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(poll)
}

fn log_end(connection: ConnectionId, reason: DisconnectReason) {
    log::debug!(connection = connection.as_str(), reason = reason.name(); "connection ended");
}

/// The loop of one shard.
struct Driver {
    local: LocalShard,
    mailbox: Receiver<Mail>,
    /// The sockets of this shard.
    poll: mio::Poll,
    /// The same poll's descriptor, so that the thread's own reactor wakes us.
    readiness: AsyncFd<OwnedFd>,
}

impl Driver {
    async fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        loop {
            if !self.take_mails() {
                return;
            }
            self.take_events(&mut events);
            let now = self.local.hub.now();
            let heartbeat = self.local.hub.config.load().heartbeat;
            self.local.state.borrow_mut().shard.set_heartbeat(now, heartbeat);
            self.local.state.borrow_mut().shard.handle_timeout(now);
            self.local.give_up_polls(now);
            self.local.state.borrow_mut().links.engines.handle_timeouts(now);
            self.local.settle();
            let progress = self.local.run_slice();
            self.local.settle();
            match progress {
                Progress::More => actix_rt::task::yield_now().await,
                Progress::Idle => {
                    if !self.wait().await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for something to do. False when the mailbox is closed.
    async fn wait(&mut self) -> bool {
        let timeout = self.local.next_timeout();
        self.local.wakes_at.set(timeout);
        let now = self.local.hub.now();
        let pause = timeout.map_or(Duration::from_secs(3600), |timeout| timeout - now);
        tokio::select! {
            mail = self.mailbox.recv() => match mail {
                Some(mail) => self.local.take_mail(mail),
                None => return false,
            },
            // Stays ready until the events are taken.
            _ = self.readiness.readable() => (),
            () = self.local.notices.rung() => (),
            () = actix_rt::time::sleep(pause) => (),
        }
        true
    }

    /// Takes the mails that wait, up to a bound. False when the mailbox is closed.
    fn take_mails(&mut self) -> bool {
        for _ in 0..MAILS_AT_ONCE {
            match self.mailbox.try_recv() {
                Ok(mail) => self.local.take_mail(mail),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn take_events(&mut self, events: &mut Events) {
        // Asks the thread's reactor, which costs no system call while nothing has happened.
        if let Some(Ok(mut guard)) = self.readiness.readable().now_or_never() {
            guard.clear_ready();
            self.take_socket_events(events);
        }
        for event in self.local.notices.take() {
            self.local.take_link_event(event);
        }
    }

    fn take_socket_events(&mut self, events: &mut Events) {
        loop {
            if self.poll.poll(events, Some(Duration::ZERO)).is_err() {
                break;
            }
            let found: Vec<_> =
                events.iter().filter_map(|event| self.local.state.borrow_mut().links.judge(event)).collect();
            for event in found {
                self.local.take_link_event(event);
            }
            if events.iter().count() < EVENTS_AT_ONCE {
                break;
            }
        }
    }
}
