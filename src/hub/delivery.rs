//! Entries on their way to all shards, and the count of who follows them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use santral_core::entry::Entry;

/// What happens when every shard has taken the entries: gets the receivers of each.
type Completion = Box<dyn FnOnce(&[u32]) + Send>;

/// Entries that every shard must take, a [`ShardPart`] each. The last shard completes the delivery.
pub struct Delivery {
    accepted_at: Instant,
    entries: Vec<Arc<Entry>>,
    receivers: Vec<AtomicU32>,
    shards_left: AtomicUsize,
    completion: Mutex<Option<Completion>>,
}

impl Delivery {
    /// Entries for `shards` shards, in order; `completion` runs on the thread of the last one.
    #[must_use]
    pub fn new(entries: Vec<Arc<Entry>>, shards: usize, completion: impl FnOnce(&[u32]) + Send + 'static) -> Arc<Self> {
        Self::accepted(Instant::now(), entries, shards, completion)
    }

    /// The same for entries of which the first was accepted at this moment.
    #[must_use]
    pub fn accepted(
        accepted_at: Instant,
        entries: Vec<Arc<Entry>>,
        shards: usize,
        completion: impl FnOnce(&[u32]) + Send + 'static,
    ) -> Arc<Self> {
        let receivers = entries.iter().map(|_| AtomicU32::new(0)).collect();
        let completion = Mutex::new(Some(Box::new(completion) as Completion));
        Arc::new(Self { accepted_at, entries, receivers, shards_left: AtomicUsize::new(shards), completion })
    }

    /// One shard's part. The shard is done with the entries when it drops its part: also one that
    /// has stopped with the part unread, so a publisher is answered while the server stops.
    #[must_use]
    pub fn part(self: &Arc<Self>) -> ShardPart {
        ShardPart(Arc::clone(self))
    }

    fn shard_done(&self) {
        if self.shards_left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let completion = self.completion.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(completion) = completion {
            let receivers: Vec<u32> = self.receivers.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            completion(&receivers);
        }
    }
}

/// What one shard has to do for a [`Delivery`].
pub struct ShardPart(Arc<Delivery>);

impl ShardPart {
    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.0.entries
    }

    /// When the first of the entries was accepted from its publisher.
    #[must_use]
    pub fn accepted_at(&self) -> Instant {
        self.0.accepted_at
    }

    /// Adds what this shard counted for the entry at `index`.
    pub fn add_receivers(&self, index: usize, count: u32) {
        self.0.receivers[index].fetch_add(count, Ordering::Relaxed);
    }
}

impl Drop for ShardPart {
    fn drop(&mut self) {
        self.0.shard_done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_answered_although_a_shard_stopped_with_its_part_unread() {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let delivery = Delivery::new(Vec::new(), 2, move |receivers| answer.send(receivers.len()).expect("awaited"));
        drop(delivery.part());
        assert!(answered.try_recv().is_err(), "one shard is still at work");
        drop(delivery.part());
        assert_eq!(answered.try_recv(), Ok(0));
    }
}
