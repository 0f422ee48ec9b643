//! The shell around the shards: threads, mailboxes, the writer, the clock.
//!
//! One shard per worker thread shares nothing with the others; whoever wants something from a
//! shard of another thread sends it a [`Mail`]. Lock order, where more than one is held: an attach
//! stripe of the directory, then its map.

pub mod admission;
pub mod board;
pub mod census;
pub mod delivery;
pub mod directory;
pub mod duplex;
pub mod engineio;
mod farewell;
mod framed_socket;
pub mod links;
pub mod news;
pub mod occupancy;
mod places;
pub mod poll;
pub mod shard_thread;
pub mod switchboard;
pub mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use santral_core::client::Client;
use santral_core::entry::{Entry, Timestamp};
use santral_core::limits::MAILBOX_MESSAGES_MAX;
use santral_core::names::ConnectionId;
use santral_core::position::{Epoch, Offset};
use santral_core::shard::Shard;
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use crate::config::{Config, LiveConfig, Transport};
use crate::ports::store::{Durability, LogReader};
use crate::telemetry::metrics::Metrics;
use admission::{Admission, AdmissionLimits, Full};
use board::Board;
use delivery::{Delivery, ShardPart};
use directory::Directory;
use news::{News, NewsFeed};
use occupancy::Occupancy;
use shard_thread::LocalShard;
use switchboard::Switchboard;
use writer::WriterQueue;

pub use admission::StreamSlot;

/// Work on another thread's shard.
type ShardCall = Box<dyn FnOnce(&mut Shard, Moment) + Send>;

/// Work on another thread that needs its links too.
type LocalCall = Box<dyn FnOnce(&LocalShard) + Send>;

/// What a shard finds in its mailbox.
pub enum Mail {
    /// Entries to deliver, in offset order.
    Deliver(ShardPart),
    /// Something to do with the shard.
    Call(ShardCall),
    /// Something to do on the shard's thread.
    Local(LocalCall),
}

/// Where the log stood when the server started, and what the shards begin with.
#[derive(Clone)]
pub struct LogStart {
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The last offset that retention had removed.
    pub trimmed_to: Offset,
    /// The offset before the first preloaded entry.
    pub behind: Offset,
    /// The newest entries, so that a crowd which returns after a restart is served from memory.
    pub recent: Arc<Vec<Arc<Entry>>>,
}

/// What whoever keeps the record of connections learns of one.
#[derive(Debug, Clone)]
pub enum ConnectionNews {
    /// Its stream began.
    Started(ConnectionId, Arc<Client>),
    /// It is over; also one whose stream never began.
    Ended(ConnectionId, Arc<Client>, DisconnectReason),
}

/// Hears of every connection, on the thread of its shard: must not block.
pub type ConnectionObserver = Box<dyn Fn(ConnectionNews) + Send + Sync>;

/// What does not change while the server runs.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Name of this node.
    pub node: String,
    /// Worker threads, and so shards.
    pub workers: usize,
    /// What receipts promise.
    pub durability: Durability,
}

/// The ways to threads that are started once there is a hub.
pub struct Queues {
    /// To the log's writer.
    pub writer: WriterQueue,
    /// To the video rooms.
    pub switchboard: Switchboard,
}

/// The shards of this node, and what they share.
pub struct Hub {
    /// What does not change while the server runs.
    pub options: HubOptions,
    /// What may change while the server runs.
    pub config: Arc<LiveConfig>,
    /// Which shard serves which session.
    pub directory: Directory,
    /// The way into the log.
    pub writer: WriterQueue,
    /// The way to the video rooms.
    pub switchboard: Switchboard,
    /// The way out of the log; blocking.
    pub reader: Arc<dyn LogReader>,
    /// Where the log stood at the start.
    pub log_start: LogStart,
    /// What happens, for whoever listens at the moment.
    pub news: NewsFeed,
    /// Channels that somebody has begun or ceased to follow, for whoever wants to know.
    pub occupancy: Occupancy,
    /// Hears of every connection.
    observer: ConnectionObserver,
    /// What servers ask clients.
    pub questions: engineio::Questions,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The samples of the last minutes.
    pub board: Board,
    /// Who may open another stream; its limits may change at any time.
    pub admission: Arc<Admission>,
    mailboxes: Vec<mpsc::Sender<Mail>>,
    committed: AtomicU64,
    trimmed_to: AtomicU64,
    presence_watched: AtomicBool,
    draining: AtomicBool,
    started: Instant,
    started_at: Timestamp,
}

impl Hub {
    /// A hub, and the mailboxes that its shards will read, one for each worker.
    #[must_use]
    pub fn new(
        options: HubOptions,
        config: Arc<LiveConfig>,
        log_start: LogStart,
        head: Offset,
        reader: Arc<dyn LogReader>,
        queues: Queues,
        observer: ConnectionObserver,
    ) -> (Arc<Self>, Vec<mpsc::Receiver<Mail>>) {
        let (mailboxes, receivers) = (0..options.workers).map(|_| mpsc::channel(MAILBOX_MESSAGES_MAX)).unzip();
        let trimmed_to = log_start.trimmed_to;
        let admission = Admission::new(admission_limits(&config.load()));
        let hub = Self {
            options,
            config,
            admission,
            directory: Directory::default(),
            questions: engineio::Questions::default(),
            writer: queues.writer,
            switchboard: queues.switchboard,
            reader,
            log_start,
            news: NewsFeed::default(),
            occupancy: Occupancy::default(),
            observer,
            metrics: Arc::default(),
            board: Board::default(),
            mailboxes,
            committed: AtomicU64::new(head),
            trimmed_to: AtomicU64::new(trimmed_to),
            presence_watched: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            started: Instant::now(),
            started_at: Self::wall_clock(),
        };
        (Arc::new(hub), receivers)
    }

    /// The time for the shards. Never zero.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::default() + self.started.elapsed() + Duration::from_micros(1)
    }

    /// The time for people and for the log.
    #[must_use]
    pub fn wall_clock() -> Timestamp {
        Timestamp(chrono::Utc::now().timestamp_micros())
    }

    /// The moment of a time on the wall clock, as the clock stands now. What is past is now.
    #[must_use]
    pub fn moment_of(&self, time: Timestamp) -> Moment {
        let left = time.0.saturating_sub(Self::wall_clock().0);
        self.now() + Duration::from_micros(u64::try_from(left).unwrap_or(0))
    }

    /// Since when the hub runs.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the hub was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The last committed offset.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.committed.load(Ordering::Acquire)
    }

    /// Does something with one shard and returns the answer; `None` when the shard has stopped.
    pub async fn call<T: Send + 'static>(
        &self,
        shard: usize,
        work: impl FnOnce(&mut Shard, Moment) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let call: ShardCall = Box::new(move |shard, now| {
            // The asker may have gone away; the work is done all the same.
            let _ = answer.send(work(shard, now));
        });
        self.mailboxes.get(shard)?.send(Mail::Call(call)).await.ok()?;
        answered.await.ok()
    }

    /// Does something on the thread of one shard, which finds its links there; `None` when it has stopped.
    pub async fn call_local<T: Send + 'static>(
        &self,
        shard: usize,
        work: impl FnOnce(&LocalShard) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let call: LocalCall = Box::new(move |local| {
            // The asker may have gone away; the work is done all the same.
            let _ = answer.send(work(local));
        });
        self.mailboxes.get(shard)?.send(Mail::Local(call)).await.ok()?;
        answered.await.ok()
    }

    /// Does the same on the thread of every shard and returns their answers.
    pub async fn call_local_all<T: Send + 'static>(
        &self,
        work: impl Fn(&LocalShard) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let calls = (0..self.mailboxes.len()).map(|shard| self.call_local(shard, work.clone()));
        futures_util::future::join_all(calls).await.into_iter().flatten().collect()
    }

    /// Has something done on the thread of one shard without waiting for it. A shard whose mailbox is full, or
    /// that has stopped, does not do it.
    pub fn try_tell_local(&self, shard: usize, work: impl FnOnce(&LocalShard) + Send + 'static) {
        if let Some(mailbox) = self.mailboxes.get(shard)
            && mailbox.try_send(Mail::Local(Box::new(work))).is_err()
        {
            log::debug!("shard {shard} was not told of the end of a request");
        }
    }

    /// Has something done with one shard without waiting for it, but for a place in its mailbox. False when it has
    /// stopped.
    pub async fn tell(&self, shard: usize, work: impl FnOnce(&mut Shard, Moment) + Send + 'static) -> bool {
        let Some(mailbox) = self.mailboxes.get(shard) else { return false };
        mailbox.send(Mail::Call(Box::new(work))).await.is_ok()
    }

    /// Does the same with every shard and returns their answers.
    pub async fn call_all<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Shard, Moment) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let calls = (0..self.mailboxes.len()).map(|shard| self.call(shard, work.clone()));
        futures_util::future::join_all(calls).await.into_iter().flatten().collect()
    }

    /// Hands entries to every shard, in the order of the calls. Blocks while a mailbox is full:
    /// for the writer's thread only.
    pub fn deliver_blocking(&self, delivery: &Arc<Delivery>) {
        for mailbox in &self.mailboxes {
            // A shard that has stopped drops its part.
            let _ = mailbox.blocking_send(Mail::Deliver(delivery.part()));
        }
    }

    /// Hands volatile messages to every shard but one, which the caller serves itself.
    pub async fn deliver_to_others(&self, own: usize, delivery: &Arc<Delivery>) {
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if index != own {
                // A shard that has stopped drops its part.
                let _ = mailbox.send(Mail::Deliver(delivery.part())).await;
            }
        }
    }

    /// Tells every shard something that needs no answer. Blocking, for the writer's thread only.
    pub fn tell_all_blocking(&self, work: impl Fn(&mut Shard, Moment) + Clone + Send + 'static) {
        for mailbox in &self.mailboxes {
            // A shard that has stopped needs no news.
            let _ = mailbox.blocking_send(Mail::Call(Box::new(work.clone())));
        }
    }

    /// Tells every shard something, unless its mailbox is full.
    pub fn try_tell_all(&self, work: impl Fn(&mut Shard, Moment) + Clone + Send + 'static) {
        for mailbox in &self.mailboxes {
            // Full: the shard is overloaded, and what is told this way may be missed.
            let _ = mailbox.try_send(Mail::Call(Box::new(work.clone())));
        }
    }

    /// Tells of a connection.
    pub(crate) fn tell_of_connection(&self, news: ConnectionNews) {
        self.news.tell(|| News::Connection(news.clone()));
        (self.observer)(news);
    }

    /// Notes that the log has grown.
    pub(crate) fn set_committed(&self, head: Offset) {
        self.committed.fetch_max(head, Ordering::AcqRel);
    }

    /// Notes what retention has removed.
    pub(crate) fn set_trimmed_to(&self, trimmed_to: Offset) {
        self.trimmed_to.fetch_max(trimmed_to, Ordering::AcqRel);
    }

    /// The last offset that retention had removed when it was last looked at.
    #[must_use]
    pub fn trimmed_to(&self) -> Offset {
        self.trimmed_to.load(Ordering::Acquire)
    }

    /// Takes a place for a stream of this user from this network; see [`Admission::admit`].
    ///
    /// # Errors
    /// [`Full`] names the limit that is reached.
    pub fn admit_stream(
        &self,
        transport: Transport,
        user: Option<&Arc<str>>,
        network: Option<IpNet>,
    ) -> Result<StreamSlot, Full> {
        self.admission.admit(user, network).map(|slot| slot.counted_for(transport))
    }

    /// Open streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.admission.streams()
    }

    /// Refuses new streams from now on.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Notes that some session asked for presence changes; from then on they are passed around.
    pub fn watch_presence(&self) {
        self.presence_watched.store(true, Ordering::Release);
    }

    /// Whether anybody ever asked for presence changes.
    #[must_use]
    pub fn is_presence_watched(&self) -> bool {
        self.presence_watched.load(Ordering::Acquire)
    }
}

/// How many streams may be open under this configuration.
#[must_use]
pub fn admission_limits(config: &Config) -> AdmissionLimits {
    AdmissionLimits {
        streams_max: config.descriptors.streams,
        per_user: config.connections_per_user,
        per_network: config.connections_per_address,
    }
}
