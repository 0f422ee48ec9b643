//! Where a message goes: channels, a user, one connection, and who is left out.

use crate::support::contract::{TOKEN, assert_refused, expect_silence, json, next, next_data, text};
use crate::support::{Santral, id_of};

/// Shows PUB-5.
#[test]
fn a_message_names_exactly_one_target() {
    let santral = Santral::start();
    for item in [
        r#"{"data":1}"#,
        r#"{"channel":"a","channels":["b"],"data":1}"#,
        r#"{"channel":"a","user":"b","data":1}"#,
        r#"{"channels":[],"data":1}"#,
        r#"{"user":"a","connection":"0123456789012345678901","data":1}"#,
    ] {
        assert_refused(&santral.post("/api/publish", item), "invalid_target");
    }
    let many = format!(r#"{{"channels":[{}],"data":1}}"#, vec!["\"a\""; 1_001].join(","));
    assert_refused(&santral.post("/api/publish", &many), "invalid_batch");
    assert_refused(&santral.post("/api/publish", r#"{"channel":"user:ada","data":1}"#), "invalid_channel");
    assert_refused(&santral.post("/api/publish", r#"{"channel":"a*","data":1}"#), "invalid_channel");
    assert_refused(&santral.post("/api/publish", r#"{"user":"a b","data":1}"#), "invalid_field");
    assert_refused(&santral.post("/api/publish", r#"{"connection":"short","data":1}"#), "invalid_field");
}

/// Shows PUB-6.
#[test]
fn several_channels_get_an_entry_each_and_the_receipt_names_the_last() {
    let santral = Santral::start();
    let mut both = santral.listen("/api/events?channel=a,b&format=envelope");
    let receipt = santral.publish(r#"{"channels":["a","b","c"],"data":1}"#);
    let epoch = text(&receipt["epoch"]);
    assert_eq!(receipt["id"], format!("{epoch}-3"));
    assert_eq!(receipt["receivers"], 2, "a session is counted once for each entry");
    for (channel, offset) in [("a", 1), ("b", 2)] {
        let event = next(&mut both);
        let envelope = json(&event.data);
        assert_eq!((&envelope["channel"], event.last_event_id), (&channel.into(), format!("{epoch}-{offset}")));
    }
    assert_eq!(santral.history("c"), ["1"]);
}

/// Shows PUB-7: there are no users yet, so nobody hears it; it waits in the user's own channel.
#[test]
fn a_message_to_a_user_stays_in_a_channel_that_nobody_may_name() {
    let santral = Santral::start();
    let mut nosy = santral.listen("/api/events?channel=u*,user*,*");
    let receipt = santral.publish(r#"{"user":"ada","data":1}"#);
    assert_eq!((&receipt["receivers"], &receipt["durability"]), (&json("0"), &json("\"disk\"")));
    expect_silence(&mut nosy);
    assert_refused(&santral.get("/api/channels/user:ada/history"), "invalid_channel");
    assert_refused(&santral.get("/api/channels/user:ada/presence"), "invalid_channel");
    assert_refused(&santral.get("/api/events?channel=user:ada"), "invalid_channel");
    assert!(!santral.get("/api/channels?prefix=user:").text().contains("ada"));
    assert!(!santral.get("/api/channels").text().contains("ada"));
}

/// Shows PUB-8, SES-4.
#[test]
fn a_direct_message_reaches_one_connection_and_is_not_stored() {
    let santral = Santral::start();
    let (mut target, hello, greeting) = santral.greet("/api/events", &[]);
    let mut other = santral.listen("/api/events");
    let item = format!(r#"{{"connection":{},"event":"note","data":"psst"}}"#, greeting["connection"]);
    let receipt = santral.publish(&item);
    let head = &hello.last_event_id;
    assert_eq!(receipt["id"], format!("{head}.1"));
    assert_eq!((&receipt["receivers"], &receipt["durability"]), (&json("1"), &json("\"memory\"")));
    let event = next(&mut target);
    assert_eq!((event.event_type.as_str(), event.data.as_str()), ("note", "\"psst\""));
    assert_eq!(event.last_event_id, format!("{head}.1"));
    let id = santral.broadcast("1");
    assert_eq!(next(&mut target).last_event_id, id);
    assert_eq!(next(&mut other).data, "1");
    assert_eq!(santral.history("broadcast"), ["1"]);
}

/// Shows PUB-8.
#[test]
fn a_direct_message_to_nobody_says_so() {
    let santral = Santral::start();
    let receipt = santral.publish(r#"{"connection":"0123456789012345678901","data":1}"#);
    assert_eq!((&receipt["id"], &receipt["receivers"]), (&json("null"), &json("0")));
}

/// Shows PUB-9.
#[test]
fn an_excepted_connection_does_not_get_the_message() {
    let santral = Santral::start();
    let (mut left_out, _, greeting) = santral.greet("/api/events?channel=a", &[]);
    let mut other = santral.listen("/api/events?channel=a");
    let connection = text(&greeting["connection"]);
    santral.publish(&format!(r#"{{"channel":"a","data":1,"except":"{connection}"}}"#));
    santral.publish(&format!(r#"{{"channel":"a","data":2,"except":"{connection}","volatile":true}}"#));
    id_of(&santral.post(&format!("/api/broadcast?except={connection}"), "3"));
    santral.broadcast("4");
    assert_eq!(next_data(&mut other, 4), ["1", "2", "3", "4"]);
    assert_eq!(next(&mut left_out).data, "4");
}

/// Shows PUB-9: the new connection of a session is another one, and still the same client.
#[test]
fn an_excepted_session_does_not_get_the_message_when_it_resumes() {
    let santral = Santral::start();
    let path = format!("/api/events?channel=a&session={TOKEN}");
    let (first, hello, greeting) = santral.greet(&path, &[]);
    let connection = text(&greeting["connection"]);
    drop(first);
    santral.publish(&format!(r#"{{"channel":"a","data":1,"except":"{connection}"}}"#));
    santral.publish(r#"{"channel":"a","data":2}"#);
    let (mut again, _, greeting) = santral.resume(&path, &hello.last_event_id);
    assert_ne!(text(&greeting["connection"]), connection);
    assert_eq!(next(&mut again).data, "2");
    // A stranger who resumes from the same place is not left out.
    let (mut stranger, ..) = santral.resume("/api/events?channel=a", &hello.last_event_id);
    assert_eq!(next_data(&mut stranger, 2), ["1", "2"]);
}
