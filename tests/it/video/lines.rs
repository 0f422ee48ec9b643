//! Lines that go down and come back: what waits, what comes again, and what a restart brings back.

use serde_json::{Value, json};

use super::{Member, room_path};
use crate::support::Santral;
use crate::support::contract::{assert_refused, json, text};

fn pair(santral: &Santral) -> (Member, Member) {
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    (santral.enter("r", "Ada"), santral.enter("r", "Bob"))
}

/// Closes the line of a member, and waits until the other one hears of it.
fn hang_up(member: Member, other: &mut Member) -> (String, String, String, Value) {
    let Member { guest, id, token, answer } = member;
    let session = guest.session.clone();
    drop(guest);
    loop {
        let told = other.hear("video.participant.updated");
        if told["participant"]["state"] == "reconnecting" && told["participant"]["participantId"] == json!(id) {
            return (id, token, session, answer);
        }
    }
}

/// Shows VID-15. A session that the client had drawn comes back behind where it was.
#[test]
fn signals_wait_for_a_line_that_is_down_and_come_once() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let mut ada = santral.enter("r", "Ada");
    let path = "/api/events?session=a-session-that-bob-has-drawn-01";
    let mut bob = santral.join(santral.guest_at(path, None), "r", &json!({ "displayName": "Bob" }));
    santral.signal(&ada, "r", &bob.id, Some(1), &json!({ "n": 1 }));
    let first = bob.guest.stream.wait_for(|event| event.event_type == "webrtc.signal", crate::support::deadline());
    let position = first.expect("it comes").last_event_id;
    let bob_id = bob.id.clone();
    let (_, token, ..) = hang_up(bob, &mut ada);
    for n in 2..=5 {
        let fate = santral.signal(&ada, "r", &bob_id, Some(n), &json!({ "n": n }));
        assert_eq!((&fate["delivered"], &fate["buffered"]), (&json!(0), &json!(1)));
    }
    let (stream, _, hello) = santral.resume(path, &position);
    assert_eq!(hello["recovered"], true);
    let mut back =
        super::Guest { stream, session: text(&hello["session"]), connection: text(&hello["connection"]), access: None };
    let heard: Vec<_> = (2..=5).map(|_| back.hear("webrtc.signal")["data"]["n"].as_u64().expect("a number")).collect();
    assert_eq!(heard, [2, 3, 4, 5]);
    assert!(!back.hear_all().contains(&"webrtc.signal".to_owned()), "each comes once");
    santral.signal(&ada, "r", &bob_id, Some(6), &json!({ "n": 6 }));
    assert_eq!(back.hear("webrtc.signal")["data"]["n"], 6);
    let own = Member { guest: back, id: bob_id, token, answer: Value::Null };
    santral.signal(&own, "r", &ada.id, None, &json!({ "from": "bob" }));
    assert_eq!(ada.hear("webrtc.signal")["data"], json!({ "from": "bob" }));
}

/// Shows VID-15.
#[test]
fn who_sent_what_nobody_takes_any_more_hears_of_it() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R", "graceSec": 5 }));
    let mut ada = santral.enter("r", "Ada");
    let bob = santral.enter("r", "Bob");
    let (bob_id, ..) = hang_up(bob, &mut ada);
    assert_eq!(santral.signal(&ada, "r", &bob_id, Some(1), &json!({}))["buffered"], 1);
    let told = ada.hear("webrtc.undelivered");
    assert_eq!((&told["to"], &told["seqs"], &told["reason"]), (&json!(bob_id), &json!([1]), &json!("target_left")));
}

/// Shows VID-16. The same seat from another session, with all that came meanwhile.
#[test]
fn a_resume_brings_the_seat_and_what_came_meanwhile() {
    let santral = Santral::start();
    let (mut ada, bob) = pair(&santral);
    let (bob_id, token, session, answer) = hang_up(bob, &mut ada);
    for n in 1..=3 {
        santral.signal(&ada, "r", &bob_id, Some(n), &json!({ "n": n }));
    }
    let guest = santral.guest(None);
    assert_ne!(guest.session, session);
    let seen = json!({ "resume": token, "lastRoomSeq": answer["roomSeq"], "epoch": answer["epoch"] });
    let mut back = santral.join(guest, "r", &seen);
    assert_eq!((&back.id, &back.answer["already"], &back.answer["resync"]), (&bob_id, &json!(true), &json!(false)));
    assert_eq!(back.answer["participant"]["ordinal"], 2);
    let heard: Vec<_> = (1..=3).map(|_| back.hear("webrtc.signal")["data"]["n"].as_u64().expect("a number")).collect();
    assert_eq!(heard, [1, 2, 3]);
    assert_eq!(ada.hear("video.participant.updated")["changed"], json!(["state"]));
    // The answer may have been lost: the old token is good until the fresh one is used.
    let again = santral.try_join(&back.guest, "r", &json!({ "resume": token }));
    assert_eq!(again.status, 200, "{again:?}");
    let fresh = text(&json(&again.text())["token"]);
    assert_eq!(santral.try_signal(&fresh, &json!({ "roomId": "r", "to": ada.id, "type": "bye" })).status, 202);
    let old = santral.try_signal(&token, &json!({ "roomId": "r", "to": ada.id, "type": "bye" }));
    assert_refused(&old, "superseded");
}

/// Shows VID-16.
#[test]
fn a_page_that_was_loaded_anew_goes_by_the_answer() {
    let santral = Santral::start();
    let (mut ada, bob) = pair(&santral);
    let (bob_id, token, ..) = hang_up(bob, &mut ada);
    let back = santral.join(santral.guest(None), "r", &json!({ "resume": token }));
    assert_eq!((&back.id, &back.answer["resync"]), (&bob_id, &json!(true)));
    assert_eq!(back.answer["participants"][0]["participantId"], json!(ada.id));
    assert_eq!(ada.hear("video.participant.updated")["changed"], json!(["state", "connection"]));
}

/// Shows VID-17.
#[test]
fn a_restart_brings_everybody_back() {
    let mut santral = Santral::start();
    let made =
        santral.make_room(None, &json!({ "roomId": "r", "name": "R", "metadata": { "a": 1 }, "password": "1234" }));
    let host = text(&made["hostToken"]);
    let ada = santral.join(santral.guest(None), "r", &json!({ "hostToken": host, "displayName": "Ada" }));
    let bob = santral.join(santral.guest(None), "r", &json!({ "password": "1234", "displayName": "Bob" }));
    santral.server.kill9().expect("the server can be killed");
    santral.start_again();
    let seen = json(&santral.call("GET", &room_path("r"), Some(&host), &Value::Null).text());
    assert_eq!((&seen["name"], &seen["metadata"], &seen["locked"]), (&json!("R"), &json!({ "a": 1 }), &json!(true)));
    assert_ne!(seen["epoch"], bob.answer["epoch"]);
    let states: Vec<_> =
        seen["participants"].as_array().expect("people").iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["reconnecting", "reconnecting"]);
    let resume = |member: &Member| {
        let seen =
            json!({ "resume": member.token, "lastRoomSeq": member.answer["roomSeq"], "epoch": member.answer["epoch"] });
        santral.join(santral.guest(None), "r", &seen)
    };
    let mut ada_back = resume(&ada);
    assert_eq!((&ada_back.id, &ada_back.answer["participant"]["isHost"]), (&ada.id, &json!(true)));
    assert_eq!(ada_back.answer["resync"], true, "nothing of before is left");
    let bob_back = resume(&bob);
    assert_eq!((&bob_back.id, &bob_back.answer["participant"]["ordinal"]), (&bob.id, &json!(2)));
    santral.signal(&bob_back, "r", &ada.id, Some(1), &json!({ "back": true }));
    assert_eq!(ada_back.hear("webrtc.signal")["data"], json!({ "back": true }));
}
