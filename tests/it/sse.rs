//! Streams: heads, frames, ends, as docs/protocol.md promises.

mod ends;
mod resume;

use std::time::{Duration, Instant};

use santral_testkit::http::{HttpError, Request, SseClient, send_raw};
use santral_testkit::sse::Item;

use crate::support::contract::{TOKEN, assert_refused, expect_silence, json, next, next_data, percent, text};
use crate::support::{PATIENCE, Santral, deadline, post_json};

/// Shows SSE-1, REQ-7.
#[test]
fn the_head_keeps_caches_and_proxies_off_the_stream() {
    let santral = Santral::start();
    let client = santral.listen("/api/events");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-store, no-transform"),
        ("x-accel-buffering", "no"),
        ("content-encoding", "identity"),
        ("connection", "close"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(client.header(name), Some(value), "{name}");
    }
    assert!(client.header("x-request-id").is_some_and(|id| !id.is_empty()));
    for name in ["transfer-encoding", "content-length"] {
        assert_eq!(client.header(name), None, "{name}");
    }
}

/// Shows SSE-2, SSE-3, SSE-5.
#[test]
fn hello_comes_first_and_says_who_where_and_how() {
    let santral = Santral::start_with(&[("SANTRAL_NODE", "one")]);
    let stored = santral.broadcast("1");
    let (client, hello, content) = santral.greet("/api/events?channel=b,a&channel=a&channel=c*", &[]);
    assert_eq!(hello.last_event_id, stored, "a new client begins at the head");
    let retry = client.retry_ms().expect("the first frame sets the reconnection time");
    assert_eq!(hello.retry, Some(retry));
    assert!((2_000..=5_000).contains(&retry), "{retry}");
    assert_eq!(content["channels"], json(r#"["a","b","broadcast","c*"]"#));
    assert_eq!(text(&content["connection"]).len(), 22);
    assert!(text(&content["session"]).len() >= 22);
    assert_eq!((&content["recovered"], &content["user"]), (&json("false"), &json("null")));
    assert_eq!((&content["heartbeatMs"], &content["retentionSeconds"]), (&json("25000"), &json("604800")));
    assert_eq!(
        (&content["node"], &content["transports"]),
        (&json("\"one\""), &json(r#"["sse","websocket","poll","socketio"]"#))
    );
    let time = text(&content["serverTime"]);
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
}

/// Shows SSE-5.
#[test]
fn reconnection_times_differ_from_stream_to_stream() {
    let santral = Santral::start();
    let mut times: Vec<_> = (0..8).map(|_| santral.listen("/api/events").retry_ms()).collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 1, "{times:?}");
}

/// Shows SSE-2, SSE-6, SSE-7, SSE-8: the bytes themselves, with what differs each time cut out.
#[test]
fn a_stream_is_these_bytes() {
    let santral = Santral::start();
    for (format, expected) in [("raw", RAW), ("envelope", ENVELOPE)] {
        let path = format!("/api/events?channel=a&pad=1&format={format}");
        let mut wire = Wire::open(&santral, &path);
        let hello = wire.read_until("\n\n");
        let connection = text(&json(hello[hello.find('{').expect("hello is JSON")..].trim_end())["connection"]);
        santral.publish(r#"{"channel":"a","data":"Merhaba"}"#);
        santral.publish("{\"channel\":\"a\",\"event\":\"b.c\",\"data\":{\"x\":\r\n1,\n\"y\":\r2}}");
        santral.publish(r#"{"channel":"a","data":3,"volatile":true}"#);
        santral.publish(&format!(r#"{{"connection":"{connection}","data":4}}"#));
        santral.broadcast("{}");
        let epoch = santral.head().split('-').next().expect("a position begins with its epoch").to_owned();
        let all = wire.read_until("{}");
        assert_eq!(redact(&format!("{hello}{all}"), &epoch), expected);
        santral.publish(r#"{"channel":"a","data":"between the two"}"#);
    }
}

const RAW: &str = r#"retry: <ms>
id: <epoch>-0
event: hello
data: {"session":"<token>","connection":"<token>","recovered":false,"heartbeatMs":25000,"serverTime":"<time>","node":"<node>","user":null,"channels":["a","broadcast"],"retentionSeconds":604800,"transports":["sse","websocket","poll","socketio"]}

:<2045 spaces>

id: <epoch>-1
data: "Merhaba"

id: <epoch>-2
event: b.c
data: {"x":
data: 1,
data: "y":
data: 2}

data: 3

id: <epoch>-2.1
data: 4

id: <epoch>-3
data: {}"#;

const ENVELOPE: &str = r#"retry: <ms>
id: <epoch>-4
event: hello
data: {"session":"<token>","connection":"<token>","recovered":false,"heartbeatMs":25000,"serverTime":"<time>","node":"<node>","user":null,"channels":["a","broadcast"],"retentionSeconds":604800,"transports":["sse","websocket","poll","socketio"]}

:<2045 spaces>

id: <epoch>-5
data: {"channel":"a","id":"<epoch>-5","at":"<time>","data":"Merhaba"}

id: <epoch>-6
event: b.c
data: {"channel":"a","event":"b.c","id":"<epoch>-6","at":"<time>","data":{"x":
data: 1,
data: "y":
data: 2}}

data: {"channel":"a","at":"<time>","data":3}

id: <epoch>-6.1
data: {"channel":"broadcast","id":"<epoch>-6.1","at":"<time>","data":4}

id: <epoch>-7
data: {"channel":"broadcast","id":"<epoch>-7","at":"<time>","data":{}"#;

/// Replaces what is new each time: the epoch, times, tokens, the host's name, runs of spaces.
fn redact(bytes: &str, epoch: &str) -> String {
    let mut text = bytes.replace(epoch, "<epoch>");
    for (field, name) in [("session", "token"), ("connection", "token"), ("serverTime", "time"), ("node", "node")] {
        text = redact_field(&text, field, name);
    }
    text = redact_field(&text, "at", "time");
    let retry = text.lines().next().expect("a stream has a first line").to_owned();
    text = text.replacen(&retry, "retry: <ms>", 1);
    text.replace(&" ".repeat(2_045), "<2045 spaces>")
}

fn redact_field(text: &str, field: &str, name: &str) -> String {
    let start = format!("\"{field}\":\"");
    let mut parts = text.split(start.as_str());
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('"').expect("a string ends");
        redacted.push_str(&format!("{start}<{name}>\"{rest}"));
    }
    redacted
}

/// A stream as the bytes that come.
struct Wire {
    wire: santral_testkit::http::wire::Wire,
    waiting: String,
}

impl Wire {
    fn open(santral: &Santral, path: &str) -> Self {
        let mut wire = santral_testkit::http::wire::Wire::connect(santral.address, deadline()).expect("it connects");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        wire.write(request.as_bytes(), deadline()).expect("the server reads");
        let head = wire.read_head("GET", deadline()).expect("a head comes");
        assert_eq!(head.status, 200);
        Self { wire, waiting: String::new() }
    }

    fn read_until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.waiting.find(end) {
                let rest = self.waiting.split_off(at + end.len());
                return std::mem::replace(&mut self.waiting, rest);
            }
            let more = self.wire.read_body(deadline()).expect("the stream lives").expect("the stream goes on");
            self.waiting.push_str(&String::from_utf8(more).expect("a stream is UTF-8"));
        }
    }
}

/// Shows SSE-4.
#[test]
fn padding_comes_behind_hello_when_it_is_asked_for() {
    let santral = Santral::start();
    let mut padded = SseClient::open(santral.address, "/api/events?pad=1", &[], PATIENCE).expect("the stream opens");
    next(&mut padded);
    let item = padded.next_item(deadline()).expect("the stream lives").expect("the stream goes on");
    assert!(matches!(&item, Item::Comment(spaces) if spaces.len() == 2_045 && spaces.trim().is_empty()), "{item:?}");
    let mut plain = santral.listen("/api/events?pad=0");
    santral.broadcast("1");
    let item = plain.next_item(deadline()).expect("the stream lives");
    assert!(matches!(item, Some(Item::Event(_))), "{item:?}");
}

/// Shows SSE-9.
#[test]
fn a_silent_stream_is_pinged_within_the_heartbeat_it_was_told() {
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "1s")]);
    let (mut client, hello, content) = santral.greet("/api/events?channel=a", &[]);
    assert_eq!(content["heartbeatMs"], 1_000);
    let mut last = Instant::now();
    for _ in 0..3 {
        let ping = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!((ping.event_type.as_str(), ping.data.as_str()), ("ping", "{}"));
        assert_eq!(ping.last_event_id, hello.last_event_id, "a ping moves no position");
        // A busy machine may be late; the server's own arithmetic is tested in virtual time.
        assert!(last.elapsed() < Duration::from_secs(3), "{:?}", last.elapsed());
        last = Instant::now();
    }
    for number in 0..8 {
        santral.publish(&format!(r#"{{"channel":"a","data":{number}}}"#));
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!(event.data, number.to_string(), "no ping while messages come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Shows NAME-5.
#[test]
fn nobody_publishes_under_the_servers_own_event_names() {
    let santral = Santral::start();
    let mut client = santral.listen(&format!("/api/events?channel=a&session={TOKEN}"));
    for name in [
        "hello",
        "ping",
        "gap",
        "bye",
        "presence",
        "santral:x",
        "video.room.closed",
        "webrtc.signal",
        "",
        &"x".repeat(129),
        &"ş".repeat(65),
    ] {
        for (path, body) in through_every_door(name) {
            assert_refused(&santral.post(&path, &body), "invalid_event");
        }
    }
    expect_silence(&mut client);
}

/// Shows NAME-5.
#[test]
fn an_event_may_be_named_by_any_text_on_one_line() {
    let santral = Santral::start();
    let mut client = santral.listen(&format!("/api/events?channel=a&session={TOKEN}"));
    let long = "x".repeat(128);
    let names =
        ["chat message", "Hello", " bye", "a.b:c_d-1", "santral", "message", "ş👋", "\"\\", "\u{feff}", "id: 7", &long];
    for name in names {
        for (path, body) in through_every_door(name) {
            assert_eq!(santral.post(&path, &body).status, 200, "{path} {body}");
            assert_eq!(next(&mut client).event_type, name);
        }
    }
}

/// A message with this event name by each way in, as path and body. The command's session has to be there.
fn through_every_door(event: &str) -> [(String, String); 3] {
    let item = serde_json::json!({"channel": "a", "event": event, "data": 1}).to_string();
    [
        ("/api/publish".to_owned(), item.clone()),
        (format!("/api/broadcast?channel=a&event={}", percent(event)), "1".to_owned()),
        (format!("/api/sessions/{TOKEN}/commands"), format!(r#"{{"publish":{item}}}"#)),
    ]
}

/// Shows NAME-1, NAME-2, NAME-4, NAME-6.
#[test]
fn names_in_a_subscription_keep_to_the_grammar() {
    let santral = Santral::start();
    let long = "x".repeat(128);
    for name in ["a", "0", "A-b_c.d:e@f/g", "a*", "*", "user", long.as_str()] {
        drop(santral.listen(&format!("/api/events?channel={name}")));
    }
    let too_long = "x".repeat(129);
    for name in [".a", "-a", "$sys", "a%20b", "%C5%9F", "a*b", "a**", "*a", "user:ada", "user:*", "a%0Ab", &too_long] {
        assert_refused(&santral.get(&format!("/api/events?channel={name}")), "invalid_channel");
    }
    for token in ["short", &"x".repeat(21), &"x".repeat(65), "1234567890123456789%2B12", ""] {
        assert_refused(&santral.get(&format!("/api/events?session={token}")), "invalid_session");
    }
    for length in [22, 64] {
        drop(santral.listen(&format!("/api/events?session={}", "x".repeat(length))));
    }
}

/// Shows NAME-3, NAME-4.
#[test]
fn everyone_follows_broadcast_and_a_prefix_follows_what_begins_with_it() {
    let santral = Santral::start();
    let mut all = santral.listen("/api/events?channel=*&broadcast=0");
    let mut some = santral.listen("/api/events?channel=orders.*,orders.1&broadcast=false");
    let mut none = santral.listen("/api/events?broadcast=0");
    let mut plain = santral.listen("/api/events");
    for channel in ["orders.1", "orders", "broadcast", "orders.2"] {
        santral.publish(&format!(r#"{{"channel":"{channel}","data":"{channel}"}}"#));
    }
    let quoted = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
    assert_eq!(next_data(&mut all, 4), quoted(&["orders.1", "orders", "broadcast", "orders.2"]));
    assert_eq!(next_data(&mut some, 2), quoted(&["orders.1", "orders.2"]), "once each, whichever names match");
    assert_eq!(next(&mut plain).data, "\"broadcast\"");
    for client in [&mut all, &mut some, &mut none, &mut plain] {
        expect_silence(client);
    }
}

/// Shows SSE-10.
#[test]
fn ids_grow_and_messages_of_all_channels_come_in_one_order() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let mut clients: Vec<_> = (0..4).map(|_| santral.listen("/api/events?channel=a,b,c")).collect();
    std::thread::scope(|scope| {
        for channel in ["a", "b", "c"] {
            let santral = &santral;
            scope.spawn(move || {
                (0..50).for_each(|number| {
                    santral.publish(&format!(r#"{{"channel":"{channel}","data":{number}}}"#));
                })
            });
        }
    });
    let order = |client: &mut SseClient| (0..150).map(|_| next(client).last_event_id).collect::<Vec<_>>();
    let first = order(&mut clients[0]);
    let offsets: Vec<u64> =
        first.iter().map(|id| id.split('-').nth(1).and_then(|part| part.parse().ok()).expect("an offset")).collect();
    assert!(offsets.is_sorted() && offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:?}");
    for client in &mut clients[1..] {
        assert_eq!(order(client), first);
    }
}

/// Shows SSE-11, SSE-17.
#[test]
fn a_long_list_of_channels_goes_into_the_body_of_a_post() {
    let santral = Santral::start();
    let names = |count: usize| (0..count).map(|number| format!("\"channel.{number}\"")).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"channels":[{}],"broadcast":false,"format":"envelope","pad":true}}"#, names(1_000));
    let mut client =
        SseClient::open_with(santral.address, &post_json("/api/events", &body), PATIENCE).expect("it opens");
    assert_eq!(next(&mut client).event_type, "hello");
    santral.publish(r#"{"channel":"channel.999","data":1}"#);
    assert_eq!(json(&next(&mut client).data)["channel"], "channel.999");
    let too_many = format!(r#"{{"channels":[{}]}}"#, names(1_000));
    assert_refused(&santral.post("/api/events", &too_many), "too_many_subscriptions");
    let twice = format!(r#"{{"channels":[{}],"presence":true,"broadcast":false}}"#, names(501));
    assert_refused(&santral.post("/api/events", &twice), "too_many_subscriptions");
    assert_refused(&santral.post("/api/events", r#"{"chanels":["a"]}"#), "invalid_json");
    assert_refused(&santral.post("/api/events", r#"{"channels":["a b"]}"#), "invalid_channel");
    assert_refused(&santral.get("/api/events?chanel=a"), "invalid_query");
    assert_refused(&santral.get("/api/events?format=xml"), "invalid_query");
}

/// Shows SSE-12.
#[test]
fn a_client_that_closes_is_noticed_at_once() {
    let santral = Santral::start();
    let streams = || santral.get("/health").json().expect("health is JSON")["streams"].clone();
    let clients: Vec<_> = (0..3).map(|_| santral.listen("/api/events")).collect();
    let half_closed = santral.listen("/api/events");
    assert_eq!(streams(), 4);
    drop(clients);
    half_closed.stream().shutdown(std::net::Shutdown::Write).expect("an open socket can be half-closed");
    let until = Instant::now() + PATIENCE;
    while streams() != 0 {
        assert!(Instant::now() < until, "{} streams are left", streams());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Shows SSE-12.
#[test]
fn a_client_that_talks_on_its_stream_is_cut_off() {
    use std::io::Write;
    let santral = Santral::start();
    let mut client = santral.listen("/api/events");
    client.stream().write_all(&[b'x'; 60_000]).expect("the server reads and throws away");
    santral.broadcast("1");
    assert_eq!(next(&mut client).data, "1");
    let _ = client.stream().write_all(&[b'x'; 60_000]);
    let end = client.next_event(deadline());
    assert!(matches!(end, Ok(None) | Err(HttpError::Broken(_))), "{end:?}");
}

/// Shows SSE-13, READ-6.
#[test]
fn presence_tells_who_joins_and_leaves() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (mut watcher, hello, own) = santral.greet("/api/events?channel=room,other*&presence=1", &[]);
    let change = |watcher: &mut SseClient| {
        let event = next(watcher);
        assert_eq!((event.event_type.as_str(), &event.last_event_id), ("presence", &hello.last_event_id));
        let content = json(&event.data);
        assert_eq!((&content["channel"], &content["user"]), (&json("\"room\""), &json("null")));
        (text(&content["change"]), text(&content["connection"]))
    };
    assert_eq!(change(&mut watcher), ("joined".to_owned(), text(&own["connection"])));
    for _ in 0..6 {
        let (guest, _, content) = santral.greet("/api/events?channel=room,elsewhere", &[]);
        let connection = text(&content["connection"]);
        assert_eq!(change(&mut watcher), ("joined".to_owned(), connection.clone()));
        drop(guest);
        assert_eq!(change(&mut watcher), ("left".to_owned(), connection));
    }
    let (_guest, _, content) = santral.greet(&format!("/api/events?session={TOKEN}"), &[]);
    santral.command(TOKEN, r#"{"subscribe":["room"]}"#);
    assert_eq!(change(&mut watcher), ("joined".to_owned(), text(&content["connection"])));
    santral.command(TOKEN, r#"{"unsubscribe":["room"]}"#);
    assert_eq!(change(&mut watcher), ("left".to_owned(), text(&content["connection"])));
}

/// Shows REQ-9.
#[test]
fn an_old_client_that_speaks_http_1_0_gets_answers_and_streams() {
    let santral = Santral::start();
    let answer = send_raw(santral.address, b"GET /health/live HTTP/1.0\r\n\r\n", PATIENCE).expect("the server closes");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
    let mut wire = santral_testkit::http::wire::Wire::connect(santral.address, deadline()).expect("it connects");
    wire.write(b"GET /api/events HTTP/1.0\r\n\r\n", deadline()).expect("the server reads");
    assert_eq!(wire.read_head("GET", deadline()).expect("a head comes").status, 200);
    let mut stream = Wire { wire, waiting: String::new() };
    assert!(stream.read_until("\n\n").contains("event: hello"));
    santral.broadcast("\"for all\"");
    assert!(stream.read_until("\n\n").contains("\"for all\""));
}

/// Shows SSE-1: a stream is no place for another method.
#[test]
fn a_head_request_opens_no_stream() {
    let santral = Santral::start();
    let response = Request::new("HEAD", "/api/events").send(santral.address, PATIENCE).expect("the server answers");
    assert_eq!((response.status, response.header("allow")), (405, Some("GET, POST")));
    assert_eq!(santral.get("/health").json().expect("health is JSON")["streams"], 0);
}
