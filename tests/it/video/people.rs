//! How people in a room are steered.

use serde_json::{Value, json};

use super::room_path;
use crate::support::Santral;
use crate::support::contract::{assert_refused, json, text};

/// Shows VID-11.
#[test]
fn what_is_ones_own_nobody_else_changes() {
    let santral = Santral::start();
    let made = santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let host_token = made["hostToken"].clone();
    let host = santral.join(santral.guest(None), "r", &json!({ "hostToken": host_token }));
    let mut ada = santral.enter("r", "Ada");
    let bob = santral.enter("r", "Bob");
    let change = |token: &str, person: &str, body: &Value| {
        santral.call("PATCH", &format!("/api/video/rooms/r/participants/{person}"), Some(token), body)
    };
    let own =
        json!({ "displayName": "Ada L.", "media": { "audio": true }, "handRaised": true, "metadata": { "a": 1 } });
    let done = change(&ada.token, &ada.id, &own);
    assert_eq!(done.status, 200, "{done:?}");
    let done = json(&done.text());
    assert_eq!((&done["displayName"], &done["media"]["audio"]), (&json!("Ada L."), &json!(true)));
    let told = ada.hear("video.participant.updated");
    assert_eq!(told["changed"], json!(["displayName", "metadata", "media", "handRaised"]));
    for body in [json!({ "displayName": "X" }), json!({ "media": { "video": true } }), json!({ "handRaised": true })] {
        for token in [&bob.token, &host.token] {
            assert_refused(&change(token, &ada.id, &body), "permission_denied");
        }
    }
    for body in [json!({ "role": "moderator" }), json!({ "mute": { "audio": true } }), json!({ "permissions": {} })] {
        assert_refused(&change(&bob.token, &ada.id, &body), "permission_denied");
        assert_refused(&change(&bob.token, &bob.id, &body), "permission_denied");
    }
    assert_eq!(change(&host.token, &ada.id, &json!({ "handRaised": false })).status, 200, "hosts lower hands");
    let muted = change(&host.token, &ada.id, &json!({ "mute": { "audio": true } }));
    assert_eq!(json(&muted.text())["mutedByHost"]["audio"], true);
    let asked = ada.hear("video.moderation");
    assert_eq!((&asked["mute"], &asked["by"]), (&json!({ "audio": true }), &json!(host.id)));
    assert_eq!(change(&host.token, &bob.id, &json!({ "role": "moderator" })).status, 200);
    assert_eq!(change(&bob.token, &ada.id, &json!({ "permissions": { "signal": false } })).status, 200);
    let silenced = santral.try_signal(&ada.token, &json!({ "roomId": "r", "to": bob.id, "type": "bye" }));
    assert_refused(&silenced, "permission_denied");
    assert_refused(&change(&bob.token, &ada.id, &json!({ "role": "moderator" })), "permission_denied");
    assert_refused(&change(&host.token, "p_nobody", &json!({ "mute": {} })), "not_found");
    assert_refused(&change(&host.token, &ada.id, &json!({ "name": "typo" })), "invalid_json");
}

/// Shows VID-11, VID-19.
#[test]
fn who_was_sent_away_stays_away_for_a_while_and_who_was_banned_for_good() {
    let (santral, admin) = Santral::start_closed(&[]);
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| santral.enrol(&admin, name, "user"));
    santral.make_room(Some(&ada.access), &json!({ "roomId": "r", "name": "R", "hostId": ada.id }));
    let host = santral.join(santral.guest(Some(&ada)), "r", &json!({}));
    assert_eq!(host.answer["participant"]["isHost"], true);
    let mut bob_in = santral.join(santral.guest(Some(&bob)), "r", &json!({}));
    let mut eve_in = santral.join(santral.guest(Some(&eve)), "r", &json!({}));
    let kick = |token: &str, person: &str, query: &str| {
        let path = format!("/api/video/rooms/r/participants/{person}{query}");
        santral.call("DELETE", &path, Some(token), &Value::Null)
    };
    assert_refused(&kick(&bob_in.token, &eve_in.id, ""), "permission_denied");
    assert_refused(&kick(&host.token, &host.id, ""), "permission_denied");
    assert_eq!(kick(&host.token, &bob_in.id, "").status, 204);
    assert_eq!(bob_in.hear("video.participant.left")["reason"], "kicked");
    assert_eq!(kick(&host.token, &eve_in.id, "?ban=true").status, 204);
    assert_eq!(eve_in.hear("video.participant.left")["reason"], "kicked");
    for (gone, person) in [(&bob_in, &bob), (&eve_in, &eve)] {
        let signal = santral.try_signal(&gone.token, &json!({ "roomId": "r", "to": host.id, "type": "bye" }));
        assert_refused(&signal, "not_joined");
        assert_refused(&santral.try_join(&gone.guest, "r", &json!({ "resume": gone.token })), "banned");
        let elsewhere = santral.guest(Some(person));
        assert_refused(&santral.try_join(&elsewhere, "r", &json!({})), "banned");
    }
    assert_refused(&kick(&host.token, &bob_in.id, ""), "not_found");
    assert_refused(&kick(&host.token, &bob_in.id, "?forever=1"), "invalid_query");
}

/// Shows VID-11.
#[test]
fn the_host_hands_the_room_over() {
    let santral = Santral::start();
    let made = santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let mut host = santral.join(santral.guest(None), "r", &json!({ "hostToken": made["hostToken"] }));
    let ada = santral.enter("r", "Ada");
    let hand = |token: &str, to: &str| {
        santral.call("POST", "/api/video/rooms/r/host", Some(token), &json!({ "participantId": to }))
    };
    assert_refused(&hand(&ada.token, &ada.id), "permission_denied");
    assert_refused(&hand(&host.token, "p_nobody"), "not_found");
    assert_eq!(hand(&host.token, &ada.id).status, 204);
    assert_eq!(host.hear("video.host.changed")["participantId"], json!(ada.id));
    assert_refused(&hand(&host.token, &host.id), "permission_denied");
    // Whoever has the host token is above the host.
    assert_eq!(hand(&text(&made["hostToken"]), &host.id).status, 204);
}

/// A host who leaves does with the room what it was set to.
#[test]
fn a_room_whose_host_leaves_does_what_it_was_set_to() {
    let santral = Santral::start();
    for (policy, told) in
        [("transfer", "video.host.changed"), ("close", "video.room.closed"), ("keep", "video.participant.left")]
    {
        let made = santral.make_room(None, &json!({ "roomId": policy, "name": "R", "hostPolicy": policy }));
        let host = santral.join(santral.guest(None), policy, &json!({ "hostToken": made["hostToken"] }));
        let mut ada = santral.enter(policy, "Ada");
        let path = format!("{}/leave", room_path(policy));
        assert_eq!(santral.call("POST", &path, Some(&host.token), &Value::Null).status, 204);
        ada.hear(told);
        let is_host = |name: &str| {
            let seen = santral.call("GET", &room_path(policy), Some(&ada.token), &Value::Null);
            (seen.status == 200).then(|| json(&seen.text())["participants"][0][name].clone())
        };
        let expected = match policy {
            "transfer" => Some(json!(true)),
            "keep" => Some(json!(false)),
            _ => None,
        };
        assert_eq!(is_host("isHost"), expected, "{policy}");
    }
}

/// Shows VID-20.
#[test]
fn reports_become_a_score_that_others_see() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let mut ada = santral.enter("r", "Ada");
    let bob = santral.enter("r", "Bob");
    let report = |token: &str, body: &Value| santral.call("POST", "/api/webrtc/stats", Some(token), body);
    let good = json!({ "roomId": "r", "peers": [{ "peer": ada.id, "state": "connected", "rttMs": 20, "lossPct": 0 }] });
    let done = report(&bob.token, &good);
    assert_eq!((done.status, json(&done.text())), (200, json!({ "score": "good" })));
    let told = ada.hear("video.quality");
    assert_eq!((&told["participantId"], &told["score"]), (&json!(bob.id), &json!("good")));
    let seen = santral.call("GET", &room_path("r"), Some(&ada.token), &Value::Null);
    assert_eq!(json(&seen.text())["participants"][1]["quality"], "good");
    let alive = report(&bob.token, &json!({ "roomId": "r", "peers": [] }));
    assert_eq!((alive.status, json(&alive.text())), (200, json!({})));
    let bad = json!({ "roomId": "r", "peers": [{ "peer": ada.id, "state": "connected", "rttMs": -1 }] });
    assert_refused(&report(&bob.token, &bad), "invalid_field");
    let other = json!({ "roomId": "s", "peers": [] });
    assert_refused(&report(&bob.token, &other), "wrong_room");
    let ice = santral.call("GET", "/api/webrtc/ice-servers?roomId=r", Some(&bob.token), &Value::Null);
    assert_eq!(ice.status, 200);
    assert!(json(&ice.text())["iceServers"].is_array());
    let other = santral.call("GET", "/api/webrtc/ice-servers?roomId=s", Some(&bob.token), &Value::Null);
    assert_refused(&other, "wrong_room");
}
