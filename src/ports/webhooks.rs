//! The outbox of webhooks: what other servers are still to be told.
//!
//! Deliveries of one address and one subject stand in a line: the first that was stored goes first, and
//! the others wait until it has been taken or given up. Lines do not wait for each other.

use std::sync::Arc;

use santral_core::entry::Timestamp;
use santral_schema::webhooks::WebhookType;

use super::store::StoreError;

/// An event for one address, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Names the event: the same for every address.
    pub event_id: Arc<str>,
    /// Where it goes.
    pub url: Arc<str>,
    /// What the event is about.
    pub subject: Arc<str>,
    /// What happened.
    pub kind: WebhookType,
    /// The body of the request, byte for byte.
    pub body: Arc<str>,
    /// When it happened.
    pub at: Timestamp,
}

/// A delivery that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDelivery {
    /// Its place: of one line, the lowest goes first.
    pub id: i64,
    /// Names the event.
    pub event_id: String,
    /// Where it goes.
    pub url: String,
    /// What the event is about.
    pub subject: String,
    /// What happened. Text, since a newer release may have stored types that this one does not know.
    pub kind: String,
    /// The body of the request, byte for byte.
    pub body: String,
    /// When it happened.
    pub at: Timestamp,
    /// Tries that have failed.
    pub attempts: u32,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It was taken or given up.
    Over(i64),
    /// A try has failed.
    Failed {
        /// The delivery, which is the first of its line.
        delivery: WaitingDelivery,
        /// When its line is due again.
        until: Timestamp,
        /// Why it has failed.
        error: String,
    },
}

/// Where deliveries wait. Blocking: never call it on an event loop.
///
/// What was appended stays until it is [`Settled::Over`], whatever happens to the server.
pub trait Outbox: Send + Sync {
    /// Stores deliveries in one transaction, in order: each at the end of its line, due when the line is.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored.
    fn append(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError>;

    /// The beginnings of at most `lines` lines to this address that are due, those first that have waited
    /// longest; each has at least one delivery and at most `WEBHOOK_RUN_MAX`. Lines of `busy` subjects are
    /// passed over.
    ///
    /// # Errors
    /// [`StoreError`].
    fn due(
        &self,
        url: &str,
        now: Timestamp,
        busy: &[String],
        lines: usize,
    ) -> Result<Vec<Vec<WaitingDelivery>>, StoreError>;

    /// Notes what became of deliveries, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was noted, and all may be noted again.
    fn settle(&self, settled: &[Settled]) -> Result<(), StoreError>;

    /// Deletes one bounded slice of deliveries of events before `before` whose address is none of `urls`;
    /// returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune(&self, urls: &[Arc<str>], before: Timestamp) -> Result<usize, StoreError>;

    /// Whether this server may send now. Of several on one database one may at a time, or nobody would keep the
    /// order of a line; when it is gone, another takes over.
    ///
    /// # Errors
    /// [`StoreError`].
    fn may_send(&self) -> Result<bool, StoreError>;

    /// How many deliveries wait.
    ///
    /// # Errors
    /// [`StoreError`].
    fn count(&self) -> Result<u64, StoreError>;
}
