//! Stores what is told, in batches, on a thread of its own; see [`crate::service::webhooks`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::write_behind::{Sink, Tally};
use super::{Event, Shared};
use crate::ports::store::StoreError;
use crate::ports::webhooks::{NewDelivery, Outbox};

/// See the module.
pub(super) struct Collector {
    outbox: Arc<dyn Outbox>,
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    /// Of a batch that could not be stored yet, so that trying again counts nothing twice.
    kept: Option<Vec<NewDelivery>>,
    /// Lost events that the log has told of.
    told: u64,
}

impl Collector {
    pub(super) fn new(outbox: Arc<dyn Outbox>, shared: Arc<Shared>, tally: Arc<Tally>) -> Self {
        Self { outbox, shared, tally, kept: None, told: 0 }
    }

    fn lost(&self) -> u64 {
        self.tally.lost() + self.shared.without_room.load(Ordering::Relaxed)
    }
}

impl Sink for Collector {
    type Item = Event;

    fn store(&mut self, batch: &[Event]) -> Result<(), StoreError> {
        let deliveries = self.kept.take().unwrap_or_else(|| self.shared.deliveries(batch));
        if let Err(error) = self.outbox.append(&deliveries) {
            self.kept = Some(deliveries);
            return Err(error);
        }
        let lost = self.lost();
        if lost > self.told {
            log::warn!("webhooks have lost {} events: they come faster than they can be passed on", lost - self.told);
            self.told = lost;
        }
        self.shared.mailbox.ring();
        Ok(())
    }

    fn has_more_to_say(&self) -> bool {
        self.lost() > self.told
    }

    fn prune(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}
