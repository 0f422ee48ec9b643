//! `POST /api/sessions/{session}/commands`, as docs/protocol.md promises.

use std::time::{Duration, Instant};

use santral_testkit::http::Request;

use crate::support::contract::{TOKEN, assert_refused, expect_silence, json, next, send, text};
use crate::support::{PATIENCE, Santral};

fn answer(santral: &Santral, command: &str) -> serde_json::Value {
    let response = santral.command(TOKEN, command);
    assert_eq!(response.status, 200, "{response:?}");
    response.json().expect("an answer is JSON")
}

/// Shows SES-7.
#[test]
fn a_session_follows_more_and_less_while_its_stream_goes_on() {
    let santral = Santral::start();
    let mut client = santral.listen(&format!("/api/events?session={TOKEN}"));
    let head = text(&santral.publish(r#"{"channel":"a","data":0}"#)["id"]);
    let answered = answer(&santral, r#"{"subscribe":["a","b.*"]}"#);
    assert_eq!(answered["channels"], json(r#"["broadcast","a","b.*"]"#));
    assert_eq!(answered["position"], head);
    santral.publish(r#"[{"channel":"a","data":1},{"channel":"b.c","data":2},{"channel":"d","data":3}]"#);
    assert_eq!((next(&mut client).data, next(&mut client).data), ("1".to_owned(), "2".to_owned()));
    assert_eq!(answer(&santral, r#"{"unsubscribe":["a","nothing"]}"#)["channels"].as_array().map(Vec::len), Some(2));
    santral.publish(r#"[{"channel":"a","data":4},{"channel":"b.c","data":5}]"#);
    assert_eq!(next(&mut client).data, "5");
    expect_silence(&mut client);
}

/// Shows SES-7, SSE-17.
#[test]
fn a_subscription_that_cannot_be_changes_nothing() {
    let santral = Santral::start();
    let mut client = santral.listen(&format!("/api/events?session={TOKEN}"));
    assert_refused(&santral.command(TOKEN, r#"{"subscribe":["a","b c"]}"#), "invalid_channel");
    assert_refused(&santral.command(TOKEN, r#"{"subscribe":["user:ada"]}"#), "invalid_channel");
    let many: Vec<_> = (0..1_000).map(|number| format!("\"c{number}\"")).collect();
    let many = format!(r#"{{"subscribe":[{}]}}"#, many.join(","));
    assert_refused(&santral.command(TOKEN, &many), "too_many_subscriptions");
    santral.publish(r#"[{"channel":"a","data":1},{"channel":"c1","data":1}]"#);
    expect_silence(&mut client);
    assert_eq!(answer(&santral, r#"{"subscribe":[]}"#)["channels"], json(r#"["broadcast"]"#));
}

/// Shows SES-8.
#[test]
fn the_server_stamps_who_published_through_a_session() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (_client, _, content) = santral.greet(&format!("/api/events?session={TOKEN}"), &[]);
    let mut watcher = santral.listen("/api/events?channel=a&format=envelope");
    let receipt = answer(&santral, r#"{"publish":{"channel":"a","data":1,"key":"k"}}"#);
    let event = next(&mut watcher);
    let envelope = json(&event.data);
    assert_eq!(envelope["from"], json(&format!(r#"{{"connection":{}}}"#, content["connection"])));
    assert_eq!(receipt["id"], event.last_event_id);
    assert_eq!(answer(&santral, r#"{"publish":{"channel":"a","data":1,"key":"k"}}"#)["id"], receipt["id"]);
    let forged = r#"{"publish":{"channel":"a","data":1,"from":{"user":"root"}}}"#;
    assert_refused(&santral.command(TOKEN, forged), "invalid_json");
    santral.publish(r#"{"channel":"a","data":2}"#);
    assert_eq!(json(&next(&mut watcher).data).get("from"), None, "of a plain request nothing is known");
}

/// Shows SES-9.
#[test]
fn a_session_reads_history_and_presence() {
    let santral = Santral::start();
    let (_client, _, content) = santral.greet(&format!("/api/events?channel=a&session={TOKEN}"), &[]);
    santral.publish(r#"[{"channel":"a","data":1},{"channel":"a","data":2}]"#);
    let history = answer(&santral, r#"{"history":{"channel":"a","limit":1}}"#);
    assert_eq!((&history["entries"][0]["data"], &history["more"]), (&json("2"), &json("true")));
    let by_get = santral.get("/api/channels/a/history?limit=1").json().expect("a history is JSON");
    assert_eq!(history, by_get, "the same answer by either way");
    let presence = answer(&santral, r#"{"presence":{"channel":"a"}}"#);
    assert_eq!((&presence["total"], &presence["present"][0]["connection"]), (&json("1"), &content["connection"]));
    assert_refused(&santral.command(TOKEN, r#"{"history":{"channel":"a b"}}"#), "invalid_channel");
    assert_refused(&santral.command(TOKEN, r#"{"history":{"channel":"a","before":"x"}}"#), "invalid_position");
    assert_refused(&santral.command(TOKEN, r#"{"presence":{"channel":"user:ada"}}"#), "invalid_channel");
}

/// Shows SES-10.
#[test]
fn ping_tells_the_head_and_the_time() {
    let santral = Santral::start();
    let _client = santral.listen(&format!("/api/events?session={TOKEN}"));
    let head = santral.broadcast("1");
    let pong = answer(&santral, r#"{"ping":{}}"#);
    assert_eq!(pong["position"], head);
    assert!(text(&pong["serverTime"]).ends_with('Z'));
}

/// Shows SES-11.
#[test]
fn a_session_that_does_not_exist_is_not_found() {
    let santral = Santral::start();
    for command in [r#"{"ping":{}}"#, r#"{"subscribe":["a"]}"#, r#"{"publish":{"channel":"a","data":1}}"#] {
        assert_refused(&santral.command(TOKEN, command), "not_found");
    }
    for command in [r#"{"history":{"channel":"a"}}"#, r#"{"presence":{"channel":"a"}}"#] {
        assert_refused(&santral.command(TOKEN, command), "not_found");
    }
    assert_eq!(santral.history("a").len(), 0);
    assert_refused(&santral.command("short", r#"{"ping":{}}"#), "invalid_session");
}

/// Shows SES-11: a token that the server drew is as good as one of the client, while its stream lives.
#[test]
fn a_session_without_a_token_of_its_own_ends_with_its_stream() {
    let santral = Santral::start();
    let (client, _, content) = santral.greet("/api/events", &[]);
    let session = text(&content["session"]);
    assert_eq!(santral.command(&session, r#"{"ping":{}}"#).status, 200);
    drop(client);
    let until = Instant::now() + PATIENCE;
    while santral.command(&session, r#"{"ping":{}}"#).status != 404 {
        assert!(Instant::now() < until, "the session never ends");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Shows SES-2: a session with a token outlives its line for a while.
#[test]
fn a_session_with_a_token_takes_commands_while_its_line_is_down() {
    let santral = Santral::start();
    let client = santral.listen(&format!("/api/events?session={TOKEN}"));
    drop(client);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(santral.command(TOKEN, r#"{"ping":{}}"#).status, 200);
}

/// Shows SES-12.
#[test]
fn a_command_is_an_object_with_exactly_one_known_field() {
    let santral = Santral::start();
    let _client = santral.listen(&format!("/api/events?session={TOKEN}"));
    for command in [
        "{}",
        "[]",
        "null",
        "\"ping\"",
        r#"{"ping":null}"#,
        r#"{"ping":{"x":1}}"#,
        r#"{"shout":{}}"#,
        r#"{"ping":{},"subscribe":["a"]}"#,
        r#"{"subscribe":"a"}"#,
        r#"{"subscribe":[1]}"#,
        r#"{"history":{}}"#,
        r#"{"history":{"channel":"a","limit":-1}}"#,
        r#"{"history":{"channel":"a","colour":1}}"#,
        r#"{"publish":[]}"#,
    ] {
        assert_refused(&santral.command(TOKEN, command), "invalid_json");
    }
    let request = Request::post(&format!("/api/sessions/{TOKEN}/commands"), r#"{"ping":{}}"#);
    assert_refused(&send(&santral, &request), "unsupported_media_type");
}
