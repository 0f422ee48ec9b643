//! A thousand clients lose their connections at once and come back all together.

use std::time::Duration;

use santral_testkit::SseClient;
use santral_testkit::random::SplitMix64;

use super::node::{Plan, allow_many_files, data_up_to};
use crate::support::{PATIENCE, deadline};

#[test]
fn a_thousand_clients_cut_at_once_resume_after_a_restart_without_loss() {
    allow_many_files();
    let mut node = Plan::new().start();
    let mut sent = vec![node.broadcast("0")];
    let mut random = SplitMix64::new(1);
    let mut positions = Vec::new();
    let mut clients: Vec<SseClient> = (0..CLIENTS).map(|_| node.listen("/api/events")).collect();
    sent.extend((1..EARLY).map(|number| node.broadcast(&number.to_string())));
    for client in &mut clients {
        // Each has read another number of messages when the line goes dead.
        let read = 1 + random.below(EARLY - 1);
        let last = client.wait_for(|event| event.data == read.to_string(), deadline()).expect("it comes");
        positions.push((read, last.last_event_id));
    }
    node.server.kill9().expect("the server can be killed");
    node.start_again();
    sent.extend((EARLY..LATE).map(|number| node.broadcast(&number.to_string())));
    let address = node.address;
    std::thread::scope(|scope| {
        for positions in positions.chunks(positions.len().div_ceil(THREADS)) {
            scope.spawn(move || {
                let open = |(_, position): &(u64, String)| {
                    let headers = [("Last-Event-ID", position.as_str())];
                    SseClient::open(address, "/api/events", &headers, PATIENCE).expect("the stream opens")
                };
                // All of them at once, before any is read.
                let clients: Vec<SseClient> = positions.iter().map(open).collect();
                for (mut client, (read, _)) in clients.into_iter().zip(positions) {
                    client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
                    let received = data_up_to(&mut client, &(LATE - 1).to_string());
                    let expected: Vec<_> = (read + 1..LATE).map(|number| number.to_string()).collect();
                    assert_eq!(received, expected);
                }
            });
        }
    });
    let history = node.get("/api/channels/broadcast/history?limit=1000").json().expect("a history is JSON");
    let stored: Vec<_> = history["entries"].as_array().expect("entries are a list").iter().rev().collect();
    let stored: Vec<_> = stored.iter().map(|entry| entry["id"].as_str().expect("it has a position")).collect();
    assert_eq!(stored, sent);
}

/// A crowd that does not care for `retry`, and asks for a message that is long gone by then.
#[test]
fn a_crowd_that_storms_in_again_and_again_is_served_each_time() {
    allow_many_files();
    let node = Plan::new().start();
    for round in 0..3 {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..CLIENTS as usize / THREADS).for_each(|_| drop(node.listen("/api/events"))));
            }
        });
        super::node::eventually_within("all of them have left", Duration::from_secs(30), || {
            (node.health()["streams"] == 0).then_some(())
        });
        node.broadcast(&round.to_string());
    }
}

const CLIENTS: u64 = 1_000;
const THREADS: usize = 25;

/// Messages before the crash, and all in all.
const EARLY: u64 = 20;
const LATE: u64 = 60;
