//! SIGTERM: nobody is cut off without a word, nothing that was acknowledged is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use santral_testkit::SseClient;
use santral_testkit::http::HttpError;
use santral_testkit::process::Signal;

use crate::faults::node::{Node, Plan, allow_many_files, data_up_to, eventually};
use crate::support::{PATIENCE, deadline, post_json};

#[test]
fn five_hundred_streams_are_told_goodbye_and_the_process_exits_with_0() {
    allow_many_files();
    let mut node = Plan::new().set("SANTRAL_DRAIN_WINDOW", "2").start();
    let mut streams: Vec<SseClient> = (0..STREAMS).map(|_| node.listen("/api/events")).collect();
    node.server.signal(Signal::TERM).expect("the server runs");
    for stream in &mut streams {
        let events = stream.collect_to_end(deadline()).expect("every stream ends");
        let bye = events.last().expect("nobody is cut off without a word");
        assert_eq!(bye.event_type, "bye", "{events:?}");
        let bye: Value = serde_json::from_str(&bye.data).expect("a bye is JSON");
        assert_eq!((&bye["name"], &bye["reconnect"]), (&"draining".into(), &true.into()), "{bye}");
        assert!(bye["retryAfterMs"].is_u64(), "{bye}");
    }
    let status = node.server.wait_exit(PATIENCE).expect("the server exits");
    assert_eq!(status.code(), Some(0), "{}", node.server.output());
}

#[test]
fn a_draining_server_takes_no_new_streams_and_says_so() {
    let mut node = Plan::new().set("SANTRAL_DRAIN_WINDOW", "5").start();
    let _streams = start_draining(&mut node);
    let refused = SseClient::open(node.address, "/api/events?client=test", &[], PATIENCE);
    let Err(HttpError::NotAStream(answer)) = refused else { panic!("a stream was opened: {refused:?}") };
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json().expect("a problem is JSON")["code"], "draining", "{answer:?}");
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    let mut native = SseClient::open(node.address, "/api/events", &[], PATIENCE).expect("a browser sees no error");
    let farewell = native.collect_to_end(deadline()).expect("the stream ends");
    assert_eq!(farewell.last().map(|event| event.event_type.as_str()), Some("bye"), "{farewell:?}");
    assert_eq!(node.get("/health/ready").status, 503);
    assert_eq!(node.health()["status"], "draining");
    assert_eq!(node.get("/health/live").status, 200);
}

#[test]
fn publishes_under_way_are_answered_and_what_was_acknowledged_is_there_after_a_restart() {
    let mut node = Plan::new().set("SANTRAL_DRAIN_WINDOW", "2").start();
    let address = node.address;
    let data = format!("\"{}\"", "x".repeat(1_000));
    let (first_half, second_half) = data.split_at(500);
    let mut halfway = TcpStream::connect(address).expect("the server accepts");
    let length = data.len();
    let head = format!(
        "POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    halfway.write_all(format!("{head}{first_half}").as_bytes()).expect("the server reads");
    let has_exited = AtomicBool::new(false);
    let acked = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn({
                    let has_exited = &has_exited;
                    move || publish_until_gone(address, number, has_exited)
                })
            })
            .collect();
        eventually("publishes get through", || (node.get("/api/channels").text().contains("broadcast")).then_some(()));
        let _streams = start_draining(&mut node);
        halfway.write_all(second_half.as_bytes()).expect("the server still reads");
        let mut answer = String::new();
        halfway.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        halfway.read_to_string(&mut answer).expect("the server answers and closes");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let status = node.server.wait_exit(PATIENCE).expect("the server exits");
        has_exited.store(true, Ordering::Release);
        assert_eq!(status.code(), Some(0), "{}", node.server.output());
        publishers.into_iter().flat_map(|thread| thread.join().expect("publishers end")).collect::<Vec<_>>()
    });
    assert!(acked.len() > 10, "only {} publishes", acked.len());
    node.start_again();
    node.broadcast("\"end\"");
    let stored = data_up_to(&mut node.listen_from("/api/events", "earliest"), "\"end\"");
    for data in acked.iter().chain([&data]) {
        assert!(stored.contains(data), "{data} was acknowledged");
    }
}

/// Sends SIGTERM and waits until the server drains. Its streams keep it at that for the window.
fn start_draining(node: &mut Node) -> Vec<SseClient> {
    let streams = (0..20).map(|_| node.listen("/api/events")).collect();
    node.server.signal(Signal::TERM).expect("the server runs");
    eventually("the server drains", || (node.health()["status"] == "draining").then_some(()));
    streams
}

/// Publishes without a pause; returns what was acknowledged. Until the listener is closed, every
/// request gets an answer.
fn publish_until_gone(address: std::net::SocketAddr, publisher: u64, has_exited: &AtomicBool) -> Vec<String> {
    let mut acked = Vec::new();
    for number in 0_u64.. {
        let data = format!("\"{publisher}-{number}\"");
        match post_json("/api/broadcast", &data).send(address, PATIENCE) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                acked.push(data);
            }
            Err(HttpError::Connect { .. }) => break,
            // Accepted by the kernel and never by the server: it was closing already.
            Err(HttpError::Broken(_)) => break,
            Err(HttpError::Truncated { so_far }) if so_far == "\"\"" => break,
            Err(error) => panic!("a request got no answer: {error}"),
        }
        if has_exited.load(Ordering::Acquire) {
            break;
        }
    }
    acked
}

const STREAMS: usize = 500;
