//! The log of record as a model: staged, durable and trimmed entries, keys, pages in one snapshot.
//!
//! A crash loses what is staged. Offsets come from the durable head only (INV-1).

use std::collections::BTreeMap;
use std::sync::Arc;

use santral_core::entry::{Entry, Publication, Timestamp};
use santral_core::names::Selector;
use santral_core::position::{Epoch, Offset, Position};

/// One publish: stored together or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Append {
    pub(crate) publications: Vec<Publication>,
    pub(crate) key: Option<u64>,
}

/// What became of an append.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) first: Offset,
    pub(crate) count: usize,
}

#[derive(Debug)]
struct Staged {
    entries: Vec<Arc<Entry>>,
    keys: Vec<(u64, Outcome)>,
    commit: u64,
}

/// A part of the log, read in one snapshot.
pub(crate) struct Page {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) reached: Offset,
    pub(crate) trimmed_to: Offset,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct LogModel {
    pub(crate) epoch: Epoch,
    entries: BTreeMap<Offset, Arc<Entry>>,
    head: Offset,
    trimmed_to: Offset,
    keys: BTreeMap<u64, Outcome>,
    staged: Option<Staged>,
    commits: u64,
}

impl LogModel {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            entries: BTreeMap::new(),
            head: 0,
            trimmed_to: 0,
            keys: BTreeMap::new(),
            staged: None,
            commits: 0,
        }
    }

    /// The last durable offset.
    pub(crate) fn head(&self) -> Offset {
        self.head
    }

    pub(crate) fn trimmed_to(&self) -> Offset {
        self.trimmed_to
    }

    /// Writes a batch without syncing it; `None` while another commit holds the log's head.
    pub(crate) fn stage(
        &mut self,
        at: Timestamp,
        appends: &[Append],
        forget_keys: bool,
    ) -> Option<(u64, Vec<Outcome>, Vec<Arc<Entry>>)> {
        if self.staged.is_some() {
            return None;
        }
        let mut staged = Staged { entries: Vec::new(), keys: Vec::new(), commit: self.commits };
        let mut outcomes = Vec::new();
        let mut next = self.head;
        for append in appends {
            let known = append.key.filter(|_| !forget_keys).and_then(|key| {
                let earlier = staged.keys.iter().find(|(other, _)| *other == key).map(|(_, outcome)| outcome);
                earlier.or_else(|| self.keys.get(&key)).cloned()
            });
            if let Some(outcome) = known {
                outcomes.push(outcome);
                continue;
            }
            let outcome = Outcome { first: next + 1, count: append.publications.len() };
            for publication in &append.publications {
                next += 1;
                let position = Position::new(self.epoch, next);
                staged.entries.push(Arc::new(Entry::stored(position, at, publication.clone())));
            }
            staged.keys.extend(append.key.map(|key| (key, outcome.clone())));
            outcomes.push(outcome);
        }
        let entries = staged.entries.clone();
        self.commits += 1;
        let commit = staged.commit;
        self.staged = Some(staged);
        Some((commit, outcomes, entries))
    }

    /// Makes a staged batch durable; `None` if a crash has lost it.
    pub(crate) fn sync(&mut self, commit: u64) -> Option<Vec<Arc<Entry>>> {
        let staged = self.staged.take_if(|staged| staged.commit == commit)?;
        for entry in &staged.entries {
            let offset = entry.offset().expect("staged entries are stored ones");
            self.head = offset;
            self.entries.insert(offset, Arc::clone(entry));
        }
        self.keys.extend(staged.keys);
        Some(staged.entries)
    }

    /// Power is gone: what was not synced never was.
    pub(crate) fn crash(&mut self) {
        self.staged = None;
    }

    /// A planted fault: the last offsets will be given out once more.
    pub(crate) fn forget_offsets(&mut self, count: u64) {
        self.head = self.head.saturating_sub(count).max(self.trimmed_to);
    }

    /// Removes everything up to `upto`.
    pub(crate) fn trim(&mut self, upto: Offset) {
        self.trimmed_to = self.trimmed_to.max(upto.min(self.head));
        self.entries = self.entries.split_off(&(self.trimmed_to + 1));
    }

    /// Entries that match, in offset order, as the store's contract says. No selector means all.
    pub(crate) fn page(
        &self,
        selectors: &[Selector],
        after: Offset,
        upto: Offset,
        entries_max: usize,
        bytes_max: usize,
    ) -> Page {
        let wanted = |entry: &Entry| {
            let channel = &entry.publication().channel;
            selectors.is_empty() || selectors.iter().any(|selector| selector.matches(channel))
        };
        let (mut entries, mut bytes, mut reached) = (Vec::new(), 0, upto);
        for (&offset, entry) in self.entries.range(after + 1..upto.max(after) + 1) {
            if !wanted(entry) {
                continue;
            }
            bytes += entry.publication().data.len();
            entries.push(Arc::clone(entry));
            if entries.len() >= entries_max || bytes >= bytes_max {
                reached = offset;
                break;
            }
        }
        Page { entries, reached, trimmed_to: self.trimmed_to }
    }
}
