//! Records that nobody waits for: a bounded queue, and a thread that stores what is in it in batches.
//!
//! Whoever records never blocks. What finds no room, or cannot be stored for [`RECORD_DEADLINE`], is
//! counted as lost. The thread ends when the queue is closed and empty; its owner awaits it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use santral_core::limits::{
    RECORD_BATCH_MAX, RECORD_BATCH_WAIT, RECORD_DEADLINE, RECORD_PRUNE_SLICES_MAX, RECORD_RETRY,
};

use crate::ports::store::StoreError;

/// Where the records go. Runs on the thread and may block.
pub(super) trait Sink: Send + 'static {
    /// What is recorded.
    type Item: Send + 'static;

    /// Stores a batch, all of it or nothing; called again with the same one after an error.
    ///
    /// # Errors
    /// [`StoreError`].
    fn store(&mut self, batch: &[Self::Item]) -> Result<(), StoreError>;

    /// Whether there is something to store although the batch is empty.
    fn has_more_to_say(&self) -> bool;

    /// Deletes one slice of what is too old or too much; whether there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune(&mut self) -> Result<bool, StoreError>;
}

/// What the recorders and the thread share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    is_closed: AtomicBool,
    lost: AtomicU64,
    waiting: AtomicUsize,
}

impl Tally {
    /// Records that were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The queue, and the thread behind it.
pub(super) struct WriteBehind<T> {
    sender: SyncSender<T>,
    capacity: usize,
    tally: Arc<Tally>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Send + 'static> WriteBehind<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn start<S: Sink<Item = T>>(
        name: &'static str,
        capacity: usize,
        prune_interval: Duration,
        make_sink: impl FnOnce(Arc<Tally>) -> S,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(capacity);
        let tally = Arc::<Tally>::default();
        let worker = Worker {
            name,
            receiver,
            sink: make_sink(Arc::clone(&tally)),
            tally: Arc::clone(&tally),
            batch: Vec::with_capacity(RECORD_BATCH_MAX),
            failing_since: None,
            prune_interval,
            next_prune: Instant::now() + prune_interval,
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || worker.run())?;
        Ok(Self { sender, capacity, tally, thread: Mutex::new(Some(thread)) })
    }

    /// Records something; it is counted as lost where there is no room, or the queue is closed.
    pub(super) fn push(&self, item: T) {
        self.push_leaving(0, item);
    }

    /// [`Self::push`] that leaves the last quarter of the queue to others.
    pub(super) fn push_leaving_room(&self, item: T) {
        self.push_leaving(self.capacity / 4, item);
    }

    fn push_leaving(&self, room: usize, item: T) {
        let is_crowded = self.tally.waiting.load(Ordering::Relaxed) >= self.capacity - room;
        if is_crowded || self.tally.is_closed.load(Ordering::Relaxed) {
            self.tally.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Counted first: the thread may take it before this returns.
        self.tally.waiting.fetch_add(1, Ordering::Relaxed);
        match self.sender.try_send(item) {
            Ok(()) => (),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
                self.tally.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Records that were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.tally.lost()
    }

    /// Takes no more; what waits is still stored.
    pub(super) fn close(&self) {
        self.tally.is_closed.store(true, Ordering::Relaxed);
    }

    /// Waits until everything is stored after [`Self::close`]; `false` if it takes longer than that.
    pub(super) fn join(&self, within: Duration) -> bool {
        let Some(thread) = self.thread.lock().take() else { return true };
        let end = Instant::now() + within;
        while !thread.is_finished() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        thread.join().is_ok()
    }
}

struct Worker<S: Sink> {
    name: &'static str,
    receiver: Receiver<S::Item>,
    sink: S,
    tally: Arc<Tally>,
    /// What is being stored; kept while the store fails.
    batch: Vec<S::Item>,
    failing_since: Option<Instant>,
    prune_interval: Duration,
    next_prune: Instant,
}

impl<S: Sink> Worker<S> {
    fn run(mut self) {
        loop {
            // Looked at before the queue is: what came before the end is stored.
            let is_closed = self.tally.is_closed.load(Ordering::Relaxed);
            if self.failing_since.is_none() {
                self.fill(if is_closed { Duration::ZERO } else { RECORD_BATCH_WAIT });
            }
            if !self.batch.is_empty() || self.sink.has_more_to_say() {
                self.store(is_closed);
            } else if is_closed {
                return;
            }
            if is_closed && self.failing_since.is_some() {
                self.batch.extend(self.receiver.try_iter());
                return self.give_up("the server stops");
            }
            self.prune();
        }
    }

    /// Takes what waits: until the batch is full, or its first record has waited long enough.
    fn fill(&mut self, wait: Duration) {
        let mut end = Instant::now() + wait;
        while self.batch.len() < RECORD_BATCH_MAX {
            match self.receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(item) => {
                    self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
                    if self.batch.is_empty() {
                        end = Instant::now() + wait;
                    }
                    self.batch.push(item);
                }
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    // Everybody who could record is gone.
                    self.tally.is_closed.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn store(&mut self, is_closed: bool) {
        match self.sink.store(&self.batch) {
            Ok(()) => {
                self.batch.clear();
                self.failing_since = None;
            }
            Err(_) => {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= RECORD_DEADLINE {
                    self.give_up("the database fails");
                } else if !is_closed {
                    std::thread::sleep(RECORD_RETRY);
                }
            }
        }
    }

    fn give_up(&mut self, why: &str) {
        let count = self.batch.len();
        self.batch.clear();
        self.failing_since = None;
        self.tally.lost.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        if count > 0 {
            log::warn!("{}: {count} records are lost, because {why}", self.name);
        }
    }

    fn prune(&mut self) {
        if Instant::now() < self.next_prune || self.failing_since.is_some() {
            return;
        }
        for _ in 0..RECORD_PRUNE_SLICES_MAX {
            // An error was told by the store; the next interval tries again.
            if !self.sink.prune().unwrap_or(false) {
                self.next_prune = Instant::now() + self.prune_interval;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel as events;

    use super::*;

    /// Stores into a list while it may; each attempt is told.
    struct Shelf {
        stored: Arc<Mutex<Vec<u32>>>,
        batches: Arc<Mutex<Vec<usize>>>,
        is_down: Arc<AtomicBool>,
        attempts: std::sync::mpsc::Sender<()>,
    }

    impl Sink for Shelf {
        type Item = u32;

        fn store(&mut self, batch: &[u32]) -> Result<(), StoreError> {
            let _ = self.attempts.send(());
            if self.is_down.load(Ordering::SeqCst) {
                return Err(StoreError::Failed);
            }
            self.batches.lock().push(batch.len());
            self.stored.lock().extend(batch);
            Ok(())
        }

        fn has_more_to_say(&self) -> bool {
            false
        }

        fn prune(&mut self) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    struct Fixture {
        queue: WriteBehind<u32>,
        stored: Arc<Mutex<Vec<u32>>>,
        batches: Arc<Mutex<Vec<usize>>>,
        is_down: Arc<AtomicBool>,
        attempts: Receiver<()>,
    }

    fn start(capacity: usize, is_down: bool) -> Fixture {
        let (sender, attempts) = events();
        let (stored, batches) = <(Arc<Mutex<Vec<u32>>>, Arc<Mutex<Vec<usize>>>)>::default();
        let is_down = Arc::new(AtomicBool::new(is_down));
        let shelf = Shelf {
            stored: Arc::clone(&stored),
            batches: Arc::clone(&batches),
            is_down: Arc::clone(&is_down),
            attempts: sender,
        };
        let queue = WriteBehind::start("test", capacity, Duration::from_secs(1), |_| shelf).expect("a thread");
        Fixture { queue, stored, batches, is_down, attempts }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_waits_at_the_end_is_stored_in_order_and_in_batches() {
        let fixture = start(10_000, false);
        for number in 0..5_000 {
            fixture.queue.push(number);
        }
        fixture.queue.close();
        fixture.queue.push(9);
        assert!(fixture.queue.join(PATIENCE));
        assert_eq!(*fixture.stored.lock(), (0..5_000).collect::<Vec<_>>());
        assert!(fixture.batches.lock().iter().all(|size| *size <= RECORD_BATCH_MAX));
        assert_eq!(fixture.queue.lost(), 1, "the one that came behind the end");
        assert!(fixture.queue.join(Duration::ZERO), "there is nothing left to wait for");
    }

    #[test]
    fn while_the_store_fails_records_wait_and_what_finds_no_room_is_counted() {
        let fixture = start(8, true);
        fixture.queue.push(0);
        fixture.attempts.recv_timeout(PATIENCE).expect("an attempt");
        // The thread has the first; there is room for eight, of which two are kept for others.
        for number in 1..=10 {
            fixture.queue.push_leaving_room(number);
        }
        assert_eq!(fixture.queue.lost(), 4);
        fixture.queue.push(11);
        fixture.queue.push(12);
        fixture.queue.push(13);
        assert_eq!(fixture.queue.lost(), 5);
        fixture.attempts.recv_timeout(PATIENCE).expect("another attempt");
        fixture.is_down.store(false, Ordering::SeqCst);
        fixture.queue.close();
        assert!(fixture.queue.join(PATIENCE));
        assert_eq!(*fixture.stored.lock(), [0, 1, 2, 3, 4, 5, 6, 11, 12]);
        assert_eq!(fixture.queue.lost(), 5);
    }

    #[test]
    fn a_store_that_fails_at_the_end_holds_up_nobody() {
        let fixture = start(8, true);
        for number in 0..5 {
            fixture.queue.push(number);
        }
        fixture.attempts.recv_timeout(PATIENCE).expect("an attempt");
        fixture.queue.push(5);
        fixture.queue.close();
        assert!(fixture.queue.join(PATIENCE));
        assert_eq!(fixture.queue.lost(), 6);
        assert!(fixture.stored.lock().is_empty());
    }
}
