//! How people come in.

use std::thread;

use serde_json::{Value, json};

use super::{Member, room_path};
use crate::support::Santral;
use crate::support::contract::{assert_refused, json, text};

/// Shows VID-6, VID-12. The newcomer is told of all others, and they of the newcomer.
#[test]
fn a_newcomer_and_the_others_hear_of_each_other() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let media = json!({ "displayName": "Ada", "media": { "audio": true }, "metadata": { "seat": 7 } });
    let mut ada = santral.join(santral.guest(None), "r", &media);
    assert!(ada.token.starts_with("ptok_") && ada.id.starts_with("p_"));
    assert_eq!((&ada.answer["participants"], &ada.answer["already"]), (&json!([]), &json!(false)));
    let own = &ada.answer["participant"];
    assert_eq!((&own["displayName"], &own["ordinal"], &own["state"]), (&json!("Ada"), &json!(1), &json!("joined")));
    assert_eq!((&own["media"]["audio"], &own["metadata"]), (&json!(true), &json!({ "seat": 7 })));
    assert_eq!(ada.answer["limits"]["maxSignalBytes"], 65_536);
    assert!(ada.answer["iceServers"].is_array() && ada.answer["ttlSec"].is_number());
    assert_eq!(ada.answer["advice"]["maxHeight"], 720);
    let bob = santral.enter("r", "Bob");
    assert_eq!(bob.answer["participants"][0], *own);
    let told = ada.hear("video.participant.joined");
    assert_eq!(told["participant"], bob.answer["participant"]);
    assert_eq!((&told["roomId"], &told["epoch"]), (&json!("r"), &bob.answer["epoch"]));
    assert!(told["roomSeq"].as_u64() <= bob.answer["roomSeq"].as_u64());
    let again = santral.try_join(&bob.guest, "r", &json!({ "displayName": "Bob" }));
    let again = json(&again.text());
    assert_eq!((&again["already"], &again["participant"]["participantId"]), (&json!(true), &json!(bob.id)));
    assert_ne!(again["token"], bob.answer["token"]);
}

/// Shows VID-6. Nobody can have somebody else's stream told.
#[test]
fn a_stream_is_bound_by_whose_it_is() {
    let (santral, admin) =
        Santral::start_closed(&[("SANTRAL_ANONYMOUS_SUBSCRIBE", "*"), ("SANTRAL_ANONYMOUS_ROOMS", "*")]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    santral.make_room(Some(&ada.access), &json!({ "roomId": "r", "name": "R" }));
    let (of_ada, of_nobody) = (santral.guest(Some(&ada)), santral.guest(None));
    let join = |token: Option<&str>, body: Value| santral.call("POST", "/api/video/rooms/r/join", token, &body);
    for (token, body, code) in [
        (None, json!({}), "no_event_stream"),
        (Some(&eve.access), json!({ "session": of_ada.session }), "no_event_stream"),
        (Some(&eve.access), json!({ "connectionId": of_ada.connection }), "no_event_stream"),
        (Some(&eve.access), json!({ "session": of_nobody.session }), "no_event_stream"),
        (None, json!({ "session": of_ada.session }), "no_event_stream"),
        (None, json!({ "connectionId": of_nobody.connection }), "session_required"),
        (None, json!({ "session": "a-token-that-nobody-has-0123" }), "no_event_stream"),
        (None, json!({ "session": "short" }), "invalid_session"),
        (Some(&ada.access), json!({ "session": of_ada.session, "connectionId": of_ada.connection }), "invalid_field"),
    ] {
        assert_refused(&join(token.map(String::as_str), body), code);
    }
    assert_eq!(join(Some(&ada.access), json!({ "connectionId": of_ada.connection })).status, 200);
    assert_eq!(join(None, json!({ "session": of_nobody.session })).status, 200);
    let gone = of_nobody.session.clone();
    drop(of_nobody);
    let end = crate::support::deadline();
    // The server notices a line that is down as soon as it looks at it.
    while santral.call("POST", "/api/video/rooms/r/join", None, &json!({ "session": gone })).status != 409 {
        assert!(std::time::Instant::now() < end, "a stream that is closed is still open");
    }
}

/// Shows VID-7. A hundred come at once into six seats.
#[test]
fn a_room_holds_as_many_as_it_has_seats() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R", "maxParticipants": 6 }));
    let guests: Vec<_> = (0..100).map(|_| santral.guest(None)).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let joins: Vec<_> =
            guests.iter().map(|guest| scope.spawn(|| santral.try_join(guest, "r", &json!({})))).collect();
        joins.into_iter().map(|join| join.join().expect("it is answered")).collect()
    });
    let let_in = answers.iter().filter(|answer| answer.status == 200).count();
    let full =
        answers.iter().filter(|answer| answer.status == 409).inspect(|answer| assert_refused(answer, "room_full"));
    assert_eq!((let_in, full.count()), (6, 94));
    let mut ordinals: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect::<Vec<_>>()
        .iter()
        .map(|answer| json(&answer.text())["participant"]["ordinal"].as_u64().expect("a number"))
        .collect();
    ordinals.sort_unstable();
    assert_eq!(ordinals, [1, 2, 3, 4, 5, 6]);
    let room = json(&santral.get("/api/video/rooms/r").text());
    assert_eq!((&room["participantCount"], &room["status"]), (&json!(6), &json!("active")));
}

/// Shows VID-8.
#[test]
fn a_password_is_asked_of_strangers_and_not_guessed_for_long() {
    let santral = Santral::start();
    let made = santral.make_room(None, &json!({ "roomId": "r", "name": "R", "password": "1234" }));
    let guest = santral.guest(None);
    assert_refused(&santral.try_join(&guest, "r", &json!({})), "bad_password");
    let mut codes = Vec::new();
    for _ in 0..6 {
        let answer = santral.try_join(&guest, "r", &json!({ "password": "wrong" }));
        codes.push(text(&json(&answer.text())["code"]));
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(codes[0], "bad_password");
    assert_eq!(codes.last().map(String::as_str), Some("rate_limited"), "{codes:?}");
    let host = json!({ "hostToken": made["hostToken"] });
    let member = santral.join(santral.guest(None), "r", &host);
    assert_eq!(member.answer["participant"]["isHost"], true, "the host needs no password");
    // The right one is not charged, however often it comes.
    santral.make_room(None, &json!({ "roomId": "s", "name": "S", "password": "1234" }));
    for _ in 0..8 {
        assert_eq!(santral.try_join(&guest, "s", &json!({ "password": "1234" })).status, 200);
    }
}

/// Shows VID-8.
#[test]
fn an_invitation_opens_its_room_and_no_other() {
    let secret = "9f2c4be1a07d5386e4f1b2c3d8a97065";
    let (santral, admin) =
        Santral::start_closed(&[("SANTRAL_ISSUER_SECRET", secret), ("SANTRAL_ANONYMOUS_SUBSCRIBE", "*")]);
    let room = |id: &str| json!({ "roomId": id, "name": id, "visibility": "private", "password": "1234" });
    let made = santral.make_room(Some(&admin.access), &room("r"));
    santral.make_room(Some(&admin.access), &room("s"));
    let invite = |token: &str, body: &Value| santral.call("POST", "/api/video/rooms/r/invitations", Some(token), body);
    let host = text(&made["hostToken"]);
    let once = invite(&host, &json!({ "name": "Grace", "role": "moderator", "maxUses": 1 }));
    assert_eq!(once.status, 201, "{once:?}");
    let token = text(&json(&once.text())["joinToken"]);
    let guest = santral.guest(None);
    assert_refused(&santral.try_join(&guest, "r", &json!({})), "not_found");
    assert_refused(&santral.try_join(&guest, "s", &json!({ "joinToken": token })), "wrong_room");
    let grace = santral.join(guest, "r", &json!({ "joinToken": token, "displayName": "Somebody" }));
    let own = &grace.answer["participant"];
    assert_eq!((&own["displayName"], &own["role"]), (&json!("Grace"), &json!("moderator")));
    let other = santral.guest(None);
    assert_refused(&santral.try_join(&other, "r", &json!({ "joinToken": token })), "invitation_used");
    assert_refused(&invite(&grace.token, &json!({})), "permission_denied");
    let as_login = santral.call("GET", "/auth/me", Some(&token), &Value::Null);
    assert_refused(&as_login, "invalid_token");
    let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 600;
    let signed = |claims: &Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("claims are JSON")
    };
    let issued = signed(&json!({ "sub": "ada", "room": "r", "name": "Ada", "exp": end, "host": true }));
    let ada = santral.join(other, "r", &json!({ "joinToken": issued }));
    assert_eq!(
        (&ada.answer["participant"]["userId"], &ada.answer["participant"]["isHost"]),
        (&json!("ada"), &json!(true))
    );
    assert_refused(&santral.call("GET", "/auth/me", Some(&issued), &Value::Null), "invalid_token");
    let third = santral.guest(None);
    for bad in [json!({ "room": "r", "exp": 1 }), json!({ "room": "r" }), json!({ "sub": "ada", "exp": end })] {
        assert_refused(&santral.try_join(&third, "r", &json!({ "joinToken": signed(&bad) })), "invalid_token");
    }
}

/// Shows VID-9. Who waits hears nothing of the room, and says nothing in it.
#[test]
fn a_lobby_keeps_strangers_waiting_until_somebody_decides() {
    let santral = Santral::start();
    let made = santral.make_room(None, &json!({ "roomId": "r", "name": "R", "lobby": "on" }));
    let host_token = text(&made["hostToken"]);
    let mut host = santral.join(santral.guest(None), "r", &json!({ "hostToken": host_token }));
    let wait = |name: &str| {
        let guest = santral.guest(None);
        let answer = santral.try_join(&guest, "r", &json!({ "displayName": name }));
        assert_eq!(answer.status, 202, "{answer:?}");
        Member::of(guest, &answer)
    };
    let (mut ada, mut bob, mut eve) = (wait("Ada"), wait("Bob"), wait("Eve"));
    assert_eq!((&ada.answer["status"], &ada.answer["participant"]["state"]), (&json!("lobby"), &json!("lobby")));
    assert!(ada.answer.get("participants").is_none() && ada.answer.get("room").is_none());
    assert_eq!(host.hear("video.lobby.waiting")["participant"]["displayName"], "Ada");
    let early = santral.try_signal(&ada.token, &json!({ "roomId": "r", "to": host.id, "type": "bye" }));
    assert_refused(&early, "in_lobby");
    assert_refused(&santral.call("GET", "/api/webrtc/ice-servers", Some(&ada.token), &Value::Null), "in_lobby");
    let to_lobby = santral.try_signal(&host.token, &json!({ "roomId": "r", "to": ada.id, "type": "bye" }));
    assert_refused(&to_lobby, "target_not_in_room");
    let decide = |token: &str, body: &Value| santral.call("POST", "/api/video/rooms/r/lobby", Some(token), body);
    assert_refused(&decide(&ada.token, &json!({ "admit": "*" })), "permission_denied");
    assert_refused(&decide(&host.token, &json!({ "admit": ["p_nobody"] })), "not_found");
    let decided = decide(&host.token, &json!({ "admit": [ada.id], "deny": [bob.id] }));
    assert_eq!(json(&decided.text()), json!({ "admitted": [ada.id], "denied": [bob.id], "full": [] }));
    let admitted = ada.hear("video.lobby.admitted");
    assert_eq!(admitted["participants"][0]["participantId"], json!(host.id));
    assert_eq!(admitted["participant"]["ordinal"], 2);
    assert_eq!(bob.hear("video.lobby.denied")["reason"], "denied");
    assert_eq!(host.hear("video.participant.joined")["participant"]["participantId"], json!(ada.id));
    santral.signal(&ada, "r", &host.id, None, &json!({}));
    assert_eq!(eve.guest.hear_all(), Vec::<String>::new(), "who waits hears nothing");
    let gone = santral.try_signal(&bob.token, &json!({ "roomId": "r", "to": host.id, "type": "bye" }));
    assert_refused(&gone, "not_joined");
    assert_eq!(decide(&host.token, &json!({ "admit": "*" })).status, 200);
    eve.hear("video.lobby.admitted");
}

/// Shows VID-9.
#[test]
fn until_the_host_is_there_everybody_waits() {
    let santral = Santral::start();
    let made = santral.make_room(None, &json!({ "roomId": "r", "name": "R", "lobby": "until-host" }));
    let guest = santral.guest(None);
    let answer = santral.try_join(&guest, "r", &json!({}));
    assert_eq!(answer.status, 202);
    let mut ada = Member::of(guest, &answer);
    let host = santral.join(santral.guest(None), "r", &json!({ "hostToken": made["hostToken"] }));
    let admitted = ada.hear("video.lobby.admitted");
    assert_eq!(admitted["participants"][0]["participantId"], json!(host.id));
    santral.enter("r", "Bob");
}

/// Shows VID-10.
#[test]
fn who_leaves_is_gone_and_a_reload_keeps_the_seat() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let mut ada = santral.enter("r", "Ada");
    let bob = santral.enter("r", "Bob");
    let path = "/api/video/rooms/r/leave";
    assert_eq!(super::beacon(&santral, path, &json!({ "token": bob.token, "reason": "page_closed" })).status, 204);
    let away = ada.hear("video.participant.updated");
    assert_eq!(away["participant"]["state"], "reconnecting");
    let back = santral.join(santral.guest(None), "r", &json!({ "resume": bob.token }));
    assert_eq!((&back.id, &back.answer["resync"]), (&bob.id, &json!(true)));
    assert_eq!(super::beacon(&santral, path, &json!({ "token": back.token })).status, 204);
    let left = ada.hear("video.participant.left");
    assert_eq!((&left["participantId"], &left["reason"]), (&json!(bob.id), &json!("client_leave")));
    assert_eq!(santral.call("POST", path, Some(&back.token), &Value::Null).status, 204, "again");
    for bad in ["timeout", "kicked"] {
        assert_refused(&santral.call("POST", path, Some(&ada.token), &json!({ "reason": bad })), "invalid_field");
    }
    assert_refused(&santral.call("POST", path, None, &json!({ "token": "ptok_nobody" })), "bad_token");
    assert_refused(&santral.call("POST", path, None, &json!({})), "bad_token");
    let form = santral_testkit::http::Request::post(path, "token=x")
        .header("Content-Type", "application/x-www-form-urlencoded");
    assert_refused(&crate::support::contract::send(&santral, &form), "unsupported_media_type");
    assert_eq!(santral.call("POST", path, Some(&ada.token), &Value::Null).status, 204);
    let seen = json(&santral.get(&room_path("r")).text());
    assert_eq!(seen["participantCount"], 0);
}

/// A page that was closed and does not come back leaves its seat after its grace, not before.
#[test]
fn a_line_that_stays_down_loses_its_seat_after_the_grace() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R", "graceSec": 5, "maxParticipants": 2 }));
    let mut ada = santral.enter("r", "Ada");
    let bob = santral.enter("r", "Bob");
    let (bob_id, token) = (bob.id.clone(), bob.token.clone());
    drop(bob);
    assert_eq!(ada.hear("video.participant.updated")["participant"]["state"], "reconnecting");
    assert_refused(&santral.try_join(&santral.guest(None), "r", &json!({})), "room_full");
    let left = ada.hear("video.participant.left");
    assert_eq!((&left["participantId"], &left["reason"]), (&json!(bob_id), &json!("timeout")));
    let late = santral.try_join(&santral.guest(None), "r", &json!({ "resume": token, "displayName": "Bob" }));
    // The seat is gone: whoever comes is a newcomer.
    assert_eq!(late.status, 200, "{late:?}");
    assert_ne!(json(&late.text())["participant"]["participantId"], json!(bob_id));
}
