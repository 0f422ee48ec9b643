//! Signals: whom they reach, in what order, and how often.

use serde_json::{Value, json};

use super::Member;
use crate::support::Santral;
use crate::support::contract::{assert_refused, json};

fn pair(santral: &Santral) -> (Member, Member) {
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    (santral.enter("r", "Ada"), santral.enter("r", "Bob"))
}

/// Shows VID-13.
#[test]
fn a_signal_arrives_as_it_was_written_and_says_who_sent_it() {
    let santral = Santral::start();
    let (mut ada, bob) = pair(&santral);
    let data = r#"{ "type":"offer",  "sdp":"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nş", "n":1.0e0 }"#;
    let body = format!(
        r#"{{"roomId":"r","to":"{}","type":"offer","negotiationId":"n7","seq":1,"from":"{}","data":{data}}}"#,
        ada.id, bob.id
    );
    let sent = santral.ask("POST", "/api/webrtc/signal", Some(&bob.token), Some(&body));
    assert_eq!(sent.status, 202, "{sent:?}");
    let fate = &json(&sent.text())["accepted"][0];
    assert_eq!((&fate["seq"], &fate["delivered"], &fate["buffered"]), (&json!(1), &json!(1), &json!(0)));
    let event = ada.guest.stream.wait_for(|event| event.event_type == "webrtc.signal", crate::support::deadline());
    let event = event.expect("the signal arrives");
    assert!(event.data.contains(data), "byte by byte: {}", event.data);
    assert!(!event.last_event_id.is_empty());
    let told = json(&event.data);
    let from = json!({ "participantId": bob.id, "displayName": "Bob", "ordinal": 2 });
    assert_eq!((&told["from"], &told["to"], &told["type"]), (&from, &json!(ada.id), &json!("offer")));
    assert_eq!((&told["negotiationId"], &told["seq"], &told["roomId"]), (&json!("n7"), &json!(1), &json!("r")));
    assert_eq!(told["roomSeq"], fate["roomSeq"]);
    let forged = json!({ "roomId": "r", "to": ada.id, "type": "bye", "from": ada.id });
    assert_refused(&santral.try_signal(&bob.token, &forged), "from_mismatch");
}

/// Shows VID-13.
#[test]
fn signals_reach_whom_they_name_and_nobody_else() {
    let santral = Santral::start();
    let (mut ada, bob) = pair(&santral);
    let mut eve = santral.enter("r", "Eve");
    let all = json!({ "roomId": "r", "to": "*", "type": "custom", "data": { "n": 1 } });
    let sent = santral.try_signal(&bob.token, &all);
    assert_eq!(json(&sent.text())["accepted"][0]["delivered"], 2);
    assert_eq!(ada.hear("webrtc.signal")["to"], "*");
    assert_eq!(eve.hear("webrtc.signal")["data"], json!({ "n": 1 }));
    let two = json!({ "roomId": "r", "to": [ada.id, eve.id], "type": "bye" });
    assert_eq!(json(&santral.try_signal(&bob.token, &two).text())["accepted"][0]["delivered"], 2);
    santral.signal(&bob, "r", &ada.id, None, &json!({ "only": "ada" }));
    assert_eq!(ada.hear("webrtc.signal")["type"], "bye");
    assert_eq!(ada.hear("webrtc.signal")["data"], json!({ "only": "ada" }));
    assert_eq!(eve.hear("webrtc.signal")["type"], "bye");
    assert_eq!(eve.guest.hear_all(), Vec::<String>::new());
    let offer = json!({ "roomId": "r", "to": "*", "type": "offer", "data": { "sdp": "v=0" } });
    assert_refused(&santral.try_signal(&bob.token, &offer), "cannot_broadcast");
    // Here, elsewhere, gone, never there, oneself, and no id at all: one answer.
    santral.make_room(None, &json!({ "roomId": "s", "name": "S" }));
    let elsewhere = santral.enter("s", "Zoe");
    let gone = santral.enter("r", "Gone");
    assert_eq!(santral.call("POST", "/api/video/rooms/r/leave", Some(&gone.token), &Value::Null).status, 204);
    let answers: Vec<_> = [&elsewhere.id, &gone.id, "p_nobody", &bob.id, "not an id"]
        .into_iter()
        .map(|to| {
            let answer = santral.try_signal(&bob.token, &json!({ "roomId": "r", "to": to, "type": "bye" }));
            assert_refused(&answer, "target_not_in_room");
            answer.text()
        })
        .collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

/// Shows VID-14.
#[test]
fn numbered_signals_arrive_once_and_in_order() {
    let santral = Santral::start();
    let (mut ada, bob) = pair(&santral);
    let send = |seq: u64| santral.signal(&bob, "r", &ada.id, Some(seq), &json!({ "n": seq }));
    assert_eq!(send(1)["delivered"], 1);
    assert_eq!(send(3)["parked"], true);
    assert_eq!(send(4)["parked"], true);
    assert_eq!(send(1)["duplicate"], true);
    assert_eq!(send(2)["delivered"], 1);
    assert_eq!(send(4)["duplicate"], true);
    send(5);
    let heard: Vec<_> = (0..5).map(|_| ada.hear("webrtc.signal")["data"]["n"].as_u64().expect("a number")).collect();
    assert_eq!(heard, [1, 2, 3, 4, 5]);
    let batch: Vec<_> = [8, 6, 7, 6]
        .iter()
        .map(|seq| json!({ "seq": seq, "to": ada.id, "type": "custom", "data": { "n": seq } }))
        .collect();
    let sent = santral.try_signal(&bob.token, &json!({ "roomId": "r", "signals": batch }));
    let answer = json(&sent.text());
    assert_eq!(answer["lastSeq"], 8);
    assert_eq!((&answer["accepted"][0]["parked"], &answer["accepted"][3]["duplicate"]), (&json!(true), &json!(true)));
    let heard: Vec<_> = (0..3).map(|_| ada.hear("webrtc.signal")["data"]["n"].as_u64().expect("a number")).collect();
    assert_eq!(heard, [6, 7, 8]);
}

/// Shows VID-14.
#[test]
fn signals_that_wait_in_vain_are_given_up() {
    let santral = Santral::start();
    let (mut ada, mut bob) = pair(&santral);
    santral.signal(&bob, "r", &ada.id, Some(1), &json!({ "n": 1 }));
    assert_eq!(santral.signal(&bob, "r", &ada.id, Some(3), &json!({ "n": 3 }))["parked"], true);
    let far = json!({ "roomId": "r", "to": ada.id, "type": "bye", "seq": 1_000 });
    assert_refused(&santral.try_signal(&bob.token, &far), "seq_gap");
    let undelivered = bob.hear("webrtc.undelivered");
    assert_eq!((&undelivered["seqs"], &undelivered["reason"]), (&json!([3]), &json!("seq_gap")));
    assert_eq!(santral.signal(&bob, "r", &ada.id, Some(2), &json!({ "n": 2 }))["delivered"], 1);
    assert_eq!(ada.hear("webrtc.signal")["data"]["n"], 1);
    assert_eq!(ada.hear("webrtc.signal")["data"]["n"], 2);
}

/// Shows VID-18. A signal that is refused disturbs nobody, and nothing is lost.
#[test]
fn what_is_no_signal_is_refused_and_the_next_one_goes_through() {
    let santral = Santral::start();
    let (mut ada, bob) = pair(&santral);
    let custom = |data: String| format!(r#"{{"roomId":"r","to":"{}","type":"custom","data":{data}}}"#, ada.id);
    let text_of = |bytes: usize| custom(format!("[\"{}\"]", "x".repeat(bytes - 4)));
    let one = format!(r#"{{"to":"{}","type":"bye"}}"#, ada.id);
    let many = |count: usize| format!(r#"{{"roomId":"r","signals":[{}]}}"#, vec![one.as_str(); count].join(","));
    let deep = |levels: usize| custom(format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    for (body, code) in [
        (text_of(65_537), "signal_too_large"),
        (many(65), "signal_too_large"),
        (custom(format!("[\"{}\"]", "x".repeat(262_144))), "signal_too_large"),
        (deep(9), "invalid_field"),
        (custom("\"text\"".to_owned()), "invalid_field"),
        (many(0), "invalid_field"),
        (format!(r#"{{"roomId":"r","target":"{}","type":"bye"}}"#, ada.id), "invalid_json"),
        (format!(r#"{{"roomId":"r","to":"{}","type":"hello"}}"#, ada.id), "invalid_json"),
        (format!(r#"{{"roomId":"r","to":"{}","type":"bye","seq":-1}}"#, ada.id), "invalid_json"),
        (format!(r#"{{"roomId":"r","to":"{}","type":"offer","data":{{"sdp":7}}}}"#, ada.id), "invalid_field"),
        ("[]".to_owned(), "invalid_json"),
        (String::new(), "invalid_json"),
    ] {
        let answer = santral.ask("POST", "/api/webrtc/signal", Some(&bob.token), Some(&body));
        assert_refused(&answer, code);
    }
    for body in [text_of(65_536), many(64), deep(8)] {
        let answer = santral.ask("POST", "/api/webrtc/signal", Some(&bob.token), Some(&body));
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    for _ in 0..66 {
        ada.hear("webrtc.signal");
    }
    assert_eq!(ada.guest.hear_all(), Vec::<String>::new());
}

/// Shows VID-18.
#[test]
fn who_sends_too_much_is_told_when_to_go_on() {
    let santral = Santral::start();
    let (ada, bob) = pair(&santral);
    let one = json!({ "to": ada.id, "type": "bye" });
    let body = json!({ "roomId": "r", "signals": vec![one; 64] });
    let answers: Vec<_> = (0..6).map(|_| santral.try_signal(&bob.token, &body)).collect();
    let limited = answers.iter().find(|answer| answer.status == 429).expect("200 at once are enough");
    assert_refused(limited, "rate_limited");
    assert!(limited.header("retry-after").is_some_and(|seconds| seconds != "0"));
    assert_eq!(answers[0].status, 202);
}
