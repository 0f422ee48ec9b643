//! Accounts over sockets: the first admin, signing in and out, users, API keys, tickets, streams that obey.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use santral_testkit::http::{Request, Response, SseClient};
use serde_json::{Value, json};

use crate::support::contract::{assert_refused, send, text};
use crate::support::{PATIENCE, Santral, post_json};

/// Anybody may register.
const OPEN_REGISTRATION: &[(&str, &str)] = &[("SANTRAL_REGISTRATION", "open")];

pub(crate) const PASSWORD: &str = "kiraz-Tren-42-mavi";
const OTHER_PASSWORD: &str = "limon-Vapur-17-yeşil";

/// Within which a stream must have ended whose right was taken back; generous for a busy machine.
const END_OF_STREAM: Duration = Duration::from_secs(5);

impl Santral {
    /// Creates the admin `root` and signs in.
    pub(crate) fn set_up(&mut self) -> Value {
        let body = json!({"token": self.setup_token(), "name": "root", "password": PASSWORD});
        let response = self.post("/api/setup", &body.to_string());
        assert_eq!(response.status, 201, "{response:?}");
        response.json().expect("the answer is JSON")
    }

    fn register(&self, name: &str) -> Value {
        let response = self.post("/auth/register", &credentials(name, PASSWORD));
        assert_eq!(response.status, 201, "{response:?}");
        response.json().expect("the answer is JSON")
    }

    fn login(&self, name: &str, password: &str) -> Response {
        self.post("/auth/login", &credentials(name, password))
    }

    fn refresh(&self, refresh_token: &Value) -> Response {
        self.post("/auth/refresh", &json!({"refreshToken": refresh_token}).to_string())
    }

    fn request_as(&self, signed_in: &Value, request: Request) -> Response {
        send(self, &request.header("Authorization", &bearer(&signed_in["accessToken"])))
    }

    fn get_as(&self, signed_in: &Value, path: &str) -> Response {
        self.request_as(signed_in, Request::get(path))
    }

    fn post_as(&self, signed_in: &Value, path: &str, body: &Value) -> Response {
        self.request_as(signed_in, post_json(path, &body.to_string()))
    }

    fn listen_as(&self, signed_in: &Value, path: &str) -> SseClient {
        self.listen_with(path, &[("Authorization", &bearer(&signed_in["accessToken"]))])
    }
}

fn credentials(name: &str, password: &str) -> String {
    json!({"name": name, "password": password}).to_string()
}

fn bearer(token: &Value) -> String {
    format!("Bearer {}", text(token))
}

/// The stream says `bye` and ends.
fn expect_end(stream: &mut SseClient) {
    let end = Instant::now() + END_OF_STREAM;
    stream.wait_for(|event| event.event_type == "bye", end).expect("the stream says bye");
    while stream.next_event(end).expect("the line is closed, not broken").is_some() {}
}

#[test]
fn the_setup_link_makes_the_first_admin_once() {
    let mut santral = Santral::start_with(OPEN_REGISTRATION);
    for (path, kind) in [("/setup", "text/html; charset=utf-8"), ("/setup.js", "text/javascript; charset=utf-8")] {
        let page = santral.get(path);
        assert_eq!((page.status, page.header("content-type")), (200, Some(kind)));
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
    let attempt = |santral: &Santral, token: &str| {
        santral.post("/api/setup", &json!({"token": token, "name": "eve", "password": PASSWORD}).to_string())
    };
    assert_refused(&attempt(&santral, "guessed"), "setup_closed");
    let token = santral.setup_token();
    let root = santral.set_up();
    assert_eq!(root["user"]["role"], "admin");
    assert_refused(&attempt(&santral, &token), "setup_closed");
    assert_eq!(santral.get_as(&root, "/api/users").status, 200);
    assert_refused(&santral.get("/api/users"), "unauthorized");
    let ada = santral.register("ada");
    assert_refused(&santral.get_as(&ada, "/api/users"), "forbidden");
    santral.server.terminate(PATIENCE).expect("it stops");
    santral.start_again();
    assert_eq!(santral.login("root", PASSWORD).status, 200);
    assert!(!santral.server.output().contains("/setup#token="), "there is an admin");
}

#[test]
fn refresh_tokens_rotate_and_reuse_ends_the_login() {
    let santral = Santral::start_with(OPEN_REGISTRATION);
    let first = santral.register("Ada");
    assert_eq!(first["user"]["name"], "ada");
    assert_eq!((&first["tokenType"], &first["expiresIn"]), (&json!("Bearer"), &json!(900)));
    let response = santral.refresh(&first["refreshToken"]);
    assert_eq!((response.status, response.header("cache-control")), (200, Some("no-store")));
    let second = response.json().expect("the answer is JSON");
    let mut stream = santral.listen_as(&second, "/api/events");
    assert_refused(&santral.refresh(&first["refreshToken"]), "invalid_token");
    expect_end(&mut stream);
    assert_refused(&santral.refresh(&second["refreshToken"]), "invalid_token");
    let refused = santral.get_as(&second, "/auth/me");
    assert_refused(&refused, "invalid_token");
    assert!(refused.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer")));
    assert_eq!(santral.login("ada", PASSWORD).status, 200, "the account itself is as it was");
}

#[test]
fn streams_end_when_their_login_ends() {
    let mut santral = Santral::start_with(OPEN_REGISTRATION);
    let root = santral.set_up();
    let desk = santral.register("ada");
    let phone = santral.login("ada", PASSWORD).json().expect("the answer is JSON");
    let (mut at_desk, mut on_phone) =
        (santral.listen_as(&desk, "/api/events"), santral.listen_as(&phone, "/api/events"));
    assert_eq!(santral.request_as(&phone, Request::new("POST", "/auth/logout")).status, 204);
    expect_end(&mut on_phone);
    let change = json!({"current": PASSWORD, "new": OTHER_PASSWORD});
    let fresh = santral.post_as(&desk, "/auth/password", &change);
    assert_eq!(fresh.status, 200, "{fresh:?}");
    expect_end(&mut at_desk);
    assert_refused(&santral.get_as(&desk, "/auth/me"), "invalid_token");
    assert_refused(&santral.login("ada", PASSWORD), "bad_credentials");
    let fresh = fresh.json().expect("the answer is JSON");
    let mut stream = santral.listen_as(&fresh, "/api/events");
    let path = format!("/api/users/{}", text(&fresh["user"]["id"]));
    let patch = |body: Value| {
        let request = Request::new("PATCH", &path).header("Content-Type", "application/json");
        santral.request_as(&root, request.body(body.to_string()))
    };
    assert_eq!(patch(json!({"role": "viewer"})).status, 200);
    expect_end(&mut stream);
    assert_eq!(patch(json!({"disabled": true})).status, 200);
    assert_refused(&santral.login("ada", OTHER_PASSWORD), "bad_credentials");
    assert_refused(&patch(json!({})), "invalid_field");
    assert_refused(&patch(json!({"role": "anonymous"})), "invalid_field");
    assert_refused(&patch(json!({"name": "eve"})), "invalid_json");
}

#[test]
fn an_api_key_publishes_within_its_channels_until_it_is_revoked() {
    let mut santral = Santral::start_with(OPEN_REGISTRATION);
    let root = santral.set_up();
    let created = santral.post_as(&root, "/api/keys", &json!({"name": "shop", "grants": {"publish": ["orders.*"]}}));
    assert_eq!((created.status, created.header("cache-control")), (201, Some("no-store")));
    let created = created.json().expect("the answer is JSON");
    let publish = |channel: &str| {
        let body = json!({"channel": channel, "data": 1}).to_string();
        send(&santral, &post_json("/api/publish", &body).header("Authorization", &bearer(&created["key"])))
    };
    assert_eq!(publish("orders.1").status, 200);
    assert_refused(&publish("news"), "forbidden_channel");
    let list = santral.get_as(&root, "/api/keys");
    assert!(!list.text().contains(&text(&created["key"])), "it is shown once");
    let path = format!("/api/keys/{}", text(&created["item"]["id"]));
    let revoke = || santral.request_as(&root, Request::new("DELETE", &path));
    assert_eq!(revoke().status, 204);
    assert_refused(&publish("orders.1"), "invalid_token");
    assert_refused(&revoke(), "not_found");
}

#[test]
fn a_ticket_opens_one_stream() {
    let santral = Santral::start_with(OPEN_REGISTRATION);
    let ada = santral.register("ada");
    let ticket = santral.post_as(&ada, "/api/tickets", &json!({})).json().expect("the answer is JSON");
    assert_eq!(ticket["expiresIn"], 30);
    let path = format!("/api/events?ticket={}", text(&ticket["ticket"]));
    let (_stream, _, hello) = santral.greet(&path, &[]);
    assert_eq!(hello["user"], ada["user"]["id"]);
    assert_refused(&santral.get(&path), "invalid_token");
    let path = format!("/api/events?token={}", text(&ada["accessToken"]));
    let (_stream, _, hello) = santral.greet(&path, &[]);
    assert_eq!(hello["user"], ada["user"]["id"]);
}

#[test]
fn guessing_ends_in_429_and_others_sign_in_meanwhile() {
    let santral = Santral::start_with(OPEN_REGISTRATION);
    santral.register("ada");
    santral.register("bob");
    let answers: Vec<_> = (0..1_000).map(|guess| santral.login("ada", &format!("wrong-guess-{guess}"))).collect();
    let wrong = answers.iter().filter(|answer| answer.status == 401).count();
    assert!((1..=10).contains(&wrong), "{wrong} guesses were looked at");
    for answer in answers.iter().filter(|answer| answer.status != 401) {
        assert_refused(answer, "rate_limited");
        assert!(answer.header("retry-after").and_then(|wait| wait.parse().ok()).is_some_and(|wait: u64| wait >= 1));
    }
    assert_eq!(santral.login("bob", PASSWORD).status, 200);
}

#[test]
fn bodies_of_another_shape_are_refused() {
    let santral = Santral::start_with(OPEN_REGISTRATION);
    let post = |path: &str, body: &str| santral.post(path, body);
    assert_refused(&post("/auth/login", r#"{"name":"ada"}"#), "invalid_json");
    assert_refused(&post("/auth/login", r#"{"name":"ada","password":"x","admin":true}"#), "invalid_json");
    assert_refused(&post("/auth/login", r#"["ada","x"]"#), "invalid_json");
    assert_refused(&post("/auth/login", &credentials("ada", &"x".repeat(20_000))), "too_large");
    assert_refused(&post("/auth/login", &credentials("a\u{200b}da", PASSWORD)), "invalid_field");
    assert_refused(&post("/auth/register", &credentials("ada", "password1")), "weak_password");
    assert_refused(&post("/auth/register", &credentials("ada", "short")), "weak_password");
    assert_refused(&post("/auth/refresh", r#"{"refreshToken":"x"}"#), "invalid_token");
    santral.register("ada");
    assert_refused(&post("/auth/register", &credentials("ADA", PASSWORD)), "name_taken");
    let form =
        Request::post("/auth/login", "name=ada&password=x").header("Content-Type", "application/x-www-form-urlencoded");
    assert_refused(&send(&santral, &form), "unsupported_media_type");
}

#[test]
fn what_was_revoked_stays_so_after_kill_9_and_no_secret_is_left_behind() {
    let mut santral = Santral::start_with(OPEN_REGISTRATION);
    let setup = santral.setup_token();
    let root = santral.set_up();
    let ada = santral.register("ada");
    let key = santral.post_as(&root, "/api/keys", &json!({"name": "shop"})).json().expect("the answer is JSON");
    let ticket = santral.post_as(&ada, "/api/tickets", &json!({})).json().expect("the answer is JSON");
    assert_eq!(santral.get(&format!("/api/events?token={}x", text(&ada["accessToken"]))).status, 401);
    assert_eq!(santral.request_as(&ada, Request::new("POST", "/auth/logout")).status, 204);
    santral.server.kill9().expect("it is killed");
    let mut output = santral.server.output();
    santral.start_again();
    assert_refused(&santral.get_as(&ada, "/auth/me"), "invalid_token");
    assert_refused(&santral.refresh(&ada["refreshToken"]), "invalid_token");
    output.push_str(&santral.server.output());
    let printed = output.lines().filter(|line| !line.contains("/setup#token=")).collect::<Vec<_>>().join("\n");
    let secrets = [&ada["accessToken"], &ada["refreshToken"], &root["refreshToken"], &key["key"], &ticket["ticket"]];
    for secret in secrets.into_iter().map(text).chain([PASSWORD.to_owned(), setup]) {
        assert!(!printed.contains(&secret), "a secret was printed");
        search(santral.data_dir.path(), secret.as_bytes());
    }
}

/// Fails if a file below the folder has these bytes.
fn search(folder: &Path, secret: &[u8]) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            search(&path, secret);
            continue;
        }
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{} has a secret", path.display());
    }
}
