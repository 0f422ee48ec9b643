//! Settings over HTTP: in force at once, kept over a restart, refused without effect.

use std::thread;

use santral_testkit::http::{HttpError, Request, Response, SseClient};
use serde_json::{Value, json};

use crate::faults::node::eventually;
use crate::support::contract::{next, problem};
use crate::support::{PATIENCE, Santral, post_json};

impl Santral {
    fn setting(&self, key: &str) -> Value {
        ok(&self.get(&format!("/api/settings/{key}")))
    }

    fn set(&self, key: &str, value: &Value) -> Response {
        self.post("/api/settings", &json!({ "key": key, "value": value }).to_string())
    }

    fn unset(&self, key: &str) -> Response {
        let path = format!("/api/settings/{key}");
        Request::new("DELETE", &path).send(self.address, PATIENCE).expect("the server answers")
    }

    fn heartbeat_told(&self) -> Value {
        self.greet("/api/events", &[]).2["heartbeatMs"].clone()
    }
}

fn ok(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{response:?}");
    response.json().expect("the answer is JSON")
}

#[test]
fn every_setting_and_every_bound_is_listed_and_no_secret() {
    let secret = "9f2c4be1a07d5386e4f1b2c3d8a97065";
    let santral = Santral::start_with(&[("SANTRAL_ISSUER_SECRET", secret), ("SANTRAL_HEARTBEAT", "13")]);
    let answer = santral.get("/api/settings");
    let list = ok(&answer);
    assert!(!answer.text().contains(secret));
    let settings = list["settings"].as_array().expect("a list");
    let item = |key: &str| settings.iter().find(|item| item["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    for key in ["heartbeat", "max_connections", "open", "cors_origins", "rate_per_address", "log_level", "workers"] {
        for field in ["value", "default", "source", "kind", "expected", "description", "restartNeeded"] {
            assert!(!item(key)[field].is_null(), "{key} {field}");
        }
    }
    let heartbeat = item("heartbeat");
    let fields = ["value", "default", "source", "kind", "min", "max", "restartNeeded"].map(|name| &heartbeat[name]);
    assert_eq!(json!(fields), json!(["13s", "13s", "environment", "duration", "1s", "5m", false]));
    let issuer = item("issuer_secret");
    assert_eq!((&issuer["value"], &issuer["isSet"], &issuer["kind"]), (&Value::Null, &json!(true), &json!("secret")));
    assert_eq!(item("token_secret")["isSet"], false);
    let limits = list["limits"].as_array().expect("a list");
    let batch = limits.iter().find(|limit| limit["name"] == "batch_items_max").expect("a bound that clients meet");
    assert_eq!((&batch["value"], &batch["unit"]), (&json!(1_000), &json!("items")));
    assert!(limits.iter().all(|limit| limit["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
}

#[test]
fn a_change_is_in_force_at_once_and_after_a_restart_until_it_is_taken_back() {
    let mut santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "13")]);
    assert_eq!(santral.heartbeat_told(), 13_000);
    let body = r#"{"key":"heartbeat","value":"20s","description":"a proxy cuts at 30 s"}"#;
    let changed = ok(&santral.post("/api/settings", body));
    assert_eq!(changed["value"], "20s");
    assert_eq!(changed["changeDescription"], "a proxy cuts at 30 s");
    assert!(changed["changedAt"].is_string());
    assert_eq!(santral.heartbeat_told(), 20_000);
    santral.server.terminate(PATIENCE).expect("the server ends");
    santral.start_again();
    assert_eq!(santral.heartbeat_told(), 20_000);
    assert_eq!(santral.setting("heartbeat"), changed);

    let back = ok(&santral.unset("heartbeat"));
    assert_eq!((&back["value"], &back["source"]), (&json!("13s"), &json!("environment")));
    assert_eq!(santral.heartbeat_told(), 13_000);
    assert_eq!(ok(&santral.unset("heartbeat")), back);
    santral.server.kill9().expect("the server dies");
    santral.start_again();
    assert_eq!(santral.setting("heartbeat"), back);
    let history = ok(&santral.get("/api/settings/history?key=heartbeat"));
    let changes = history["changes"].as_array().expect("a list");
    let pairs: Vec<_> = changes.iter().map(|change| json!([change["old"], change["new"]])).collect();
    assert_eq!(json!(pairs), json!([["20s", null], [null, "20s"]]));
    assert_eq!(changes[1]["description"], "a proxy cuts at 30 s");
}

#[test]
fn a_refused_change_says_why_and_changes_nothing() {
    let santral = Santral::start();
    let before = santral.get("/api/settings").text();
    let refused = |response: &Response, status: u16, code: &str, detail: &str| {
        assert_eq!((response.status, problem(response).as_str()), (status, code), "{response:?}");
        assert!(response.text().contains(detail), "{response:?}");
    };
    refused(&santral.set("max_conections", &json!(5)), 404, "unknown_setting", "did you mean max_connections?");
    refused(&santral.get("/api/settings/colour"), 404, "unknown_setting", "colour");
    refused(&santral.unset("colour"), 404, "unknown_setting", "colour");
    refused(&santral.set("workers", &json!(2)), 409, "setting_needs_restart", "SANTRAL_WORKERS");
    refused(&santral.unset("workers"), 409, "setting_needs_restart", "--workers");
    refused(&santral.set("open", &json!(false)), 409, "would_lock_out", "admin");
    for (key, low, high, expected) in [
        ("heartbeat", json!(0), json!("301s"), "from 1s to 5m"),
        ("max_connections", json!(0), json!(1_000_001), "streams from 1 to 1000000"),
        ("message_bytes_max", json!(1_023), json!(2_097_153), "bytes from 1024 to 2097152"),
        ("cors_origins", json!(["null"]), json!("https://app.example.com/"), "an origin like"),
        ("query_token", json!(1), json!("yes"), "true or false"),
    ] {
        for value in [low, high, Value::Null, json!({}), json!(1.5), json!([[]]), json!("x y")] {
            refused(&santral.set(key, &value), 422, "invalid_setting", expected);
        }
    }
    for body in ["{}", r#"{"key":"open"}"#, r#"{"key":"open","value":"auto","why":1}"#, "[]", "x"] {
        refused(&santral.post("/api/settings", body), 400, "invalid_json", "");
    }
    refused(&santral.get("/api/settings/history?cursor=x"), 400, "invalid_query", "cursor");
    refused(&santral.get("/api/settings/history?key=colour"), 404, "unknown_setting", "colour");
    refused(&santral.get("/api/settings?x=1"), 400, "invalid_query", "x");
    assert_eq!(santral.get("/api/settings").text(), before);
    assert_eq!(ok(&santral.get("/api/settings/history"))["changes"], json!([]));
}

/// Every key that may be changed: both ends of its range, one step beyond each, and values of another type.
#[test]
fn every_setting_ends_exactly_where_its_range_does() {
    let santral = Santral::start();
    let list = ok(&santral.get("/api/settings"));
    let settings = list["settings"].as_array().expect("a list");
    let mut ranges = 0;
    for item in settings.iter().filter(|item| item["restartNeeded"] == false) {
        let key = item["key"].as_str().expect("a key has a name");
        let mut refused = vec![Value::Null, json!({}), json!([{}]), json!([[]]), json!(1.5), json!(-1), json!("a\nb")];
        if !item["min"].is_null() {
            let (low, high) = (number(&item["min"]), number(&item["max"]));
            // A bare number is seconds, where it is a span.
            let (unit, is_span) = if item["min"].is_string() { (1_000, true) } else { (1, false) };
            let written = |value: i64| if is_span { json!(format!("{value}ms")) } else { json!(value) };
            let beyond = high / unit + 1;
            refused.extend([written(low - 1), written(high + 1), json!(beyond), json!(beyond.to_string())]);
            refused.extend([json!(true), json!("x"), json!(u64::MAX)]);
            for end in [low, high] {
                let taken = ok(&santral.set(key, &written(end)));
                assert_eq!(number(&taken["value"]), end, "{key}: {taken}");
            }
            ranges += 1;
        }
        let before = santral.setting(key);
        for value in refused {
            let answer = santral.set(key, &value);
            assert_eq!(
                (answer.status, problem(&answer).as_str()),
                (422, "invalid_setting"),
                "{key} {value}: {answer:?}"
            );
            assert_eq!(santral.setting(key), before, "{key} {value}");
        }
        ok(&santral.unset(key));
    }
    assert!(ranges > 15, "{ranges} keys have a range");
    assert_eq!(ok(&santral.get("/api/settings"))["settings"], list["settings"], "all is as it was");
}

/// A number, or the milliseconds of a span.
fn number(value: &Value) -> i64 {
    let Some(text) = value.as_str() else { return value.as_i64().expect("a number") };
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "d" => 24 * 60 * 60 * 1_000,
        _ => panic!("{text} is no span"),
    };
    digits.parse::<i64>().expect("a span has a number") * unit
}

#[test]
fn the_ends_of_a_range_are_taken_as_number_and_as_text() {
    let santral = Santral::start();
    for (key, value, shown) in [
        ("heartbeat", json!(1), json!("1s")),
        ("heartbeat", json!("300"), json!("5m")),
        ("max_connections", json!("1000"), json!(1_000)),
        ("max_connections", json!(1), json!(1)),
        ("query_token", json!("false"), json!(false)),
        ("registration", json!("open"), json!("open")),
        ("user_subscribe", json!([]), json!([])),
        ("user_subscribe", json!("news,orders:*"), json!(["news", "orders:*"])),
        ("cors_origins", json!(["https://*.example.com"]), json!(["https://*.example.com"])),
    ] {
        assert_eq!(ok(&santral.set(key, &value))["value"], shown, "{key} {value}");
    }
}

#[test]
fn changes_at_the_same_time_come_one_by_one() {
    let santral = Santral::start();
    thread::scope(|scope| {
        for client in 0..4 {
            let santral = &santral;
            scope.spawn(move || {
                for round in 0..10 {
                    ok(&santral.set("heartbeat", &json!(1 + client * 10 + round)));
                }
            });
        }
    });
    let history = ok(&santral.get("/api/settings/history?limit=1000"));
    let changes = history["changes"].as_array().expect("a list");
    assert_eq!(changes.len(), 40);
    for pair in changes.windows(2) {
        assert_eq!(pair[0]["old"], pair[1]["new"]);
    }
    assert_eq!(santral.setting("heartbeat")["value"], changes[0]["new"]);
}

#[test]
fn the_history_comes_in_pages() {
    let santral = Santral::start();
    for seconds in 1..=5 {
        ok(&santral.set("heartbeat", &json!(seconds)));
    }
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = ok(&santral.get(&format!("/api/settings/history?limit=2{cursor}")));
        seen.extend(page["changes"].as_array().expect("a list").iter().map(|change| change["new"].clone()));
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(seen), json!(["5s", "4s", "3s", "2s", "1s"]));
}

/// Shows SSE-15, SSE-16.
#[test]
fn max_connections_may_change_while_500_clients_are_on() {
    let santral = Santral::start();
    let mut streams: Vec<SseClient> = (0..500).map(|_| santral.listen("/api/events")).collect();
    let refuses_the_next = || {
        let mut native = SseClient::open(santral.address, "/api/events", &[NATIVE], PATIENCE).expect("it is no error");
        let bye = next(&mut native);
        assert_eq!(bye.event_type, "bye");
        assert!(bye.data.contains("limit_reached") && native.retry_ms().is_some_and(|wait| wait >= 15_000), "{bye:?}");
        let refused = SseClient::open(santral.address, "/api/events?client=sdk-js", &[], PATIENCE);
        let Err(HttpError::NotAStream(answer)) = refused else { panic!("a stream was opened: {refused:?}") };
        assert_eq!((answer.status, problem(&answer).as_str()), (503, "too_many_connections"));
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    };
    let count = || ok(&santral.get("/health"))["streams"].as_u64();
    // Just what there is, less, and much less: the next is refused, and nobody is thrown out.
    for limit in [500, 499, 5] {
        ok(&santral.set("max_connections", &json!(limit)));
        refuses_the_next();
        assert_eq!(count(), Some(500));
        santral.broadcast(&limit.to_string());
        for stream in &mut streams {
            assert_eq!(next(stream).data, limit.to_string());
        }
    }
    // Room for one more, and for no other.
    ok(&santral.set("max_connections", &json!(501)));
    streams.push(santral.listen("/api/events?client=sdk-js"));
    refuses_the_next();
    ok(&santral.set("max_connections", &json!(502)));
    streams.push(santral.listen_with("/api/events", &[NATIVE]));
    refuses_the_next();
    // Who leaves makes no room as long as there are more than the limit.
    ok(&santral.set("max_connections", &json!(400)));
    streams.truncate(401);
    eventually("they have left", || (count() == Some(401)).then_some(()));
    refuses_the_next();
    streams.truncate(399);
    eventually("they have left", || (count() == Some(399)).then_some(()));
    streams.push(santral.listen("/api/events"));
    refuses_the_next();
    ok(&santral.unset("max_connections"));
    streams.extend((0..10).map(|_| santral.listen("/api/events")));
    santral.broadcast(r#""all""#);
    for stream in &mut streams {
        assert_eq!(next(stream).data, r#""all""#);
    }
}

/// How a browser's EventSource asks.
const NATIVE: (&str, &str) = ("Accept", "text/event-stream");

#[test]
fn an_operator_gets_back_in_without_what_is_stored() {
    let mut santral = Santral::start();
    let refused = post_json("/api/settings", r#"{"key":"ignore_stored_settings","value":true}"#);
    assert_eq!(refused.send(santral.address, PATIENCE).expect("the server answers").status, 409);
    ok(&santral.set("heartbeat", &json!(7)));
    santral.server.terminate(PATIENCE).expect("the server ends");
    santral.start_again_with(&[("SANTRAL_IGNORE_STORED_SETTINGS", "true")]);
    assert_eq!(santral.heartbeat_told(), 25_000);
    assert_eq!(santral.setting("heartbeat")["source"], "default");
    ok(&santral.unset("heartbeat"));
    santral.server.terminate(PATIENCE).expect("the server ends");
    santral.start_again();
    assert_eq!(santral.heartbeat_told(), 25_000);
}
