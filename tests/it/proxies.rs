//! Behind reverse proxies. Here: nginx as Debian ships it, with what it does to a stream when nobody
//! tells it not to: buffering, HTTP/1.0 upstream, read timeout, compression, reloads. Below: all
//! proxies of `deploy/`, in all configurations, for all transports.
//!
//! What is not installed is skipped, loudly, and fails in CI.

mod browsers;
mod deployed;
mod followers;
pub(crate) mod gateways;
mod matrix;
mod transports;

use std::net::SocketAddr;

use santral_testkit::http::{Request, SseClient};
use santral_testkit::nginx::Nginx;
use serde_json::json;

use crate::browser::page::{Page, RECONNECT_PATIENCE};
use crate::support::{PATIENCE, Santral, deadline};

/// nginx speaks HTTP/1.0 to the server unless told otherwise (REQ-9), and heeds `X-Accel-Buffering` (SSE-1).
#[test]
fn messages_pass_at_once_although_nginx_buffers() {
    let santral = Santral::start();
    let Some(nginx) = start_nginx(&pass_to(&santral)) else { return };
    let mut client = listen(nginx.address(), &[]);
    // Each is waited for before the next is sent: a buffer that must fill first would hold it for ever.
    for number in 0..5 {
        let id = santral.broadcast(&number.to_string());
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!((event.last_event_id, event.data), (id, number.to_string()));
    }
}

#[test]
fn messages_pass_at_once_although_nginx_compresses() {
    let santral = Santral::start();
    let gzip = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/event-stream application/json;";
    let Some(nginx) = start_nginx(&format!("{gzip}\n{}", pass_to(&santral))) else { return };
    let accept = [("Accept-Encoding", "gzip")];
    let request = Request::get("/api/channels").header("Accept-Encoding", "gzip");
    let listing = request.send(nginx.address(), PATIENCE).expect("nginx answers");
    assert_eq!(listing.header("content-encoding"), Some("gzip"), "nginx does compress what it may");
    let mut client = listen(nginx.address(), &accept);
    assert_eq!(client.header("content-encoding"), Some("identity"));
    for number in 0..5 {
        let id = santral.broadcast(&number.to_string());
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!((event.last_event_id, event.data), (id, number.to_string()));
    }
}

#[test]
fn a_burst_passes_whole_and_in_order() {
    let santral = Santral::start();
    let Some(nginx) = start_nginx(&pass_to(&santral)) else { return };
    let mut clients: Vec<_> = (0..5).map(|_| listen(nginx.address(), &[])).collect();
    let before_all = clients[0].last_event_id().to_owned();
    let ids = publish_numbers(nginx.address(), 0, 2_000);
    for client in &mut clients {
        assert_numbers(client, 0, &ids);
    }
    // The same for who was away meanwhile: the whole burst is replayed from the log.
    let mut late = listen(nginx.address(), &[("Last-Event-ID", &before_all)]);
    assert_numbers(&mut late, 0, &ids);
}

/// SSE-9. nginx gives up after 60 s without a byte, and a ping comes after 25 s of silence: 2.4 pings per
/// timeout. Here the timeout is 3 s and the ping comes after 1 s; the server's timers tick in
/// tenths of a second, so the margin is no wider than it is in production.
#[test]
fn an_idle_stream_outlives_the_read_timeout() {
    let settings = "proxy_read_timeout 3s;";
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "1s")]);
    let Some(nginx) = start_nginx(&format!("{settings}\n{}", pass_to(&santral))) else { return };
    // Without pings nginx does cut: otherwise the rest would show nothing.
    let silent = Santral::start_with(&[("SANTRAL_HEARTBEAT", "300s")]);
    let Some(cutting) = start_nginx(&format!("{settings}\n{}", pass_to(&silent))) else { return };
    let mut cut = listen(cutting.address(), &[]);

    let mut client = listen(nginx.address(), &[]);
    // Each ping follows a second of silence, so these take longer than three timeouts.
    for _ in 0..11 {
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!(event.event_type, "ping");
    }
    let id = santral.broadcast("1");
    let event = client.wait_for(|event| event.event_type == "message", deadline()).expect("it still is the line");
    assert_eq!(event.last_event_id, id);
    assert_eq!(cut.collect_to_end(deadline()).expect("nginx ends the silent one"), []);
    assert!(cutting.error_log().contains("upstream timed out"), "{}", cutting.error_log());
}

#[test]
fn a_stream_survives_a_reload_of_nginx_and_resumes_after_its_end() {
    let santral = Santral::start();
    let block = pass_to(&santral);
    let Some(mut nginx) = start_nginx(&block) else { return };
    let mut client = listen(nginx.address(), &[]);
    let mut ids = publish_numbers(nginx.address(), 0, 10);
    nginx.reload("", &block).expect("the configuration is good");
    ids.extend(publish_numbers(nginx.address(), 10, 10));
    assert_numbers(&mut client, 0, &ids);
    let mut newer = listen(nginx.address(), &[]);
    nginx.stop().expect("it ends");
    for client in [&mut client, &mut newer] {
        assert_eq!(client.collect_to_end(deadline()).expect("its streams end with it"), []);
    }
    let seen = client.last_event_id().to_owned();
    let missed = publish_numbers(santral.address, 20, 300);
    let Some(nginx) = start_nginx(&block) else { return };
    let mut client = listen(nginx.address(), &[("Last-Event-ID", &seen)]);
    let later = publish_numbers(nginx.address(), 320, 10);
    assert_numbers(&mut client, 20, &[missed, later].concat());
}

#[test]
fn a_browser_behind_nginx_survives_a_reload_and_a_502() {
    let mut santral = Santral::start();
    let block = pass_to(&santral);
    let Some(mut nginx) = start_nginx(&block) else { return };
    let Some(page) = Page::open(nginx.address()) else { return };
    let mut ids = publish_numbers(nginx.address(), 0, 50);
    page.wait_for_data("49", PATIENCE);
    nginx.reload("", &block).expect("the configuration is good");
    ids.extend(publish_numbers(nginx.address(), 50, 50));
    page.wait_for_data("99", PATIENCE);
    santral.server.kill9().expect("the server can be killed");
    // A native EventSource gives up for good at nginx's 502; the page then begins anew by itself.
    page.wait_for_text("#resume", "502");
    santral.start_again();
    ids.extend(publish_numbers(nginx.address(), 100, 50));
    page.wait_for_state("live", RECONNECT_PATIENCE);
    ids.extend(publish_numbers(nginx.address(), 150, 10));
    let shown = page.wait_for_data("159", PATIENCE);
    let positions: Vec<_> = shown.iter().filter_map(|message| message.id.clone()).collect();
    assert_eq!(positions, ids);
    let numbers: Vec<_> = shown.into_iter().map(|message| message.data).collect();
    assert_eq!(numbers, (0..160).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// What an operator writes who has read nothing: no word about buffering or HTTP versions.
fn pass_to(santral: &Santral) -> String {
    format!("location / {{ proxy_pass http://{}; }}", santral.address)
}

fn start_nginx(server_block: &str) -> Option<Nginx> {
    Nginx::start(server_block).expect("nginx starts")
}

/// Opens a stream and waits for its `hello`.
fn listen(address: SocketAddr, headers: &[(&str, &str)]) -> SseClient {
    let mut client = SseClient::open(address, "/api/events", headers, PATIENCE).expect("the stream opens");
    client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
    client
}

/// Publishes so many numbers from the first on, in batches, and returns their positions.
fn publish_numbers(address: SocketAddr, first: usize, count: usize) -> Vec<String> {
    publish_numbers_to("broadcast", address, first, count)
}

fn publish_numbers_to(channel: &str, address: SocketAddr, first: usize, count: usize) -> Vec<String> {
    let items: Vec<_> = (first..first + count).map(|data| json!({ "channel": channel, "data": data })).collect();
    let receipts = items.chunks(1_000).flat_map(|batch| {
        let response = Request::post_json("/api/publish", &json!(batch)).send(address, PATIENCE);
        let response = response.expect("the server answers");
        assert_eq!(response.status, 200, "{}", response.text());
        response.json().expect("receipts are JSON").as_array().cloned().expect("an array answers an array")
    });
    let id = |receipt: serde_json::Value| receipt["id"].as_str().expect("it is stored").to_owned();
    receipts.map(id).collect()
}

/// The next messages are the numbers from the first on, each at its position. Pings do not count.
fn assert_numbers(client: &mut SseClient, first: usize, ids: &[String]) {
    for (number, id) in (first..).zip(ids) {
        let event = client.wait_for(|event| event.event_type != "ping", deadline()).expect("the stream goes on");
        assert_eq!((event.event_type.as_str(), &event.last_event_id), ("message", id));
        assert_eq!(event.data, number.to_string());
    }
}
