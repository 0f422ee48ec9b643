//! Rooms: made, found, changed, closed.

use serde_json::{Value, json};

use super::room_path;
use crate::support::Santral;
use crate::support::contract::{assert_refused, json, text};

/// Shows VID-1. The example of the guide, as it stands.
#[test]
fn a_room_is_made_once_however_often_the_request_comes() {
    let santral = Santral::start();
    let body = r#"{"roomId":"meeting-123","name":"Team Standup","hostId":"user-1","maxParticipants":10}"#;
    let made = santral.post("/api/video/rooms", body);
    assert_eq!((made.status, made.header("location")), (201, Some("/api/video/rooms/meeting-123")), "{made:?}");
    let answer = json(&made.text());
    assert_eq!(answer["room"]["name"], "Team Standup");
    assert_eq!((&answer["room"]["hostId"], &answer["room"]["maxParticipants"]), (&json!("user-1"), &json!(10)));
    assert_eq!((&answer["joinUrl"], &answer["room"]["status"]), (&json!("/call#room=meeting-123"), &json!("waiting")));
    assert!(text(&answer["hostToken"]).starts_with("host_"));
    let again = santral.post("/api/video/rooms", body);
    assert_eq!((again.status, again.header("etag")), (200, made.header("etag")), "{again:?}");
    let again = json(&again.text());
    assert!(again.get("hostToken").is_none(), "it is shown once");
    assert_eq!(again["room"], answer["room"]);
    let other = santral.post("/api/video/rooms", &body.replace("10", "4"));
    assert_refused(&other, "room_exists");
    let drawn = santral.make_room(None, &json!({ "name": "No id" }));
    assert_eq!(text(&drawn["room"]["roomId"]).len(), 12);
}

/// Shows VID-1. A password is another hash each time, and still the same room.
#[test]
fn a_room_with_a_password_is_made_once_and_no_other_password_finds_it() {
    let santral = Santral::start();
    let body = |password: &str| json!({ "roomId": "safe", "name": "Safe", "password": password });
    let make = |password: &str| santral.call("POST", "/api/video/rooms", None, &body(password));
    let made = make("1234");
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(json(&made.text())["room"]["locked"], true);
    assert!(!made.text().contains("1234") && !made.text().contains("argon2"));
    assert_eq!(make("1234").status, 200);
    assert_refused(&make("1235"), "room_exists");
    assert_refused(
        &santral.call("POST", "/api/video/rooms", None, &json!({"roomId":"safe","name":"Safe"})),
        "room_exists",
    );
}

/// Shows VID-1. Somebody else's request is somebody else's room.
#[test]
fn who_makes_too_many_rooms_has_to_wait() {
    let (santral, admin) = Santral::start_closed(&[]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    let make = |access: &str, number: u32| {
        let body = json!({ "roomId": format!("room-{number}"), "name": "Many" });
        santral.call("POST", "/api/video/rooms", Some(access), &body)
    };
    let statuses: Vec<_> = (0..11).map(|number| make(&ada.access, number).status).collect();
    assert_eq!(statuses[..10], [201; 10]);
    let limited = make(&ada.access, 11);
    assert_refused(&limited, "rate_limited");
    assert!(limited.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|n| n >= 1)));
    assert_refused(&make(&eve.access, 0), "room_exists");
    assert_eq!(make(&eve.access, 20).status, 201);
    let nobody = santral.call("POST", "/api/video/rooms", None, &json!({ "name": "Nobody" }));
    assert_refused(&nobody, "unauthorized");
    santral.change_setting(&admin, "video_rooms_per_principal", "1");
    assert_refused(&make(&eve.access, 21), "too_many_rooms");
}

/// Shows VID-2.
#[test]
fn what_a_room_cannot_be_is_refused_with_the_reason() {
    let santral = Santral::start();
    let long = "x".repeat(121);
    let large = json!({ "a": "x".repeat(4_096) });
    for (change, code) in [
        (json!({ "roomId": "-a" }), "invalid_field"),
        (json!({ "roomId": "a b" }), "invalid_field"),
        (json!({ "name": "" }), "invalid_field"),
        (json!({ "name": "  " }), "invalid_field"),
        (json!({ "name": "a\nb" }), "invalid_field"),
        (json!({ "name": long }), "invalid_field"),
        (json!({ "maxParticipants": 0 }), "invalid_field"),
        (json!({ "maxParticipants": 11 }), "exceeds_mesh_limit"),
        (json!({ "maxParticipants": 11, "topology": "sfu" }), "exceeds_mesh_limit"),
        (json!({ "maxVideoSenders": 7 }), "invalid_field"),
        (json!({ "graceSec": 4 }), "invalid_field"),
        (json!({ "graceSec": 121 }), "invalid_field"),
        (json!({ "emptyTimeoutSec": 0 }), "invalid_field"),
        (json!({ "maxDurationSec": 2_592_001 }), "invalid_field"),
        (json!({ "notBefore": "tomorrow" }), "invalid_field"),
        (json!({ "expiresAt": "2020-01-01T00:00:00Z" }), "invalid_field"),
        (json!({ "metadata": [1] }), "invalid_field"),
        (json!({ "metadata": large }), "too_large"),
        (json!({ "password": "" }), "invalid_field"),
        (json!({ "visibility": "secret" }), "invalid_json"),
        (json!({ "hostId": "" }), "invalid_field"),
        (json!({ "naem": "typo" }), "invalid_json"),
    ] {
        let mut body = json!({ "name": "Room" });
        body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        assert_refused(&santral.call("POST", "/api/video/rooms", None, &body), code);
    }
    assert_eq!(json(&santral.get("/api/video/rooms").text())["rooms"], json!([]), "nothing was made");
    let made = santral.make_room(None, &json!({ "name": "Seven", "maxParticipants": 7 }));
    assert_eq!(made["warnings"], json!(["mesh_over_6"]));
    let made = santral.make_room(None, &json!({ "name": "Relayed", "relayOnly": true }));
    assert_eq!(made["warnings"], json!(["relay_only_without_turn"]));
}

/// Shows VID-2.
#[test]
fn nobody_makes_somebody_else_the_host_but_a_server() {
    let (santral, admin) = Santral::start_closed(&[]);
    let ada = santral.enrol(&admin, "ada", "user");
    let (key, _) = santral.api_key(&admin, r#"{"name":"shop","role":"publisher"}"#);
    let make = |token: &str, host: &str| {
        santral.call("POST", "/api/video/rooms", Some(token), &json!({ "name": "Room", "hostId": host })).status
    };
    assert_eq!(make(&ada.access, &ada.id), 201);
    assert_eq!(make(&ada.access, &admin.id), 403);
    assert_eq!(make(&key, &ada.id), 201);
    let refused = santral.call("POST", "/api/video/rooms", Some(&ada.access), &json!({ "name": "R", "hostId": "x" }));
    assert_refused(&refused, "host_mismatch");
}

/// Shows VID-3. Rooms that one may not know of look like rooms that there are not.
#[test]
fn a_room_that_is_not_for_somebody_is_not_there() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_ROOMS", "open-*")]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    for (id, visibility) in [("open-1", "unlisted"), ("open-2", "private"), ("closed-1", "public")] {
        santral.make_room(Some(&ada.access), &json!({ "roomId": id, "name": id, "visibility": visibility }));
    }
    let guest = santral.guest(Some(&eve));
    let ask = |method: &str, path: &str, room: &str, token: Option<&str>| {
        let path = format!("{}{path}", room_path(room));
        let body = json!({ "session": guest.session, "password": "x" });
        let answer = santral.call(method, &path, token, if method == "GET" { &Value::Null } else { &body });
        (answer.status, json(&answer.text()))
    };
    for (method, path) in [("GET", ""), ("POST", "/join"), ("DELETE", "")] {
        for token in [Some(eve.access.as_str()), None] {
            let unknown = ask(method, path, "open-9", token);
            assert_eq!(unknown.0, 404, "{method} {path}: {unknown:?}");
            for room in ["open-2", "closed-1"] {
                assert_eq!(ask(method, path, room, token), unknown, "{method} {path} {room}");
            }
        }
    }
    assert_eq!(ask("GET", "", "open-1", Some(&eve.access)).0, 200);
    assert_eq!(ask("GET", "", "open-1", None).0, 404, "guests have no right to rooms");
    assert_eq!(ask("GET", "", "open-2", Some(&ada.access)).0, 200, "its owner knows it");
    assert_eq!(ask("GET", "", "closed-1", Some(&admin.access)).0, 200);
}

/// Shows VID-4.
#[test]
fn lists_show_public_rooms_and_ones_own_the_newest_first() {
    let (santral, admin) = Santral::start_closed(&[]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    for number in 0..5 {
        let visibility = if number % 2 == 0 { "public" } else { "unlisted" };
        let body =
            json!({ "roomId": format!("r{number}"), "name": format!("Number {number}"), "visibility": visibility });
        santral.make_room(Some(&ada.access), &body);
        // Rooms of one millisecond stand in the order of their ids.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let list = |query: &str, token: &str| {
        let answer = santral.call("GET", &format!("/api/video/rooms{query}"), Some(token), &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        let list = json(&answer.text());
        let ids: Vec<_> = list["rooms"].as_array().expect("a list").iter().map(|room| text(&room["roomId"])).collect();
        (ids, list["cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list("", &ada.access).0, ["r4", "r3", "r2", "r1", "r0"]);
    assert_eq!(list("", &eve.access).0, ["r4", "r2", "r0"]);
    assert_eq!(list("?q=NUMBER%203", &ada.access).0, ["r3"]);
    let (first, cursor) = list("?limit=2", &ada.access);
    let (second, cursor) = list(&format!("?limit=2&cursor={}", cursor.expect("more")), &ada.access);
    let (third, end) = list(&format!("?limit=2&cursor={}", cursor.expect("more")), &ada.access);
    assert_eq!([first, second, third].concat(), ["r4", "r3", "r2", "r1", "r0"]);
    assert_eq!(end, None);
    assert_eq!(santral.call("DELETE", &room_path("r2"), Some(&ada.access), &Value::Null).status, 204);
    assert_eq!(list("", &eve.access).0, ["r4", "r0"]);
    assert_eq!(list("?status=closed", &ada.access).0, ["r2"]);
    assert_eq!(list("?status=closed", &eve.access).0, Vec::<String>::new(), "what was is its owner's");
    assert_eq!(list("?status=active", &ada.access).0, Vec::<String>::new());
    for bad in ["?status=open", "?cursor=x", "?limit=x", "?page=2"] {
        let answer = santral.call("GET", &format!("/api/video/rooms{bad}"), Some(&ada.access), &Value::Null);
        assert_refused(&answer, "invalid_query");
    }
}

/// Shows VID-4, VID-5.
#[test]
fn a_room_is_changed_by_its_host_and_only_as_it_was_seen() {
    let santral = Santral::start();
    let made = santral.make_room(None, &json!({ "roomId": "r", "name": "Before", "metadata": { "a": 1 } }));
    let host = text(&made["hostToken"]);
    let mut ada = santral.enter("r", "Ada");
    let bob = santral.enter("r", "Bob");
    let change = |token: &str, body: &Value, tag: Option<&str>| {
        let mut request = santral_testkit::http::Request::new("PATCH", &room_path("r"))
            .header("Authorization", &format!("Bearer {token}"))
            .header("Content-Type", "application/json");
        if let Some(tag) = tag {
            request = request.header("If-Match", tag);
        }
        crate::support::contract::send(&santral, &request.body(body.to_string()))
    };
    let seen = santral.call("GET", &room_path("r"), Some(&ada.token), &Value::Null);
    let people: Vec<_> = json(&seen.text())["participants"].as_array().expect("who is in sees who is").clone();
    assert_eq!(people.len(), 2);
    let tag = seen.header("etag").expect("a room has a version").to_owned();
    assert_refused(&change(&bob.token, &json!({ "name": "Mine" }), None), "permission_denied");
    let done = change(&host, &json!({ "name": "After", "metadata": null, "password": "1234" }), Some(&tag));
    assert_eq!(done.status, 200, "{done:?}");
    let room = json(&done.text());
    assert_eq!((&room["name"], &room["metadata"], &room["locked"]), (&json!("After"), &Value::Null, &json!(true)));
    let told = ada.hear("video.room.updated");
    assert_eq!(told["room"]["name"], "After");
    assert_eq!(told["changed"], json!(["name", "password", "metadata"]));
    assert_refused(&change(&host, &json!({ "name": "Late" }), Some(&tag)), "precondition_failed");
    let tag = done.header("etag").expect("a version").to_owned();
    assert_eq!(change(&host, &json!({ "password": "5678" }), Some(&tag)).status, 200);
    assert_refused(&change(&host, &json!({ "name": "Late" }), Some(&tag)), "precondition_failed");
    assert_refused(&change(&host, &json!({ "maxParticipants": 1 }), None), "below_current");
    assert_refused(&change(&host, &json!({ "maxParticipants": 11 }), None), "exceeds_mesh_limit");
    assert_refused(&change(&host, &json!({ "hostId": "me" }), None), "invalid_json");
}

/// Shows VID-5, VID-19.
#[test]
fn a_room_is_closed_for_everybody_and_again_for_nobody() {
    let (santral, admin) = Santral::start_closed(&[]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    let made = santral.make_room(Some(&ada.access), &json!({ "roomId": "r", "name": "R" }));
    let host = text(&made["hostToken"]);
    let mut eve_in = santral.join(santral.guest(Some(&eve)), "r", &json!({}));
    let delete = |token: &str| santral.call("DELETE", &room_path("r"), Some(token), &Value::Null);
    assert_refused(&delete(&eve.access), "permission_denied");
    assert_refused(&delete(&eve_in.token), "permission_denied");
    assert_eq!(delete(&host).status, 204);
    assert_eq!(eve_in.hear("video.room.closed")["reason"], "closed");
    assert_eq!(delete(&host).status, 204);
    assert_eq!(delete(&ada.access).status, 204);
    assert_refused(&delete(&eve.access), "not_found");
    let late = santral.try_signal(&eve_in.token, &json!({ "roomId": "r", "to": "p_x", "type": "bye" }));
    assert_refused(&late, "room_closed");
    let resume = santral.try_join(&eve_in.guest, "r", &json!({ "resume": eve_in.token }));
    assert_refused(&resume, "room_closed");
    assert_refused(&santral.try_join(&eve_in.guest, "r", &json!({})), "not_found");
}
