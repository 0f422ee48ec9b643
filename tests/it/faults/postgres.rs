//! PostgreSQL goes away and comes back under publishers and a listener.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use santral_testkit::http::Request;
use santral_testkit::postgres::{Postgres, StopMode};
use santral_testkit::process::Signal;

use super::node::{Node, Plan, data_up_to, eventually};
use crate::support::{PATIENCE, deadline, post_json};

#[test]
fn a_postgresql_that_crashes_refuses_publishes_and_keys_settle_what_is_in_doubt() {
    let Some(mut postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("faults").expect("PostgreSQL takes a database");
    let node = Plan::new().set("DATABASE_URL", &url).set("SANTRAL_HEARTBEAT", "1s").start();
    let mut listener = node.listen("/api/events");
    let (acked, refused, is_ending) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let sent = std::thread::scope(|scope| {
        let publish = |publisher: u64| publish_until(&node, publisher, &acked, &refused, &is_ending);
        let publishers: Vec<_> = (0..4).map(|publisher| scope.spawn(move || publish(publisher))).collect();
        let wait_for = |count: &AtomicU64, what: &str| {
            let before = count.load(Ordering::Acquire);
            eventually(what, || (count.load(Ordering::Acquire) >= before + 20).then_some(()));
        };
        for _ in 0..3 {
            wait_for(&acked, "publishes are acknowledged");
            postgres.stop(StopMode::Immediate).expect("PostgreSQL stops");
            wait_for(&refused, "publishes are refused");
            assert_eq!(node.get("/health/ready").status, 503);
            assert_eq!(node.get("/health/live").status, 200);
            let volatile = node.post("/api/broadcast?volatile=1", "\"volatile\"");
            assert_eq!(volatile.status, 200, "{volatile:?}");
            drop(node.listen("/api/events"));
            postgres.start_again().expect("PostgreSQL starts again");
        }
        wait_for(&acked, "publishes are acknowledged again");
        is_ending.store(true, Ordering::Release);
        publishers.into_iter().map(|thread| thread.join().expect("publishers end")).collect::<Vec<_>>()
    });
    node.broadcast_when_healed("\"end\"");
    let received = data_up_to(&mut listener, "\"end\"");
    let received: Vec<_> = received.into_iter().filter(|data| data != "\"volatile\"").collect();
    let replayed = data_up_to(&mut node.listen_from("/api/events", "earliest"), "\"end\"");
    assert!(received == replayed, "who listened all the time has the whole log");
    let mut distinct = received.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), received.len(), "a key is stored once, however often it was tried");
    let sent: u64 = sent.iter().sum();
    assert_eq!(received.len() as u64, sent + 1, "every key was tried until it was acknowledged");
}

/// A database that accepts and never answers: publishers must not wait for ever, nor must health.
#[test]
fn a_postgresql_that_hangs_refuses_publishes_within_their_deadline() {
    let Some(postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("faults").expect("PostgreSQL takes a database");
    let node = Plan::new().set("DATABASE_URL", &url).start();
    let mut listener = node.listen("/api/events");
    node.broadcast("1");
    let frozen = Frozen::freeze(&postgres);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = node.post("/api/broadcast", "\"maybe\"");
                assert_eq!(answer.status, 503, "{answer:?}");
            });
        }
    });
    assert_eq!(node.post("/api/broadcast?volatile=1", "\"volatile\"").status, 200);
    assert_eq!(node.get("/health/ready").status, 503);
    drop(frozen);
    node.broadcast_when_healed("2");
    let received = data_up_to(&mut listener, "2");
    let certain: Vec<_> =
        received.iter().filter(|data| !["\"maybe\"", "\"volatile\""].contains(&data.as_str())).collect();
    assert_eq!(certain, ["1", "2"]);
}

#[test]
fn a_server_whose_postgresql_hangs_still_stops_when_it_is_told_to() {
    let Some(postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("faults").expect("PostgreSQL takes a database");
    let mut node = Plan::new().set("DATABASE_URL", &url).set("SANTRAL_DRAIN_WINDOW", "1").start();
    let mut listener = node.listen("/api/events");
    node.broadcast("1");
    data_up_to(&mut listener, "1");
    // A reader with a connection hangs as well.
    assert_eq!(node.get("/api/channels").status, 200);
    let _frozen = Frozen::freeze(&postgres);
    let address = node.address;
    // Their answers may never come.
    std::thread::spawn(move || post_json("/api/broadcast", "2").send(address, PATIENCE));
    std::thread::spawn(move || Request::get("/api/channels").send(address, PATIENCE));
    eventually("the writer waits for PostgreSQL", || (node.health()["storage"] != "ok").then_some(()));
    node.server.signal(Signal::TERM).expect("the server runs");
    let farewell = listener.collect_to_end(deadline()).expect("the stream ends");
    assert_eq!(farewell.last().map(|event| event.event_type.as_str()), Some("bye"), "{farewell:?}");
    let status = node.server.wait_exit(PATIENCE).expect("the server exits");
    assert_eq!(status.code(), Some(0), "{}", node.server.output());
}

/// Publishes numbered messages with keys, each until it is acknowledged; returns how many.
fn publish_until(node: &Node, publisher: u64, acked: &AtomicU64, refused: &AtomicU64, is_ending: &AtomicBool) -> u64 {
    let mut count = 0;
    while !is_ending.load(Ordering::Acquire) {
        let data = format!("\"{publisher}-{count}\"");
        let request = post_json("/api/broadcast", &data).header("Idempotency-Key", &format!("{publisher}-{count}"));
        eventually("an acknowledgement", || {
            let answer = request.send(node.address, PATIENCE).expect("the server answers");
            if answer.status == 200 {
                return Some(());
            }
            assert_eq!(answer.status, 503, "{answer:?}");
            let problem: Value = answer.json().expect("a problem is JSON");
            assert!(["storage_busy", "storage_failed"].iter().any(|code| problem["code"] == *code), "{answer:?}");
            assert!(answer.header("Retry-After").is_some(), "{answer:?}");
            refused.fetch_add(1, Ordering::AcqRel);
            None
        });
        acked.fetch_add(1, Ordering::AcqRel);
        count += 1;
        // Four publishers without a pause would only measure the machine.
        std::thread::sleep(Duration::from_millis(2));
    }
    count
}

/// All processes of a cluster, stopped (SIGSTOP) until this is dropped.
struct Frozen {
    pids: Vec<rustix::process::Pid>,
}

impl Frozen {
    fn freeze(postgres: &Postgres) -> Self {
        let main = postgres.pid().expect("the cluster runs");
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).expect("it is a process");
        let pids = children.split_whitespace().map(|pid| pid.parse().expect("the kernel writes numbers"));
        let pids: Vec<_> = pids.chain([i32::try_from(main).expect("a process id is small")]).collect();
        let pids: Vec<_> = pids.into_iter().filter_map(rustix::process::Pid::from_raw).collect();
        let frozen = Self { pids };
        frozen.signal(rustix::process::Signal::STOP);
        frozen
    }

    fn signal(&self, signal: rustix::process::Signal) {
        for pid in &self.pids {
            // A child may have ended since.
            let _ = rustix::process::kill_process(*pid, signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::CONT);
    }
}
