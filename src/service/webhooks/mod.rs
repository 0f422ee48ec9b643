//! Webhooks: what other servers are told by HTTP, signed, in order, at least once.
//!
//! | file | what |
//! |---|---|
//! | `event` | an event with its body, and the delivery of it to each address |
//! | `collector` | takes events from threads that must not wait, and stores them |
//! | `news` | connections that begin and end |
//! | `occupancy` | channels that were occupied or vacated |
//! | `sender`, `run` | takes what is due from the outbox and sends it |
//! | `mailbox` | what wakes the sender |
//! | `client`, `addresses` | one try, and where it may go |
//! | `signature`, `backoff` | how it is signed, and when it is tried again |
//!
//! Whoever writes rows of their own turns an event into deliveries ([`Webhooks::deliveries`]), stores them in
//! the same transaction (`store::webhook_outbox::append`), and wakes the sender ([`Webhooks::wake`]). Everybody
//! else calls [`Webhooks::tell`].

mod addresses;
mod backoff;
mod client;
mod collector;
mod event;
mod mailbox;
mod news;
pub mod occupancy;
mod run;
pub mod sender;
mod signature;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use santral_core::limits::{WEBHOOK_PRUNE_INTERVAL, WEBHOOK_QUEUE_MAX, WEBHOOK_ROWS_MAX};
use santral_schema::webhooks::WebhookType;

use super::write_behind::WriteBehind;
use crate::config::Config;
use crate::ports::webhooks::{NewDelivery, Outbox};
use collector::Collector;
use mailbox::Mailbox;

pub use event::Event;

/// What is told to whom.
#[derive(Debug, Default)]
struct Wanted {
    urls: Vec<Arc<str>>,
    kinds: Vec<WebhookType>,
}

impl Wanted {
    fn of(config: &Config) -> Self {
        let urls = config.webhook_urls.iter().map(|url| Arc::clone(url.text())).collect();
        Self { urls, kinds: config.webhook_events.clone() }
    }
}

/// What all parts of webhooks share.
#[derive(Default)]
struct Shared {
    wanted: ArcSwap<Wanted>,
    /// Deliveries that wait, as they were counted last.
    waiting: AtomicU64,
    /// Events that found no room in the outbox.
    without_room: AtomicU64,
    mailbox: Mailbox,
}

impl Shared {
    fn deliveries(&self, events: &[Event]) -> Vec<NewDelivery> {
        let wanted = self.wanted.load();
        let wanted_events = || events.iter().filter(|event| wanted.kinds.contains(&event.kind));
        if wanted.urls.is_empty() {
            return Vec::new();
        }
        if self.waiting.load(Ordering::Relaxed) >= WEBHOOK_ROWS_MAX {
            self.without_room.fetch_add(wanted_events().count() as u64, Ordering::Relaxed);
            return Vec::new();
        }
        let deliveries: Vec<_> =
            wanted_events().flat_map(|event| wanted.urls.iter().map(|url| event.to(Arc::clone(url)))).collect();
        self.waiting.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
        deliveries
    }
}

/// The way into webhooks. Shared by everyone.
pub struct Webhooks {
    shared: Arc<Shared>,
    queue: WriteBehind<Event>,
}

impl Webhooks {
    /// Starts the thread that stores what is told.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(outbox: Arc<dyn Outbox>, config: &Config) -> io::Result<Arc<Self>> {
        let shared = Arc::<Shared>::default();
        shared.wanted.store(Arc::new(Wanted::of(config)));
        let make_sink = |tally| Collector::new(outbox, Arc::clone(&shared), tally);
        let queue = WriteBehind::start("webhooks", WEBHOOK_QUEUE_MAX, WEBHOOK_PRUNE_INTERVAL, make_sink)?;
        Ok(Arc::new(Self { shared, queue }))
    }

    /// Other addresses and types, from now on.
    pub fn configure(&self, config: &Config) {
        self.shared.wanted.store(Arc::new(Wanted::of(config)));
        self.wake();
    }

    /// Whether anybody is told of events of this type: only then they need to be made.
    #[must_use]
    pub fn wants(&self, kind: WebhookType) -> bool {
        let wanted = self.shared.wanted.load();
        !wanted.urls.is_empty() && wanted.kinds.contains(&kind)
    }

    /// Tells of an event. Never blocks: without room it is counted as lost.
    pub fn tell(&self, event: Event) {
        self.queue.push(event);
    }

    /// What is to be stored so that everybody is told who wants to be: one delivery for each address. Nothing
    /// when nobody does, and, counted as lost, when too much waits.
    #[must_use]
    pub fn deliveries(&self, events: &[Event]) -> Vec<NewDelivery> {
        self.shared.deliveries(events)
    }

    /// Deliveries were stored: the sender need not wait until it looks by itself.
    pub fn wake(&self) {
        self.shared.mailbox.ring();
    }

    /// Events that were lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost() + self.shared.without_room.load(Ordering::Relaxed)
    }

    /// Takes no more events; what waits is still stored.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits after [`Self::close`] until everything is stored; `false` if that takes longer. Blocking.
    pub fn join(&self, within: Duration) -> bool {
        self.queue.join(within)
    }
}
