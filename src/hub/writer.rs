//! The one writer: takes all publishes that wait, commits them together, hands them to the shards.
//!
//! Runs on a thread of its own, since the database blocks. Delivery never precedes the commit, so
//! no client has seen an offset that a crash could take back (INV-1, INV-4). A hole before what was
//! just committed, left by another writer or by a commit whose outcome was unknown, is read from
//! the log and delivered first.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use santral_core::entry::Entry;
use santral_core::limits::{
    COMMIT_ITEMS_MAX, PRUNE_INTERVAL, PUBLISH_DEADLINE, RING_BYTES_MAX, RING_ENTRIES_MAX, STORAGE_BUSY_TIMEOUT,
    WRITER_QUEUE_MAX,
};
use santral_core::position::Offset;

use super::{Delivery, Hub};
use crate::config::Config;
use crate::ports::store::{Append, Appended, LogReader, LogWriter, PageQuery, Retention, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::StoreFailure;

/// How often a writer that shares its database looks for entries of others.
const FOREIGN_ENTRIES_INTERVAL: Duration = Duration::from_millis(250);

/// How long a publisher waits in all. Longer than any commit whose database answers at all: the
/// queue, then a lock.
const ANSWER_DEADLINE: Duration =
    PUBLISH_DEADLINE.saturating_add(STORAGE_BUSY_TIMEOUT).saturating_add(STORAGE_BUSY_TIMEOUT);

/// A commit waits for company at most this part of what the last commit took.
const GATHER_PART: u32 = 4;

/// And at most so long, whatever a commit that hung took.
const GATHER_MAX: Duration = Duration::from_millis(10);

/// The last commit succeeded.
const HEALTHY: u8 = 0;
/// The last commit met a lock.
const BUSY: u8 = 1;
/// The last commit found no room.
const FULL: u8 = 2;
/// The last commit failed, or does not end.
const FAILED: u8 = 3;

/// What became of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored: offset and receivers on this node of each publication.
    Stored(Vec<(Offset, u32)>),
    /// The same key and request as before; nothing stored now.
    Repeated {
        /// The first offset of back then.
        first: Offset,
        /// How many publications it were.
        count: usize,
    },
    /// The key was used with another request.
    KeyReused,
}

/// What a publisher hears in the end.
pub type Answer = Result<Vec<Outcome>, StoreError>;

/// Appends that are stored in one commit, and who waits for them.
struct Job {
    appends: Vec<Append>,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Job {
    fn items(&self) -> usize {
        self.appends.iter().map(|append| append.publications.len()).sum()
    }

    fn accepted_at(&self) -> Instant {
        self.deadline - PUBLISH_DEADLINE
    }
}

/// The way to the writer.
pub struct WriterQueue {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

/// What both ends of the queue see.
#[derive(Default)]
struct Shared {
    health: AtomicU8,
    /// Jobs that wait; one that is being handed over counts already.
    waiting: AtomicUsize,
    closing: AtomicBool,
}

/// The writer's end of the queue.
pub struct WriterInbox {
    jobs: Receiver<Job>,
    shared: Arc<Shared>,
}

/// A queue for a writer that is started later.
#[must_use]
pub fn queue() -> (WriterQueue, WriterInbox) {
    let (sender, jobs) = sync_channel(WRITER_QUEUE_MAX);
    let shared = Arc::<Shared>::default();
    (WriterQueue { jobs: sender, shared: Arc::clone(&shared) }, WriterInbox { jobs, shared })
}

impl WriterQueue {
    /// Stores all appends in one commit and waits until every shard has the entries.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is acknowledged. A publish that waits longer than
    /// [`PUBLISH_DEADLINE`] is [`StoreError::Busy`] and was not stored. One whose commit takes longer
    /// than [`ANSWER_DEADLINE`] is [`StoreError::Failed`]; what becomes of it is not known.
    ///
    /// Cancel-safe in the sense that a publish which was handed over is stored all the same.
    pub async fn append(&self, appends: Vec<Append>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let job = Job { appends, deadline: Instant::now() + PUBLISH_DEADLINE, answer };
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if self.jobs.try_send(job).is_err() {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        match tokio::time::timeout(ANSWER_DEADLINE, answered).await {
            Ok(answer) => answer.unwrap_or(Err(StoreError::Failed)),
            Err(_) => {
                // A database that hangs says nothing; the commit's end, or a probe, puts this right.
                self.shared.health.store(FAILED, Ordering::Release);
                Err(StoreError::Failed)
            }
        }
    }

    /// Lets the writer end once nothing waits any more.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
    }

    /// Publishes that wait for their commit to begin.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// How the last commit ended.
    ///
    /// # Errors
    /// [`StoreError`] of the last commit, until one succeeds.
    pub fn health(&self) -> Result<(), StoreError> {
        match self.shared.health.load(Ordering::Acquire) {
            HEALTHY => Ok(()),
            BUSY => Err(StoreError::Busy),
            FULL => Err(StoreError::Full),
            _ => Err(StoreError::Failed),
        }
    }
}

/// The writer's thread. Ends when the queue is closed.
pub struct Writer {
    log: Box<dyn LogWriter>,
    reader: Arc<dyn LogReader>,
    hub: Weak<Hub>,
    metrics: Arc<Metrics>,
    inbox: WriterInbox,
    /// The last offset that was handed to the shards.
    delivered: Offset,
    /// Whether a commit's outcome is unknown, so that the log may hold more than was delivered.
    in_doubt: bool,
    next_prune: Instant,
    last_commit: LastCommit,
}

/// What the next commit may expect.
#[derive(Default)]
struct LastCommit {
    jobs: usize,
    took: Duration,
}

impl Writer {
    /// A writer for the hub whose shards have everything up to `head`.
    #[must_use]
    pub fn new(log: Box<dyn LogWriter>, hub: &Arc<Hub>, inbox: WriterInbox, head: Offset) -> Self {
        Self {
            log,
            reader: Arc::clone(&hub.reader),
            hub: Arc::downgrade(hub),
            metrics: Arc::clone(&hub.metrics),
            inbox,
            delivered: head,
            in_doubt: false,
            next_prune: Instant::now() + PRUNE_INTERVAL,
            last_commit: LastCommit::default(),
        }
    }

    /// Works until the queue is closed.
    pub fn run(mut self) {
        loop {
            match self.inbox.jobs.recv_timeout(FOREIGN_ENTRIES_INTERVAL) {
                Ok(first) => self.commit_waiting(first),
                Err(RecvTimeoutError::Timeout) if self.inbox.shared.closing.load(Ordering::Acquire) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.probe_if_refusing();
                    self.catch_up();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.prune_if_due();
        }
    }

    /// Commits `first` and all that waits behind it, as far as one commit goes.
    fn commit_waiting(&mut self, first: Job) {
        let jobs = self.gather(first);
        self.inbox.shared.waiting.fetch_sub(jobs.len(), Ordering::Relaxed);
        let now = Instant::now();
        let (jobs, late): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.deadline > now);
        for job in late {
            // Whoever asked may have gone away.
            let _ = job.answer.send(Err(StoreError::Busy));
        }
        if !jobs.is_empty() {
            self.last_commit.jobs = jobs.len();
            self.commit(jobs);
            self.last_commit.took = now.elapsed();
        }
    }

    /// Takes what waits. Publishers that were answered together come back one after the other, so
    /// until about as many are here as last time, a commit waits a little: else the first would get
    /// a commit of its own and all others would wait for its fsync.
    fn gather(&self, first: Job) -> Vec<Job> {
        let mut items = first.items();
        let mut jobs = vec![first];
        let wait_until = Instant::now() + (self.last_commit.took / GATHER_PART).min(GATHER_MAX);
        while items < COMMIT_ITEMS_MAX {
            let next = match self.inbox.jobs.try_recv() {
                Ok(job) => Some(job),
                Err(TryRecvError::Empty) if jobs.len() < self.last_commit.jobs => {
                    let wait = wait_until.saturating_duration_since(Instant::now());
                    self.inbox.jobs.recv_timeout(wait).ok()
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            };
            let Some(job) = next else { break };
            items += job.items();
            jobs.push(job);
        }
        jobs
    }

    fn commit(&mut self, mut jobs: Vec<Job>) {
        let counts: Vec<usize> = jobs.iter().map(|job| job.appends.len()).collect();
        let appends: Vec<Append> = jobs.iter_mut().flat_map(|job| std::mem::take(&mut job.appends)).collect();
        // They came one behind the other, so the first has waited longest.
        let accepted_at = jobs.first().map_or_else(Instant::now, Job::accepted_at);
        let begun = Instant::now();
        let result = self.log.append_requests(&appends, &counts);
        self.note_health(result.as_ref().err().copied());
        match result {
            Ok(appended) => {
                self.metrics.commit_duration.observe_duration(begun.elapsed());
                let mut appended = appended.into_iter();
                let answers = jobs.into_iter().zip(counts);
                let answers =
                    answers.map(|(job, count)| (job.answer, appended.by_ref().take(count).collect())).collect();
                self.hand_out(accepted_at, answers);
            }
            Err(error) => {
                self.metrics.commit_failures.of(failure(error)).inc();
                self.in_doubt = true;
                for job in jobs {
                    // Whoever asked may have gone away.
                    let _ = job.answer.send(Err(error));
                }
            }
        }
    }

    fn hand_out(&mut self, accepted_at: Instant, answers: Vec<(oneshot::Sender<Answer>, Vec<Appended>)>) {
        let Some(hub) = self.hub.upgrade() else { return };
        let stored = |appended: &Appended| match appended {
            Appended::Stored(entries) => entries.clone(),
            Appended::Repeated { .. } | Appended::KeyReused => Vec::new(),
        };
        let entries: Vec<Arc<Entry>> =
            answers.iter().flat_map(|(_, appended)| appended.iter().flat_map(stored)).collect();
        self.metrics.commit_size.observe(entries.len() as u64);
        if let Some(first) = entries.first().and_then(|entry| entry.offset()) {
            self.deliver_hole(&hub, first - 1);
            self.delivered = entries.last().and_then(|entry| entry.offset()).unwrap_or(self.delivered);
            hub.set_committed(self.delivered);
        }
        let completion = move |receivers: &[u32]| answer_all(answers, receivers);
        let delivery = Delivery::accepted(accepted_at, entries, hub.options.workers, completion);
        hub.deliver_blocking(&delivery);
    }

    /// Finds out that the trouble is over even when nobody publishes: whoever routes by
    /// `/health/ready` sends nobody here as long as it lasts.
    fn probe_if_refusing(&mut self) {
        if self.inbox.shared.health.load(Ordering::Acquire) != HEALTHY {
            let result = self.log.probe();
            self.note_health(result.err());
        }
    }

    /// Delivers what others have written, or what got in although its commit seemed to fail.
    fn catch_up(&mut self) {
        let Some(hub) = self.hub.upgrade() else { return };
        match self.reader.state() {
            Ok(state) => {
                hub.set_trimmed_to(state.trimmed_to);
                if state.head > self.delivered {
                    self.deliver_hole(&hub, state.head);
                }
                if self.in_doubt {
                    self.in_doubt = false;
                    log::info!("the log was read again after a failed commit, head {}", state.head);
                }
            }
            Err(error) => log::debug!("the log's state cannot be read: {error}"),
        }
    }

    /// Delivers the entries in `(delivered, upto]`.
    fn deliver_hole(&mut self, hub: &Arc<Hub>, upto: Offset) {
        while self.delivered < upto {
            let query = PageQuery {
                selectors: Vec::new(),
                after: self.delivered,
                upto,
                entries_max: COMMIT_ITEMS_MAX,
                bytes_max: RING_BYTES_MAX,
            };
            match self.reader.page(&query) {
                Ok(page) => {
                    self.delivered = page.reached.max(page.trimmed_to.min(upto));
                    hub.set_committed(self.delivered);
                    hub.deliver_blocking(&Delivery::new(page.entries, hub.options.workers, |_| ()));
                }
                Err(error) => {
                    log::warn!("entries of another writer cannot be read yet: {error}");
                    std::thread::sleep(FOREIGN_ENTRIES_INTERVAL);
                }
            }
        }
    }

    fn prune_if_due(&mut self) {
        if Instant::now() < self.next_prune {
            return;
        }
        let Some(hub) = self.hub.upgrade() else { return };
        let retention = retention(&hub.config.load());
        let more = match self.log.prune(retention, Hub::wall_clock()) {
            Ok(pruned) => {
                let trimmed_to = pruned.state.trimmed_to;
                hub.set_trimmed_to(trimmed_to);
                hub.tell_all_blocking(move |shard, _| shard.log_trimmed(trimmed_to));
                pruned.more
            }
            Err(error) => {
                log::warn!("retention could not delete: {error}");
                false
            }
        };
        // The next slice may follow at once, but publishes that wait go first.
        self.next_prune = Instant::now() + if more { Duration::ZERO } else { PRUNE_INTERVAL };
    }

    fn note_health(&self, error: Option<StoreError>) {
        let now = match error {
            None => HEALTHY,
            Some(StoreError::Busy) => BUSY,
            Some(StoreError::Full) => FULL,
            Some(StoreError::Failed) => FAILED,
        };
        let before = self.inbox.shared.health.swap(now, Ordering::AcqRel);
        match (before, error) {
            (HEALTHY, Some(error)) => log::error!("publishes are refused: {error}"),
            (1.., None) => log::info!("the log takes publishes again"),
            (_, _) => (),
        }
    }
}

fn retention(config: &Config) -> Retention {
    Retention { entries_max: config.retention_messages, age_max: config.retention_age }
}

fn failure(error: StoreError) -> StoreFailure {
    match error {
        StoreError::Busy => StoreFailure::Busy,
        StoreError::Full => StoreFailure::Full,
        StoreError::Failed => StoreFailure::Failed,
    }
}

/// Gives each publisher its outcomes; `receivers` are those of all stored entries in order.
fn answer_all(answers: Vec<(oneshot::Sender<Answer>, Vec<Appended>)>, receivers: &[u32]) {
    let mut receivers = receivers.iter().copied();
    for (answer, appended) in answers {
        let outcomes = appended.into_iter().map(|appended| match appended {
            Appended::Stored(entries) => {
                let offsets = entries.iter().map(|entry| entry.offset().unwrap_or_default());
                Outcome::Stored(offsets.zip(receivers.by_ref()).collect())
            }
            Appended::Repeated { first, count } => Outcome::Repeated { first, count },
            Appended::KeyReused => Outcome::KeyReused,
        });
        let outcomes = outcomes.collect();
        // Whoever asked may have gone away.
        let _ = answer.send(Ok(outcomes));
    }
}

/// The newest entries of the log, as many as a shard's ring takes.
///
/// # Errors
/// [`StoreError`].
pub fn recent_entries(reader: &dyn LogReader, head: Offset) -> Result<(Offset, Vec<Arc<Entry>>), StoreError> {
    let behind = head.saturating_sub(RING_ENTRIES_MAX as Offset);
    let mut entries = Vec::new();
    let mut after = behind;
    while after < head {
        let query = PageQuery {
            selectors: Vec::new(),
            after,
            upto: head,
            entries_max: COMMIT_ITEMS_MAX,
            bytes_max: RING_BYTES_MAX,
        };
        let page = reader.page(&query)?;
        after = page.reached.max(after + 1);
        entries.extend(page.entries);
    }
    Ok((behind, entries))
}
