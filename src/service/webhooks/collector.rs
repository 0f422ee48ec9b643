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
    /// Of a batch that could not be stored yet, by its first event, so that trying again counts nothing twice.
    kept: Option<(Arc<str>, Vec<NewDelivery>)>,
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
        let first = batch.first().map(Event::id);
        let kept = self.kept.take().filter(|(of, _)| first == Some(of));
        let deliveries = kept.map_or_else(|| self.shared.deliveries(batch), |(_, deliveries)| deliveries);
        if let Err(error) = self.outbox.append(&deliveries) {
            self.kept = first.map(|first| (Arc::clone(first), deliveries));
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use serde_json::json;

    use santral_core::entry::Timestamp;
    use santral_core::limits::WEBHOOK_ROWS_MAX;
    use santral_schema::webhooks::WebhookType;

    use super::super::Wanted;
    use super::*;
    use crate::ports::webhooks::{Settled, WaitingDelivery};

    /// Keeps what is appended while it may; the rest is not asked for.
    #[derive(Default)]
    struct Shelf {
        urls: Mutex<Vec<(String, String)>>,
        is_down: Mutex<bool>,
    }

    impl Outbox for Shelf {
        fn append(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError> {
            if *self.is_down.lock() {
                return Err(StoreError::Busy);
            }
            let shown = |delivery: &NewDelivery| (delivery.url.to_string(), delivery.subject.to_string());
            self.urls.lock().extend(deliveries.iter().map(shown));
            Ok(())
        }

        fn due(&self, _: &str, _: Timestamp, _: &[String], _: usize) -> Result<Vec<Vec<WaitingDelivery>>, StoreError> {
            Err(StoreError::Failed)
        }

        fn settle(&self, _: &[Settled]) -> Result<(), StoreError> {
            Err(StoreError::Failed)
        }

        fn prune(&self, _: &[Arc<str>], _: Timestamp) -> Result<usize, StoreError> {
            Err(StoreError::Failed)
        }

        fn count(&self) -> Result<u64, StoreError> {
            Err(StoreError::Failed)
        }

        fn may_send(&self) -> Result<bool, StoreError> {
            Err(StoreError::Failed)
        }
    }

    fn event(kind: WebhookType, subject: &str) -> Event {
        Event::new(kind, subject.to_owned(), Timestamp(0), &json!({}))
    }

    fn collector(urls: &[&str]) -> (Arc<Shelf>, Arc<Shared>, Collector) {
        let (shelf, shared) = (Arc::<Shelf>::default(), Arc::<Shared>::default());
        let wanted = Wanted {
            urls: urls.iter().map(|url| (*url).into()).collect(),
            kinds: vec![WebhookType::RoomStarted, WebhookType::RoomFinished],
        };
        shared.wanted.store(Arc::new(wanted));
        let collector = Collector::new(Arc::clone(&shelf) as _, Arc::clone(&shared), Arc::default());
        (shelf, shared, collector)
    }

    #[test]
    fn what_is_wanted_becomes_one_delivery_for_each_address() {
        let (shelf, _, mut collector) = collector(&["here", "there"]);
        let batch = [event(WebhookType::RoomStarted, "room:a"), event(WebhookType::QualityPoor, "room:a")];
        collector.store(&batch).expect("no trouble");
        collector.store(&[event(WebhookType::RoomFinished, "room:b")]).expect("no trouble");
        let shown = |url: &str, subject: &str| (url.to_owned(), subject.to_owned());
        let expected =
            [shown("here", "room:a"), shown("there", "room:a"), shown("here", "room:b"), shown("there", "room:b")];
        assert_eq!(*shelf.urls.lock(), expected);
        assert_eq!(collector.lost(), 0);
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted_once() {
        let (shelf, shared, mut collector) = collector(&["here"]);
        shared.waiting.store(WEBHOOK_ROWS_MAX - 1, Ordering::Relaxed);
        collector.store(&[event(WebhookType::RoomStarted, "room:a")]).expect("there is room for one more");
        let more = [event(WebhookType::RoomStarted, "room:b"), event(WebhookType::QualityPoor, "room:b")];
        collector.store(&more).expect("no trouble");
        assert_eq!((shelf.urls.lock().len(), collector.lost()), (1, 1), "what nobody wants is no loss");
        assert!(!collector.has_more_to_say(), "the log was told");
    }

    #[test]
    fn a_batch_that_was_given_up_does_not_stand_for_the_next() {
        let (shelf, shared, mut collector) = collector(&["here"]);
        *shelf.is_down.lock() = true;
        let first = [event(WebhookType::RoomStarted, "room:a")];
        for _ in 0..3 {
            collector.store(&first).expect_err("the store is down");
        }
        assert_eq!(shared.waiting.load(Ordering::Relaxed), 1, "it was counted once");
        *shelf.is_down.lock() = false;
        collector.store(&[event(WebhookType::RoomStarted, "room:b")]).expect("no trouble");
        assert_eq!(*shelf.urls.lock(), [("here".to_owned(), "room:b".to_owned())]);
    }
}
