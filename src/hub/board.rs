//! Where the latest stats hang, with those of the last minutes: one writer, any number of readers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use santral_core::limits::{STATS_FOLLOWERS_MAX, STATS_SAMPLES_MAX};
use santral_schema::stats::{Stats, StatsSample};

/// Stats as they are shown to all who ask until the next come.
#[derive(Debug)]
pub struct Posted {
    /// Without samples.
    pub stats: Stats,
    json: OnceLock<Arc<str>>,
}

impl Posted {
    /// The stats as JSON: encoded for whoever asks first, shared by all others.
    #[must_use]
    pub fn json(&self) -> Arc<str> {
        let encode = || serde_json::to_string(&self.stats).expect("stats have string keys and no failing serializer");
        Arc::clone(self.json.get_or_init(|| encode().into()))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Board {
    samples: Mutex<VecDeque<StatsSample>>,
    latest: watch::Sender<Option<Arc<Posted>>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { samples: Mutex::default(), latest: watch::Sender::new(None) }
    }
}

impl Board {
    /// Shows new stats, and keeps their sample for [`STATS_SAMPLES_MAX`] more.
    pub fn post(&self, stats: Stats, sample: StatsSample) {
        {
            let mut samples = self.ring();
            if samples.len() == STATS_SAMPLES_MAX {
                samples.pop_front();
            }
            samples.push_back(sample);
        }
        self.latest.send_replace(Some(Arc::new(Posted { stats, json: OnceLock::new() })));
    }

    /// The samples that are kept, oldest first.
    #[must_use]
    pub fn samples(&self) -> Vec<StatsSample> {
        self.ring().iter().cloned().collect()
    }

    /// The latest stats, for one look.
    #[must_use]
    pub fn look(&self) -> watch::Receiver<Option<Arc<Posted>>> {
        self.latest.subscribe()
    }

    /// The latest stats, and all that come; `None` while [`STATS_FOLLOWERS_MAX`] others follow.
    #[must_use]
    pub fn follow(&self) -> Option<watch::Receiver<Option<Arc<Posted>>>> {
        // Two who ask at the same moment may both get the last place; nothing hangs on one more.
        (self.latest.receiver_count() < STATS_FOLLOWERS_MAX).then(|| self.latest.subscribe())
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<StatsSample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
