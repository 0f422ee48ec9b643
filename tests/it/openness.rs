//! Who may do what while nobody is the operator yet, and how that ends.

use std::fs;
use std::process::{Command, Stdio};

use santral_testkit::http::{Request, SseClient};

use crate::faults::node::eventually;
use crate::support::contract::{assert_refused, expect_silence, json, send};
use crate::support::people::PASSWORD;
use crate::support::{PATIENCE, Santral, deadline, post_json};

impl Santral {
    fn is_open(&self) -> bool {
        json(&self.get("/health").text())["open"].as_bool().expect("the health says whether the server is open")
    }

    /// Runs `santral create-admin` beside the server.
    fn create_admin_beside(&self, name: &str) {
        let file = self.data_dir.path().join("password");
        fs::write(&file, PASSWORD).expect("a file in a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_santral"));
        command.args(["create-admin", "--name", name, "--password-file"]).arg(&file).env_clear();
        command.env("SANTRAL_DATA_DIR", self.data_dir.path()).stdin(Stdio::null());
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn set_up_with(&self, token: &str, name: &str) -> santral_testkit::http::Response {
        self.post("/api/setup", &format!(r#"{{"token":"{token}","name":"{name}","password":"{PASSWORD}"}}"#))
    }

    /// Nobody may do anything without a token, and there is no way to become the operator.
    fn assert_closed(&self, setup_token: &str) {
        assert!(!self.is_open());
        for path in ["/api/events", "/api/channels", "/api/settings", "/api/logs", "/api/stats", "/api/users"] {
            assert_refused(&self.get(path), "unauthorized");
        }
        assert_refused(&self.post("/api/broadcast", "1"), "unauthorized");
        assert_refused(&self.set_up_with(setup_token, "eve"), "setup_closed");
    }
}

/// The name in the `bye` that a stream ends with.
fn farewell(client: &mut SseClient) -> serde_json::Value {
    let events = client.collect_to_end(deadline()).expect("the stream ends");
    let last = events.last().expect("something comes before the end");
    assert_eq!(last.event_type, "bye", "{events:?}");
    json(&last.data)["name"].clone()
}

/// What a request bears that does not come straight from the person at the machine.
const NOT_DIRECT: [(&str, &str); 22] = [
    ("Host", "evil.example"),
    ("Host", "evil.example:8080"),
    ("Host", "localhost.evil.example"),
    ("Host", "127.0.0.1.evil.example"),
    ("Host", "127.0.0.1@evil.example"),
    ("Host", "192.0.2.1"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-Host", "localhost"),
    ("X-Forwarded-Proto", "https"),
    ("Forwarded", "for=127.0.0.1"),
    ("Via", "1.1 proxy"),
    ("X-Real-IP", "127.0.0.1"),
    ("True-Client-IP", "127.0.0.1"),
    ("CF-Connecting-IP", "127.0.0.1"),
    ("CF-Ray", "1"),
    ("Origin", "http://evil.example"),
    ("Origin", "http://localhost.evil.example"),
    ("Origin", "null"),
    ("Origin", "http://localhost:1"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("Sec-Fetch-Site", "none, cross-site"),
];

/// Shows AUTH-11.
#[test]
fn in_open_mode_only_a_direct_request_of_this_machine_has_the_rights_of_the_operator() {
    let santral = Santral::start();
    assert!(santral.is_open());
    let key = r#"{"key":"heartbeat","value":"7s"}"#;
    let user = format!(r#"{{"name":"eve","password":"{PASSWORD}","role":"admin"}}"#);
    let operations = || {
        [
            Request::get("/api/settings"),
            Request::get("/api/logs"),
            Request::get("/api/logs/export"),
            Request::get("/api/stats"),
            Request::get("/api/stats/stream"),
            Request::get("/api/logs/stream"),
            Request::get("/api/users"),
            Request::get("/api/connections"),
            Request::get("/metrics"),
            Request::new("DELETE", "/api/logs"),
            Request::new("DELETE", "/api/connections/aaaaaaaaaaaaaaaaaaaaaa"),
            post_json("/api/settings", key),
            post_json("/api/users", &user),
            post_json("/api/keys", r#"{"name":"shop","role":"publisher"}"#),
        ]
    };
    for (name, value) in NOT_DIRECT {
        for operation in operations() {
            let refused = send(&santral, &operation.clone().header(name, value));
            assert_eq!(refused.status, 403, "{name}: {value} of {operation:?}: {refused:?}");
            assert_refused(&refused, "forbidden");
        }
        // As a publisher it is served: that is what open means.
        let published = send(&santral, &post_json("/api/broadcast", "1").header(name, value));
        assert_eq!(published.status, 200, "{name}: {value}: {published:?}");
    }
    let twice = Request::get("/api/settings").header("Host", "localhost").header("Host", "evil.example");
    assert!(send(&santral, &twice).status >= 400);
    assert_eq!(json(&santral.get("/api/settings/heartbeat").text())["value"], "25s");
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8080", "127.1.2.3"] {
        assert_eq!(send(&santral, &Request::get("/api/settings").header("Host", host)).status, 200, "{host}");
    }
    let own = format!("http://{}", santral.address);
    let page = Request::get("/api/settings").header("Origin", &own).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(send(&santral, &page).status, 200, "a page of ours");
}

/// Shows AUTH-11.
#[test]
fn the_first_admin_closes_the_server_and_the_streams_of_guests() {
    let mut santral = Santral::start();
    let token = santral.setup_token();
    let mut guest = santral.listen("/api/events?channel=chat");
    assert!(santral.is_open());
    assert_refused(&santral.set_up_with("guessed", "eve"), "setup_closed");
    expect_silence(&mut guest);
    let admin = santral.become_admin();
    let mut own = santral.listen_with("/api/events", &[("Authorization", &format!("Bearer {}", admin.access))]);
    assert_eq!(farewell(&mut guest), "rights_changed");
    santral.assert_closed(&token);
    expect_silence(&mut own);
    for stop in ["terminate", "kill"] {
        match stop {
            "kill" => drop(santral.server.kill9().expect("it dies")),
            _ => drop(santral.server.terminate(PATIENCE).expect("it stops")),
        }
        santral.start_again();
        santral.assert_closed(&token);
        assert!(!santral.server.output().contains("/setup#token="), "there is an admin");
        santral.sign_in("root");
    }
}

/// Shows AUTH-11.
#[test]
fn an_admin_who_is_made_by_another_process_closes_the_running_server() {
    let mut santral = Santral::start();
    let token = santral.setup_token();
    let mut guest = santral.listen("/api/events?channel=chat");
    santral.create_admin_beside("root");
    assert_eq!(farewell(&mut guest), "rights_changed");
    santral.assert_closed(&token);
    santral.sign_in("root");
    santral.server.kill9().expect("it dies");
    santral.start_again();
    santral.assert_closed(&token);
}

/// Two who are at it at once are not both the first.
#[test]
fn the_link_is_good_once_however_many_use_it_at_once() {
    let santral = Santral::start();
    let token = santral.setup_token();
    let made = std::thread::scope(|scope| {
        let santral = &santral;
        let token = token.as_str();
        let attempts: Vec<_> = (0..8)
            .map(|number| scope.spawn(move || santral.set_up_with(token, &format!("admin-{number}")).status))
            .collect();
        attempts.into_iter().map(|attempt| attempt.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|&&status| status == 201).count(), 1, "{made:?}");
    assert!(made.iter().all(|status| [201, 403, 409, 410].contains(status)), "{made:?}");
    // An admin from elsewhere makes the link useless although nobody has used it.
    let other = Santral::start();
    let token = other.setup_token();
    other.create_admin_beside("root");
    assert_refused(&other.set_up_with(&token, "eve"), "setup_closed");
}

/// Shows AUTH-11.
#[test]
fn who_wants_it_open_by_name_keeps_it_open() {
    let santral = Santral::start_with(&[("SANTRAL_OPEN", "true")]);
    let token = santral.setup_token();
    let mut guest = santral.listen("/api/events?channel=chat");
    let admin = santral.become_admin();
    assert_refused(&santral.set_up_with(&token, "eve"), "setup_closed");
    expect_silence(&mut guest);
    assert!(santral.is_open());
    assert_eq!(santral.post("/api/broadcast", "1").status, 200);
    assert_eq!(crate::support::contract::next(&mut guest).data, "1");
    let far = Request::get("/api/settings").header("Host", "santral.example");
    assert_refused(&send(&santral, &far), "forbidden");
    santral.change_setting(&admin, "open", "auto");
    assert_eq!(farewell(&mut guest), "rights_changed");
    santral.assert_closed(&token);
}

/// Shows AUTH-11.
#[test]
fn an_address_that_others_can_reach_is_closed_until_there_is_an_admin() {
    let mut santral = Santral::start_with(&[("SANTRAL_LISTEN", "0.0.0.0:0")]);
    santral.address.set_ip([127, 0, 0, 1].into());
    assert!(!santral.is_open());
    assert_eq!(santral.get("/setup").status, 200);
    for path in ["/api/events", "/api/channels", "/api/settings", "/api/logs", "/api/stats", "/api/users"] {
        assert_refused(&santral.get(path), "unauthorized");
    }
    assert_refused(&santral.post("/api/broadcast", "1"), "unauthorized");
    assert_refused(
        &santral.post("/auth/register", &format!(r#"{{"name":"eve","password":"{PASSWORD}"}}"#)),
        "registration_closed",
    );
    for (name, password) in [("admin", "admin"), ("root", "root"), ("admin", ""), ("santral", "santral")] {
        let login = santral.post("/auth/login", &format!(r#"{{"name":"{name}","password":"{password}"}}"#));
        assert_refused(&login, "bad_credentials");
    }
    let admin = santral.become_admin();
    assert_eq!(santral.ask("GET", "/api/settings", Some(&admin.access), None).status, 200);
    let open = Santral::start_with(&[("SANTRAL_LISTEN", "0.0.0.0:0"), ("SANTRAL_OPEN", "true")]);
    eventually("it is open by name", || open.is_open().then_some(()));
}
