//! The doors: wherever a client can put a secret, rightly or by mistake.

use santral_testkit::http::Request;
use santral_testkit::websocket::Frame;

use super::{Canaries, basic};
use crate::support::people::Person;
use crate::support::post_json;

/// One request with a secret in it.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) door: String,
    pub(super) request: Request,
}

impl Attempt {
    fn new(door: String, request: Request) -> Self {
        Self { door, request }
    }

    fn signed_by(door: String, request: Request, admin: Option<&Person>) -> Self {
        let request = match admin {
            Some(admin) => request.header("Authorization", &format!("Bearer {}", admin.access)),
            None => request,
        };
        Self { door, request }
    }
}

/// Parameters of a query, where they are taken and where they are not.
pub(super) fn queries(canaries: &mut Canaries, admin: &Person) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for name in PARAMETERS {
        // The answer to a poll names the session to whoever brought it, as `hello` does.
        for path in PLACES.into_iter().filter(|path| (name, *path) != ("session", "/api/poll")) {
            for caller in [None, Some(admin)] {
                let door = format!("?{name}= of GET {path} {}", whose(caller));
                let target = format!("{path}?{name}={}", canaries.draw(&door));
                attempts.push(Attempt::signed_by(door, Request::get(&target), caller));
            }
        }
        let door = format!("?{name}= of POST /auth/login");
        let target = format!("/auth/login?{name}={}", canaries.draw(&door));
        attempts.push(Attempt::new(door, post_json(&target, r#"{"name":"ada","password":"x"}"#)));
    }
    let door = "?token= with escapes".to_owned();
    let secret = canaries.draw(&door);
    let escaped: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    canaries.add(&door, &escaped);
    attempts.push(Attempt::new(door, Request::get(&format!("/api/events?%74oken={escaped}"))));
    attempts
}

/// Headers in which credentials come.
pub(super) fn headers(canaries: &mut Canaries) -> Vec<Attempt> {
    type Shape = (&'static str, fn(&str) -> String);
    let shapes: [Shape; 14] = [
        ("Authorization", |secret| format!("Bearer {secret}")),
        ("Authorization", |secret| format!("bearer  {secret} {secret}")),
        ("Authorization", |secret| format!("Bearer eyJhbGciOiJIUzI1NiJ9.{secret}.{secret}")),
        ("Authorization", |secret| format!("Basic {}", basic(secret))),
        ("Authorization", |secret| format!("Digest username=\"ada\", response=\"{secret}\"")),
        ("Authorization", |secret| format!("Token {secret}")),
        ("Authorization", str::to_owned),
        ("Authorization", |secret| format!("Bearer {secret}\u{ff}")),
        ("Proxy-Authorization", |secret| format!("Basic {}", basic(secret))),
        ("Cookie", |secret| format!("sid={secret}; token={secret}")),
        ("X-Api-Key", str::to_owned),
        ("X-Auth-Token", str::to_owned),
        ("Sec-WebSocket-Protocol", |secret| format!("bearer, {secret}")),
        ("Referer", |secret| format!("http://localhost/?token={secret}")),
    ];
    let mut attempts = Vec::new();
    for (number, (name, shape)) in shapes.into_iter().enumerate() {
        for path in PLACES {
            let door = format!("{name} (shape {number}) of GET {path}");
            let secret = canaries.draw(&door);
            canaries.add(&door, &basic(&secret));
            attempts.push(Attempt::new(door, Request::get(path).header(name, &shape(&secret))));
        }
    }
    attempts
}

/// Tokens of sessions in paths and queries.
pub(super) fn paths(canaries: &mut Canaries, admin: &Person) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for caller in [None, Some(admin)] {
        for (method, body) in [("POST", r#"{"ping":{}}"#), ("POST", "{"), ("GET", ""), ("DELETE", "")] {
            let door = format!("{method} /api/sessions/… {} {body}", whose(caller));
            let target = format!("/api/sessions/{}/commands", canaries.draw(&door));
            let request = Request::new(method, &target).header("Content-Type", "application/json").body(body);
            attempts.push(Attempt::signed_by(door, request, caller));
        }
    }
    let door = "POST /api/sessions/… with a bad token".to_owned();
    let target = format!("/api/sessions/{}/commands", canaries.draw(&door));
    attempts.push(Attempt::new(door, post_json(&target, "{}").header("Authorization", "Bearer x")));
    let door = "session in the body of POST /api/events".to_owned();
    let body = format!(r#"{{"session":"{}","channels":["chat"]}}"#, canaries.draw(&door));
    attempts.push(Attempt::new(door, post_json("/api/events", &body)));
    attempts
}

/// Fields of bodies, in the right shape and in all the wrong ones. What is right changes the account of `other`.
pub(super) fn json_bodies(canaries: &mut Canaries, admin: &Person, other: &Person) -> Vec<Attempt> {
    let user = format!("/api/users/{}", other.id);
    let session = "/api/sessions/a-token-that-nobody-has-0123/commands";
    let fields = [
        ("POST", "/auth/login", "password", r#""name":"root""#),
        ("POST", "/auth/login", "name", r#""password":"x""#),
        ("POST", "/auth/register", "password", r#""name":"root""#),
        ("POST", "/auth/refresh", "refreshToken", ""),
        ("POST", "/auth/logout", "refreshToken", ""),
        ("POST", "/auth/password", "current", r#""new":"a-quiet-7-river-in-may""#),
        ("POST", "/auth/password", "new", r#""current":"wrong-one""#),
        ("POST", "/api/setup", "token", r#""name":"eve","password":"a-quiet-7-river-in-may""#),
        ("POST", "/api/setup", "password", r#""name":"eve","token":"none""#),
        ("POST", "/api/users", "password", r#""name":"root","role":"user""#),
        ("PATCH", user.as_str(), "password", r#""role":"nothing""#),
        ("POST", session, "auth", ""),
        ("POST", session, "token", ""),
        ("POST", "/api/settings", "value", r#""key":"token_secret""#),
        ("POST", "/api/settings", "value", r#""key":"issuer_secret""#),
        ("POST", "/api/settings", "value", r#""key":"database_url""#),
        ("POST", "/api/tickets", "token", ""),
        ("POST", "/api/keys", "key", r#""name":"shop""#),
    ];
    let mut attempts = Vec::new();
    for (method, path, field, others) in fields {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            for caller in [None, Some(admin)] {
                let door = format!("{field} of {method} {path} (shape {number}) {}", whose(caller));
                let secret = if shape.contains("NUMBER") { canaries.draw_number(&door) } else { canaries.draw(&door) };
                let body = shape.replace("FIELD", field).replace("SECRET", &secret).replace("NUMBER", &secret);
                let others = if others.is_empty() { String::new() } else { format!(",{others}") };
                let body = body.replace(",OTHERS", &others);
                let request = Request::new(method, path).header("Content-Type", "application/json").body(body);
                attempts.push(Attempt::signed_by(door, request, caller));
            }
        }
        let door = format!("{field} of {method} {path} as a form");
        let form = format!("{field}={}", canaries.draw(&door));
        let request = Request::new(method, path).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        attempts.push(Attempt::new(door, request));
        let door = format!("{field} of {method} {path}, too large");
        let body = format!(r#"{{"{field}":"{}"}}"#, canaries.draw(&door).repeat(3_000));
        attempts
            .push(Attempt::new(door, Request::new(method, path).header("Content-Type", "application/json").body(body)));
    }
    attempts
}

/// Requests that are no HTTP, or nearly none.
pub(super) fn raw_requests(canaries: &mut Canaries, admin: &Person) -> Vec<(String, Vec<u8>)> {
    let shapes = [
        "GET /api/events?token=SECRET HTTP/9.9\r\n\r\n",
        "GET /api/events?token=SECRET\r\n\r\n",
        "GET http://ada:SECRET@localhost/api/channels HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /api/channels HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\0\r\nConnection: close\r\n\r\n",
        "GET /api/channels HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer SECRET\r\nConnection: close\r\n\r\n",
        "GET /api/channels HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n SECRET\r\nConnection: close\r\n\r\n",
        "GET /api/channels?token=SECRET\u{7f} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}{\"password\":\"SECRET\"}",
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n\r\n",
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\nSECRET\r\n",
    ];
    let mut requests = Vec::new();
    for shape in shapes {
        let door = format!("the raw request {shape:?}");
        let bytes = shape.replace("SECRET", &canaries.draw(&door)).into_bytes();
        requests.push((door, bytes));
    }
    for (shape, token) in messages(admin) {
        let door = format!("the message {shape} of a WebSocket");
        let secret = canaries.draw(&door);
        let head = format!(
            "GET /api/v1/ws?token={token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: {secret}\r\n\r\n"
        );
        let message = Frame::text(&shape.replace("SECRET", &secret)).encode();
        requests.push((door, [head.into_bytes(), message, Frame::close(1000, &secret).encode()].concat()));
    }
    let door = "a cookie that is too large".to_owned();
    let cookie = canaries.draw(&door).repeat(8_000);
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    requests.push((door, request.into_bytes()));
    requests
}

/// What is said on a WebSocket, and with what token it was opened.
fn messages(admin: &Person) -> impl Iterator<Item = (&'static str, &str)> {
    let shapes = [
        r#"{"auth":{"token":"SECRET"}}"#,
        r#"{"auth":"SECRET"}"#,
        r#"{"ping":{},"token":"SECRET"}"#,
        r#"{"id":{"token":"SECRET"},"ping":{}}"#,
        "SECRET",
    ];
    shapes.into_iter().flat_map(|shape| [(shape, "none"), (shape, admin.access.as_str())])
}

fn whose(caller: Option<&Person>) -> &'static str {
    if caller.is_some() { "by an admin" } else { "by nobody" }
}

const PARAMETERS: [&str; 10] = [
    "token",
    "ticket",
    "session",
    "access_token",
    "refresh_token",
    "api_key",
    "apikey",
    "password",
    "client_secret",
    "Authorization",
];

const PLACES: [&str; 14] = [
    "/",
    "/setup",
    "/health",
    "/metrics",
    "/nowhere",
    "/auth/me",
    "/api/events",
    "/api/poll",
    "/api/v1/ws",
    "/api/channels",
    "/api/connections",
    "/api/logs",
    "/api/logs/export",
    "/api/settings",
];

/// `SECRET` and `NUMBER` stand for the canary, `FIELD` for the name of the field, `OTHERS` for the rest that the
/// operation takes.
const SHAPES: [&str; 16] = [
    r#"{"FIELD":"SECRET",OTHERS}"#,
    r#"{"FIELD":"SECRET"}"#,
    r#"{"FIELD":"SECRET","FIELD":"SECRET",OTHERS}"#,
    r#"{"FIELD":["SECRET"],OTHERS}"#,
    r#"{"FIELD":{"x":"SECRET"},OTHERS}"#,
    r#"{"FIELD":{"token":"SECRET"},OTHERS}"#,
    r#"{"FIELD":NUMBER,OTHERS}"#,
    r#"{"FIELD":-NUMBER.5,OTHERS}"#,
    r#"{"FIELD":SECRET,OTHERS}"#,
    r#"{"FIELD":"x","extra":"SECRET",OTHERS}"#,
    r#"{"FIELD":"SECRET"#,
    r#"{"FIELD":"SECRET\x",OTHERS}"#,
    r#"{"FIELD":"SECRET",OTHERS} SECRET"#,
    r#""SECRET""#,
    r#"["SECRET"]"#,
    "NUMBER",
];
