//! The official Admin UI of Socket.IO at the namespace `/admin`: who comes in, what is shown, what can be done.
//!
//! What the page needs to find in each event is checked against npm `socket.io` with `instrument()` as well.

use santral_testkit::http::{Request, SseClient};
use santral_testkit::websocket::{Message, WebSocket};
use serde_json::{Value, json};

use super::admin_ui::{AdminUi, Polled, form, reference};
use super::wire::{POLLING, WEBSOCKET};
use crate::support::contract::text;
use crate::support::people::{PASSWORD, Person};
use crate::support::{PATIENCE, Santral, deadline, id_of};

/// What an admin may do, in the order of the reference.
const CHANGES: [&str; 7] = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"];

/// The shapes of what both servers tell: a page finds everything where it looks for it.
fn judge_shapes(ui: &mut AdminUi) {
    let features = ui.features();
    assert_eq!(features, json!([&CHANGES[..], &["AGGREGATED_EVENTS", "ALL_EVENTS"]].concat()));
    let own = text(&ui.wait("connect", |_| true)[0]);
    let client = text(&ui.wait("connect", |_| true)[1]);
    let socket = ui.socket(&own);
    assert_eq!(socket["clientId"], client[..12], "{socket}");
    assert_eq!((&socket["nsp"], &socket["transport"]), (&json!("/admin"), &json!("websocket")));
    assert_eq!(socket["rooms"], json!([own]));
    assert!(socket["data"].is_object() && socket["handshake"]["headers"].is_object(), "{socket}");
    assert!(socket["handshake"]["query"].is_object() && socket["handshake"]["issued"].is_u64(), "{socket}");
    assert!(socket["handshake"]["address"].as_str().is_some_and(|address| address.contains("127.0.0.1")), "{socket}");
    let stats = ui.wait("server_stats", |_| true).remove(0);
    for name in ["serverId", "hostname"] {
        assert!(stats[name].as_str().is_some_and(|text| !text.is_empty()), "{stats}");
    }
    assert!(stats["pid"].is_u64() && stats["uptime"].is_number() && stats["aggregatedEvents"].is_array(), "{stats}");
    assert_eq!((&stats["clientsCount"], &stats["pollingClientsCount"]), (&json!(1), &json!(0)), "{stats}");
    let namespaces = json!([{ "name": "/", "socketsCount": 0 }, { "name": "/admin", "socketsCount": 1 }]);
    assert_eq!(stats["namespaces"], namespaces);
}

#[test]
fn the_reference_tells_an_admin_ui_what_these_tests_expect() {
    let Some((_server, address)) = reference(PASSWORD) else { return };
    let Some(mut ui) = AdminUi::enter(address, "websocket", &form("root", PASSWORD)) else { return };
    judge_shapes(&mut ui);
    let session = ui.wait("session", |_| true).remove(0);
    let again = AdminUi::enter(address, "polling", &json!({ "sessionId": session }));
    drop(again);
    for auth in [form("root", "wrong"), form("nobody", PASSWORD), json!({ "sessionId": "wrong" }), json!({})] {
        let Some(mut ui) = AdminUi::open(address, "websocket", &auth) else { return };
        assert_eq!(ui.wait("connect_error", |_| true), [json!("invalid credentials"), json!(null)], "{auth}");
    }
}

#[test]
fn an_admin_ui_is_told_what_it_looks_for() {
    let (santral, _) = Santral::start_closed(&[]);
    let Some(mut ui) = AdminUi::enter(santral.address, "websocket", &form("root", PASSWORD)) else { return };
    judge_shapes(&mut ui);
    // The next figures come in time: without any for 10 s the page takes the server for dead.
    ui.forget();
    ui.wait("server_stats", |_| true);
}

/// Shows SIO-13. INV-9.
#[test]
fn only_operators_come_in_and_only_as_long_as_they_may() {
    let (santral, admin) = Santral::start_closed(&[]);
    santral.enrol(&admin, "vera", "viewer");
    let ada = santral.enrol(&admin, "ada", "user");
    let refused = [
        form("root", "wrong"),
        form("nobody", PASSWORD),
        form("ada", PASSWORD),
        form("not a name, that", PASSWORD),
        form("", ""),
        json!({ "sessionId": "x".repeat(22) }),
        json!({ "sessionId": null }),
        json!({ "token": ada.access }),
        json!({ "token": "nonsense" }),
        json!({}),
        json!({ "username": { "$ne": "" }, "password": ["x"] }),
    ];
    for auth in refused {
        let Some(mut ui) = AdminUi::open(santral.address, "websocket", &auth) else { return };
        assert_eq!(ui.wait("connect_error", |_| true), [json!("invalid credentials"), json!(null)], "{auth}");
    }
    for role in ["root", "vera"] {
        let Some(mut ui) = AdminUi::enter(santral.address, "polling", &form(role, PASSWORD)) else { return };
        let session = ui.wait("session", |_| true).remove(0);
        drop(ui);
        let Some(mut ui) = AdminUi::enter(santral.address, "websocket", &json!({ "sessionId": session })) else {
            return;
        };
        let changes: &[&str] = if role == "root" { &CHANGES } else { &[] };
        assert_eq!(ui.features(), json!([changes, &["AGGREGATED_EVENTS", "ALL_EVENTS"]].concat()), "{role}");
        let answer = ui.call(&json!(["join", "/", "a", "b"]));
        let allowed = if role == "root" { json!(null) } else { json!("forbidden") };
        assert_eq!(answer["error"]["code"], allowed, "{role}: {answer}");
        // A change of the password ends what rests on the old one.
        let name = if role == "root" { &admin } else { &santral.sign_in("vera") };
        change_password(&santral, name);
        ui.wait("disconnect", |_| true);
        let Some(mut ui) = AdminUi::open(santral.address, "websocket", &json!({ "sessionId": session })) else {
            return;
        };
        assert_eq!(ui.wait("connect_error", |_| true)[0], "invalid credentials", "{role}");
    }
}

fn change_password(santral: &Santral, person: &Person) {
    let body = json!({ "current": PASSWORD, "new": format!("{PASSWORD}-2") }).to_string();
    let answer = santral.ask("POST", "/auth/password", Some(&person.access), Some(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn in_open_mode_the_operator_is_whoever_sits_at_the_machine() {
    let santral = Santral::start();
    let Some(mut ui) = AdminUi::enter(santral.address, "websocket", &form("", "")) else { return };
    assert_eq!(ui.features(), json!([&CHANGES[..], &["AGGREGATED_EVENTS", "ALL_EVENTS"]].concat()));
    // A page of elsewhere in a browser at this machine is not.
    let foreign = [("Origin", "https://elsewhere.example")];
    let mut socket = WebSocket::open(santral.address, WEBSOCKET, &foreign, PATIENCE).expect("it opens");
    socket.send_text("40/admin,{}", deadline()).expect("it takes text");
    hear(&mut socket, "44/admin,{\"message\":\"invalid credentials\"}");
}

/// Shows SIO-14: SSE, WebSocket, long polls, and Socket.IO by polls and by WebSocket.
#[test]
fn every_transport_is_shown_and_no_secret_of_it() {
    let (santral, admin) = Santral::start_closed(&[]);
    let ada = santral.enrol(&admin, "ada", "admin");
    let Some(mut ui) = AdminUi::enter(santral.address, "websocket", &form("root", PASSWORD)) else { return };
    ui.wait("all_sockets", |_| true);

    let token = &ada.access;
    let bearer = format!("Bearer {token}");
    let cookie = ("Cookie", "secret-cookie=1");
    let headers = [("Authorization", bearer.as_str()), ("User-Agent", "sse client"), cookie];
    let mut sse =
        SseClient::open(santral.address, "/api/events?channel=news,room:1", &headers, PATIENCE).expect("opens");
    let hello = sse.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
    let hello: Value = serde_json::from_str(&hello.data).expect("hello is JSON");
    let path = format!("/api/v1/ws?token={token}&channel=prefix:*");
    let mut websocket = WebSocket::open(santral.address, &path, &[cookie], PATIENCE).expect("the WebSocket opens");
    let greeting = hear(&mut websocket, "hello");
    let poll = Request::get(&format!("/api/poll?token={token}&channel=polled&wait=0")).send(santral.address, PATIENCE);
    let poll = poll.expect("the server answers").json().expect("an answer is JSON");

    let ids = [text(&hello["connection"]), connection_in(&greeting), connection_in(&poll.to_string())];
    let expected = [("sse", vec!["news", "room:1"]), ("websocket", vec!["prefix:*"]), ("poll", vec!["polled"])];
    for (id, (transport, rooms)) in ids.iter().zip(expected) {
        let socket = ui.socket(id);
        assert_eq!((&socket["transport"], &socket["nsp"]), (&json!(transport), &json!("/")), "{socket}");
        assert_eq!(socket["clientId"], id[..12]);
        assert_eq!(socket["data"], json!({ "user": ada.id, "role": "admin" }));
        let shown: Vec<_> = socket["rooms"].as_array().expect("rooms are a list").iter().map(text).collect();
        assert!(rooms.iter().all(|room| shown.contains(&(*room).to_owned())) && shown[0] == *id, "{socket}");
    }
    assert_eq!(ui.socket(&ids[0])["handshake"]["headers"], json!({ "user-agent": "sse client" }));

    let path = format!("{POLLING}&token={token}");
    let polled = Polled::open(santral.address, &path, &[cookie]);
    polled.post("40");
    let shown = ui.wait("socket_connected", |args| args[0]["clientId"] == polled.client()).remove(0);
    assert_eq!((&shown["transport"], &shown["nsp"]), (&json!("polling"), &json!("/")), "{shown}");
    // All of them are counted, in the namespace where they are.
    let is_counted = |stats: &Value| stats["clientsCount"] == 5 && stats["pollingClientsCount"] == 2;
    let stats = ui.wait("server_stats", |args| is_counted(&args[0])).remove(0);
    let namespaces = json!([{ "name": "/", "socketsCount": 4 }, { "name": "/admin", "socketsCount": 1 }]);
    assert_eq!(stats["namespaces"], namespaces);
    let mut upgraded = WebSocket::open(santral.address, &polled.path("websocket"), &[], PATIENCE).expect("it opens");
    upgraded.send_text("2probe", deadline()).expect("it takes text");
    hear(&mut upgraded, "3probe");
    upgraded.send_text("5", deadline()).expect("it takes text");
    ui.wait("socket_updated", |args| args[0]["id"] == shown["id"] && args[0]["transport"] == "websocket");

    // What a client says, and who is sent it.
    websocket.send_text(r#"{"publish":{"channel":"news","event":"said","data":[1]}}"#, deadline()).expect("it speaks");
    let args = json!(["said", [1]]);
    ui.wait("event_received", |found| found[..3] == [json!("/"), json!(ids[1]), args.clone()]);
    ui.wait("event_sent", |found| found[..3] == [json!("/"), json!(ids[0]), args.clone()]);
    let private = json!({ "user": ada.id, "event": "private", "data": "between two" });
    assert_eq!(santral.ask("POST", "/api/publish", Some(token), Some(&private.to_string())).status, 200);

    drop(sse);
    ui.wait("socket_disconnected", |args| args[1] == json!(ids[0]) && args[3].is_string());
    ui.wait("room_left", |args| args[1] == "news" && args[2] == json!(ids[0]));
    let said = ui.transcript();
    for secret in [
        token.as_str(),
        "secret-cookie",
        "Bearer",
        "between two",
        &polled.sid,
        &ada.refresh,
        &text(&hello["session"]),
        PASSWORD,
    ] {
        assert!(!said.contains(secret), "{secret} is shown:\n{said}");
    }
    drop((websocket, upgraded));
}

/// Waits for a message with this text in it.
fn hear(socket: &mut WebSocket, wanted: &str) -> String {
    loop {
        match socket.next_message(deadline()).expect("the server goes on") {
            Some(Message::Text(text)) if text.contains(wanted) => return text,
            Some(_) => (),
            None => panic!("the WebSocket ends without {wanted}"),
        }
    }
}

/// The connection that a greeting names.
pub(super) fn connection_in(greeting: &str) -> String {
    let rest = greeting.split("\"connection\":\"").nth(1).unwrap_or_else(|| panic!("no connection in {greeting}"));
    rest.split('"').next().expect("a split has a first part").to_owned()
}

#[test]
fn an_admin_sends_moves_and_ends_and_all_of_it_is_recorded() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_SOCKETIO_NAMESPACES", "/,/chat")]);
    let Some(mut ui) = AdminUi::enter(santral.address, "websocket", &form("root", PASSWORD)) else { return };
    let bearer = format!("Bearer {}", admin.access);
    let headers = [("Authorization", bearer.as_str())];
    let open = |channels: &str| {
        let path = format!("/api/events?channel={channels}");
        let mut client = SseClient::open(santral.address, &path, &headers, PATIENCE).expect("the stream opens");
        let hello = client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
        (client, connection_in(&hello.data))
    };
    let ((mut first, first_id), (mut second, second_id)) = (open("a"), open("b"));
    for id in [&first_id, &second_id] {
        ui.socket(id);
    }
    let next = |client: &mut SseClient| {
        let event = client.wait_for(|event| event.event_type.starts_with("ui-"), deadline()).expect("it comes");
        (event.event_type, event.data)
    };
    let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());

    assert_eq!(ui.call(&json!(["emit", "/", "a", "ui-room", 1]))["receivers"], 1);
    assert_eq!(ui.call(&json!(["emit", "/", second_id, "ui-direct", 1, [2]]))["receivers"], 1);
    assert_eq!(ui.call(&json!(["emit", "/", null, "ui-all"]))["receivers"], 2);
    assert_eq!(next(&mut first), event("ui-room", "1"));
    assert_eq!(next(&mut first), event("ui-all", "[]"));
    assert_eq!(next(&mut second), event("ui-direct", "[1,[2]]"));
    assert_eq!(next(&mut second), event("ui-all", "[]"));

    assert_eq!(ui.call(&json!(["join", "/", "c", "a"]))["matched"], 1);
    assert_eq!(ui.call(&json!(["leave", "/", "b", second_id]))["matched"], 1);
    ui.wait("room_joined", |args| args[..3] == [json!("/"), json!("c"), json!(first_id)]);
    ui.wait("room_left", |args| args[..3] == [json!("/"), json!("b"), json!(second_id)]);
    assert_eq!(ui.call(&json!(["emit", "/", "c", "ui-joined", null]))["receivers"], 1);
    assert_eq!(ui.call(&json!(["emit", "/", "b", "ui-left", null]))["receivers"], 0);
    assert_eq!(next(&mut first), event("ui-joined", "null"));

    // One connection with a socket in each of two namespaces.
    let polled = Polled::open(santral.address, &format!("{POLLING}&token={}", admin.access), &[]);
    polled.post("40\u{1e}40/chat,");
    let shown = |ui: &mut AdminUi, namespace: &str| {
        let is_it = |args: &[Value]| args[0]["nsp"] == namespace && args[0]["clientId"] == polled.client();
        text(&ui.wait("socket_connected", is_it)[0]["id"])
    };
    let (root, chat) = (shown(&mut ui, "/"), shown(&mut ui, "/chat"));
    assert_eq!(ui.call(&json!(["join", "/chat", "r", null]))["matched"], 1);
    ui.wait("room_joined", |args| args[..3] == [json!("/chat"), json!("r"), json!(chat)]);
    assert_eq!(ui.call(&json!(["emit", "/chat", "r", "ui-chat", 1]))["receivers"], 1);
    assert_eq!(ui.call(&json!(["emit", "/", "r", "ui-chat", 1]))["receivers"], 0);
    assert_eq!(ui.call(&json!(["_disconnect", "/chat", true, chat]))["matched"], 2);
    for id in [&root, &chat] {
        ui.wait("socket_disconnected", |args| args[1] == json!(id) && args[2] == "kicked");
    }
    assert_eq!(ui.call(&json!(["_disconnect", "/", false, "a"]))["matched"], 1);
    first.wait_for(|event| event.event_type == "bye" && event.data.contains("kicked"), deadline()).expect("it ends");

    for nonsense in
        [json!(["emit"]), json!(["join", "/", 1]), json!(["emit", "chat", null, "x"]), json!(["join", "/", "$x"])]
    {
        assert_eq!(ui.call(&nonsense)["error"]["code"], "invalid", "{nonsense}");
    }
    assert_eq!(ui.call(&json!(["shutdown"]))["error"]["code"], "unknown_event");
    let recorded = |kind: &str| {
        let path = format!("/api/logs?type={kind}&limit=100");
        let list = santral.ask("GET", &path, Some(&admin.access), None).json().expect("a list is JSON");
        let by_admin = |event: &&Value| event["actor"] == json!(format!("user:{}", admin.id));
        list["events"].as_array().expect("events are a list").iter().filter(by_admin).count()
    };
    // What was done last is stored within a moment.
    let end = deadline();
    let expected = [("admin.emitted", 7), ("connection.moved", 3), ("connection.kicked", 3)];
    while expected.iter().any(|(kind, count)| recorded(kind) != *count) {
        assert!(std::time::Instant::now() < end, "{:?}", expected.map(|(kind, _)| (kind, recorded(kind))));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn in_production_figures_are_shown_and_no_single_connection() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_SOCKETIO_ADMIN", "production")]);
    let Some(mut ui) = AdminUi::enter(santral.address, "polling", &form("root", PASSWORD)) else { return };
    assert_eq!(ui.features(), json!([&CHANGES[..], &["AGGREGATED_EVENTS"]].concat()));
    ui.wait("server_stats", |_| true);
    let bearer = format!("Bearer {}", admin.access);
    let sse = santral.listen_with("/api/events", &[("Authorization", &bearer)]);
    let published = santral.ask("POST", "/api/broadcast", Some(&admin.access), Some("[1,2]"));
    id_of(&published);
    drop(sse);
    let has = |kind: &'static str, count: u64| {
        move |args: &[Value]| {
            let events = args[0]["aggregatedEvents"].as_array().expect("a list");
            let is_it = |event: &Value| {
                let is_second = event["timestamp"].as_u64().is_some_and(|at| at % 1_000 == 0 && at > 1_600_000_000_000);
                event["type"] == kind && event["count"] == count && is_second
            };
            events.iter().any(is_it)
        }
    };
    ui.wait("server_stats", has("rawConnection", 1));
    ui.wait("server_stats", has("rawDisconnection", 1));
    ui.wait("server_stats", has("packetsIn", 1));
    ui.wait("server_stats", has("packetsOut", 1));
    ui.wait("server_stats", has("bytesIn", 5));
    let told: Vec<_> = ui.heard.iter().map(|line| text(&line[0])).collect();
    let allowed = ["connect", "session", "config", "server_stats"];
    assert!(told.iter().all(|name| allowed.contains(&name.as_str())), "{told:?}");
}

#[test]
fn there_is_no_such_namespace_where_it_is_off_or_an_application_has_it() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_SOCKETIO_ADMIN", "off")]);
    let auth = form("root", PASSWORD);
    let Some(mut ui) = AdminUi::open(santral.address, "websocket", &auth) else { return };
    assert_eq!(ui.wait("connect_error", |_| true)[0], "Invalid namespace");
    santral.change_setting(&admin, "socketio_admin", "development");
    santral.change_setting(&admin, "socketio_namespaces", "/,/admin");
    let Some(mut ui) = AdminUi::open(santral.address, "websocket", &json!({ "token": admin.access })) else { return };
    ui.wait("connect", |_| true);
    let answer = ui.call(&json!(["join", "room"]));
    assert_eq!((&answer["ok"], &answer["members"]), (&json!(true), &json!(1)), "it is the application's: {answer}");
    assert!(ui.heard.iter().all(|line| line[0] != "config"), "{}", ui.transcript());
}

/// The page asks with cookies, from an origin of its own.
#[test]
fn a_page_of_a_named_origin_may_read_answers_to_requests_with_cookies() {
    let santral = Santral::start_with(&[("SANTRAL_CORS_ORIGINS", "https://ui.example")]);
    let allowed = |origin: &str| {
        let answer = Request::get(POLLING).header("Origin", origin).send(santral.address, PATIENCE).expect("answers");
        let header = |name| answer.header(name).map(str::to_owned);
        (header("Access-Control-Allow-Origin"), header("Access-Control-Allow-Credentials"))
    };
    assert_eq!(allowed("https://ui.example"), (Some("https://ui.example".to_owned()), Some("true".to_owned())));
    assert_eq!(allowed("https://other.example"), (None, None));
    let everybody = Santral::start_with(&[("SANTRAL_CORS_ORIGINS", "*")]);
    let answer = Request::get(POLLING).header("Origin", "https://x.example").send(everybody.address, PATIENCE);
    assert_eq!(answer.expect("answers").header("Access-Control-Allow-Credentials"), None);
}
