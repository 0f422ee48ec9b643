//! The same over other edges: WebSockets, commands, Socket.IO; and what pages of other origins may send.

use santral_testkit::http::Request;
use serde_json::{Value, json};

use super::Member;
use crate::support::Santral;
use crate::support::contract::{assert_refused, json, send, text};
use crate::websocket::Client;

/// Waits for an event of a name on a WebSocket; replies are passed over.
fn hear(client: &mut Client, name: &str) -> Value {
    loop {
        let message = client.next();
        if message["event"] == name {
            return message["data"].clone();
        }
    }
}

fn reply(client: &mut Client, number: u64) -> Value {
    loop {
        let message = client.next();
        if message["reply"] == json!(number) {
            return message;
        }
    }
}

/// Shows VID-21.
#[test]
fn a_call_is_set_up_over_a_websocket() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let mut ada = santral.enter("r", "Ada");
    let (mut bob, _) = Client::open(&santral, "/api/v1/ws");
    bob.send(r#"{"id":1,"video":{"join":{"roomId":"r","displayName":"Bob"}}}"#);
    let joined = reply(&mut bob, 1)["result"].clone();
    assert_eq!(joined["status"], "joined", "{joined}");
    let bob_id = text(&joined["participant"]["participantId"]);
    assert_eq!(ada.hear("video.participant.joined")["participant"]["displayName"], "Bob");
    bob.send(&json!({ "id": 2, "signal": { "roomId": "r", "to": ada.id, "type": "bye", "seq": 1 } }).to_string());
    assert_eq!(reply(&mut bob, 2)["result"]["accepted"][0]["delivered"], 1);
    assert_eq!(ada.hear("webrtc.signal")["from"]["participantId"], json!(bob_id));
    santral.signal(&ada, "r", &bob_id, None, &json!({ "hi": 1 }));
    assert_eq!(hear(&mut bob, "webrtc.signal")["data"], json!({ "hi": 1 }));
    for (command, code) in [
        (json!({ "id": 3, "video": { "join": { "displayName": "Bob" } } }), "invalid_field"),
        (json!({ "id": 3, "video": { "join": { "roomId": "r", "session": "x" } } }), "invalid_field"),
        (json!({ "id": 3, "video": { "join": { "roomId": "nowhere" } } }), "not_found"),
        (json!({ "id": 3, "signal": { "roomId": "nowhere", "to": "p", "type": "bye" } }), "bad_token"),
        (json!({ "id": 3, "signal": { "roomId": "r", "to": "p", "type": "bye" } }), "target_not_in_room"),
    ] {
        bob.send(&command.to_string());
        assert_eq!(reply(&mut bob, 3)["error"]["code"], code, "{command}");
    }
    bob.send(r#"{"id":4,"video":{"leave":{"roomId":"r"}}}"#);
    assert_eq!(reply(&mut bob, 4)["result"], json!({}));
    assert_eq!(ada.hear("video.participant.left")["participantId"], json!(bob_id));
    bob.send(r#"{"id":5,"video":{"leave":{"roomId":"r"}}}"#);
    assert_eq!(reply(&mut bob, 5)["result"], json!({}), "again");
}

/// Shows VID-21.
#[test]
fn a_call_is_set_up_by_commands_beside_a_stream() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R", "lobby": "off" }));
    let (ada, bob) = (santral.guest(None), santral.guest(None));
    let join = |session: &str| santral.command(session, r#"{"video":{"join":{"roomId":"r"}}}"#);
    let joined = join(&ada.session);
    assert_eq!(joined.status, 200, "{joined:?}");
    let mut ada = Member::of(ada, &joined);
    let answer = santral.command(&bob.session, r#"{"video":{"join":{"roomId":"r","displayName":"Bob"}}}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let bob = Member::of(bob, &answer);
    let body = json!({ "signal": { "roomId": "r", "to": ada.id, "type": "custom", "data": [1] } });
    assert_eq!(santral.command(&bob.guest.session, &body.to_string()).status, 200);
    assert_eq!(ada.hear("webrtc.signal")["data"], json!([1]));
    // The token of the answer is good for the other edge as well.
    santral.signal(&bob, "r", &ada.id, None, &json!({ "by": "token" }));
    assert_eq!(ada.hear("webrtc.signal")["data"], json!({ "by": "token" }));
    assert_eq!(santral.command(&bob.guest.session, r#"{"video":{"leave":{"roomId":"r"}}}"#).status, 200);
    let stranger = santral.command(&bob.guest.session, &body.to_string());
    assert_refused(&stranger, "bad_token");
}

/// Pages of other origins take part where the operator lists them: the methods and headers of rooms pass a preflight.
#[test]
fn pages_of_other_origins_may_ask_for_every_method() {
    let santral = Santral::start_with(&[("SANTRAL_CORS_ORIGINS", "https://app.example")]);
    for (method, path) in [
        ("POST", "/api/video/rooms"),
        ("PATCH", "/api/video/rooms/r"),
        ("DELETE", "/api/video/rooms/r"),
        ("PATCH", "/api/video/rooms/r/participants/p_1"),
        ("DELETE", "/api/video/rooms/r/participants/p_1"),
        ("POST", "/api/webrtc/signal"),
    ] {
        let preflight = Request::new("OPTIONS", path)
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", "authorization,content-type,if-match");
        let answer = send(&santral, &preflight);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        assert!(answer.header("access-control-allow-methods").is_some_and(|all| all.contains(method)), "{answer:?}");
    }
    let read = send(&santral, &Request::get("/api/video/rooms").header("Origin", "https://app.example"));
    assert!(read.header("access-control-expose-headers").is_some_and(|all| all.to_lowercase().contains("etag")));
    assert_eq!(json(&read.text())["rooms"], json!([]));
}
