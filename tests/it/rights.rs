//! Streams obey: they end with the right of their client, and grants are looked at wherever something is
//! followed, published or read (INV-9).

use santral_testkit::http::{Response, SseClient};
use santral_testkit::sse::Event;
use santral_testkit::websocket::WebSocket;

use crate::support::contract::{TOKEN, assert_refused, expect_silence, json, next, problem, text};
use crate::support::people::{PASSWORD, Person};
use crate::support::{PATIENCE, Santral, deadline};
use crate::websocket::Client;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn listen(santral: &Santral, path: &str, token: &str) -> SseClient {
    santral.listen_with(path, &[("Authorization", &bearer(token))])
}

/// The `bye` with which a stream ends; nothing comes behind it.
fn farewell(client: &mut SseClient) -> serde_json::Value {
    let events: Vec<Event> = client.collect_to_end(deadline()).expect("the stream ends");
    let last = events.last().expect("something comes before the end");
    assert_eq!(last.event_type, "bye", "{events:?}");
    json(&last.data)
}

fn command(santral: &Santral, person: &Person, session: &str, body: &str) -> Response {
    santral.ask("POST", &format!("/api/sessions/{session}/commands"), Some(&person.access), Some(body))
}

/// Shows AUTH-1, AUTH-2.
#[test]
fn a_closed_server_lets_nobody_in_without_a_token() {
    let (santral, _) = Santral::start_closed(&[]);
    for (method, path) in
        [("GET", "/api/events"), ("GET", "/api/channels"), ("GET", "/api/stats"), ("GET", "/api/settings")]
    {
        let refused = santral.ask(method, path, None, None);
        assert_refused(&refused, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{refused:?}");
    }
    assert_refused(&santral.ask("POST", "/api/broadcast", None, Some("1")), "unauthorized");
    assert_refused(&santral.ask("GET", "/api/channels", Some("nonsense"), None), "invalid_token");
    assert_eq!(santral.get("/health").status, 200);
}

/// Shows AUTH-3.
#[test]
fn rights_are_looked_at_when_something_is_followed_read_or_published() {
    let settings = [("SANTRAL_USER_SUBSCRIBE", "news.*,chat"), ("SANTRAL_USER_PUBLISH", "chat,/games#*")];
    let (santral, admin) = Santral::start_closed(&settings);
    let ada = santral.enrol(&admin, "ada", "user");
    for path in ["/api/events?channel=news.sport", "/api/events?channel=news.*", "/api/events?channel=chat,news.x"] {
        drop(listen(&santral, path, &ada.access));
    }
    for path in ["/api/events?channel=orders", "/api/events?channel=*", "/api/events?channel=new*"] {
        assert_refused(&santral.ask("GET", path, Some(&ada.access), None), "forbidden_channel");
    }
    let presence = santral.ask("GET", "/api/events?channel=chat&presence=1", Some(&ada.access), None);
    assert_refused(&presence, "forbidden_channel");
    assert_eq!(santral.ask("GET", "/api/channels/chat/history", Some(&ada.access), None).status, 200);
    for path in ["/api/channels/orders/history", "/api/channels/chat/presence", "/api/channels"] {
        assert_refused(&santral.ask("GET", path, Some(&ada.access), None), "forbidden_channel");
    }
    assert_eq!(santral.ask("GET", "/api/channels?prefix=news.", Some(&ada.access), None).status, 200);
    let publish = |item: &str| santral.ask("POST", "/api/publish", Some(&ada.access), Some(item));
    assert_eq!(publish(r#"{"channel":"chat","data":1}"#).status, 200);
    assert_eq!(publish(r#"{"namespace":"/games","channel":"orders","data":1}"#).status, 200);
    for item in [
        r#"{"namespace":"/other","channel":"chat","data":1}"#,
        r#"{"channel":"orders","data":1}"#,
        r#"{"channel":"broadcast","data":1}"#,
        r#"{"user":"somebody","data":1}"#,
        r#"{"connection":"aaaaaaaaaaaaaaaaaaaaaa","data":1}"#,
        r#"[{"channel":"chat","data":2},{"channel":"orders","data":2}]"#,
    ] {
        assert_refused(&publish(item), "forbidden_channel");
    }
    let history = santral.ask("GET", "/api/channels/chat/history", Some(&ada.access), None);
    assert_eq!(json(&history.text())["entries"].as_array().map(Vec::len), Some(1), "a refused batch stores nothing");
}

/// Shows AUTH-5, AUTH-6, WS-7. INV-9.
#[test]
fn websockets_and_polls_end_with_the_right_of_their_client() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let path = format!("/api/v1/ws?channel=chat&token={}", ada.access);
    let (mut socket, hello) = Client::open(&santral, &path);
    assert_eq!(hello["data"]["user"], ada.id.as_str());
    let first = santral.ask("GET", "/api/poll?channel=chat", Some(&ada.access), None);
    let first = json(&first.text());
    let next_poll = format!(
        "/api/poll?channel=chat&session={}&lastEventId={}&wait=20",
        text(&first["session"]),
        text(&first["position"])
    );
    // Nobody else gets at the session, by whichever transport.
    let eve = santral.enrol(&admin, "eve", "user");
    assert_refused(&santral.ask("GET", &next_poll, Some(&eve.access), None), "not_found");
    let taken = format!("/api/v1/ws?session={}&token={}", text(&first["session"]), eve.access);
    let (code, reason) = Client(WebSocket::open(santral.address, &taken, &[], PATIENCE).expect("101")).closed();
    assert_eq!((code, reason.starts_with("not_found: ")), (1008, true), "{reason}");

    let (held, logout) = std::thread::scope(|scope| {
        let held = scope.spawn(|| santral.ask("GET", &next_poll, Some(&ada.access), None));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let body = format!(r#"{{"refreshToken":"{}"}}"#, ada.refresh);
        let logout = santral.ask("POST", "/auth/logout", None, Some(&body));
        (held.join().expect("it is answered"), logout)
    });
    assert_eq!(logout.status, 204);
    let bye = &json(&held.text())["events"][0];
    assert_eq!((&bye["event"], &bye["data"]["name"]), (&json("\"bye\""), &json("\"signed_out\"")), "{held:?}");
    assert_eq!(socket.next()["data"]["name"], "signed_out");
    let (code, reason) = socket.closed();
    assert_eq!((code, reason.starts_with("4008 signed_out: ")), (1008, true), "{reason}");
    assert_refused(&santral.ask("GET", &next_poll, Some(&ada.access), None), "invalid_token");
}

/// Shows AUTH-4.
#[test]
fn the_server_stamps_the_user_who_published() {
    let (santral, admin) =
        Santral::start_closed(&[("SANTRAL_USER_PUBLISH", "chat"), ("SANTRAL_USER_SUBSCRIBE", "chat")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let mut client = listen(&santral, "/api/events?channel=chat&format=envelope", &ada.access);
    let sent = santral.ask("POST", "/api/publish", Some(&ada.access), Some(r#"{"channel":"chat","data":1}"#));
    assert_eq!(sent.status, 200);
    assert_eq!(json(&next(&mut client).data)["from"]["user"], ada.id.as_str());
    let direct = format!(r#"{{"user":"{}","data":2}}"#, ada.id);
    assert_eq!(santral.ask("POST", "/api/publish", Some(&admin.access), Some(&direct)).status, 200);
    assert_eq!(json(&next(&mut client).data)["data"], 2, "who is signed in follows the channel of their own");
}

/// Shows AUTH-5. INV-9.
#[test]
fn a_stream_ends_when_its_login_key_or_account_does() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat")]);
    let change = |id: &str, body: &str| {
        let answer = santral.ask("PATCH", &format!("/api/users/{id}"), Some(&admin.access), Some(body));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    type Deed<'a> = Box<dyn Fn(&Person) + 'a>;
    let deeds: [(&str, Deed<'_>); 4] = [
        (
            "logout",
            Box::new(|person| {
                let body = format!(r#"{{"refreshToken":"{}"}}"#, person.refresh);
                assert_eq!(santral.ask("POST", "/auth/logout", None, Some(&body)).status, 204);
            }),
        ),
        (
            "password",
            Box::new(|person| {
                let body = format!(r#"{{"current":"{PASSWORD}","new":"another-quiet-7-river"}}"#);
                let answer = santral.ask("POST", "/auth/password", Some(&person.access), Some(&body));
                assert!(answer.status < 300, "{answer:?}");
            }),
        ),
        ("role", Box::new(|person| change(&person.id, r#"{"role":"viewer"}"#))),
        ("disabled", Box::new(|person| change(&person.id, r#"{"disabled":true}"#))),
    ];
    for (name, deed) in deeds {
        let person = santral.enrol(&admin, &format!("ada-{name}"), "user");
        let mut client = listen(&santral, &format!("/api/events?channel=chat&session={TOKEN}"), &person.access);
        deed(&person);
        assert_eq!(farewell(&mut client)["name"], "signed_out", "{name}");
        let again = santral.ask("GET", "/api/events?channel=chat", Some(&person.access), None);
        assert_refused(&again, "invalid_token");
    }
    let (key, id) = santral.api_key(&admin, r#"{"name":"shop","role":"publisher"}"#);
    let mut client = listen(&santral, "/api/events?channel=chat", &key);
    assert_eq!(santral.ask("DELETE", &format!("/api/keys/{id}"), Some(&admin.access), None).status, 204);
    assert_eq!(farewell(&mut client)["name"], "signed_out");
    assert_refused(&santral.ask("GET", "/api/channels", Some(&key), None), "invalid_token");
}

/// Shows AUTH-6. INV-9.
#[test]
fn a_stream_ends_with_its_token_unless_a_fresh_one_comes() {
    let settings = [("SANTRAL_ISSUER_SECRET", SECRET), ("SANTRAL_OPEN", "false")];
    let santral = Santral::start_with(&settings);
    let token = |seconds: i64| signed(&format!(r#""subscribe":["chat"],"exp":{}"#, now() + seconds));
    let person = |access: String| Person { id: "ada".to_owned(), access, refresh: String::new() };
    let path = format!("/api/events?channel=chat&session={TOKEN}");
    let mut client = listen(&santral, &path, &token(3));
    let fresh = person(token(60));
    let renewed = command(&santral, &fresh, TOKEN, &format!(r#"{{"auth":{{"token":"{}"}}}}"#, fresh.access));
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let renewed = json(&renewed.text());
    assert_eq!((renewed["lost"].as_array().map(Vec::len), renewed["expiresAt"].is_string()), (Some(0), true));
    let narrower = signed(&format!(r#""subscribe":[],"exp":{}"#, now() + 2));
    let narrowed = command(&santral, &fresh, TOKEN, &format!(r#"{{"auth":{{"token":"{narrower}"}}}}"#));
    assert_eq!(json(&narrowed.text())["lost"], json(r#"["chat"]"#), "{narrowed:?}");
    assert_eq!(farewell(&mut client)["name"], "token_expired");
    let other = signed_for("eve", &format!(r#""subscribe":["chat"],"exp":{}"#, now() + 60));
    let mut client = listen(&santral, &path, &token(60));
    for (header, body) in [(&other, &other), (&token(60), &other)] {
        let body = format!(r#"{{"auth":{{"token":"{body}"}}}}"#);
        let refused = command(&santral, &person(header.clone()), TOKEN, &body);
        assert_refused(&refused, "not_found");
    }
    expect_silence(&mut client);
}

/// Shows AUTH-7.
#[test]
fn a_session_belongs_to_whoever_opened_it() {
    let (santral, admin) =
        Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat"), ("SANTRAL_USER_PUBLISH", "chat")]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    let path = format!("/api/events?channel=chat&session={TOKEN}");
    let mut client = listen(&santral, &path, &ada.access);
    for body in [r#"{"ping":{}}"#, r#"{"subscribe":["chat"]}"#, r#"{"publish":{"channel":"chat","data":1}}"#] {
        assert_refused(&command(&santral, &eve, TOKEN, body), "not_found");
        assert_refused(&santral.command(TOKEN, body), "not_found");
        let unknown = command(&santral, &eve, "a-token-that-nobody-has-0123", body);
        assert_eq!(problem(&unknown), "not_found", "the answer does not tell whether the session exists");
    }
    assert_refused(&santral.ask("GET", &path, Some(&eve.access), None), "not_found");
    expect_silence(&mut client);
    assert_eq!(command(&santral, &ada, TOKEN, r#"{"ping":{}}"#).status, 200);
}

/// Shows AUTH-8.
#[test]
fn what_a_role_may_follow_changes_while_streams_are_open() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat,news")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let mut both = listen(&santral, "/api/events?channel=chat,news", &ada.access);
    let mut one = listen(&santral, "/api/events?channel=news", &ada.access);
    santral.change_setting(&admin, "user_subscribe", "news");
    assert_eq!(farewell(&mut both)["name"], "rights_changed");
    expect_silence(&mut one);
    assert_refused(&santral.ask("GET", "/api/events?channel=chat", Some(&ada.access), None), "forbidden_channel");
}

/// Shows AUTH-9.
#[test]
fn a_token_in_the_query_opens_a_stream_and_a_ticket_does_so_once() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat")]);
    let ada = santral.enrol(&admin, "ada", "user");
    drop(santral.listen(&format!("/api/events?channel=chat&token={}", ada.access)));
    let made = santral.ask("POST", "/api/tickets", Some(&ada.access), Some("{}"));
    assert!(made.status < 300, "{made:?}");
    let ticket = text(&json(&made.text())["ticket"]);
    let (_client, _, hello) = santral.greet(&format!("/api/events?channel=chat&ticket={ticket}"), &[]);
    assert_eq!(hello["user"], ada.id.as_str());
    let again = santral.get(&format!("/api/events?channel=chat&ticket={ticket}"));
    assert_refused(&again, "invalid_token");
    santral.change_setting(&admin, "query_token", "false");
    assert_refused(&santral.get(&format!("/api/events?channel=chat&token={}", ada.access)), "invalid_token");
    let elsewhere = santral.get(&format!("/api/channels/chat/history?token={}", ada.access));
    assert_eq!(elsewhere.status, 401, "a query carries credentials for streams only: {elsewhere:?}");
}

/// A secret of an operator's own issuer.
const SECRET: &str = "9f2c4be1a07d5386e4f1b2c3d8a97065";

fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(elapsed.as_secs()).expect("before the year 292 billion")
}

fn signed(claims: &str) -> String {
    signed_for("ada", claims)
}

/// A token of the operator's issuer (RFC 7519) by HS256.
fn signed_for(subject: &str, claims: &str) -> String {
    let claims: serde_json::Value = json(&format!(r#"{{"sub":"{subject}",{claims}}}"#));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("claims are JSON")
}
