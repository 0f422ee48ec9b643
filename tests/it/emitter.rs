//! Back ends that publish by the emitters of Socket.IO, as the packages are, without Socket.IO on our side.

use std::process::Command;

use santral_testkit::http::{Request, SseClient};
use santral_testkit::postgres::Postgres;
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};

use crate::support::contract::{assert_refused, expect_silence, next, percent, send, text};
use crate::support::packages::node_program;
use crate::support::{PATIENCE, Santral, deadline, post_json};

/// Lets a back end take these steps, see tests/clients/emitter.cjs; its output by lines, or `None` without
/// Node or its packages.
fn take_steps(via: &str, address: &str, token: &str, steps: &Value) -> Option<Vec<String>> {
    let script = node_program("emitter.cjs")?;
    let mut command = Command::new(require_tool("node")?);
    command.arg(script).args([via, address, &steps.to_string()]).env("TOKEN", token);
    let output = command.output().expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(said.lines().map(str::to_owned).collect())
}

/// What a client is sent up to the event `end`: names and data.
#[track_caller]
fn heard(client: &mut SseClient) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    let until = deadline();
    while let Ok(Some(event)) = client.next_event(until) {
        match event.event_type.as_str() {
            "end" => return heard,
            "ping" => (),
            _ => heard.push((event.event_type, event.data)),
        }
    }
    panic!("the end does not come, only {heard:?}");
}

/// Everything that a back end can say, and who hears it: the same by each emitter.
fn a_back_end_is_understood(via: &str, santral: &Santral, address: &str) {
    let mut plain = santral.listen("/api/events?channel=a");
    let (mut both, _, greeting) = santral.greet("/api/events?channel=a,b", &[]);
    let mut quiet = santral.listen("/api/events?channel=a,quiet");
    let long = "x".repeat(20_000);
    let id = text(&greeting["connection"]);
    let steps = json!([
        {"emit": ["to everyone", 1]},
        {"to": ["a", "b"], "emit": ["once", {"a": null, "z": [1, 2.5]}, "second"]},
        {"to": "a", "except": "quiet", "emit": ["some", true]},
        {"to": [id, "b"], "emit": ["private"]},
        {"except": [id, "quiet"], "emit": ["not these", 1]},
        {"to": "b", "emit": ["bytes", {"deep": {"$buffer": "AQID"}}]},
        {"to": "b", "volatile": true, "emit": ["bye", {"$date": "2026-11-25T22:00:00.000Z"}]},
        {"namespace": "/chat", "to": "a", "emit": ["elsewhere"]},
        {"namespace": "/chat", "emit": ["elsewhere"]},
        {"to": "no channel", "emit": ["nobody"]},
        {"to": "quiet", "join": ["later", "no channel"]},
        {"to": "later", "emit": ["joined"]},
        {"to": "quiet", "leave": "later"},
        {"to": "later", "emit": ["left"]},
        {"to": "b", "emit": ["long", long]},
        {"serverSide": ["to other servers", 1]},
        {"emit": ["end"]},
        {"to": "quiet", "disconnect": true},
    ]);
    let Some(said) = take_steps(via, address, "", &steps) else { return };
    assert!(said.iter().all(|line| line.starts_with("200 ")), "{said:#?}");
    let everyone = ("to everyone".to_owned(), "1".to_owned());
    let once = ("once".to_owned(), r#"[{"a":null,"z":[1,2.5]},"second"]"#.to_owned());
    let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());
    let some = event("some", "true");
    let of_plain = [everyone.clone(), once.clone(), some.clone(), event("not these", "1")];
    assert_eq!(heard(&mut plain), of_plain, "{via}");
    let of_both = [
        everyone.clone(),
        once.clone(),
        some,
        event("private", "[]"),
        event("bytes", r#"{"deep":{"$bytes":"AQID"}}"#),
        event("io:bye", r#""2026-11-25T22:00:00.000Z""#),
        event("long", &format!("\"{long}\"")),
    ];
    assert_eq!(heard(&mut both), of_both, "{via}");
    assert_eq!(heard(&mut quiet), [everyone, once, event("joined", "[]")], "{via}");
    assert_eq!(next(&mut quiet).event_type, "bye");
    expect_silence(&mut plain);
}

/// Shows PUB-21.
#[test]
fn the_redis_emitter_publishes_by_an_object_of_five_lines() {
    let santral = Santral::start();
    a_back_end_is_understood("redis", &santral, &format!("http://{}", santral.address));
}

/// Shows PUB-21.
#[test]
fn what_an_emitter_may_do_is_what_its_key_may_do() {
    let (santral, admin) = Santral::start_closed(&[]);
    let address = format!("http://{}", santral.address);
    let (key, _) = santral.api_key(&admin, r#"{"name":"shop","grants":{"publish":["orders.*","/chat#*"]}}"#);
    let steps = json!([
        {"to": "orders.1", "emit": ["e"]},
        {"to": ["orders.1", "news"], "emit": ["e"]},
        {"emit": ["e"]},
        {"namespace": "/chat", "emit": ["e"]},
        {"namespace": "/other", "emit": ["e"]},
        {"to": "orders.1", "join": "orders.2"},
        {"to": "orders.1", "disconnect": true},
        {"emit": ["santral:e"]},
    ]);
    let statuses = |token: &str| {
        let said = take_steps("redis", &address, token, &steps)?;
        Some(said.iter().map(|line| line[..3].to_owned()).collect::<Vec<_>>())
    };
    let Some(of_key) = statuses(&key) else { return };
    assert_eq!(of_key, ["200", "403", "403", "200", "403", "403", "403", "400"]);
    let of_admin = statuses(&admin.access);
    assert_eq!(
        of_admin.as_deref().map(|all| all[..7].iter().all(|status| status == "200")),
        Some(true),
        "{of_admin:?}"
    );
    assert_eq!(statuses("nonsense").map(|all| all.iter().all(|status| status == "401")), Some(true));
}

/// Shows PUB-21, REQ-1.
#[test]
fn what_no_emitter_says_is_refused() {
    let santral = Santral::start();
    let mut client = santral.listen("/api/events?channel=a");
    let event =
        b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa1e\x01\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90";
    let post = |channel: &str, media_type: &str, body: &[u8]| {
        let request = Request::new("POST", &format!("/api/socketio/emitter?channel={}", percent(channel)));
        send(&santral, &request.header("Content-Type", media_type).body(body.to_vec()))
    };
    for media_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_refused(&post("socket.io#/#", media_type, event), "unsupported_media_type");
    }
    for channel in ["", "socket.io", "socket.io#chat#", "socket.io#/a b#"] {
        assert_refused(&post(channel, "application/msgpack", event), "invalid_field");
    }
    for body in [&b""[..], b"{}", &event[..9], &[0x91; 100_000], b"\xc1", &[event, &b"\x01"[..]].concat()] {
        assert_refused(&post("socket.io#/#", "application/octet-stream", body), "invalid_field");
    }
    for body in ["", "{}", r#"{"type":9}"#, "[2]", r#"{"type":2,"opts":[],"rooms":"a"}"#] {
        assert_refused(&post("socket.io-request#/#", "application/json", body.as_bytes()), "invalid_field");
    }
    assert_refused(&send(&santral, &post_json("/api/socketio/emitter", "{}")), "invalid_query");
    expect_silence(&mut client);
    assert_eq!(post("socket.io#/#", "application/msgpack", event).status, 200);
    assert_eq!(next(&mut client).event_type, "e");
}

#[test]
fn the_postgres_emitter_publishes_by_the_database_that_keeps_the_log() {
    let Some(postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("emitter").expect("PostgreSQL takes a database");
    let settings = [("SANTRAL_DATABASE_URL", url.as_str()), ("SANTRAL_SOCKETIO_EMITTER_NAMESPACES", "/,/chat")];
    let mut santral = Santral::start_with(&settings);
    let is_listening = |line: &str| line.contains("listening to the notifications").then_some(());
    santral.server.wait_for_line(is_listening, PATIENCE).expect("it listens");
    a_back_end_is_understood("postgres", &santral, &url);
}

/// One of two servers on the same database does what is said, and the other one when that is gone.
#[test]
fn what_is_said_through_the_database_is_done_once() {
    let Some(postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("shared").expect("PostgreSQL takes a database");
    let settings = [("SANTRAL_DATABASE_URL", url.as_str()), ("SANTRAL_SOCKETIO_EMITTER_NAMESPACES", "/")];
    let is_listening = |line: &str| line.contains("listening to the notifications").then_some(());
    let mut first = Santral::start_with(&settings);
    first.server.wait_for_line(is_listening, PATIENCE).expect("it listens");
    let mut second = Santral::start_with(&settings);
    let mut clients = [first.listen("/api/events"), second.listen("/api/events")];
    let say = |name: &str| take_steps("postgres", &url, "", &json!([{"emit": [name, 1]}, {"emit": ["end"]}]));
    if say("one").is_none() {
        return;
    }
    for client in &mut clients {
        assert_eq!(heard(client), [("one".to_owned(), "1".to_owned())]);
    }
    first.server.kill9().expect("it can be killed");
    second.server.wait_for_line(is_listening, PATIENCE).expect("the other one takes over");
    say("two");
    assert_eq!(heard(&mut clients[1]), [("two".to_owned(), "1".to_owned())]);
}
