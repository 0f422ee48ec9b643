//! Streams as ordinary response bodies, over pipes in memory, while time stands still or leaps.
//!
//! What depends on long waits is exact here: heartbeats, the grace of sessions, the drain window,
//! and readers that do not read. The same shard serves sockets in production.

mod node;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use node::{Client, in_virtual_time};
use santral_testkit::sse::Event;

use crate::support::contract::{TOKEN, json, text};

const HEARTBEAT: Duration = Duration::from_secs(25);

/// How far a moment may be from where it should be: the grain of the server's timer wheel, and
/// some for the way through it.
const GRAIN: Duration = Duration::from_millis(150);

/// Shows SSE-9.
#[test]
fn a_silent_stream_is_pinged_within_the_heartbeat_and_each_at_its_own_pace() {
    in_virtual_time(|node| async move {
        let mut periods = Vec::new();
        for _ in 0..10 {
            let mut client = node.listen("/api/events").await;
            let opened = Instant::now();
            assert_eq!(client.next().await.event_type, "ping");
            let period = opened.elapsed();
            assert!(period >= HEARTBEAT.mul_f64(0.59) && period <= HEARTBEAT, "{period:?}");
            let pinged = Instant::now();
            assert_eq!(client.next().await.event_type, "ping");
            assert!(pinged.elapsed() <= HEARTBEAT && pinged.elapsed().abs_diff(period) <= GRAIN, "{period:?}");
            sleep(period / 2).await;
            node.broadcast_volatile("1").await;
            assert_eq!(client.next().await.data, "1");
            let heard = Instant::now();
            assert_eq!(client.next().await.event_type, "ping");
            assert!(heard.elapsed().abs_diff(period) <= GRAIN, "{:?} after a message", heard.elapsed());
            periods.push(period);
        }
        periods.sort_unstable();
        periods.dedup();
        assert!(periods.len() > 3, "pings are not spread: {periods:?}");
    });
}

/// Shows SSE-9.
#[test]
fn a_shorter_heartbeat_holds_at_once_and_a_longer_one_for_new_streams() {
    in_virtual_time(|node| async move {
        for waited in [0, 5, 14] {
            node.set("heartbeat", "25s");
            let mut client = node.listen("/api/events").await;
            let written = Instant::now();
            sleep(Duration::from_secs(waited)).await;
            node.set("heartbeat", "20s");
            assert_eq!(client.next().await.event_type, "ping");
            assert!(written.elapsed() <= HEARTBEAT, "{:?} of silence, and {HEARTBEAT:?} were said", written.elapsed());
            let written = Instant::now();
            node.set("heartbeat", "2s");
            assert_eq!(client.next().await.event_type, "ping");
            assert!(written.elapsed() <= Duration::from_secs(2), "{:?}", written.elapsed());
            node.set("heartbeat", "5m");
            for _ in 0..3 {
                let written = Instant::now();
                assert_eq!(client.next().await.event_type, "ping");
                assert!(written.elapsed() <= Duration::from_secs(2), "{:?}, and 2 s hold", written.elapsed());
            }
            let mut new = node.listen("/api/events").await;
            let opened = Instant::now();
            assert_eq!(new.hello["heartbeatMs"], 300_000);
            assert_eq!(new.next().await.event_type, "ping");
            let silence = opened.elapsed();
            assert!(silence > Duration::from_secs(179) && silence <= Duration::from_secs(300), "{silence:?}");
        }
    });
}

#[test]
fn fewer_connections_throw_nobody_out_and_more_are_let_in_at_once() {
    in_virtual_time(|node| async move {
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(node.listen("/api/events").await);
        }
        node.set("max_connections", "3");
        let (status, answer) = node.post("/api/events", "{}").await;
        assert_eq!((status, &json(&answer)["code"]), (503, &json("\"too_many_connections\"")));
        node.broadcast_volatile("1").await;
        for client in &mut clients {
            assert_eq!(client.next().await.data, "1");
        }
        // Below the bound again: as many as have left may come.
        clients.truncate(2);
        while node.streams() > 2 {
            sleep(Duration::from_millis(10)).await;
        }
        clients.push(node.listen("/api/events").await);
        assert_eq!(node.post("/api/events", "{}").await.0, 503);
        node.set("max_connections", "4");
        clients.push(node.listen("/api/events").await);
        assert_eq!(node.post("/api/events", "{}").await.0, 503);
    });
}

#[test]
fn the_size_of_messages_changes_at_once() {
    in_virtual_time(|node| async move {
        let message = format!("\"{}\"", "x".repeat(2_000));
        assert_eq!(node.post("/api/broadcast?volatile=1", &message).await.0, 200);
        node.set("message_bytes_max", "1024");
        assert_eq!(node.post("/api/broadcast?volatile=1", &message).await.0, 413);
        node.set("message_bytes_max", "2048");
        assert_eq!(node.post("/api/broadcast?volatile=1", &message).await.0, 200);
    });
}

/// Shows SES-2.
#[test]
fn a_session_waits_a_minute_for_its_client_and_not_longer() {
    in_virtual_time(|node| async move {
        let path = format!("/api/events?session={TOKEN}");
        let mut client = node.listen(&path).await;
        drop(client);
        sleep(Duration::from_secs(59)).await;
        assert_eq!(node.command(TOKEN, r#"{"ping":{}}"#).await.0, 200);
        client = node.listen(&path).await;
        sleep(Duration::from_secs(120)).await;
        assert_eq!(node.command(TOKEN, r#"{"ping":{}}"#).await.0, 200, "a session lives as long as its stream");
        drop(client);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(node.command(TOKEN, r#"{"ping":{}}"#).await.0, 404);
    });
}

/// Shows SES-2, SES-4.
#[test]
fn a_direct_message_waits_for_most_of_a_minute() {
    in_virtual_time(|node| async move {
        let path = format!("/api/events?session={TOKEN}");
        let client = node.listen(&path).await;
        let (connection, position) = (text(&client.hello["connection"]), client.position());
        drop(client);
        sleep(Duration::from_secs(55)).await;
        let item = format!(r#"{{"connection":"{connection}","data":"still here"}}"#);
        let (status, receipt) = node.post("/api/publish", &item).await;
        assert_eq!((status, &json(&receipt)["receivers"]), (200, &json("1")));
        let mut again = node.listen(&format!("{path}&lastEventId={position}")).await;
        assert_eq!(again.hello["recovered"], true);
        assert_eq!(again.next().await.data, "\"still here\"");
    });
}

/// Shows SSE-14.
#[test]
fn goodbyes_are_spread_over_the_drain_window() {
    in_virtual_time(|node| async move {
        const STREAMS: usize = 40;
        let window = Duration::from_secs(10);
        let mut clients = Vec::new();
        for _ in 0..STREAMS {
            clients.push(node.listen("/api/events").await);
        }
        let started = Instant::now();
        node.drain(window).await;
        let goodbyes = clients.into_iter().map(|mut client| async move {
            let bye = client.next().await;
            assert_eq!((bye.event_type.as_str(), &json(&bye.data)["name"]), ("bye", &json("\"draining\"")));
            assert!(client.try_next().await.is_none(), "the stream ends behind its goodbye");
            started.elapsed()
        });
        let mut times = futures_util::future::join_all(goodbyes).await;
        times.sort_unstable();
        for (index, time) in times.iter().enumerate() {
            let due = window * u32::try_from(index).expect("a small number") / 40;
            assert!(*time + GRAIN >= due, "goodbye {index} came early, after {time:?}: {times:?}");
            assert!(*time <= due + window / 40 + 2 * GRAIN, "goodbye {index} came late, after {time:?}: {times:?}");
        }
        assert_eq!(node.streams(), 0);
    });
}

/// Shows PUB-10: what a reader does not take is not kept for it, and the others hear it all.
#[test]
fn a_reader_that_does_not_read_costs_a_bounded_buffer() {
    in_virtual_time(|node| async move {
        const MESSAGES: usize = 400;
        let mut stalled = node.listen("/api/events?channel=a").await;
        let mut healthy = node.listen("/api/events?channel=a").await;
        let large = format!("\"{}\"", "x".repeat(60_000));
        for _ in 0..MESSAGES {
            node.post("/api/broadcast?channel=a&volatile=1", &large).await;
            assert_eq!(healthy.next().await.data.len(), large.len());
        }
        let taken = stalled.count_until_silence(&large).await;
        let bytes = taken * large.len();
        assert!(taken < MESSAGES && bytes < 512 * 1024, "{bytes} bytes were kept for a reader that did not read");
        node.post("/api/broadcast?channel=a&volatile=1", "\"fresh\"").await;
        assert_eq!(stalled.next().await.data, "\"fresh\"", "it is served again once it reads");
    });
}

/// Shows SSE-12.
#[test]
fn a_reader_that_goes_away_is_forgotten() {
    in_virtual_time(|node| async move {
        let clients = [node.listen("/api/events").await, node.listen("/api/events").await];
        assert_eq!(node.streams(), 2);
        drop(clients);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(node.streams(), 0);
    });
}

impl Client {
    /// Takes all events that wait, pings aside, and counts those with this data.
    async fn count_until_silence(&mut self, data: &str) -> usize {
        let mut count = 0;
        loop {
            let event: Event = match tokio::time::timeout(Duration::from_millis(500), self.next()).await {
                Ok(event) => event,
                Err(_) => return count,
            };
            assert!(event.data == data || event.event_type == "ping", "{event:?}");
            count += usize::from(event.data == data);
        }
    }
}
