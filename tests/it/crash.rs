//! Kill -9 under load, on both databases: what was acknowledged is there, and every client knows.
//!
//! Four publishers repeat what got no answer, under its idempotency key; twenty clients follow
//! several channels each and resume. Both go through proxies that cut, stall, delay and half-open
//! their connections. Everybody keeps a journal; the checker of the testkit decides.
//!
//! `CRASH_CYCLES=1000 CRASH_SEED=7 cargo test --release --test it crash -- --nocapture` runs longer.

mod publisher;
mod subscriber;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use tempfile::TempDir;

use santral_testkit::checker::{self, Options, Report};
use santral_testkit::fault_proxy::{Chaos, FaultProxy};
use santral_testkit::journal::{Durability, Journal, Record, content_hash};
use santral_testkit::postgres::Postgres;
use santral_testkit::random::SplitMix64;

use crate::faults::node::{Node, Plan, eventually};
use crate::support::{PATIENCE, id_of};
use publisher::Publisher;
use subscriber::Subscriber;

#[test]
fn kill_9_loses_nothing_that_sqlite_acknowledged() {
    let report = Run::start(Plan::new()).crash(cycles());
    assert_sound(&report);
}

#[test]
fn kill_9_loses_nothing_that_postgresql_acknowledged() {
    let Some(postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("crash").expect("PostgreSQL takes a database");
    let report = Run::start(Plan::new().set("DATABASE_URL", &url)).crash(cycles());
    assert_sound(&report);
}

fn assert_sound(report: &Report) {
    println!("{report}");
    assert!(report.is_sound(), "{report}");
    // A run that did nothing proves nothing.
    let cycles = cycles();
    let preloaded = (PRELOADED_BATCHES * PRELOADED_PER_BATCH) as u64;
    assert!(report.acked > preloaded + cycles * ACKS_PER_CYCLE_MIN, "{report}");
    assert!(report.attempts > report.acked, "no answer was ever lost: {report}");
    assert!(report.attaches > 2 * SUBSCRIBERS as u64, "nobody ever had to come back: {report}");
    assert!(report.events > report.acked, "{report}");
    assert_eq!(report.gaps, 0, "retention keeps everything, and a crash is no new log: {report}");
}

/// What publishers and subscribers are told while they run.
#[derive(Default)]
struct Phase {
    /// Publishers begin nothing new.
    is_ending: AtomicBool,
    /// The test is over, whatever is left.
    is_over: AtomicBool,
    /// Publications acknowledged so far.
    acked: AtomicU64,
}

impl Phase {
    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

struct Run {
    node: Node,
    random: SplitMix64,
    phase: Arc<Phase>,
    journals: TempDir,
    to_publish: FaultProxy,
    to_follow: FaultProxy,
    publishers: Vec<JoinHandle<()>>,
    subscribers: Vec<JoinHandle<()>>,
}

impl Run {
    fn start(plan: Plan) -> Self {
        let node = plan.set("SANTRAL_HEARTBEAT", "1s").start();
        let seed = setting("CRASH_SEED").unwrap_or(1);
        let proxy = |seed| {
            let proxy = FaultProxy::start(node.address).expect("the proxy starts");
            let chaos = Chaos { seed, time_max: Duration::from_millis(800), bytes_max: 20_000, half_open: true };
            proxy.set_chaos(Some(chaos));
            proxy
        };
        let mut run = Self {
            random: SplitMix64::of_stream(seed, 0),
            phase: Arc::default(),
            journals: tempfile::tempdir().expect("a temporary directory can be made"),
            to_publish: proxy(seed),
            to_follow: proxy(seed + 1),
            publishers: Vec::new(),
            subscribers: Vec::new(),
            node,
        };
        run.preload();
        for number in 0..SUBSCRIBERS {
            let address = run.to_follow.address();
            let subscriber = Subscriber::new(number, address, run.journal(&format!("subscriber-{number}")), &run.phase);
            run.subscribers.push(std::thread::spawn(move || subscriber.run()));
        }
        for number in 0..PUBLISHERS {
            let random = SplitMix64::of_stream(seed, 1_000 + number as u64);
            let journal = run.journal(&format!("publisher-{number}"));
            let publisher = Publisher::new(number, run.to_publish.address(), journal, &run.phase, random);
            run.publishers.push(std::thread::spawn(move || publisher.run()));
        }
        run
    }

    /// More messages than a server keeps in memory: whoever begins at the earliest is served from the
    /// database, page by page.
    fn preload(&self) {
        let journal = self.journal("preload");
        let write = |record| journal.append(&record).expect("the journal can be written");
        for batch in 0..PRELOADED_BATCHES {
            let channel = CHANNELS[batch % CHANNELS.len()];
            let keys: Vec<_> = (0..PRELOADED_PER_BATCH).map(|number| format!("preload-{batch}-{number}")).collect();
            let data = |key: &String| format!(r#"{{"key":"{key}"}}"#);
            for key in &keys {
                let (publisher, channel) = ("preload".to_owned(), channel.to_owned());
                let hash = content_hash(data(key).as_bytes());
                write(Record::Publish { publisher, key: key.clone(), channel, hash, volatile: false });
            }
            let item = |key| format!(r#"{{"channel":"{channel}","data":{}}}"#, data(key));
            let items: Vec<_> = keys.iter().map(item).collect();
            let answer = self.node.post("/api/publish", &format!("[{}]", items.join(",")));
            let receipts = answer.json().expect("receipts are JSON");
            for (key, receipt) in keys.into_iter().zip(receipts.as_array().expect("a batch has a list of receipts")) {
                let id = receipt["id"].as_str().map(str::to_owned);
                write(Record::Ack { key, id, durability: Durability::Disk });
            }
        }
    }

    /// Crashes so many times, lets everybody finish, and judges.
    fn crash(mut self, cycles: u64) -> Report {
        for _ in 0..cycles {
            self.wait_for_acks();
            std::thread::sleep(self.random.duration_below(CRASH_AFTER_MAX));
            self.node.server.kill9().expect("the server can be killed");
            self.start_again();
        }
        self.wait_for_acks();
        self.settle();
        self.dump();
        self.judge()
    }

    fn wait_for_acks(&self) {
        let before = self.phase.acked.load(Ordering::Acquire);
        eventually("publishes are acknowledged", || {
            (self.phase.acked.load(Ordering::Acquire) >= before + ACKS_PER_CYCLE_MIN).then_some(())
        });
    }

    fn start_again(&mut self) {
        self.node.start_again();
        self.to_publish.set_target(self.node.address);
        self.to_follow.set_target(self.node.address);
    }

    /// No faults any more: publishers get their last answers, subscribers the end of the log.
    fn settle(&mut self) {
        self.phase.is_ending.store(true, Ordering::Release);
        self.to_publish.heal();
        self.to_follow.heal();
        join(&mut self.publishers, &self.phase, "publishers");
        // A request that its publisher gave up on must not be stored behind the end.
        self.node.server.terminate(PATIENCE).expect("the server stops");
        self.start_again();
        let data = format!(r#"{{"key":"{END}"}}"#);
        let publisher = "end".to_owned();
        let (key, channel, hash) = (END.to_owned(), "broadcast".to_owned(), content_hash(data.as_bytes()));
        let journal = self.journal("end");
        let write = |record| journal.append(&record).expect("the journal can be written");
        write(Record::Publish { publisher, key: key.clone(), channel, hash, volatile: false });
        let id = id_of(&self.node.post("/api/broadcast", &data));
        write(Record::Ack { key, id: Some(id), durability: Durability::Disk });
        join(&mut self.subscribers, &self.phase, "subscribers");
    }

    /// Writes down what the server says it has stored.
    fn dump(&self) {
        let journal = self.journal("stored");
        for channel in CHANNELS.into_iter().chain(["broadcast"]) {
            for envelope in history(&self.node, channel) {
                let hash = content_hash(envelope.data.get().as_bytes());
                let key = Some(key_of(envelope.data.get()));
                let id = envelope.id.expect("a stored message has a position");
                let record = Record::Stored { id, channel: envelope.channel, key, hash };
                journal.append(&record).expect("the journal can be written");
            }
        }
    }

    fn judge(self) -> Report {
        let files = std::fs::read_dir(self.journals.path()).expect("the folder is there");
        let files: Vec<_> = files.map(|file| file.expect("a folder can be read").path()).collect();
        let report = checker::check_files(&files, Options { is_complete: true }).expect("the journals are whole");
        if !report.is_sound() {
            println!("the journals are in {}", self.journals.keep().display());
        }
        report
    }

    fn journal(&self, name: &str) -> Arc<Journal> {
        let path: &Path = self.journals.path();
        Arc::new(Journal::create(&path.join(format!("{name}.jsonl"))).expect("a journal can be created"))
    }
}

/// Waits for all threads; those that hang are told that it is over, so that the failure is theirs.
fn join(threads: &mut Vec<JoinHandle<()>>, phase: &Phase, who: &str) {
    let end = Instant::now() + SETTLE_MAX;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let late = threads.iter().filter(|thread| !thread.is_finished()).count();
    if late > 0 {
        phase.is_over.store(true, Ordering::Release);
    }
    for thread in threads.drain(..) {
        thread.join().expect("whoever panicked has said why");
    }
    assert_eq!(late, 0, "{who} did not finish in time");
}

/// A message as history and envelope streams show it.
#[derive(Deserialize)]
struct Envelope {
    channel: String,
    id: Option<String>,
    data: Box<RawValue>,
}

#[derive(Deserialize)]
struct History {
    entries: Vec<Envelope>,
    more: bool,
}

/// A channel's whole history, oldest first.
fn history(node: &Node, channel: &str) -> Vec<Envelope> {
    let mut entries: Vec<Envelope> = Vec::new();
    loop {
        let before = entries.last().and_then(|entry| entry.id.as_ref()).map(|id| format!("&before={id}"));
        let path = format!("/api/channels/{channel}/history?limit=1000{}", before.unwrap_or_default());
        let page: History = serde_json::from_slice(&node.get(&path).body).expect("a history is JSON");
        entries.extend(page.entries);
        if !page.more {
            entries.reverse();
            return entries;
        }
    }
}

/// The key that every message of these tests carries.
fn key_of(data: &str) -> String {
    let data: serde_json::Value = serde_json::from_str(data).expect("messages of this test are JSON");
    data["key"].as_str().expect("messages of this test carry their key").to_owned()
}

fn cycles() -> u64 {
    setting("CRASH_CYCLES").unwrap_or(CYCLES)
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// All but `broadcast`; the names with a slash are also followed by their prefix.
const CHANNELS: [&str; 6] = ["orders", "alerts", "chat", "rooms/1", "rooms/2", "rooms/3"];

/// Crashes per database unless `CRASH_CYCLES` says more.
const CYCLES: u64 = 30;

/// Together more than the 16,384 messages that a shard keeps at hand.
const PRELOADED_BATCHES: usize = 18;
const PRELOADED_PER_BATCH: usize = 1_000;

const PUBLISHERS: usize = 4;
const SUBSCRIBERS: usize = 20;

/// Publications that must get through between two crashes.
const ACKS_PER_CYCLE_MIN: u64 = 20;

/// The crash comes at a random moment, up to this long after they did.
const CRASH_AFTER_MAX: Duration = Duration::from_millis(400);

/// How long everybody may take to finish once there are no faults.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// The key of the log's last message.
const END: &str = "end";
