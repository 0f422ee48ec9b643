//! Entries on their way to all shards, and the count of who follows them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use santral_core::entry::Entry;

/// What happens when every shard has taken the entries: gets the receivers of each.
type Completion = Box<dyn FnOnce(&[u32]) + Send>;

/// Entries that every shard must take. The last shard completes the delivery.
pub struct Delivery {
    entries: Vec<Arc<Entry>>,
    receivers: Vec<AtomicU32>,
    shards_left: AtomicUsize,
    completion: Mutex<Option<Completion>>,
}

impl Delivery {
    /// Entries for `shards` shards, in order; `completion` runs on the thread of the last one.
    #[must_use]
    pub fn new(entries: Vec<Arc<Entry>>, shards: usize, completion: impl FnOnce(&[u32]) + Send + 'static) -> Arc<Self> {
        let receivers = entries.iter().map(|_| AtomicU32::new(0)).collect();
        let completion = Mutex::new(Some(Box::new(completion) as Completion));
        Arc::new(Self { entries, receivers, shards_left: AtomicUsize::new(shards), completion })
    }

    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Adds what one shard counted for the entry at `index`.
    pub fn add_receivers(&self, index: usize, count: u32) {
        self.receivers[index].fetch_add(count, Ordering::Relaxed);
    }

    /// One shard is done with all entries. Each shard must say so once.
    pub fn shard_done(&self) {
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
