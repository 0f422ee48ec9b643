//! What webhooks tell of video rooms.

use serde_json::{Value, json};

use super::receiver::{Received, Receiver};
use super::{SECRET, telling};
use crate::support::contract::{json, text};

#[test]
fn a_room_tells_what_happens_in_it_in_order() {
    let receiver = Receiver::willing();
    let kinds = "room_started,participant_joined,participant_left,participant_kicked,lobby_waiting,room_finished";
    let santral = telling(&[receiver.url()], kinds);
    let room = santral.make_room(None, &json!({ "roomId": "meeting-123", "name": "Meeting", "lobby": "on" }));
    let ada = json!({ "displayName": "Ada", "hostToken": room["hostToken"] });
    let host = santral.join(santral.guest(None), "meeting-123", &ada);
    let guest = santral.guest(None);
    let knocked = santral.try_join(&guest, "meeting-123", &json!({ "displayName": "Bob" }));
    assert_eq!(knocked.status, 202, "{knocked:?}");
    let bob = text(&json(&knocked.text())["participant"]["participantId"]);
    let ask = |method: &str, path: &str, body: Value| {
        let answer = santral.call(method, &format!("/api/video/rooms/meeting-123{path}"), Some(&host.token), &body);
        assert!(answer.status < 300, "{answer:?}");
    };
    ask("POST", "/lobby", json!({ "admit": "*" }));
    ask("DELETE", &format!("/participants/{bob}"), Value::Null);
    ask("DELETE", "", Value::Null);
    receiver.wait_for_taken("room_finished", 1);
    let told: Vec<(String, Value)> = receiver.received().iter().map(what).collect();
    let person = |id: &str, name: &str| json!({ "roomId": "meeting-123", "participantId": id, "displayName": name });
    let with = |mut data: Value, reason: &str| {
        data["reason"] = reason.into();
        data
    };
    let expected = [
        ("room_started", json!({ "roomId": "meeting-123" })),
        ("participant_joined", person(&host.id, "Ada")),
        ("lobby_waiting", person(&bob, "Bob")),
        ("participant_joined", person(&bob, "Bob")),
        ("participant_kicked", with(person(&bob, "Bob"), "kicked")),
        ("participant_left", with(person(&host.id, "Ada"), "room_closed")),
        ("room_finished", with(json!({ "roomId": "meeting-123" }), "closed")),
    ];
    assert_eq!(told, expected.map(|(kind, data)| (kind.to_owned(), data)));
    for received in receiver.received() {
        received.assert_signed_with(SECRET);
        assert_eq!(received.field("subject"), "room:meeting-123");
    }
}

fn what(received: &Received) -> (String, Value) {
    (received.kind(), received.json()["data"].clone())
}
