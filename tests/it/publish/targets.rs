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
    let receipt = santral.publish(r#"{"channels":["a","b","a","c"],"data":1}"#);
    assert_eq!(receipt["id"], format!("{}-3", text(&receipt["epoch"])), "a channel that is named twice counts once");
    for channel in ["a", "b", "c"] {
        assert_eq!(santral.history(channel), ["1"]);
    }
}

/// Shows PUB-6: live, after a resume from memory and from the log, stored or not.
#[test]
fn whoever_follows_several_of_the_channels_gets_the_message_once() {
    let santral = Santral::start();
    let paths = ["a,b", "b,c", "b.*,b", "*", "c"].map(|followed| format!("/api/events?channel={followed}"));
    let mut clients: Vec<_> = paths.iter().map(|path| santral.greet(path, &[]).0).collect();
    let head = santral.head();
    for (data, volatile) in [(1, false), (2, true)] {
        let item = format!(r#"{{"channels":["a","b","b.x","c"],"data":{data},"volatile":{volatile}}}"#);
        assert_eq!(santral.publish(&item)["receivers"], 5, "each client is counted once");
    }
    santral.broadcast("3");
    for (client, path) in clients.iter_mut().zip(&paths) {
        assert_eq!(next_data(client, 3), ["1", "2", "3"], "{path}");
    }
    let resumed = |santral: &Santral| {
        for path in &paths {
            let (mut client, ..) = santral.resume(path, &head);
            assert_eq!(next_data(&mut client, 2), ["1", "3"], "{path}");
        }
    };
    resumed(&santral);
    // From the log: the entries have left the memory of every shard.
    let filler: Vec<_> = (0..1_000).map(|_| r#"{"channel":"z.filler","data":0}"#).collect();
    for _ in 0..17 {
        santral.publish(&format!("[{}]", filler.join(",")));
    }
    for path in paths.iter().filter(|path| !path.ends_with('*')) {
        let (mut client, ..) = santral.resume(path, &head);
        assert_eq!(next_data(&mut client, 2), ["1", "3"], "{path}");
    }
}

/// Shows PUB-6: what was published before a client followed the first channel did not reach it there.
#[test]
fn a_later_subscription_hides_no_copy() {
    let santral = Santral::start();
    let path = format!("/api/events?channel=b&session={TOKEN}");
    let (first, hello, _) = santral.greet(&path, &[]);
    drop(first);
    santral.publish(r#"{"channels":["a","b"],"data":1}"#);
    assert_eq!(santral.command(TOKEN, r#"{"subscribe":["a"]}"#).status, 200);
    let (mut again, ..) = santral.resume(&path, &hello.last_event_id);
    assert_eq!(next(&mut again).data, "1");
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

/// Shows PUB-9: by name, by prefix, together with connections; live and from memory.
#[test]
fn whoever_follows_an_excepted_channel_does_not_get_the_message() {
    let santral = Santral::start();
    let (mut plain, hello, _) = santral.greet("/api/events?channel=a", &[]);
    let mut muted = santral.listen("/api/events?channel=a,quiet.1");
    let mut muted_by_prefix = santral.listen("/api/events?channel=a,quiet.*");
    let (mut left_out, _, greeting) = santral.greet("/api/events?channel=a", &[]);
    let item = |data: &str, except: &str| {
        santral.publish(&format!(r#"{{"channel":"a","data":{data},"except":{except}}}"#))["receivers"].clone()
    };
    assert_eq!(item("1", r#""quiet.1""#), 2);
    assert_eq!(item("2", &format!(r#"["quiet.1",{}]"#, greeting["connection"])), 1);
    let by_query = format!("/api/broadcast?channel=a&except=quiet.1&except=other,{}", text(&greeting["connection"]));
    id_of(&santral.post(&by_query, "3"));
    assert_eq!(item("4", "[]"), 4);
    assert_eq!(next_data(&mut plain, 4), ["1", "2", "3", "4"]);
    assert_eq!(next(&mut muted).data, "4");
    assert_eq!(next(&mut muted_by_prefix).data, "4");
    assert_eq!(next_data(&mut left_out, 2), ["1", "4"]);
    let (mut resumed, ..) = santral.resume("/api/events?channel=a,quiet.1", &hello.last_event_id);
    assert_eq!(next(&mut resumed).data, "4");
}

/// Shows PUB-9.
#[test]
fn what_is_left_out_is_named_by_valid_names_only_and_not_without_end() {
    let santral = Santral::start();
    let with = |except: &str| santral.post("/api/publish", &format!(r#"{{"channel":"a","data":1,"except":{except}}}"#));
    for bad in [r#""""#, r#""a b""#, r#"["a","user:ada"]"#, r#""a*""#, r#""$/chat#a""#] {
        assert_refused(&with(bad), "invalid_field");
    }
    for bad in ["7", "{}", "[1]", r#"[["a"]]"#] {
        assert_refused(&with(bad), "invalid_json");
    }
    let names = |count: usize| format!("[{}]", vec![r#""a""#; count].join(","));
    assert_refused(&with(&names(101)), "invalid_field");
    assert_eq!(with(&names(100)).status, 200);
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

/// Shows PUB-19.
#[test]
fn several_arguments_arrive_as_an_array_and_one_as_itself() {
    let santral = Santral::start();
    let mut client = santral.listen("/api/events?channel=a");
    for (arguments, data) in
        [("[1, {\"b\":2}]", "[1,{\"b\":2}]"), ("[\"only\"]", "\"only\""), ("[]", "[]"), ("[null]", "null")]
    {
        santral.publish(&format!(r#"{{"channel":"a","event":"e","args":{arguments}}}"#));
        assert_eq!(next(&mut client).data, data);
    }
    for bad in [r#""args":[1],"data":1"#, r#""args":1"#, r#""args":null"#, r#""event":"e""#] {
        assert_refused(&santral.post("/api/publish", &format!(r#"{{"channel":"a",{bad}}}"#)), "invalid_json");
    }
    santral.publish(r#"{"channel":"a","data":null}"#);
    assert_eq!(next(&mut client).data, "null");
}

/// Shows NAME-7, PUB-20.
#[test]
fn a_room_of_another_namespace_is_out_of_reach_of_names_and_prefixes() {
    let santral = Santral::start();
    let mut nosy = santral.listen("/api/events?channel=room,r*,*");
    for item in [r#""channel":"room""#, r#""channels":["room","other"]"#] {
        let receipt = santral.publish(&format!(r#"{{"namespace":"/chat",{item},"data":1}}"#));
        assert_eq!(receipt["receivers"], 0);
    }
    id_of(&santral.post("/api/broadcast?namespace=/chat", "2"));
    assert_eq!(santral.history("room"), [] as [&str; 0]);
    let named = santral.publish(r#"{"namespace":"/","channel":"room","data":3}"#);
    assert_eq!(named["receivers"], 1, "a slash alone is the usual namespace");
    assert_eq!(next(&mut nosy).data, "3");
    let (mut late, ..) = santral.resume("/api/events?channel=*", "earliest");
    assert_eq!(next(&mut late).data, "3", "nor does the log show it");
    let listed = santral.get("/api/channels").json().expect("a list is JSON");
    assert_eq!(listed["channels"].as_array().map(Vec::len), Some(1), "{listed}");
    for name in ["$/chat#room", "/chat#room", "%24/chat%23room"] {
        assert_refused(
            &santral.post("/api/publish", &format!(r#"{{"channel":"{name}","data":1}}"#)),
            "invalid_channel",
        );
    }
    assert_refused(&santral.get("/api/events?channel=%24/chat%23room"), "invalid_channel");
    assert_refused(&santral.get("/api/events?channel=%24*"), "invalid_channel");
    assert_refused(&santral.get("/api/channels/%24/chat%23room/history"), "invalid_channel");
    for bad in ["chat", "", "/a b", "/a#b", &format!("/{}", "x".repeat(64))] {
        let item = format!(r#"{{"namespace":"{bad}","channel":"a","data":1}}"#);
        assert_refused(&santral.post("/api/publish", &item), "invalid_field");
    }
    let to_user = r#"{"namespace":"/chat","user":"ada","data":1}"#;
    assert_refused(&santral.post("/api/publish", to_user), "invalid_target");
}
