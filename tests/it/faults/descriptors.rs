//! A server that may open 256 files: it turns clients away while it still has some.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use santral_testkit::SseClient;
use santral_testkit::http::HttpError;

use super::node::{Node, Plan, allow_many_files, eventually};
use crate::support::{PATIENCE, deadline};

#[test]
fn beyond_its_files_a_server_refuses_streams_and_serves_the_rest() {
    let node = start();
    let mut streams: Vec<SseClient> = Vec::new();
    let refused = loop {
        match SseClient::open(node.address, SDK, &[], PATIENCE) {
            Ok(stream) => streams.push(stream),
            Err(HttpError::NotAStream(answer)) => break answer,
            Err(error) => panic!("after {} streams: {error}", streams.len()),
        }
        assert!(streams.len() < 256, "more streams than files");
    };
    assert!(streams.len() > 100, "only {} streams", streams.len());
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json().expect("a problem is JSON")["code"], "too_many_connections", "{refused:?}");
    assert!(refused.header("Retry-After").is_some(), "{refused:?}");
    // A browser would give up for good at any error, so it is told to come back later.
    let mut native = SseClient::open(node.address, "/api/events", &[], PATIENCE).expect("it is no error");
    let farewell = native.collect_to_end(deadline()).expect("the stream ends");
    assert_eq!(farewell.last().map(|event| event.event_type.as_str()), Some("bye"), "{farewell:?}");
    assert!(farewell[0].data.contains(r#""reconnect":true"#), "{farewell:?}");
    assert!(native.retry_ms().is_some_and(|retry| retry >= 15_000), "{:?}", native.retry_ms());
    assert_eq!(node.health()["streams"], streams.len());
    assert_eq!(node.get("/health/ready").status, 200);
    node.broadcast("\"all of you\"");
    for stream in &mut streams {
        stream.wait_for(|event| event.data == "\"all of you\"", deadline()).expect("it comes");
    }
    assert_is_idle(&node);
    drop(streams);
    drop(eventually("there is room again", || SseClient::open(node.address, SDK, &[], PATIENCE).ok()));
}

#[test]
fn a_flood_of_silent_connections_neither_starves_nor_spins_a_server() {
    let node = start();
    let mut stream = node.listen("/api/events");
    // More than there are files. Those that are not accepted wait in the kernel.
    let silent: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(node.address).expect("the kernel takes it")).collect();
    assert_is_idle(&node);
    let healthy = eventually("the silent ones are given up on", || {
        let answer = santral_testkit::http::Request::get("/health").send(node.address, PATIENCE).ok();
        answer.filter(|answer| answer.status == 200)
    });
    assert_eq!(healthy.json().expect("health is JSON")["streams"], 1);
    drop(silent);
    node.broadcast("\"still here\"");
    stream.wait_for(|event| event.data == "\"still here\"", deadline()).expect("the stream lives");
}

#[test]
fn clients_that_hold_all_connections_with_slow_heads_do_not_keep_health_from_answering() {
    let node = start();
    let address = node.address;
    allow_many_files();
    let (is_under_way, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut held: Vec<TcpStream> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                held.resize_with(ATTACKERS, || begin_slowly(address));
                // Each says a little more, and is opened again when the server has closed it.
                held.retain_mut(|stream| stream.write_all(b"x").is_ok());
                is_under_way.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let asked = std::panic::catch_unwind(|| {
            eventually("the attack begins", || is_under_way.load(Ordering::Relaxed).then_some(()));
            for _ in 0..2 {
                let answer = santral_testkit::http::Request::get("/health").send(address, PATIENCE);
                assert_eq!(answer.expect("it is answered").status, 200);
            }
        });
        is_over.store(true, Ordering::Relaxed);
        attacker.join().expect("the attacker does not fail");
        asked.expect("health answers all the time");
    });
}

fn begin_slowly(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the kernel takes it");
    stream.write_all(b"GET /health HTTP/1.1\r\nX-Slow: ").expect("a head fits into the socket");
    stream
}

/// Many times the plain connections of a server with 256 files: were each held for its five
/// seconds, a newcomer would wait for half a minute.
const ATTACKERS: usize = 400;

fn start() -> Node {
    Plan::new().under(&["sh", "-c", r#"ulimit -n 256; exec "$0""#]).start()
}

/// Over a second, the server uses less than half of it: a loop that spins would use it all.
fn assert_is_idle(node: &Node) {
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.server.pid())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        // Fields 14 and 15 of proc(5): user and system time; the first two were cut off.
        fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number of ticks")).sum()
    };
    let (before, start) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let used = ticks() - before;
    let passed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    assert!(used * 1_000 < passed * TICKS_PER_SECOND / 2, "{used} ticks of processor time in {passed} ms");
}

/// Names itself, so it can read an error.
const SDK: &str = "/api/events?client=test";

/// The unit of proc(5), fixed on every architecture that Linux shows to programs (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;
