//! Idempotency keys: a repeated publish is answered again and stored once.

use crate::support::Santral;
use crate::support::contract::{assert_refused, json, publish_with_key, text};

const ITEM: &str = r#"{"channel":"a","data":1}"#;

/// Shows PUB-12.
#[test]
fn a_repeated_request_gets_the_first_answer_and_publishes_nothing() {
    let santral = Santral::start();
    let first = publish_with_key(&santral, "k-1", ITEM).json().expect("a receipt is JSON");
    assert_eq!(first["receivers"], 0);
    let mut again = publish_with_key(&santral, "k-1", ITEM).json().expect("a receipt is JSON");
    assert_eq!(again["receivers"], json("null"), "who followed then is not remembered");
    again["receivers"] = first["receivers"].clone();
    assert_eq!(again, first);
    assert_refused(&publish_with_key(&santral, "k-1", r#"{"channel":"a","data":2}"#), "idempotency_key_reused");
    assert_refused(&publish_with_key(&santral, "k-1", r#"{"channel":"b","data":1}"#), "idempotency_key_reused");
    assert_eq!(publish_with_key(&santral, "k-2", ITEM).status, 200);
    assert_eq!(santral.history("a"), ["1", "1"]);
}

/// Shows PUB-12.
#[test]
fn a_key_is_remembered_across_a_kill() {
    let mut santral = Santral::start();
    let batch = r#"[{"channels":["a","b"],"data":1},{"channel":"a","data":2}]"#;
    let first = publish_with_key(&santral, "k", batch).json().expect("receipts are JSON");
    let single = santral.publish(r#"{"channel":"a","data":3,"key":"own"}"#);
    santral.server.kill9().expect("the server can be killed");
    santral.start_again();
    let again = publish_with_key(&santral, "k", batch).json().expect("receipts are JSON");
    for index in 0..2 {
        assert_eq!(again[index]["id"], first[index]["id"]);
        assert_eq!(again[index]["receivers"], json("null"));
    }
    assert_eq!(santral.publish(r#"{"channel":"a","data":3,"key":"own"}"#)["id"], single["id"]);
    assert_eq!(santral.history("a"), ["1", "2", "3"]);
    assert_eq!(santral.history("b"), ["1"]);
}

/// Shows PUB-12 on `POST /api/broadcast`, and that both doors share the keys.
#[test]
fn a_broadcast_takes_a_key_too() {
    let santral = Santral::start();
    let request = crate::support::post_json("/api/broadcast?channel=a", "1").header("Idempotency-Key", "k");
    let first = crate::support::contract::send(&santral, &request).json().expect("a receipt is JSON");
    let again = crate::support::contract::send(&santral, &request).json().expect("a receipt is JSON");
    let by_envelope = publish_with_key(&santral, "k", ITEM).json().expect("a receipt is JSON");
    assert_eq!((&again["id"], &by_envelope["id"]), (&first["id"], &first["id"]));
    assert_eq!(santral.history("a"), ["1"]);
}

/// Shows PUB-13.
#[test]
fn each_item_of_a_batch_may_have_a_key_of_its_own() {
    let santral = Santral::start();
    let first = santral.publish(r#"[{"channel":"a","data":1,"key":"x"},{"channel":"a","data":2,"key":"y"}]"#);
    let again = santral.publish(
        r#"[{"channel":"a","data":2,"key":"y"},{"channel":"a","data":3,"key":"z"},{"channel":"a","data":1,"key":"x"}]"#,
    );
    assert_eq!((&again[0]["id"], &again[2]["id"]), (&first[1]["id"], &first[0]["id"]));
    assert!(text(&again[1]["id"]) > text(&first[1]["id"]));
    assert_eq!(santral.history("a"), ["1", "2", "3"]);
    let twice = santral.publish(r#"[{"channel":"b","data":1,"key":"t"},{"channel":"b","data":1,"key":"t"}]"#);
    assert_eq!(twice[0]["id"], twice[1]["id"], "also within one batch");
    assert_eq!(santral.history("b"), ["1"]);
}

/// Shows PUB-14.
#[test]
fn a_key_that_cannot_be_is_refused() {
    let santral = Santral::start();
    assert_eq!(publish_with_key(&santral, &"k".repeat(255), ITEM).status, 200);
    for key in ["", &"k".repeat(256), "two words", "ş", "a\tb"] {
        assert_refused(&publish_with_key(&santral, key, ITEM), "invalid_idempotency_key");
        let item = format!(r#"{{"channel":"a","data":1,"key":{}}}"#, serde_json::Value::from(key));
        assert_refused(&santral.post("/api/publish", &item), "invalid_idempotency_key");
    }
    assert_eq!(santral.history("a").len(), 1);
}

/// Shows PUB-15.
#[test]
fn a_key_goes_only_with_messages_that_are_stored() {
    let santral = Santral::start();
    for item in [
        r#"{"channel":"a","data":1,"volatile":true,"key":"k"}"#,
        r#"{"connection":"0123456789012345678901","data":1,"key":"k"}"#,
    ] {
        assert_refused(&santral.post("/api/publish", item), "invalid_idempotency_key");
    }
    for body in [
        r#"{"channel":"a","data":1,"volatile":true}"#,
        r#"[{"channel":"a","data":1},{"channel":"a","data":1,"volatile":true}]"#,
        r#"{"channel":"a","data":1,"key":"own"}"#,
    ] {
        assert_refused(&publish_with_key(&santral, "k", body), "invalid_idempotency_key");
    }
    assert_eq!(santral.history("a").len(), 0);
}

/// Shows PUB-12: a client that gave up waiting and asked again meets itself.
#[test]
fn eight_requests_with_one_key_at_the_same_time_publish_once() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| publish_with_key(&santral, "k", ITEM))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let ids: Vec<_> = answers.iter().map(|answer| answer.json().expect("a receipt is JSON")["id"].clone()).collect();
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
    assert_eq!(santral.history("a"), ["1"]);
}
