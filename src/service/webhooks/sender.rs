//! Takes what is due from the outbox, has it sent, and notes what became of it.
//!
//! One thread looks and notes; each run has a thread of its own that mostly waits, no more than
//! [`WEBHOOK_SENDERS_MAX`], shared out evenly between the addresses, so that one which is slow or down takes
//! nothing from the others. A line has one run at a time, and the next begins only when the outcome of the last
//! was stored. So what was taken and not yet noted when the server dies is sent again, and nothing is lost.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use santral_core::entry::Timestamp;
use santral_core::limits::{
    RECORD_RETRY, WEBHOOK_COUNT_INTERVAL, WEBHOOK_ERROR_BYTES_MAX, WEBHOOK_POLL_INTERVAL, WEBHOOK_PRUNE_INTERVAL,
    WEBHOOK_SENDERS_MAX, WEBHOOK_TRIES_FOR,
};
use santral_schema::event_log::EventType;

use super::backoff::{self, Next};
use super::client::Client;
use super::mailbox::Mail;
use super::run::{Outcome, Run};
use super::{Shared, Webhooks};
use crate::auth::secrets::{self, TokenKeyError};
use crate::config::{Config, Secret, shown_webhook_url};
use crate::hub::Hub;
use crate::ports::event_log::NewEvent;
use crate::ports::store::StoreError;
use crate::ports::webhooks::{Outbox, Settled, WaitingDelivery};
use crate::service::event_log::{new_event, shortened};
use crate::service::operator::Recorder;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::cells::{set_counter, set_gauge};
use crate::telemetry::metrics::labels::WebhookTry;

/// The file in the data directory that holds the secret which was drawn.
const SECRET_FILE: &str = "webhook.key";

/// How webhooks are signed. Drawn when the first address is set: until then nobody needs it.
pub struct Signing {
    configured: Option<Secret>,
    data_dir: PathBuf,
    secret: Option<Secret>,
}

impl Signing {
    /// As the configuration says; reads or draws the secret at once where there are addresses.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn open(config: &Config) -> Result<Self, TokenKeyError> {
        let (configured, data_dir) = (config.webhook_secret.clone(), config.data_dir.clone());
        let mut signing = Self { configured, data_dir, secret: None };
        if !config.webhook_urls.is_empty() {
            signing.secret()?;
        }
        Ok(signing)
    }

    fn secret(&mut self) -> Result<Secret, TokenKeyError> {
        if let Some(secret) = &self.secret {
            return Ok(secret.clone());
        }
        let secret = secrets::open(self.configured.as_ref(), &self.data_dir, SECRET_FILE)?;
        Ok(self.secret.insert(secret).clone())
    }
}

/// What the sender works with.
pub struct SenderParts {
    /// Where deliveries wait.
    pub outbox: Arc<dyn Outbox>,
    /// What is wanted.
    pub webhooks: Arc<Webhooks>,
    /// How they are signed.
    pub signing: Signing,
    /// Whether they may go to private addresses.
    pub may_go_private: bool,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Hears of what was given up.
    pub recorder: Recorder,
}

/// The thread that sends.
pub struct Sender {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Sender {
    /// Starts it.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(parts: SenderParts) -> io::Result<Self> {
        let shared = Arc::clone(&parts.webhooks.shared);
        let desk = Desk::new(parts);
        let thread = std::thread::Builder::new().name("webhook-sender".to_owned()).spawn(move || desk.run())?;
        Ok(Self { shared, thread })
    }

    /// Begins nothing any more. What is under way goes on, for [`Sender::join`] to wait for.
    pub fn stop(&self) {
        self.shared.mailbox.stop();
    }

    /// Waits after [`Sender::stop`] until what is under way is noted; `false` if that takes longer, then it may be
    /// sent again. Blocking.
    #[must_use]
    pub fn join(self, within: Duration) -> bool {
        let end = Instant::now() + within;
        while !self.thread.is_finished() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().is_ok()
    }
}

/// What the thread knows.
struct Desk {
    parts: SenderParts,
    client: Arc<Client>,
    shared: Arc<Shared>,
    /// Subjects by address whose line has a run, or one that is not noted yet.
    busy: HashMap<Arc<str>, Vec<String>>,
    /// Runs under way.
    running: usize,
    /// What is to be noted, and the lines that are free then.
    settled: Vec<Settled>,
    reported: Vec<(Arc<str>, String)>,
    /// Addresses whose last try failed, for the log.
    failing: HashSet<Arc<str>>,
    is_signing_broken: bool,
    next_count: Instant,
    next_prune: Instant,
}

impl Desk {
    fn new(parts: SenderParts) -> Self {
        let now = Instant::now();
        Self {
            client: Arc::new(Client::new(parts.may_go_private)),
            shared: Arc::clone(&parts.webhooks.shared),
            parts,
            busy: HashMap::new(),
            running: 0,
            settled: Vec::new(),
            reported: Vec::new(),
            failing: HashSet::new(),
            is_signing_broken: false,
            next_count: now,
            next_prune: now + WEBHOOK_PRUNE_INTERVAL,
        }
    }

    fn run(mut self) {
        loop {
            let Mail { outcomes, is_stopping, .. } = self.shared.mailbox.take(self.patience());
            for outcome in outcomes {
                self.take(outcome);
            }
            // An error was told by the store; the next turn tries again.
            let is_noted = self.settle().is_ok();
            if is_stopping {
                if self.running == 0 {
                    return;
                }
                continue;
            }
            if is_noted {
                self.hand_out();
            }
            self.look_after();
        }
    }

    fn patience(&self) -> Duration {
        if !self.settled.is_empty() { RECORD_RETRY } else { WEBHOOK_POLL_INTERVAL }
    }

    /// Turns the outcome of a run into what is noted of it.
    fn take(&mut self, outcome: Outcome) {
        let Outcome { url, subject, taken, gone, failed } = outcome;
        self.running -= 1;
        let tries = &self.parts.metrics.webhook_tries;
        tries.of(WebhookTry::Delivered).inc_by(taken.len() as u64);
        tries.of(WebhookTry::Gone).inc_by(gone.len() as u64);
        self.tell_state(&url, taken.is_empty() && gone.is_empty(), failed.as_ref().map(|(_, why)| why.as_str()));
        self.settled.extend(taken.into_iter().map(Settled::Over));
        if let Some(last) = gone.last() {
            self.give_up(gone.len(), last, "the receiver says that it is gone (410)");
            self.settled.extend(gone.iter().map(|delivery| Settled::Over(delivery.id)));
        }
        if let Some((delivery, why)) = failed {
            self.parts.metrics.webhook_tries.of(WebhookTry::Failed).inc();
            let chance = nanoid::rngs::default(1).first().copied().unwrap_or_default();
            match backoff::next(delivery.at, Hub::wall_clock(), delivery.attempts, chance) {
                Next::At(until) => {
                    let error = shortened(&why, WEBHOOK_ERROR_BYTES_MAX).into_owned();
                    self.settled.push(Settled::Failed { delivery, until, error });
                }
                Next::Never => {
                    self.give_up(1, &delivery, &why);
                    self.settled.push(Settled::Over(delivery.id));
                }
            }
        }
        self.reported.push((url, subject));
    }

    /// Tells the log when an address begins to fail, and when it is back.
    fn tell_state(&mut self, url: &Arc<str>, none_taken: bool, failure: Option<&str>) {
        let shown = shown_webhook_url(url);
        match failure {
            Some(why) if none_taken => {
                if self.failing.insert(Arc::clone(url)) {
                    log::warn!("webhooks do not reach {shown}: {why}; they are tried again");
                }
            }
            Some(_) | None => {
                if !none_taken && self.failing.remove(url) {
                    log::info!("webhooks reach {shown} again");
                }
            }
        }
    }

    fn give_up(&self, count: usize, last: &WaitingDelivery, why: &str) {
        self.parts.metrics.webhooks_given_up.inc_by(count as u64);
        let shown = shown_webhook_url(&last.url);
        let why = shortened(why, WEBHOOK_ERROR_BYTES_MAX);
        let message = format!("{count} of {} to {shown}: {why}", last.subject);
        let details = json!({
            "url": shown,
            "subject": last.subject,
            "count": count,
            "lastEventId": last.event_id,
            "lastType": last.kind,
            "lastError": why,
        });
        let event = new_event(EventType::WebhookGivenUp, message);
        (self.parts.recorder)(NewEvent { details_json: Some(details.to_string()), ..event });
    }

    /// Notes what became of runs; only then their lines are free.
    fn settle(&mut self) -> Result<(), StoreError> {
        if !self.settled.is_empty() {
            self.parts.outbox.settle(&self.settled)?;
            self.settled.clear();
        }
        for (url, subject) in self.reported.drain(..) {
            if let Some(subjects) = self.busy.get_mut(&url) {
                subjects.retain(|busy| *busy != subject);
            }
        }
        Ok(())
    }

    /// Starts as many runs as there may be.
    fn hand_out(&mut self) {
        let shared = Arc::clone(&self.shared);
        let wanted = shared.wanted.load();
        self.failing.retain(|url| wanted.urls.contains(url));
        self.busy.retain(|_, subjects| !subjects.is_empty());
        // An error was told by the store; the next turn tries again.
        if wanted.urls.is_empty() || !self.parts.outbox.may_send().unwrap_or(false) {
            return;
        }
        let Some(secret) = self.secret() else { return };
        let share = (WEBHOOK_SENDERS_MAX / wanted.urls.len()).max(1);
        for url in &wanted.urls {
            let busy = self.busy.get(url).map(Vec::as_slice).unwrap_or_default();
            let left = WEBHOOK_SENDERS_MAX.saturating_sub(self.running);
            let free = share.saturating_sub(busy.len()).min(left);
            if free == 0 {
                continue;
            }
            // An error was told by the store; the next turn tries again.
            let lines = self.parts.outbox.due(url, Hub::wall_clock(), busy, free).unwrap_or_default();
            for deliveries in lines {
                self.start(url, deliveries, &secret);
            }
        }
    }

    fn start(&mut self, url: &Arc<str>, deliveries: Vec<WaitingDelivery>, secret: &Secret) {
        let Some(subject) = deliveries.first().map(|first| first.subject.clone()) else { return };
        let run = Run {
            url: Arc::clone(url),
            deliveries,
            client: Arc::clone(&self.client),
            secret: secret.clone(),
            shared: Arc::clone(&self.shared),
        };
        match run.start() {
            Ok(()) => {
                self.running += 1;
                self.busy.entry(Arc::clone(url)).or_default().push(subject);
            }
            // The line is as it was, and the next turn tries again.
            Err(error) => log::warn!("a webhook cannot be sent yet: {error}"),
        }
    }

    fn secret(&mut self) -> Option<Secret> {
        match self.parts.signing.secret() {
            Ok(secret) => {
                self.is_signing_broken = false;
                Some(secret)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_signing_broken, true) {
                    log::error!("webhooks cannot be signed, and wait: {error}");
                }
                None
            }
        }
    }

    /// Counts what waits, and deletes what goes nowhere any more.
    fn look_after(&mut self) {
        let now = Instant::now();
        if now >= self.next_count {
            self.next_count = now + WEBHOOK_COUNT_INTERVAL;
            set_counter(&self.parts.metrics.webhooks_lost, self.parts.webhooks.lost());
            if let Ok(count) = self.parts.outbox.count() {
                self.shared.waiting.store(count, Ordering::Relaxed);
                set_gauge(&self.parts.metrics.webhooks_waiting, count);
            }
        }
        if now >= self.next_prune {
            let age = i64::try_from(WEBHOOK_TRIES_FOR.as_micros()).unwrap_or(i64::MAX);
            let before = Timestamp(Hub::wall_clock().0.saturating_sub(age));
            let pruned = self.parts.outbox.prune(&self.shared.wanted.load().urls, before).unwrap_or(0);
            self.parts.metrics.webhooks_given_up.inc_by(pruned as u64);
            if pruned == 0 {
                self.next_prune = now + WEBHOOK_PRUNE_INTERVAL;
            } else {
                log::warn!("{pruned} webhooks were given up: their address is not set any more");
            }
        }
    }
}
