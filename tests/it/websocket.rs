//! `GET /api/v1/ws`, as docs/protocol.md promises.

use std::thread;
use std::time::{Duration, Instant};

use santral_testkit::http::{HttpError, Request, Response};
use santral_testkit::process::Signal;
use santral_testkit::websocket::{Frame, Message, Opcode, WebSocket};
use serde_json::Value;

use crate::support::contract::{TOKEN, assert_refused, json, next, problem, send, text};
use crate::support::{PATIENCE, Santral, deadline};

mod clients;
mod frames;

/// 16 bytes in base64.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

/// A WebSocket of a session, which reads JSON.
pub(crate) struct Client(pub(crate) WebSocket);

impl Client {
    /// Opens one and returns it with its `hello`.
    pub(crate) fn open(santral: &Santral, path: &str) -> (Self, Value) {
        let mut client = Self(WebSocket::open(santral.address, path, &[], PATIENCE).expect("the WebSocket opens"));
        let hello = client.next();
        assert_eq!(hello["event"], "hello");
        (client, hello)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.send_text(text, deadline()).expect("the line lives");
    }

    /// The next message that is no `ping`.
    pub(crate) fn next(&mut self) -> Value {
        loop {
            match self.0.next_message(deadline()).expect("the line lives") {
                Some(Message::Text(text)) => {
                    let value = json(&text);
                    if value["event"] != "ping" {
                        return value;
                    }
                }
                Some(Message::Ping(_)) => (),
                other => panic!("a text message is due: {other:?}"),
            }
        }
    }

    /// Sends a command and returns what is answered, with the messages that came before.
    fn ask(&mut self, command: &str) -> (Value, Vec<Value>) {
        self.send(command);
        let mut before = Vec::new();
        loop {
            let message = self.next();
            if message.get("reply").is_some() {
                return (message, before);
            }
            before.push(message);
        }
    }

    /// Code and reason of the close frame, which must come next but for other messages.
    pub(crate) fn closed(&mut self) -> (u16, String) {
        loop {
            match self.0.next_message(deadline()).expect("a close frame comes before the end") {
                Some(Message::Close { code, reason }) => return (code.unwrap_or_default(), reason),
                Some(_) => (),
                None => panic!("the end came without a close frame"),
            }
        }
    }
}

fn refused(santral: &Santral, path: &str, headers: &[(&str, &str)]) -> Response {
    match WebSocket::open(santral.address, path, headers, PATIENCE) {
        Err(HttpError::NotUpgraded(response)) => *response,
        other => panic!("it should be refused: {other:?}"),
    }
}

/// Shows WS-1, WS-3.
#[test]
fn a_websocket_carries_what_a_stream_would() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    for path in ["/api/v1/ws?channel=a", "/api/ws?channel=a"] {
        let (mut client, hello) = Client::open(&santral, path);
        assert_eq!(hello["data"]["channels"], json(r#"["a","broadcast"]"#));
        let id = santral.publish(r#"{"channel":"a","event":"e.1","data":{"x":  1}}"#)["id"].clone();
        let message = client.next();
        assert_eq!((&message["event"], &message["id"], &message["channel"]), (&json("\"e.1\""), &id, &json("\"a\"")));
        santral.publish(r#"{"channel":"a","data":"2","volatile":true}"#);
        let message = client.next();
        assert_eq!(
            (&message["event"], message.get("id"), &message["data"]),
            (&json("\"message\""), None, &json("\"2\""))
        );
        let connection = text(&hello["data"]["connection"]);
        santral.publish(&format!(r#"{{"connection":"{connection}","data":3}}"#));
        let direct = client.next();
        assert_eq!((&direct["data"], text(&direct["id"]).contains('.')), (&json("3"), true));
    }
}

/// Shows WS-2.
#[test]
fn who_makes_no_proper_handshake_is_told_what_is_missing() {
    let santral = Santral::start();
    let plain = santral.get("/api/v1/ws");
    assert_refused(&plain, "upgrade_required");
    assert_eq!((plain.header("upgrade"), plain.header("sec-websocket-version")), (Some("websocket"), Some("13")));
    let detail = |response: &Response| text(&response.json().expect("a problem is JSON")["detail"]);
    assert!(detail(&plain).contains("Upgrade: websocket"), "{plain:?}");
    let without = |name: &str| {
        let all = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let kept = all.iter().filter(|(header, _)| *header != name);
        let request = kept.fold(Request::get("/api/ws"), |request, (name, value)| request.header(name, value));
        let response = send(&santral, &request);
        assert_refused(&response, "upgrade_required");
        detail(&response)
    };
    assert!(without("Connection").contains("Connection: Upgrade"));
    assert!(without("Sec-WebSocket-Key").contains("Sec-WebSocket-Key"));
    assert!(without("Sec-WebSocket-Version").contains("Sec-WebSocket-Version"));
    assert_eq!(refused(&santral, "/api/v1/ws?chanel=a", &[]).status, 400);
}

/// Shows WS-2.
#[test]
fn who_may_not_come_in_hears_it_on_the_websocket() {
    let santral = Santral::start_with(&[("SANTRAL_OPEN", "false"), ("SANTRAL_MAX_CONNECTIONS", "1")]);
    assert_eq!(problem(&santral.get("/api/v1/ws")), "unauthorized");
    let mut nobody = Client(WebSocket::open(santral.address, "/api/v1/ws", &[], PATIENCE).expect("101"));
    let (code, reason) = nobody.closed();
    assert_eq!((code, reason.starts_with("unauthorized: ")), (1008, true), "{reason}");
    let mut liar = Client(WebSocket::open(santral.address, "/api/v1/ws?token=x", &[], PATIENCE).expect("101"));
    let (code, reason) = liar.closed();
    assert_eq!((code, reason.starts_with("invalid_token: ")), (1008, true), "{reason}");

    let open = Santral::start_with(&[("SANTRAL_MAX_CONNECTIONS", "1")]);
    let (_first, _) = Client::open(&open, "/api/v1/ws");
    let mut second = Client(WebSocket::open(open.address, "/api/v1/ws", &[], PATIENCE).expect("101"));
    assert_eq!(second.closed().0, 1013);
    let off = Santral::start_with(&[("SANTRAL_TRANSPORTS", "sse,poll")]);
    let mut off = Client(WebSocket::open(off.address, "/api/v1/ws", &[], PATIENCE).expect("101"));
    let (code, reason) = off.closed();
    assert_eq!((code, reason.starts_with("transport_disabled: ")), (1008, true), "{reason}");
}

/// Shows WS-4.
#[test]
fn commands_are_answered_by_their_number_and_carried_out_in_order() {
    let santral = Santral::start();
    let (mut client, hello) = Client::open(&santral, "/api/v1/ws?broadcast=0");
    let (answer, _) = client.ask(r#"{"id":"s","subscribe":["a"]}"#);
    assert_eq!((&answer["reply"], &answer["result"]["channels"]), (&json("\"s\""), &json(r#"["a"]"#)));
    for number in 0..20 {
        client.send(&format!(r#"{{"publish":{{"channel":"a","data":{number}}}}}"#));
    }
    let (answer, messages) = client.ask(r#"{"id":1,"history":{"channel":"a","limit":1}}"#);
    assert_eq!(answer["result"]["entries"][0]["data"], 19);
    let data: Vec<_> = messages.iter().map(|message| message["data"].clone()).collect();
    assert_eq!(data, (0..20).map(Value::from).collect::<Vec<_>>());
    assert_eq!(messages[0]["from"]["connection"], hello["data"]["connection"]);
    assert!(client.ask(r#"{"id":2,"ping":{}}"#).0["result"]["serverTime"].is_string());

    for (command, id, code) in [
        ("junk", Value::Null, "invalid_json"),
        ("[1]", Value::Null, "invalid_json"),
        (r#"{"id":3}"#, Value::from(3), "invalid_json"),
        (r#"{"id":4,"nope":{}}"#, Value::from(4), "invalid_json"),
        (r#"{"id":5,"ping":{},"subscribe":["b"]}"#, Value::from(5), "invalid_json"),
        (r#"{"id":{},"ping":{}}"#, Value::Null, "invalid_field"),
        (r#"{"id":6,"subscribe":["a b"]}"#, Value::from(6), "invalid_channel"),
        (r#"{"publish":{"channel":"a"}}"#, Value::Null, "invalid_json"),
    ] {
        let (answer, _) = client.ask(command);
        assert_eq!((&answer["reply"], &answer["error"]["code"]), (&id, &json(&format!("{code:?}"))), "{command}");
    }
    assert_eq!(client.ask(r#"{"id":7,"unsubscribe":["a"]}"#).0["result"]["channels"], json("[]"), "it lives on");
}

/// Shows WS-5.
#[test]
fn silence_is_broken_by_pings_and_who_answers_none_is_given_up() {
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "1s")]);
    let mut socket = WebSocket::open(santral.address, "/api/v1/ws", &[], PATIENCE).expect("the WebSocket opens");
    socket.send(&Frame::new(Opcode::PING, "now"), deadline()).expect("the line lives");
    let mut seen = Vec::new();
    // It answers no ping of the server.
    let end = loop {
        assert!(seen.len() < 8, "it is not given up: {seen:?}");
        match socket.next_message(deadline()) {
            Ok(Some(Message::Text(text))) => seen.push(text),
            Ok(Some(Message::Ping(_))) => seen.push("ping frame".to_owned()),
            Ok(Some(Message::Pong(payload))) => assert_eq!(payload, b"now"),
            other => break other,
        }
    };
    let seen: Vec<_> = seen.iter().map(String::as_str).skip(1).collect();
    assert_eq!(seen, [r#"{"event":"ping","data":{}}"#, "ping frame"], "then {end:?}");
}

/// Shows WS-6.
#[test]
fn what_breaks_the_rules_is_closed_with_the_code_that_says_so() {
    let santral = Santral::start();
    let (mut bystander, _) = Client::open(&santral, "/api/v1/ws?channel=a");
    let whole = Frame::text("{}");
    for (frame, expected, word) in [
        (Frame::new(Opcode::BINARY, "{}"), 1003, "text"),
        (Frame::new(Opcode::TEXT, [0xC3, 0x28]), 1007, "UTF-8"),
        (whole.clone().unmasked(), 1002, "mask"),
        (whole.clone().reserved(4), 1002, "reserved"),
        (whole.claiming(5 * 1024 * 1024), 1009, ""),
    ] {
        let (mut client, _) = Client::open(&santral, "/api/v1/ws");
        client.0.send(&frame, deadline()).expect("the line lives");
        let (code, reason) = client.closed();
        assert_eq!(code, expected, "{frame:?}");
        assert!(reason.contains(word) && !reason.is_empty(), "{frame:?}: {reason}");
    }
    santral.publish(r#"{"channel":"a","data":1}"#);
    assert_eq!(bystander.next()["data"], 1, "nobody else is disturbed");
}

/// Shows WS-7.
#[test]
fn a_goodbye_is_said_twice() {
    let santral = Santral::start();
    let (mut client, hello) = Client::open(&santral, "/api/v1/ws");
    let connection = text(&hello["data"]["connection"]);
    let response = send(&santral, &Request::new("DELETE", &format!("/api/connections/{connection}")));
    assert_eq!(response.status, 200, "{response:?}");
    let bye = client.next();
    assert_eq!((&bye["event"], &bye["data"]["code"]), (&json("\"bye\""), &json("4010")));
    let (code, reason) = client.closed();
    assert_eq!((code, reason.starts_with("4010 kicked: ")), (1008, true), "{reason}");
}

/// Shows WS-7.
#[test]
fn a_server_that_stops_closes_with_going_away() {
    let mut santral = Santral::start_with(&[("SANTRAL_DRAIN_WINDOW", "0s")]);
    let (mut client, _) = Client::open(&santral, "/api/v1/ws");
    santral.server.signal(Signal::TERM).expect("it takes the signal");
    assert_eq!(client.next()["data"]["name"], "draining");
    assert_eq!(client.closed().0, 1001);
}

/// Shows WS-1, RES-3, SES-1.
#[test]
fn a_session_moves_between_a_stream_and_a_websocket_without_a_hole() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (mut stream, _, content) = santral.greet(&format!("/api/events?channel=a&session={TOKEN}"), &[]);
    santral.publish(r#"{"channel":"a","data":1}"#);
    let seen = next(&mut stream);
    assert_eq!(seen.data, "1");
    drop(stream);
    santral.publish(r#"{"channel":"a","data":2}"#);
    let first = text(&content["connection"]);
    santral.publish(&format!(r#"{{"connection":"{first}","data":3}}"#));
    let path = format!("/api/v1/ws?channel=a&session={TOKEN}&lastEventId={}", seen.last_event_id);
    let (mut client, hello) = Client::open(&santral, &path);
    assert_eq!(hello["data"]["recovered"], true);
    let (second, third) = (client.next(), client.next());
    assert_eq!((&second["data"], &third["data"]), (&json("2"), &json("3")));
    let (mut stream, _, _) = santral.resume(&format!("/api/events?channel=a&session={TOKEN}"), &text(&third["id"]));
    assert_eq!(client.closed().0, 4003, "it was replaced");
    santral.publish(r#"{"channel":"a","data":4}"#);
    assert_eq!(next(&mut stream).data, "4");
}

/// Shows WS-8.
#[test]
fn a_client_that_reads_nothing_is_not_listened_to_and_disturbs_nobody() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "1")]);
    let (mut deaf, _) = Client::open(&santral, "/api/v1/ws?channel=a");
    let (mut other, _) = Client::open(&santral, "/api/v1/ws?channel=b");
    for _ in 0..100 {
        santral.publish(&format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(60_000)));
    }
    // The answers would be large; the kernel takes commands until its buffers are full.
    let asked = (0..2_000).filter(|_| {
        deaf.0.send_text(r#"{"id":1,"history":{"channel":"a"}}"#, Instant::now() + Duration::from_millis(50)).is_ok()
    });
    assert!(asked.count() > 0);
    santral.publish(r#"{"channel":"b","data":1}"#);
    assert_eq!(other.next()["data"], 1);
    // Stats are taken once a second.
    let give_up = deadline();
    loop {
        let stats = santral.get("/api/stats").json().expect("stats are JSON");
        if stats["connections"]["byTransport"]["websocket"] == 2 {
            break;
        }
        assert!(Instant::now() < give_up, "{stats}");
        thread::sleep(Duration::from_millis(50));
    }
}
