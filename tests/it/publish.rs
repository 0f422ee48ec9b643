//! Publishing: `POST /api/broadcast` and `POST /api/publish`, as docs/protocol.md promises.

mod idempotency;
mod targets;

use santral_testkit::http::Request;

use crate::support::contract::{assert_refused, expect_silence, json, next, next_data, send, text};
use crate::support::{Santral, id_of};

/// JSON texts that a server which parses and writes anew would change.
const AWKWARD: &[&str] = &[
    r#"{"type":"notification","message":"Yeni güncelleme mevcut!"}"#,
    r#""""#,
    "null",
    "-0.0",
    "1e309",
    "1.50",
    "123456789012345678901234567890",
    r#"{"b":1,"a":2,"b":3}"#,
    r#"[1, 2 ,	3]"#,
    r#""\u0041\/\r\n\u0000\u2028""#,
    r#""\ud800""#,
    "\"\u{2028}\u{2029}\u{7f}\u{85}\u{feff}\u{1f600}\"",
    r#"{"data: x":"id: 7","event":"bye"}"#,
];

/// Shows PUB-1, SSE-6.
#[test]
fn a_broadcast_arrives_byte_for_byte() {
    let santral = Santral::start();
    let mut client = santral.listen("/api/events");
    for message in AWKWARD {
        let id = santral.broadcast(message);
        let event = next(&mut client);
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("message", *message));
        assert_eq!(event.last_event_id, id);
    }
    santral.broadcast(" \r\n\t{ \"a\" :\r\n1,\r\"b\":\n2 }\n ");
    assert_eq!(next(&mut client).data, "{ \"a\" :\n1,\n\"b\":\n2 }");
}

/// Shows PUB-1: what is read later is what was sent, too.
#[test]
fn history_and_replay_give_the_bytes_that_were_published() {
    let santral = Santral::start();
    for message in AWKWARD {
        santral.broadcast(message);
    }
    let (mut replay, ..) = santral.resume("/api/events", "earliest");
    assert_eq!(next_data(&mut replay, AWKWARD.len()), AWKWARD);
    let history = santral.get("/api/channels/broadcast/history").text();
    for message in AWKWARD {
        assert!(history.contains(&format!("\"data\":{message}}}")), "{message} in {history}");
    }
}

/// Shows PUB-2.
#[test]
fn the_query_of_a_broadcast_says_where_it_goes_and_what_it_is_called() {
    let santral = Santral::start();
    let mut orders = santral.listen("/api/events?channel=orders");
    let mut news = santral.listen("/api/events?channel=news");
    let mut everyone = santral.listen("/api/events");
    let id = id_of(&santral.post("/api/broadcast?channel=orders&channel=news,spare&event=order.created", "1"));
    for client in [&mut orders, &mut news] {
        let event = next(client);
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("order.created", "1"));
    }
    let spare = santral.get("/api/channels/spare/history").json().expect("a history is JSON");
    assert_eq!(spare["entries"][0]["id"], id, "the receipt names the last entry");
    expect_silence(&mut everyone);
    let receipt = santral.post("/api/broadcast?channel=orders&volatile=true", "2").json().expect("a receipt is JSON");
    assert_eq!((&receipt["id"], &receipt["durability"]), (&json("null"), &json("\"memory\"")));
    assert_eq!(next(&mut orders).data, "2");
}

/// Shows PUB-2, REQ-5: an unset variable in somebody's script does not become a message to all.
#[test]
fn an_empty_or_unknown_parameter_is_not_a_broadcast_to_everyone() {
    let santral = Santral::start();
    let mut everyone = santral.listen("/api/events");
    for (query, code) in [
        ("channel=", "invalid_target"),
        ("channel=,", "invalid_target"),
        ("user=", "invalid_field"),
        ("connection=", "invalid_field"),
        ("except=", "invalid_field"),
        ("event=", "invalid_event"),
        ("chanel=orders", "invalid_query"),
        ("Channel=orders", "invalid_query"),
        ("channel=a&user=b", "invalid_target"),
        ("event=a&event=b", "invalid_query"),
        ("volatile=yes", "invalid_query"),
        ("volatile", "invalid_query"),
    ] {
        assert_refused(&santral.post(&format!("/api/broadcast?{query}"), "1"), code);
    }
    assert_refused(&santral.post("/api/publish?channel=a", r#"{"channel":"a","data":1}"#), "invalid_query");
    expect_silence(&mut everyone);
    assert_eq!(santral.history("broadcast"), [] as [&str; 0]);
}

/// Shows PUB-3, PUB-4, PUB-11.
#[test]
fn a_batch_of_a_thousand_is_stored_and_delivered_in_order() {
    let santral = Santral::start();
    let mut client = santral.listen("/api/events?channel=orders");
    let items: Vec<String> = (0..1_000).map(|number| format!(r#"{{"channel":"orders","data":{number}}}"#)).collect();
    let receipts = santral.publish(&format!("[{}]", items.join(",")));
    let receipts = receipts.as_array().expect("an array is answered by an array");
    assert_eq!(receipts.len(), 1_000);
    for (number, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt["id"], format!("{}-{}", text(&receipt["epoch"]), number + 1));
        assert_eq!(receipt["receivers"], 1);
        let event = next(&mut client);
        assert_eq!((event.data, event.last_event_id), (number.to_string(), text(&receipt["id"])));
    }
}

/// Shows PUB-3.
#[test]
fn one_item_gets_one_receipt_and_an_array_of_one_gets_an_array() {
    let santral = Santral::start();
    assert!(santral.publish(r#"{"channel":"a","data":1}"#).is_object());
    assert!(santral.publish(r#" [{"channel":"a","data":1}]"#).is_array());
}

/// Shows PUB-4.
#[test]
fn one_bad_item_keeps_the_whole_batch_out() {
    let santral = Santral::start();
    let mut client = santral.listen("/api/events?channel=a");
    let good = r#"{"channel":"a","data":1}"#;
    for (bad, code) in [
        (r#"{"channel":"a b","data":1}"#, "invalid_channel"),
        (r#"{"channel":"a","data":1,"event":"bye"}"#, "invalid_event"),
        (r#"{"channel":"a"}"#, "invalid_json"),
        (r#"{"channel":"a","data":1,"colour":2}"#, "invalid_json"),
        (r#"{"data":1}"#, "invalid_target"),
        (r#"{"channel":"a","data":1,"volatile":true,"key":"k"}"#, "invalid_idempotency_key"),
        ("7", "invalid_json"),
    ] {
        let response = santral.post("/api/publish", &format!("[{good},{bad},{good}]"));
        assert_refused(&response, code);
    }
    expect_silence(&mut client);
    assert_eq!(santral.history("a"), [] as [&str; 0]);
}

/// Shows PUB-4, PUB-13: a key that was used otherwise keeps its whole batch out as well.
#[test]
fn a_reused_key_inside_a_batch_keeps_the_whole_batch_out() {
    let santral = Santral::start();
    santral.publish(r#"{"channel":"a","data":1,"key":"k"}"#);
    let batch = r#"[{"channel":"a","data":2},{"channel":"a","data":3,"key":"k"},{"channel":"a","data":4}]"#;
    assert_refused(&santral.post("/api/publish", batch), "idempotency_key_reused");
    let volatile = r#"[{"channel":"a","data":5,"volatile":true},{"channel":"a","data":3,"key":"k"}]"#;
    let mut client = santral.listen("/api/events?channel=a");
    assert_refused(&santral.post("/api/publish", volatile), "idempotency_key_reused");
    expect_silence(&mut client);
    assert_eq!(santral.history("a"), ["1"]);
}

/// Shows PUB-10.
#[test]
fn a_volatile_message_reaches_who_is_there_and_is_not_stored() {
    let santral = Santral::start();
    let (mut client, hello, _) = santral.greet("/api/events?channel=a", &[]);
    let receipt = santral.publish(r#"{"channel":"a","data":"now","volatile":true}"#);
    assert_eq!(
        (&receipt["id"], &receipt["durability"], &receipt["receivers"]),
        (&json("null"), &"memory".into(), &1.into())
    );
    let event = next(&mut client);
    assert_eq!((event.data.as_str(), event.last_event_id), ("\"now\"", hello.last_event_id.clone()));
    let stored = id_of(&santral.post("/api/publish", r#"{"channel":"a","data":"kept"}"#));
    let (mut late, ..) = santral.resume("/api/events?channel=a", &hello.last_event_id);
    let event = next(&mut late);
    assert_eq!((event.data.as_str(), event.last_event_id), ("\"kept\"", stored));
    assert_eq!(santral.history("a"), ["\"kept\""]);
}

/// Shows PUB-11.
#[test]
fn a_receipt_counts_the_sessions_that_follow_and_names_the_durability() {
    let santral = Santral::start_with(&[("SANTRAL_DURABILITY", "os")]);
    let (_first, _, greeting) = santral.greet("/api/events?channel=a", &[]);
    let _second = santral.listen("/api/events?channel=b*");
    let _third = santral.listen("/api/events?channel=a,a*&broadcast=0");
    let receipt = |item: &str| santral.publish(item);
    let counted = receipt(r#"{"channel":"a","data":1}"#);
    assert_eq!((&counted["receivers"], &counted["durability"]), (&json("2"), &json("\"os\"")));
    assert_eq!(text(&counted["id"]), format!("{}-1", text(&counted["epoch"])));
    assert_eq!(receipt(r#"{"channel":"bb","data":1}"#)["receivers"], 1);
    assert_eq!(receipt(r#"{"channel":"broadcast","data":1}"#)["receivers"], 2);
    assert_eq!(receipt(r#"{"channel":"nobody","data":1}"#)["receivers"], 0);
    let except = format!(r#"{{"channel":"a","data":1,"except":{}}}"#, greeting["connection"]);
    assert_eq!(receipt(&except)["receivers"], 1);
}

/// Shows PUB-16, PUB-17.
#[test]
fn bounds_of_data_and_batch_are_exact() {
    let santral = Santral::start();
    let text_of = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert_eq!(santral.post("/api/broadcast?channel=a", &text_of(65_536)).status, 200);
    assert_refused(&santral.post("/api/broadcast?channel=a", &text_of(65_537)), "too_large");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(santral.post("/api/broadcast?channel=a", &nested(32)).status, 200);
    assert_refused(&santral.post("/api/broadcast?channel=a", &nested(33)), "too_deep");
    let batch = |count: usize| format!("[{}]", vec![r#"{"channel":"b","data":1}"#; count].join(","));
    assert_refused(&santral.post("/api/publish", &batch(1_001)), "invalid_batch");
    assert_refused(&santral.post("/api/publish", "[]"), "invalid_batch");
    assert_eq!(santral.history("b").len(), 0);
    assert_eq!(santral.post("/api/publish", &batch(1_000)).status, 200);
    assert_eq!(santral.history("b").len(), 1_000);
}

/// Shows PUB-18, ERR-3.
#[test]
fn a_locked_database_refuses_stored_messages_and_lets_volatile_ones_pass() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let santral = Santral::start();
    let mut client = santral.listen("/api/events");
    let file = std::fs::read_dir(santral.data_dir.path())
        .expect("the data directory can be read")
        .filter_map(|entry| entry.ok()?.path().into_os_string().into_string().ok())
        .find(|name| !name.ends_with("-wal") && !name.ends_with("-shm") && name.contains(".db"));
    let mut foreign = SqliteConnection::establish(&file.expect("there is a database file")).expect("it opens");
    foreign.batch_execute("BEGIN IMMEDIATE").expect("nobody else holds the lock");
    let refused = santral.post("/api/broadcast", "1");
    assert_refused(&refused, "storage_busy");
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
    assert_eq!(santral.post("/api/broadcast?volatile=1", "2").status, 200);
    assert_eq!(next(&mut client).data, "2");
    foreign.batch_execute("ROLLBACK").expect("the lock can be released");
    santral.broadcast("3");
    assert_eq!(next(&mut client).data, "3");
    assert_eq!(santral.history("broadcast"), ["3"]);
}

/// Shows REQ-1.
#[test]
fn a_message_of_another_media_type_is_refused() {
    let santral = Santral::start();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let request = Request::post("/api/broadcast", "1").header("Content-Type", content_type);
        assert_refused(&send(&santral, &request), "unsupported_media_type");
    }
    assert_refused(&send(&santral, &Request::post("/api/publish", "1")), "unsupported_media_type");
    for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON"] {
        let request = Request::post("/api/broadcast", "1").header("Content-Type", content_type);
        assert_eq!(send(&santral, &request).status, 200);
    }
}
