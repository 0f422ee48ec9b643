//! What Santral adds to Socket.IO, clause by clause: the tables show the protocol itself.

use santral_testkit::http::Request;
use serde_json::{Value, json};

use super::target::{Options, Target};
use super::wire::{Polling, Socket, WEBSOCKET};
use crate::support::contract::next;
use crate::support::{PATIENCE, Santral};

fn fresh(santral: &Santral) -> Socket {
    let mut socket = Socket::at(santral.address, WEBSOCKET);
    socket.hear();
    socket
}

fn joined(santral: &Santral) -> Socket {
    let mut socket = fresh(santral);
    assert!(socket.say("40").hear().starts_with("text 40{\"sid\""));
    socket
}

/// Shows SIO-2, SIO-5 and SIO-7: what is said by one transport is heard by the others.
#[test]
fn rooms_are_channels_of_all_transports() {
    let santral = Santral::start_with(&[("SANTRAL_SOCKETIO_UNKNOWN_EVENT", "echo")]);
    let (mut stream, _, _) = santral.greet("/api/events?channel=club", &[]);
    let mut heard = || {
        let event = next(&mut stream);
        (event.event_type, event.data)
    };
    let pair = |name: &str, data: &str| (name.to_owned(), data.to_owned());
    let mut socket = joined(&santral);
    socket.say(r#"421["join","club"]"#).hear();
    santral.publish(r#"{"channel":"club","event":"from rest","args":[1,{"$bytes":"AQID"}]}"#);
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    assert_eq!(socket.hear_all(2), format!("text 451-[\"from rest\",1,{placeholder}], binary [1, 2, 3]"));
    assert_eq!(heard(), pair("from rest", r#"[1,{"$bytes":"AQID"}]"#));
    // The policy of this server gives it back to the sender as well.
    socket.say(r#"42["hello",{"a":1}]"#);
    assert_eq!(heard(), pair("io:hello", r#"{"a":1}"#));
    assert_eq!(socket.hear(), r#"text 42["hello",{"a":1}]"#);
    socket.say(&format!(r#"451-["bytes",{placeholder}]"#)).send_bytes(&[0, 255]);
    assert_eq!(heard(), pair("bytes", r#"{"$bytes":"AP8="}"#));
    assert_eq!(socket.hear_all(2), format!("text 451-[\"bytes\",{placeholder}], binary [0, 255]"));
    // Beside the key of a placeholder bytes stay text, for nobody knows the one from the other there.
    santral.publish(r#"{"channel":"club","event":"x","args":[{"$bytes":"AQID"},{"_placeholder":true,"num":7}]}"#);
    assert_eq!(socket.hear(), r#"text 42["x",{"$bytes":"AQID"},{"_placeholder":true,"num":7}]"#);
}

/// Shows SIO-3: by `auth`, by the first request, and what who may not come in hears.
#[test]
fn a_socket_speaks_for_whose_token_it_brings() {
    let (santral, admin) =
        Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat"), ("SANTRAL_USER_PUBLISH", "chat")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let mut stranger = fresh(&santral);
    let refused = stranger.say("40").hear();
    assert!(refused.starts_with(r#"text 44{"message":"unauthorized","data":{"code":"unauthorized""#), "{refused}");
    let forged = stranger.say(r#"40{"token":"forged"}"#).hear();
    assert!(forged.starts_with(r#"text 44{"message":"unauthorized","data":{"code":"invalid_token""#), "{forged}");
    let joined = stranger.say(&format!("40{}", json!({ "token": ada.access }))).hear();
    assert!(joined.starts_with("text 40{\"sid\""), "{joined}");
    for (say, heard) in [
        (r#"421["join","chat"]"#, r#"text 431[{"ok":true"#),
        (r#"422["join","secret"]"#, r#"text 432[{"ok":false,"error":{"code":"forbidden""#),
        (r#"423["publish","chat","a",1]"#, r#"text 433[{"ok":true"#),
        (r#"424["publish","other","a",1]"#, r#"text 434[{"ok":false,"error":{"code":"forbidden""#),
    ] {
        let answer = stranger.say(say).hear();
        assert!(answer.starts_with(heard), "{say}: {answer}");
    }
    let path = format!("{WEBSOCKET}&token={}", ada.access);
    let mut known = Socket::at(santral.address, &path);
    known.hear();
    assert!(known.say("40").hear().starts_with("text 40{\"sid\""));
    let bad = Request::get("/socket.io/?EIO=4&transport=polling").header("Authorization", "Bearer forged");
    let answer = bad.send(santral.address, PATIENCE).expect("an answer");
    let body: Value = answer.json().expect("an error is JSON");
    assert_eq!((answer.status, &body["code"]), (403, &json!(4)), "{body}");
}

/// Shows SIO-4 and SIO-6: names by setting, and an answer to everything that asks for one.
#[test]
fn every_acknowledgement_is_one_object() {
    let settings = [
        ("SANTRAL_SOCKETIO_UNKNOWN_EVENT", "reject"),
        ("SANTRAL_SOCKETIO_JOIN", "join,subscribe"),
        ("SANTRAL_MESSAGE_BYTES_MAX", "1024"),
    ];
    let santral = Santral::start_with(&settings);
    let mut socket = joined(&santral);
    let long = format!(r#"428["publish","a","b","{}"]"#, "x".repeat(2_000));
    for (say, heard) in [
        (r#"421["subscribe","a"]"#, r#"text 431[{"ok":true,"room":"a","members":1,"last_id":"#),
        (r#"422["join",{"room":"b","presence":true}]"#, r#"text 432[{"ok":true,"room":"b""#),
        (r#"423["leave","a"]"#, r#"text 433[{"ok":true,"room":"a"}]"#),
        (r#"424["leave","a"]"#, r#"text 434[{"ok":false,"error":{"code":"not_member""#),
        (r#"425["anything",1]"#, r#"text 435[{"ok":false,"error":{"code":"unknown_event""#),
        (r#"426["join","a room"]"#, r#"text 436[{"ok":false,"error":{"code":"invalid""#),
        (r#"427["join",null]"#, r#"text 437[{"ok":false,"error":{"code":"invalid""#),
        (long.as_str(), r#"text 438[{"ok":false,"error":{"code":"too_large""#),
    ] {
        // The socket also hears of itself.
        let mut answer = socket.say(say).hear();
        while answer.contains("santral:presence") {
            answer = socket.hear();
        }
        assert!(answer.starts_with(heard), "{say}: {answer}");
    }
}

/// Shows SIO-8: presence, and why somebody must leave.
#[test]
fn the_servers_own_events_have_a_prefix() {
    let santral = Santral::start();
    let mut watcher = joined(&santral);
    let own = watcher.say(r#"421["join",{"room":"lobby","presence":true}]"#).hear_all(2);
    assert!(own.contains(r#"text 42["santral:presence",{"room":"lobby","change":"joined""#), "{own}");
    let mut other = fresh(&santral);
    let id = other.join("40");
    other.say(r#"421["join","lobby"]"#).hear();
    let came = format!(r#"{{"room":"lobby","change":"joined","user":null,"connection":"{id}"}}"#);
    assert_eq!(watcher.hear(), format!(r#"text 42["santral:presence",{came}]"#));
    let kicked = santral.ask("DELETE", &format!("/api/connections/{id}"), None, None);
    assert!((200..300).contains(&kicked.status), "{kicked:?}");
    assert_eq!(other.hear_all(2), r#"text 42["santral:kicked",{"reason":"kicked"}], text 41"#);
    assert!(watcher.hear().contains(r#""change":"left""#));
    // Nobody else can say such a thing.
    let forged = watcher.say(r#"422["santral:kicked",1]"#).hear();
    assert!(forged.starts_with(r#"text 432[{"ok":false"#), "{forged}");
}

/// Shows SIO-9: a volatile message that ends in text does not pass for a position.
#[test]
fn text_at_the_end_of_a_volatile_message_is_no_position() {
    let santral = Santral::start();
    let mut socket = fresh(&santral);
    socket.say(r#"40{"recover":true}"#).hear();
    santral.publish(r#"{"channel":"broadcast","event":"fleeting","data":"text","volatile":true}"#);
    assert_eq!(socket.hear(), r#"text 42["fleeting","text",null]"#);
    santral.publish(r#"{"channel":"broadcast","event":"fleeting","data":1,"volatile":true}"#);
    assert_eq!(socket.hear(), r#"text 42["fleeting",1]"#);
}

/// Shows SIO-10: who answers, who does not, and who is not asked.
#[test]
fn a_server_can_ask_its_clients() {
    let santral = Santral::start();
    let (mut answering, mut silent) = (joined(&santral), joined(&santral));
    for socket in [&mut answering, &mut silent] {
        socket.say(r#"421["join","asked"]"#).hear();
    }
    let _elsewhere = joined(&santral);
    let answers = std::thread::scope(|scope| {
        let question = r#"{"channel":"asked","event":"q","args":[1,2],"ackTimeoutMs":1000}"#;
        let asked = scope.spawn(|| santral.publish(question));
        let heard = answering.hear();
        let id: String = heard["text 42".len()..].chars().take_while(char::is_ascii_digit).collect();
        assert_eq!(heard, format!(r#"text 42{id}["q",1,2]"#));
        answering.say(&format!(r#"43{id}["yes",7]"#));
        asked.join().expect("an answer")
    });
    assert_eq!(answers, json!({ "receivers": 2, "responses": [["yes", 7]], "missing": 1 }));
    for (field, value) in [("key", json!("k")), ("ackTimeoutMs", json!(60_001))] {
        let mut question = json!({ "channel": "asked", "data": 1, "ackTimeoutMs": 10 });
        question[field] = value;
        let refused = santral.post("/api/publish", &question.to_string());
        assert!((400..500).contains(&refused.status), "{field}: {refused:?}");
    }
}

/// Shows SIO-1 and SIO-11: one gigantic or endless client does not hurt the others.
#[test]
fn hostile_payloads_cost_nothing_but_their_connection() {
    let target = Target::santral(Options { max_payload: Some(200_000), ..Options::DEFAULT });
    let separators = "\u{1e}".repeat(100_000);
    for body in [separators.as_str(), &format!("4{separators}"), &"9".repeat(150_000)] {
        let session = Polling::joined(&target);
        assert!(session.post(body).starts_with("400 "), "{} bytes", body.len());
    }
    let mut socket = Socket::joined(&target);
    for packet in ["42111111111111111111111[\"a\"]", "40/a\u{1}b,", "4511-[\"a\"]"] {
        assert_eq!(Socket::joined(&target).say(packet).is_closed(), "closed", "{packet}");
    }
    assert_eq!(socket.say("42[\"echo\"]").hear(), "text 42[\"echo\"]");
    assert!(target.output().contains("a Socket.IO client broke the protocol"));
}

/// Shows SIO-12.
#[test]
fn the_client_library_is_served_from_where_it_is_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dist = folder.path().join("dist");
    std::fs::create_dir(&dist).expect("a folder");
    std::fs::write(folder.path().join("package.json"), r#"{"name":"socket.io-client","version":"4.8.1"}"#)
        .expect("a file");
    std::fs::write(dist.join("socket.io.min.js"), "client").expect("a file");
    let santral = Santral::start_with(&[("SANTRAL_SOCKETIO_CLIENT_DIR", &dist.display().to_string())]);
    let ask = |request: Request| request.send(santral.address, PATIENCE).expect("an answer");
    let answer = ask(Request::get("/socket.io/socket.io.min.js"));
    let of = |name| answer.header(name).unwrap_or("-");
    assert_eq!((answer.status, of("etag"), of("cache-control")), (200, "\"4.8.1\"", "public, max-age=0"));
    assert_eq!(answer.text(), "client");
    let again = ask(Request::get("/socket.io/socket.io.min.js").header("If-None-Match", "\"4.8.1\""));
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    for path in ["/socket.io/socket.io.js", "/socket.io/../package.json", "/socket.io/package.json"] {
        assert_eq!(ask(Request::get(path)).status, 404, "{path}");
    }
    let bare = Santral::start();
    let missing = bare.get("/socket.io/socket.io.js");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("socketio_client_dir"), "{}", missing.text());
}

/// Shows VID-21: with acknowledgements, under the codes of all other edges.
#[test]
fn a_call_is_set_up_over_socket_io() {
    let santral = Santral::start();
    santral.make_room(None, &json!({ "roomId": "r", "name": "R" }));
    let mut ada = santral.enter("r", "Ada");
    let mut bob = joined(&santral);
    let answer = acknowledged(&mut bob, 1, r#"["video:join",{"roomId":"r","displayName":"Bob"}]"#);
    assert_eq!((&answer["ok"], &answer["status"]), (&json!(true), &json!("joined")), "{answer}");
    let id = answer["participant"]["participantId"].as_str().expect("an id").to_owned();
    let signal = json!(["signal", { "roomId": "r", "to": ada.id, "type": "custom", "data": { "a": 1 } }]);
    let answer = acknowledged(&mut bob, 2, &signal.to_string());
    assert_eq!((&answer["ok"], &answer["accepted"][0]["delivered"]), (&json!(true), &json!(1)), "{answer}");
    assert_eq!(ada.hear("webrtc.signal")["from"]["participantId"], json!(id));
    santral.signal(&ada, "r", &id, None, &json!({ "b": 2 }));
    loop {
        let heard = bob.hear();
        if heard.starts_with(r#"text 42["webrtc.signal",{"#) {
            assert!(heard.contains(r#""data":{"b":2}"#), "{heard}");
            break;
        }
    }
    for (args, code) in [
        (r#"["video:join",{"roomId":"nowhere"}]"#, "not_found"),
        (r#"["signal",{"roomId":"r","to":"p_x","type":"bye"}]"#, "target_not_in_room"),
        (r#"["signal","r"]"#, "invalid_json"),
    ] {
        let answer = acknowledged(&mut bob, 3, args);
        assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)), "{answer}");
    }
    assert_eq!(acknowledged(&mut bob, 4, r#"["video:leave",{"roomId":"r"}]"#)["ok"], true);
    assert_eq!(ada.hear("video.participant.left")["participantId"], json!(id));
}

/// Says an event and returns its acknowledgement.
fn acknowledged(socket: &mut Socket, number: u32, args: &str) -> Value {
    socket.say(&format!("42{number}{args}"));
    loop {
        let heard = socket.hear();
        if let Some(answer) = heard.strip_prefix(&format!("text 43{number}")) {
            let mut answers: Vec<Value> = serde_json::from_str(answer).expect("an acknowledgement is JSON");
            return answers.remove(0);
        }
    }
}
