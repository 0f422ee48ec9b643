//! Canary secrets: one for each door, sent through it, and then looked for everywhere but there.
//!
//! A secret may be in the memory of the server and, hashed, in the database. It may be in no line of the
//! log, no event, no setting, no metric, no list, no error and no file. A failure names the door.

mod command_line;
mod doors;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use diesel::connection::{Connection, SimpleConnection};
use diesel::sqlite::SqliteConnection;

use santral_testkit::http::{HttpError, Request, Response, SseClient, send_raw};
use santral_testkit::postgres::{Postgres, StopMode};

use crate::faults::node::eventually;
use crate::support::contract::{json, send, text};
use crate::support::people::{PASSWORD, Person};
use crate::support::{PATIENCE, Santral};
use doors::{Attempt, headers, json_bodies, paths, queries, raw_requests};

/// Every secret that was drawn, with the door that it went through.
#[derive(Default)]
pub(super) struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// A secret of its own for this door; it would do as a password, a session's token or a key.
    pub(super) fn draw(&mut self, door: impl Into<String>) -> String {
        let secret = format!("Kanarya-{}-{}", self.0.len(), nanoid::nanoid!(24, &LETTERS));
        self.add(door, &secret);
        secret
    }

    /// The same as a number without quotes.
    fn draw_number(&mut self, door: impl Into<String>) -> String {
        let secret = format!("7{}", nanoid::nanoid!(14, &LETTERS[..9]));
        self.add(door, &secret);
        secret
    }

    /// Notes a secret that somebody else has drawn.
    fn add(&mut self, door: impl Into<String>, secret: &str) {
        assert!(secret.len() >= 12, "{secret:?} could be anywhere by chance");
        self.0.push((door.into(), secret.to_owned()));
    }

    /// Which secrets stand in what was found at a place.
    pub(super) fn found_in(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        let found = self.0.iter().filter(|(_, secret)| text.contains(secret.as_str()));
        found.map(|(door, secret)| format!("{place} shows {secret}, which was sent as {door}")).collect()
    }
}

/// Digits come first.
const LETTERS: [char; 31] = [
    '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q',
    'r', 's', 't', 'u', 'v', 'w', 'x', 'y',
];

/// A server that writes all that it can write, the secrets that it was given, and what has leaked.
struct Scene {
    santral: Santral,
    admin: Person,
    canaries: Canaries,
    leaks: Vec<String>,
    /// The last line of the log that was looked at.
    last_line: String,
}

impl Scene {
    fn start(log_format: &str) -> Self {
        Self::start_with(log_format, Canaries::default(), None)
    }

    fn start_with(log_format: &str, mut canaries: Canaries, database_url: Option<&str>) -> Self {
        let token_secret = canaries.draw("SANTRAL_TOKEN_SECRET");
        let issuer_secret = canaries.draw("SANTRAL_ISSUER_SECRET");
        let webhook_secret = canaries.draw("SANTRAL_WEBHOOK_SECRET");
        let mut settings = vec![
            ("SANTRAL_LOG_LEVEL", "trace"),
            // Nobody listens there, so each is tried and signed again and again.
            ("SANTRAL_WEBHOOK_URLS", "http://127.0.0.1:9/hooks"),
            ("SANTRAL_WEBHOOK_EVENTS", "client_connected,client_disconnected"),
            ("SANTRAL_WEBHOOK_ALLOW_PRIVATE", "true"),
            ("SANTRAL_WEBHOOK_SECRET", webhook_secret.as_str()),
            ("SANTRAL_LOG_FORMAT", log_format),
            ("SANTRAL_REGISTRATION", "open"),
            ("SANTRAL_LOGIN_ATTEMPTS_PER_MINUTE", "10000"),
            ("SANTRAL_ANONYMOUS_SUBSCRIBE", "*"),
            ("SANTRAL_ANONYMOUS_PUBLISH", "*"),
            ("SANTRAL_TOKEN_SECRET", token_secret.as_str()),
            ("SANTRAL_ISSUER_SECRET", issuer_secret.as_str()),
        ];
        settings.extend(database_url.map(|url| ("SANTRAL_DATABASE_URL", url)));
        let (santral, admin) = Santral::start_closed(&settings);
        assert!(santral.server.output().to_lowercase().contains("trace"), "everything is logged");
        canaries.add("the setup link", &santral.setup_token());
        canaries.add("the password of the first admin", PASSWORD);
        let mut scene = Self { santral, admin, canaries, leaks: Vec::new(), last_line: String::new() };
        let admin = scene.admin.clone();
        scene.add_tokens("the admin", &admin);
        scene
    }

    fn add_tokens(&mut self, whose: &str, person: &Person) {
        for (kind, token) in [("access token", &person.access), ("refresh token", &person.refresh)] {
            // Head and claims are no secret; the signature makes the token.
            let signature = token.rsplit('.').next().expect("a token has a signature");
            self.canaries.add(format!("the {kind} of {whose}"), signature);
        }
    }

    /// Notes which secrets stand in what came from a place.
    fn look(&mut self, place: &str, bytes: &[u8]) {
        self.leaks.extend(self.canaries.found_in(place, bytes));
    }

    fn look_at_answer(&mut self, place: &str, answer: &Response) {
        let head: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        self.look(place, &[head.as_bytes(), &answer.body].concat());
    }

    /// Sends a request; a stream that it opens is closed.
    fn attempt(&mut self, attempt: &Attempt) {
        let place = format!("the answer to {}", attempt.door);
        match SseClient::open_with(self.santral.address, &attempt.request, PATIENCE) {
            Ok(_) => (),
            Err(HttpError::NotAStream(answer)) => {
                // Whoever signs in is given fresh secrets.
                assert!(answer.status < 500, "{place}: {answer:?}");
                self.look_at_answer(&place, &answer);
            }
            Err(error) => panic!("{place}: {error}"),
        }
    }

    /// Everything that the API shows to an admin.
    fn look_at_lists(&mut self) {
        for path in LISTS {
            let mut cursor = String::new();
            loop {
                let answer = self.admin_get(&format!("{path}{cursor}"));
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                self.look_at_answer(path, &answer);
                let next = answer.json().ok().and_then(|page| page["cursor"].as_str().map(str::to_owned));
                let Some(next) = next else { break };
                cursor = format!("&cursor={next}");
            }
        }
        let plain = Request::get("/metrics").header("Accept", "text/plain");
        let metrics = send(&self.santral, &plain.header("Authorization", &format!("Bearer {}", self.admin.access)));
        self.look_at_answer("/metrics as plain text", &metrics);
        let connections = json(&self.admin_get("/api/connections?limit=1000").text());
        for connection in connections["connections"].as_array().expect("a list") {
            let path = format!("/api/connections/{}", text(&connection["connection"]));
            let detail = self.admin_get(&path);
            self.look_at_answer("/api/connections/{id}", &detail);
        }
    }

    fn admin_get(&self, path: &str) -> Response {
        self.santral.ask("GET", path, Some(&self.admin.access), None)
    }

    /// What the server has printed, but for the one line that is meant for the terminal.
    fn look_at_output(&mut self) {
        let output = self.santral.server.output();
        assert!(!output.contains("log records were lost"), "a record that was lost shows nothing");
        let news = output.rfind(&self.last_line).expect("what was printed meanwhile is not more than is kept");
        let (banner, lines): (Vec<_>, Vec<_>) = output[news..].lines().partition(|line| is_setup_link(line));
        assert!(banner.len() <= 1, "the link is shown once");
        self.look("the log", lines.join("\n").as_bytes());
        self.last_line = lines.last().map(|&line| line.to_owned()).unwrap_or_default();
    }

    fn look_at_files(&mut self) {
        let folder = self.santral.data_dir.path().to_owned();
        let mut files = Vec::new();
        files_below(&folder, &mut files);
        assert!(files.iter().any(|(name, bytes)| name == "santral.db" && bytes.len() > 4_096), "a database is there");
        for (name, bytes) in files {
            self.look(&format!("the file {name}"), &bytes);
        }
    }

    /// Waits until the event log has what happened so far.
    fn wait_for_events(&self) {
        let marker = nanoid::nanoid!(16);
        let body = format!(r#"{{"key":"heartbeat","value":"20s","description":"{marker}"}}"#);
        assert_eq!(self.santral.ask("POST", "/api/settings", Some(&self.admin.access), Some(&body)).status, 200);
        let query = "/api/logs?type=settings.changed&limit=1000";
        eventually("the event log is written", || {
            self.admin_get(query).text().contains(&marker).then_some(()).or_else(|| {
                let logs = self.admin_get("/api/logs?limit=1000").text();
                logs.contains(&marker).then_some(())
            })
        });
    }

    /// Everywhere at once.
    fn look_everywhere(&mut self) {
        self.wait_for_events();
        self.look_at_lists();
        self.look_at_output();
        self.look_at_files();
    }

    fn assert_nothing_leaked(&mut self) {
        self.leaks.sort();
        self.leaks.dedup();
        assert!(self.leaks.is_empty(), "{} leaks:\n{}", self.leaks.len(), self.leaks.join("\n"));
    }
}

/// The line of the banner, which is no log record.
fn is_setup_link(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("http://") && line.contains("/setup#token=") && !line.contains(' ')
}

fn files_below(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            // One that has just gone shows nothing.
            files.push((name, fs::read(&path).unwrap_or_default()));
        }
    }
}

const LISTS: [&str; 12] = [
    "/api/logs?limit=1000",
    "/api/logs/export?format=ndjson",
    "/api/logs/export?format=csv",
    "/api/settings",
    "/api/settings/history?limit=1000",
    "/api/stats",
    "/api/connections?limit=1000",
    "/api/blocks",
    "/api/users",
    "/api/keys",
    "/metrics",
    "/health",
];

#[test]
fn a_secret_that_came_through_any_door_is_seen_nowhere() {
    for log_format in ["text", "json"] {
        let mut scene = Scene::start(log_format);
        let admin = scene.admin.clone();
        let other = scene.santral.enrol(&admin, "other", "user");
        let attempts = [
            queries(&mut scene.canaries, &admin),
            headers(&mut scene.canaries),
            paths(&mut scene.canaries, &admin),
            json_bodies(&mut scene.canaries, &admin, &other),
        ]
        .concat();
        for some in attempts.chunks(100) {
            some.iter().for_each(|attempt| scene.attempt(attempt));
            scene.look_at_output();
        }
        for (door, bytes) in raw_requests(&mut scene.canaries, &scene.admin) {
            let answer = send_raw(scene.santral.address, &bytes, PATIENCE).unwrap_or_default();
            scene.look(&format!("the answer to {door}"), &answer);
        }
        scene.look_everywhere();
        assert!(scene.canaries.0.len() > 300, "{} doors were tried", scene.canaries.0.len());
        scene.santral.server.terminate(PATIENCE).expect("it stops");
        scene.look_at_output();
        scene.look_at_files();
        scene.assert_nothing_leaked();
    }
}

#[test]
fn a_secret_that_is_good_is_seen_nowhere_while_it_is_used() {
    let mut scene = Scene::start("text");
    let password = scene.canaries.draw("the password of an account");
    let registered = scene.santral.post("/auth/register", &format!(r#"{{"name":"ada","password":"{password}"}}"#));
    let registered = json(&registered.text());
    let ada = Person {
        id: text(&registered["user"]["id"]),
        access: text(&registered["accessToken"]),
        refresh: text(&registered["refreshToken"]),
    };
    scene.add_tokens("a user", &ada);
    let (key, _) = scene.santral.api_key(&scene.admin, r#"{"name":"shop","role":"publisher"}"#);
    scene.canaries.add("an API key", &key);
    let tickets: Vec<String> = (0..2).map(|_| ticket(&scene.santral, &ada)).collect();
    tickets.iter().for_each(|ticket| scene.canaries.add("a ticket", ticket));
    let issued = signed(&scene.canaries.0[1].1);
    scene.canaries.add("a token of the issuer", issued.rsplit('.').next().expect("it has a signature"));
    let session = scene.canaries.draw("the token of a session");
    let bearer = |token: &str| format!("Bearer {token}");
    let streams = [
        scene.santral.listen(&format!("/api/events?token={}", ada.access)),
        scene.santral.listen(&format!("/api/events?ticket={}", tickets[0])),
        scene.santral.listen_with("/api/events", &[("Authorization", &bearer(&key))]),
        scene.santral.listen_with("/api/events", &[("Authorization", &bearer(&issued))]),
        scene.santral.listen_with("/api/events", &[("Cookie", &format!("sid={session}"))]),
        scene.santral.listen(&format!("/api/events?session={session}&client=test")),
    ];
    let own = format!("/api/sessions/{session}/commands");
    let renewal = format!(r#"{{"auth":{{"token":"{}"}}}}"#, ada.access);
    for (token, body) in [(None, r#"{"ping":{}}"#), (None, "{"), (Some("x"), r#"{"ping":{}}"#), (None, &renewal)] {
        let answer = scene.santral.ask("POST", &own, token, Some(body));
        scene.look_at_answer("the answer to a command", &answer);
    }
    // A request that fails at the server is logged with its path.
    let mut stranger = SqliteConnection::establish(&scene.santral.data_dir.path().join("santral.db").to_string_lossy())
        .expect("the database is there");
    stranger.batch_execute("PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE").expect("it can be locked");
    let failed = scene.santral.command(&session, r#"{"publish":{"channel":"chat","data":1}}"#);
    assert_eq!(failed.status, 503, "{failed:?}");
    scene.look_at_answer("the answer to a command that failed", &failed);
    stranger.batch_execute("COMMIT").expect("it can be unlocked");
    scene.look_everywhere();
    drop(streams);
    let used_up = scene.santral.get(&format!("/api/events?ticket={}", tickets[0]));
    scene.look_at_answer("the answer to a used ticket", &used_up);
    let rotated = scene.santral.post("/auth/refresh", &format!(r#"{{"refreshToken":"{}"}}"#, ada.refresh));
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let stolen = scene.santral.post("/auth/refresh", &format!(r#"{{"refreshToken":"{}"}}"#, ada.refresh));
    assert_eq!(stolen.status, 401, "{stolen:?}");
    scene.look_at_answer("the answer to a stolen refresh token", &stolen);
    scene.look_everywhere();
    scene.santral.server.terminate(PATIENCE).expect("it stops");
    scene.look_at_output();
    scene.look_at_files();
    scene.assert_nothing_leaked();
}

#[test]
fn the_password_of_the_database_is_seen_nowhere_while_it_works_and_while_it_fails() {
    let Some(mut postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let mut canaries = Canaries::default();
    let url = postgres.create_database("canary").expect("PostgreSQL takes a database");
    // It asks for no password, and is given one all the same.
    let (user, place) = url.split_once('@').expect("the URL names a user");
    let url = format!("{user}:{}@{place}", canaries.draw("the password of the database"));
    let mut scene = Scene::start_with("text", canaries, Some(&url));
    scene.santral.broadcast("1");
    scene.wait_for_events();
    scene.look_at_lists();
    postgres.stop(StopMode::Immediate).expect("PostgreSQL stops");
    let failed = scene.santral.ask("POST", "/api/broadcast", Some(&scene.admin.access), Some("2"));
    assert_eq!(failed.status, 503, "{failed:?}");
    scene.look_at_answer("the answer to a publish that failed", &failed);
    let refused = scene.santral.post("/auth/login", &format!(r#"{{"name":"root","password":"{PASSWORD}"}}"#));
    assert_eq!(refused.status, 503, "{refused:?}");
    scene.look_at_answer("the answer to a sign-in that failed", &refused);
    scene.look_at_output();
    scene.santral.server.terminate(PATIENCE).expect("it stops");
    scene.look_at_output();
    scene.assert_nothing_leaked();
}

fn ticket(santral: &Santral, person: &Person) -> String {
    let made = santral.ask("POST", "/api/tickets", Some(&person.access), Some("{}"));
    text(&json(&made.text())["ticket"])
}

/// A token of the operator's issuer (RFC 7519) by HS256.
fn signed(secret: &str) -> String {
    let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 600;
    let claims = serde_json::json!({"sub": "grace", "exp": end, "subscribe": ["chat"]});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("claims are JSON")
}

/// As Basic credentials carry a name and a password (RFC 7617).
fn basic(password: &str) -> String {
    BASE64_STANDARD.encode(format!("ada:{password}"))
}
