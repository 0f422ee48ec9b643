//! Coming back: positions, gaps, sessions and what waits in their inbox.

use std::time::{Duration, Instant};

use santral_testkit::http::SseClient;

use crate::support::contract::{TOKEN, expect_silence, json, next, next_data, text};
use crate::support::{PATIENCE, Santral, deadline, post_json};

fn publish_numbers(santral: &Santral, channel: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    let publish = |number| text(&santral.publish(&format!(r#"{{"channel":"{channel}","data":{number}}}"#))["id"]);
    numbers.map(publish).collect()
}

/// Shows RES-1, RES-2, RES-3, SSE-3.
#[test]
fn a_client_goes_on_behind_its_position_over_all_its_channels() {
    let santral = Santral::start();
    let ids: Vec<_> =
        ["a", "b", "c", "a", "broadcast"].iter().flat_map(|channel| publish_numbers(&santral, channel, 0..2)).collect();
    let by_header = santral.resume("/api/events?channel=a,c*", &ids[1]);
    let by_query = santral.greet(&format!("/api/events?channel=a,c*&lastEventId={}", ids[1]), &[]);
    let header_wins = santral.resume(&format!("/api/events?channel=a,c*&lastEventId={}", ids[9]), &ids[1]);
    let body = format!(r#"{{"channels":["a","c*"],"lastEventId":"{}"}}"#, ids[1]);
    let mut posted =
        SseClient::open_with(santral.address, &post_json("/api/events", &body), PATIENCE).expect("it opens");
    let hello = next(&mut posted);
    let content = json(&hello.data);
    for (mut client, hello, content) in [by_header, by_query, header_wins, (posted, hello, content)] {
        assert_eq!((&hello.last_event_id, &content["recovered"]), (&ids[1], &json("true")));
        for id in &ids[4..10] {
            assert_eq!(&next(&mut client).last_event_id, id);
        }
        expect_silence(&mut client);
    }
}

/// Shows RES-2: what a browser sends that has no position yet.
#[test]
fn an_empty_position_is_none() {
    let santral = Santral::start();
    let head = santral.broadcast("1");
    let (mut client, hello, content) = santral.resume("/api/events", "");
    assert_eq!((&hello.last_event_id, &content["recovered"]), (&head, &json("false")));
    expect_silence(&mut client);
}

/// Shows RES-3: nothing is missing or doubled between what was stored and what comes now.
#[test]
fn replay_and_live_messages_meet_without_hole_or_double() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let first = publish_numbers(&santral, "a", 0..300);
    let expected: Vec<String> = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_numbers(&santral, "a", 300..700));
        for _ in 0..6 {
            let (mut client, ..) = santral.resume("/api/events?channel=a&broadcast=0", &first[0]);
            let numbers: Vec<u32> =
                next_data(&mut client, 500).iter().map(|data| data.parse().expect("a number")).collect();
            assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
        }
        publisher.join().expect("the publisher does not panic")
    });
    assert_eq!(expected.len(), 400);
}

/// Shows RES-4.
#[test]
fn earliest_is_all_that_is_retained() {
    let santral = Santral::start();
    let ids = publish_numbers(&santral, "a", 0..3);
    for (mut client, hello, content) in [
        santral.resume("/api/events?channel=a", "earliest"),
        santral.greet("/api/events?channel=a&lastEventId=earliest", &[]),
    ] {
        assert!(hello.last_event_id.ends_with("-0"), "{hello:?}");
        assert_eq!(content["recovered"], true);
        for id in &ids {
            assert_eq!(&next(&mut client).last_event_id, id);
        }
    }
}

/// Shows RES-5, RES-6, SSE-3.
#[test]
fn a_position_that_cannot_be_kept_gives_a_gap_and_then_all_that_is_left() {
    let santral = Santral::start();
    let ids = publish_numbers(&santral, "a", 0..2);
    let epoch = ids[0].split('-').next().expect("a position begins with its epoch").to_owned();
    let other_epoch = if epoch == "00000000" { "00000001" } else { "00000000" };
    for (position, reason) in [
        (format!("{other_epoch}-1"), "epoch"),
        (format!("{epoch}-3"), "unknown"),
        (format!("{epoch}-9007199254740991"), "unknown"),
        ("42".to_owned(), "unknown"),
        ("EARLIEST".to_owned(), "unknown"),
        ("{\"a\":\"b\"}".to_owned(), "unknown"),
    ] {
        let (mut client, hello, content) = santral.resume("/api/events?channel=b,a", &position);
        assert_eq!((hello.last_event_id.as_str(), &content["recovered"]), ("", &json("false")), "{position}");
        let gap = next(&mut client);
        assert_eq!((gap.event_type.as_str(), &gap.last_event_id), ("gap", &format!("{epoch}-0")));
        let content = json(&gap.data);
        assert_eq!(text(&content["requested"]), position);
        assert_eq!(text(&content["resumedFrom"]), format!("{epoch}-0"));
        assert_eq!((&content["reason"], &content["channels"]), (&reason.into(), &json(r#"["a","b","broadcast"]"#)));
        for id in &ids {
            assert_eq!(&next(&mut client).last_event_id, id);
        }
    }
}

/// Shows RES-5, READ-5: retention takes away, and says so. Waits for retention, about ten seconds.
#[test]
fn a_client_that_was_away_for_longer_than_retention_is_told() {
    let santral = Santral::start_with(&[("SANTRAL_RETENTION_MESSAGES", "3")]);
    let ids = publish_numbers(&santral, "a", 0..8);
    let until = Instant::now() + Duration::from_secs(40);
    while santral.history("a").len() > 3 {
        assert!(Instant::now() < until, "retention does nothing");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (mut client, hello, content) = santral.resume("/api/events?channel=a", &ids[1]);
    assert_eq!((hello.last_event_id.as_str(), &content["recovered"]), ("", &json("false")));
    let gap = next(&mut client);
    let content = json(&gap.data);
    assert_eq!((gap.event_type.as_str(), &content["reason"]), ("gap", &json("\"retention\"")));
    assert_eq!((&gap.last_event_id, &text(&content["resumedFrom"])), (&ids[4], &ids[4]));
    assert_eq!(text(&content["requested"]), ids[1]);
    for id in &ids[5..] {
        assert_eq!(&next(&mut client).last_event_id, id);
    }
    let (_whole, hello, content) = santral.resume("/api/events?channel=a", &ids[4]);
    assert_eq!((&hello.last_event_id, &content["recovered"]), (&ids[4], &json("true")));
    let history = |query: &str| santral.get(&format!("/api/channels/a/history?{query}")).json().expect("it is JSON");
    assert_eq!(history("")["truncated"], true);
    assert_eq!(history(&format!("since={}", ids[1]))["truncated"], true);
    assert_eq!(history(&format!("since={}", ids[4]))["truncated"], false);
}

/// Shows RES-7: a volatile message is for those who are there.
#[test]
fn volatile_messages_are_not_replayed() {
    let santral = Santral::start();
    let ids = publish_numbers(&santral, "a", 0..1);
    santral.publish(r#"{"channel":"a","data":"gone","volatile":true}"#);
    publish_numbers(&santral, "a", 1..2);
    let (mut client, ..) = santral.resume("/api/events?channel=a", &ids[0]);
    assert_eq!(next(&mut client).data, "1");
}

fn direct(santral: &Santral, connection: &str, number: u32) -> String {
    let receipt = santral.publish(&format!(r#"{{"connection":"{connection}","data":{number}}}"#));
    assert_eq!(receipt["receivers"], 1, "{receipt}");
    text(&receipt["id"])
}

/// Shows SES-1, SES-4: again and again, since the new line may belong to another thread.
#[test]
fn direct_messages_wait_for_a_session_and_come_exactly_once() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let path = format!("/api/events?channel=a&session={TOKEN}");
    let (mut client, hello, content) = santral.greet(&path, &[]);
    let mut connection = text(&content["connection"]);
    let mut seen = hello.last_event_id;
    for round in 0..20 {
        let while_there = direct(&santral, &connection, round);
        assert_eq!(next(&mut client).last_event_id, while_there);
        let last_seen = if round % 2 == 0 { while_there.clone() } else { seen };
        drop(client);
        let stored = text(&santral.publish(r#"{"channel":"a","data":"stored"}"#)["id"]);
        let waiting: Vec<_> = (0..3).map(|number| direct(&santral, &connection, number)).collect();
        let (again, hello, content) = santral.resume(&path, &last_seen);
        client = again;
        assert_eq!((&hello.last_event_id, &content["recovered"]), (&last_seen, &json("true")));
        connection = text(&content["connection"]);
        if round % 2 == 1 {
            // The client says that it has not seen it, so it comes again.
            assert_eq!(next(&mut client).last_event_id, while_there);
        }
        assert_eq!(next(&mut client).last_event_id, stored);
        for id in &waiting {
            assert_eq!(&next(&mut client).last_event_id, id, "round {round}");
        }
        seen = waiting[2].clone();
    }
    expect_silence(&mut client);
}

/// Shows SES-3: on the same worker and on another.
#[test]
fn a_session_that_is_attached_anew_ends_its_old_stream_for_good() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let path = format!("/api/events?session={TOKEN}");
    let (mut current, ..) = santral.greet(&path, &[]);
    for _ in 0..10 {
        let (fresh, ..) = santral.greet(&path, &[]);
        let bye = next(&mut current);
        assert_eq!(bye.event_type, "bye");
        let content = json(&bye.data);
        assert_eq!((&content["code"], &content["name"]), (&json("4003"), &json("\"replaced\"")));
        assert_eq!((&content["reconnect"], content.get("retryAfterMs")), (&json("false"), None));
        assert!(current.next_event(deadline()).expect("the server closes").is_none());
        current = fresh;
    }
    santral.broadcast("1");
    assert_eq!(next(&mut current).data, "1");
    assert_eq!(santral.get("/health").json().expect("health is JSON")["streams"], 1);
}

/// Shows SES-5: an inbox has bounds, and says when they were met.
#[test]
fn a_full_inbox_drops_the_oldest_and_tells() {
    let santral = Santral::start();
    let path = format!("/api/events?session={TOKEN}");
    let (client, hello, content) = santral.greet(&path, &[]);
    let connection = text(&content["connection"]);
    drop(client);
    let ids: Vec<_> = (0..257).map(|number| direct(&santral, &connection, number)).collect();
    let (mut client, again, content) = santral.resume(&path, &hello.last_event_id);
    assert_eq!((again.last_event_id.as_str(), &content["recovered"]), ("", &json("false")));
    let gap = next(&mut client);
    assert_eq!((gap.event_type.as_str(), &json(&gap.data)["reason"]), ("gap", &json("\"inbox\"")));
    for id in &ids[1..] {
        assert_eq!(&next(&mut client).last_event_id, id);
    }
}

/// Shows SES-5, SES-6: a restart ends all sessions; the log goes on.
#[test]
fn a_session_that_the_server_lost_is_told_that_direct_messages_may_be_missing() {
    let mut santral = Santral::start();
    let path = format!("/api/events?channel=a&session={TOKEN}");
    let (client, hello, _) = santral.greet(&path, &[]);
    drop(client);
    let ids = publish_numbers(&santral, "a", 0..2);
    santral.server.kill9().expect("the server can be killed");
    santral.start_again();
    let (mut client, _, content) = santral.resume(&path, &hello.last_event_id);
    assert_eq!(content["recovered"], false);
    let gap = next(&mut client);
    assert_eq!((gap.event_type.as_str(), &json(&gap.data)["reason"]), ("gap", &json("\"inbox\"")));
    for id in &ids {
        assert_eq!(&next(&mut client).last_event_id, id);
    }
}

/// Shows SES-1: what a session follows is what its last attach asked for.
#[test]
fn a_new_attach_says_anew_what_it_follows() {
    let santral = Santral::start();
    let (first, hello, _) = santral.greet(&format!("/api/events?channel=a&session={TOKEN}"), &[]);
    santral.command(TOKEN, r#"{"subscribe":["b"]}"#);
    drop(first);
    publish_numbers(&santral, "b", 0..1);
    publish_numbers(&santral, "c", 1..2);
    let (mut client, _, content) =
        santral.resume(&format!("/api/events?channel=c&session={TOKEN}"), &hello.last_event_id);
    assert_eq!(content["channels"], json(r#"["broadcast","c"]"#));
    assert_eq!(next(&mut client).data, "1");
    expect_silence(&mut client);
}
