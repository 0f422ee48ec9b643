//! The event log over HTTP: pages, filters, the stream, exports, and clearing it.

use std::time::{Duration, Instant};

use serde_json::Value;

use santral_testkit::http::{Request, Response, SseClient};
use santral_testkit::process::Signal;

use crate::support::contract::{assert_refused, expect_nothing_more, json, next, send, text};
use crate::support::{PATIENCE, Santral, deadline};

fn get(santral: &Santral, path: &str) -> Value {
    let response = santral.get(path);
    assert_eq!(response.status, 200, "{response:?}");
    response.json().expect("it is JSON")
}

fn events(list: &Value) -> Vec<Value> {
    list["events"].as_array().expect("a list has events").clone()
}

fn clear(santral: &Santral, query: &str) -> Response {
    send(santral, &Request::new("DELETE", &format!("/api/logs{query}")))
}

/// Clears the log `count` times: each leaves one event.
fn make_events(santral: &Santral, count: usize) {
    for _ in 0..count {
        let response = clear(santral, "?before=2000-01-01T00:00:00Z");
        assert_eq!(response.status, 200, "{response:?}");
    }
}

fn ids(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["id"].as_i64().expect("an id is a number")).collect()
}

/// Waits for the event of the start: events are stored a moment after they happened.
fn start() -> (Santral, Value) {
    let santral = Santral::start();
    let end = deadline();
    loop {
        let list = get(&santral, "/api/logs?type=server.started");
        if let [started] = &events(&list)[..] {
            return (santral, started.clone());
        }
        assert!(Instant::now() < end, "in vain: {list}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_start_of_the_server_is_an_event() {
    let (_santral, started) = start();
    assert_eq!((text(&started["level"]), text(&started["type"])), ("info".into(), "server.started".into()));
    assert!(text(&started["at"]).ends_with('Z') && !text(&started["message"]).is_empty());
}

#[test]
fn events_are_paged_newest_first_and_filtered() {
    let (santral, _) = start();
    make_events(&santral, 7);
    let all = "/api/logs?type=event_log.cleared";
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&santral, &format!("{all}&limit=3{cursor}"));
        seen.extend(events(&page));
        let Some(next) = page.get("cursor") else { break };
        cursor = format!("&cursor={}", text(next));
    }
    assert_eq!(seen.len(), 7);
    assert!(ids(&seen).windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
    assert_eq!(seen, events(&get(&santral, all)));
    let count = |query: &str| events(&get(&santral, &format!("/api/logs?{query}"))).len();
    assert_eq!(count("type=event_log.cleared,account.login&level=warn"), 7);
    assert_eq!(count("type=event_log.cleared&type=account.login&limit=2"), 2);
    assert_eq!(count("type=account.login"), 0);
    assert_eq!(count("type=event_log.cleared&level=error"), 0);
    assert_eq!(count("type=event_log.cleared&q=WAS%20CLEARED"), 7);
    assert_eq!(count("type=event_log.cleared&q=%25"), 0);
    let at = text(&seen[3]["at"]);
    assert!(count(&format!("type=event_log.cleared&from={at}")) >= 4);
    assert_eq!(count("type=event_log.cleared&to=2000-01-01T00:00:00%2B03:00"), 0);
}

#[test]
fn what_no_event_can_match_is_refused() {
    let santral = Santral::start();
    let long = "x".repeat(257);
    for query in [
        "level=debug",
        "type=nothing.known",
        "from=yesterday",
        "to=1",
        "cursor=-1",
        "cursor=",
        "limit=x",
        "format=csv",
        "unknown=1",
        &format!("q={long}"),
        &format!("actor={long}"),
    ] {
        assert_refused(&santral.get(&format!("/api/logs?{query}")), "invalid_query");
    }
    assert_refused(&santral.get("/api/logs/export?format=xml"), "invalid_query");
    assert_refused(&santral.get("/api/logs/stream?lastEventId=x"), "invalid_query");
    let with_header = Request::get("/api/logs/stream?lastEventId=x").header("Last-Event-ID", "1");
    assert_refused(&send(&santral, &with_header), "invalid_query");
    assert_refused(&clear(&santral, "?before=x"), "invalid_query");
    assert_refused(&clear(&santral, "?from=2000-01-01T00:00:00Z"), "invalid_query");
}

#[test]
fn the_stream_brings_each_event_once_and_goes_on_behind_the_last_one() {
    let santral = Santral::start();
    let path = "/api/logs/stream?type=event_log.cleared";
    let mut follower = SseClient::open(santral.address, path, &[], PATIENCE).expect("the stream opens");
    assert_eq!(follower.header("x-accel-buffering"), Some("no"));
    make_events(&santral, 3);
    let seen: Vec<_> = (0..3).map(|_| next(&mut follower)).collect();
    assert!(seen.iter().all(|event| event.event_type == "log"), "{seen:?}");
    let content: Vec<_> = seen.iter().map(|event| json(&event.data)).collect();
    assert!(ids(&content).windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(ids(&content)[2].to_string(), seen[2].last_event_id);
    expect_nothing_more(&mut follower);
    drop(follower);
    make_events(&santral, 2);
    for (path, headers) in [
        (path.to_owned(), vec![("Last-Event-ID", seen[0].last_event_id.as_str())]),
        (format!("{path}&lastEventId={}", seen[0].last_event_id), vec![]),
    ] {
        let mut again = SseClient::open(santral.address, &path, &headers, PATIENCE).expect("the stream opens");
        let rest: Vec<_> = (0..4).map(|_| next(&mut again).last_event_id).collect();
        assert_eq!(rest[..2], [seen[1].last_event_id.clone(), seen[2].last_event_id.clone()]);
        expect_nothing_more(&mut again);
    }
}

/// A stream that recorded itself would never fall silent.
#[test]
fn following_the_log_is_no_event() {
    let (santral, _) = start();
    make_events(&santral, 1);
    let newest = || ids(&events(&get(&santral, "/api/logs?limit=1")));
    let before = newest();
    let mut followers: Vec<_> = (0..3)
        .map(|_| SseClient::open(santral.address, "/api/logs/stream", &[], PATIENCE).expect("the stream opens"))
        .collect();
    make_events(&santral, 1);
    for follower in &mut followers {
        let seen = next(follower);
        assert_eq!(json(&seen.data)["type"], "event_log.cleared");
        assert_eq!(seen.last_event_id, (before[0] + 1).to_string(), "nothing came between");
    }
}

#[test]
fn a_silent_stream_pings_as_often_as_the_setting_says() {
    // Without the setting, this test would give up first.
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "1s")]);
    let path = "/api/logs/stream?type=event_log.lost";
    let mut follower = SseClient::open(santral.address, path, &[], PATIENCE).expect("the stream opens");
    follower.wait_for(|event| event.event_type == "ping", deadline()).expect("a ping comes");
}

#[test]
fn a_server_that_stops_says_goodbye_to_followers() {
    let mut santral = Santral::start_with(&[("SANTRAL_DRAIN_WINDOW", "1s")]);
    let mut follower = SseClient::open(santral.address, "/api/logs/stream", &[], PATIENCE).expect("the stream opens");
    santral.server.signal(Signal::TERM).expect("it runs");
    let bye = follower.wait_for(|event| event.event_type == "bye", deadline()).expect("it says goodbye");
    assert_eq!(json(&bye.data)["name"], "draining");
}

#[test]
fn an_export_has_everything_oldest_first() {
    let (santral, _) = start();
    make_events(&santral, 5);
    let export = santral.get("/api/logs/export?type=event_log.cleared");
    assert_eq!(export.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(export.header("content-disposition"), Some("attachment; filename=\"santral-events.ndjson\""));
    let body = export.text();
    let lines: Vec<_> = body.lines().map(json).collect();
    let mut list = events(&get(&santral, "/api/logs?type=event_log.cleared"));
    list.reverse();
    assert_eq!(lines, list);
    let table = santral.get("/api/logs/export?format=csv&type=event_log.cleared");
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    let body = table.text();
    let rows: Vec<_> = body.split_terminator("\r\n").collect();
    assert_eq!(rows[0], "id,at,level,type,actor,message,details,requestId");
    assert_eq!(rows.len(), 6);
    let first = format!("{},{},warn,event_log.cleared,", lines[0]["id"], text(&lines[0]["at"]));
    assert!(rows[1].starts_with(&first) && rows[1].contains("\"{\"\"before\"\":"), "{}", rows[1]);
    assert_eq!(santral.get("/api/logs/export?type=account.login").text(), "");
}

#[test]
fn clearing_leaves_one_event_that_says_so() {
    let (santral, _) = start();
    make_events(&santral, 3);
    let count = events(&get(&santral, "/api/logs")).len();
    let response = clear(&santral, "");
    assert_eq!(response.status, 200, "{response:?}");
    let answer = response.json().expect("it is JSON");
    assert_eq!(answer["cleared"], count);
    assert_eq!(events(&get(&santral, "/api/logs")), [answer["trace"].clone()]);
    assert_eq!(answer["trace"]["details"]["count"], count);
}
