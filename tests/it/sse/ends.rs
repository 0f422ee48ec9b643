//! How streams end, and how a client is turned away that cannot read an error status.

use std::time::Duration;

use santral_testkit::http::{Request, Response, SseClient};
use santral_testkit::process::Signal;

use crate::support::contract::{assert_refused, json, next, problem, text};
use crate::support::{PATIENCE, Santral, deadline};

const NATIVE: (&str, &str) = ("Accept", "text/event-stream");

/// What a client hears that the server has no place for: a stream of one `bye`.
fn assert_turned_away(santral: &Santral, path: &str, name: &str) {
    let mut client = SseClient::open(santral.address, path, &[], PATIENCE).expect("the answer is a stream");
    let bye = next(&mut client);
    assert_eq!(bye.event_type, "bye");
    let content = json(&bye.data);
    assert_eq!((&content["name"], &content["reconnect"]), (&name.into(), &json("true")));
    let retry = client.retry_ms().expect("the frame sets the reconnection time");
    assert!((15_000..=20_000).contains(&retry), "{retry}");
    assert_eq!(content["retryAfterMs"], retry);
    assert!(client.next_event(deadline()).expect("the server closes").is_none());
}

fn get(santral: &Santral, path: &str, accept: Option<&str>) -> Response {
    let request = Request::get(path);
    let request = accept.into_iter().fold(request, |request, accept| request.header("Accept", accept));
    request.send(santral.address, PATIENCE).expect("the server answers")
}

fn assert_unavailable(response: &Response, code: &str) {
    assert_eq!(response.status, 503);
    assert_eq!(problem(response), code);
    assert!(response.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{response:?}");
}

/// Shows SSE-15, SSE-16, ERR-3.
#[test]
fn a_full_server_turns_browsers_away_gently_and_others_with_503() {
    let santral = Santral::start_with(&[("SANTRAL_MAX_CONNECTIONS", "1")]);
    let place = santral.listen("/api/events");
    assert_turned_away(&santral, "/api/events?channel=a", "limit_reached");
    for (path, accept) in [
        ("/api/events?client=sdk-js", Some(NATIVE.1)),
        ("/api/events", None),
        ("/api/events", Some("*/*")),
        ("/api/events", Some("text/event-stream, application/problem+json")),
    ] {
        assert_unavailable(&get(&santral, path, accept), "too_many_connections");
    }
    let posted = crate::support::post_json("/api/events", "{}").header(NATIVE.0, NATIVE.1);
    let posted = SseClient::open_with(santral.address, &posted, PATIENCE).expect("the answer is a stream");
    drop(posted);
    drop(place);
    let free = || SseClient::open(santral.address, "/api/events?client=test", &[], PATIENCE).is_ok();
    let until = deadline();
    while !free() {
        assert!(std::time::Instant::now() < until, "the place is never free again");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Shows SSE-15: what no waiting mends is an error for a browser, too.
#[test]
fn a_mistake_is_an_error_for_a_browser_too() {
    let santral = Santral::start();
    assert_refused(&get(&santral, "/api/events?channel=a+b", Some(NATIVE.1)), "invalid_channel");
    assert_refused(&get(&santral, "/api/events?chanel=a", Some(NATIVE.1)), "invalid_query");
}

/// Shows SSE-14, SSE-15, SSE-16, HLT-2, HLT-3.
#[test]
fn a_stopping_server_says_goodbye_to_everyone_and_takes_nobody_in() {
    let mut santral = Santral::start_with(&[("SANTRAL_DRAIN_WINDOW", "3s")]);
    let mut clients: Vec<_> = (0..12).map(|_| santral.listen("/api/events")).collect();
    let seen = santral.broadcast("1");
    for client in &mut clients {
        assert_eq!(next(client).last_event_id, seen);
    }
    santral.server.signal(Signal::TERM).expect("the server takes signals");
    let until = deadline();
    while santral.get("/health/ready").status != 503 {
        assert!(std::time::Instant::now() < until, "it never drains");
    }
    assert_eq!(santral.get("/health").json().expect("health is JSON")["status"], "draining");
    assert_eq!(santral.get("/health/live").status, 200);
    assert_turned_away(&santral, "/api/events", "draining");
    assert_unavailable(&get(&santral, "/api/events?client=x", Some(NATIVE.1)), "draining");
    assert_unavailable(&get(&santral, "/api/events", None), "draining");
    let late = santral.broadcast("2");
    let mut heard_late = 0;
    for client in &mut clients {
        let mut end = next(client);
        if end.event_type == "message" {
            heard_late += 1;
            assert_eq!(end.last_event_id, late);
            end = next(client);
        }
        let content = json(&end.data);
        assert_eq!(
            (end.event_type.as_str(), &content["code"], &content["name"]),
            ("bye", &json("4002"), &json("\"draining\""))
        );
        assert_eq!(content["reconnect"], true);
        let pause = content["retryAfterMs"].as_u64().expect("it says when to come back");
        assert!((2_000..=5_000).contains(&pause), "{pause}");
        assert!(!text(&content["reason"]).is_empty());
        assert!(client.next_event(deadline()).expect("the server closes").is_none());
    }
    assert!(heard_late > 0, "publishing goes on while the server drains");
    let status = santral.server.wait_exit(Duration::from_secs(10)).expect("the server exits");
    assert!(status.success(), "{status}");
    santral.start_again();
    let (mut again, ..) = santral.resume("/api/events", &seen);
    assert_eq!(next(&mut again).last_event_id, late);
}
