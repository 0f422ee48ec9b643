//! A run: the beginning of one line, sent one after the other on a thread of its own, up to the first failure.

use std::io;
use std::sync::Arc;

use super::Shared;
use super::client::{Client, Verdict};
use super::signature::{DELIVERY, EVENT, SIGNATURE, sign};
use crate::config::Secret;
use crate::hub::Hub;
use crate::ports::webhooks::WaitingDelivery;

/// What a run works with.
pub(super) struct Run {
    /// Where it goes.
    pub(super) url: Arc<str>,
    /// The beginning of the line; never empty.
    pub(super) deliveries: Vec<WaitingDelivery>,
    pub(super) client: Arc<Client>,
    pub(super) secret: Secret,
    pub(super) shared: Arc<Shared>,
}

/// What became of a run.
pub(super) struct Outcome {
    /// Where it went.
    pub(super) url: Arc<str>,
    /// The subject of its line.
    pub(super) subject: String,
    /// Deliveries that were taken.
    pub(super) taken: Vec<i64>,
    /// Deliveries that the receiver wants no more.
    pub(super) gone: Vec<WaitingDelivery>,
    /// The one that failed, and why; nothing behind it was tried.
    pub(super) failed: Option<(WaitingDelivery, String)>,
}

impl Run {
    /// Starts the thread. Its outcome comes by the mailbox, whatever happens.
    ///
    /// # Errors
    /// When the system has no thread to give; then there is no outcome.
    pub(super) fn start(self) -> io::Result<()> {
        std::thread::Builder::new().name("webhook".to_owned()).spawn(move || self.send()).map(drop)
    }

    fn send(self) {
        let subject = self.deliveries.first().map(|first| first.subject.clone()).unwrap_or_default();
        let outcome = Outcome { url: self.url, subject, taken: Vec::new(), gone: Vec::new(), failed: None };
        let mut report = Report { shared: Arc::clone(&self.shared), outcome: Some(outcome) };
        let Some(outcome) = &mut report.outcome else { return };
        for delivery in self.deliveries {
            if self.shared.mailbox.is_stopping() {
                return;
            }
            // Should this thread fail, this is why.
            outcome.failed = Some((delivery.clone(), "the sender failed".to_owned()));
            let verdict = attempt(&self.client, &self.secret, &delivery);
            outcome.failed = None;
            match verdict {
                Verdict::Taken => outcome.taken.push(delivery.id),
                Verdict::Gone => outcome.gone.push(delivery),
                Verdict::Failed(why) => {
                    outcome.failed = Some((delivery, why));
                    return;
                }
            }
        }
    }
}

fn attempt(client: &Client, secret: &Secret, delivery: &WaitingDelivery) -> Verdict {
    let seconds = Hub::wall_clock().0.div_euclid(1_000_000);
    let signature = sign(secret, seconds, &delivery.body);
    let headers = [(SIGNATURE, signature.as_str()), (EVENT, &delivery.kind), (DELIVERY, &delivery.event_id)];
    client.post(&delivery.url, &headers, &delivery.body)
}

/// Reports the outcome when it is dropped, even by a panic: a line whose run is never reported would wait for ever.
struct Report {
    shared: Arc<Shared>,
    outcome: Option<Outcome>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.shared.mailbox.report(outcome);
        }
    }
}
