//! The front ends in examples/, each served once by npm socket.io and once by Santral, in Chromium.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use santral_testkit::http::Request;
use santral_testkit::process::{Server, ServerCommand};
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::docs::read;
use crate::support::packages::node_clients;
use crate::support::{PATIENCE, Santral};

/// One example that is served, and by whom.
struct Served {
    by: &'static str,
    server: Server,
    address: SocketAddr,
    _santral: Option<Santral>,
}

impl Served {
    /// By both, one after the other; none, said loudly, without Node or its packages.
    fn by_both(example: &str) -> impl Iterator<Item = Self> {
        ["npm socket.io", "Santral"].into_iter().filter_map(move |by| Self::start(example, by))
    }

    fn start(example: &str, by: &'static str) -> Option<Self> {
        let packages = node_clients()?;
        let santral = (by == "Santral").then(|| Santral::start_with(&[("SANTRAL_CORS_ORIGINS", "*")]));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/serve.cjs");
        let mut command = ServerCommand::new(require_tool("node")?).arg(script).arg(example);
        if let Some(santral) = &santral {
            command = command.arg("--santral").arg(format!("http://{}", santral.address));
        }
        let mut server = command.env("NODE_PATH", packages.join("node_modules")).spawn().expect("the example starts");
        let listens = |line: &str| line.strip_prefix("listening on http://")?.parse().ok();
        let address = server.wait_for_line(listens, PATIENCE).expect("the example says where it listens");
        Some(Self { by, server, address, _santral: santral })
    }

    /// Opens the page in a browser of its own, once it has got as far as this; `None`, said loudly, without Chromium.
    fn open(&self, query: &str, state: &str) -> Option<Browser> {
        let browser = Browser::start()?;
        browser.open(&format!("http://{}/{query}", self.address));
        self.wait_for(&browser, "#state", state);
        Some(browser)
    }

    fn wait_for(&self, browser: &Browser, css: &str, text: &str) {
        browser.wait_for(&format!("{text:?} in {css} by {}", self.by), PATIENCE, || {
            (browser.text(css).trim() == text).then_some(())
        });
    }

    fn post(&self, path: &str, body: &Value) {
        let answer = Request::post_json(path, body).send(self.address, PATIENCE).expect("the example answers");
        assert_eq!(answer.status, 204, "{}\n{}", self.by, self.server.output());
    }
}

#[test]
fn a_chat_goes_on_without_a_changed_line() {
    for served in Served::by_both("chat") {
        let Some(ada) = served.open("", "connected") else { return };
        let Some(bob) = served.open("", "connected") else { return };
        let Some(eve) = served.open("", "connected") else { return };
        for (browser, room) in [(&ada, "lobby"), (&bob, "lobby"), (&eve, "other")] {
            browser.fill("#room", room);
            browser.click("#join button");
            served.wait_for(browser, "#state", &format!("in {room}"));
        }
        ada.fill("#text", "Merhaba <b>👋</b>");
        ada.click("#say button");
        served.wait_for(&bob, "#messages", "them: Merhaba <b>👋</b>");
        bob.fill("#text", "selam");
        bob.click("#say button");
        served.wait_for(&ada, "#messages", "me: Merhaba <b>👋</b>them: selam");
        served.wait_for(&eve, "#messages", "");
    }
}

#[test]
fn a_worker_tells_a_room_how_far_it_is() {
    for served in Served::by_both("job-progress") {
        let Some(watcher) = served.open("?job=7", "watching job 7") else { return };
        let Some(other) = served.open("?job=8", "watching job 8") else { return };
        // What the page shows passes by quickly, so it is written down.
        watcher.run("window.seen = []; socket.on('progress', (...args) => seen.push(args)); return null", &[]);
        watcher.click("#start");
        served.wait_for(&watcher, "#note", "done after 3 steps");
        let seen = watcher.run("return window.seen", &[]);
        assert_eq!(seen, json!([[10, "unpacking"], [50, "resizing"], [90, "uploading"]]), "{}", served.by);
        assert_eq!(other.text("#note").trim(), "", "{}", served.by);
    }
}

#[test]
fn notifications_reach_everyone_one_team_or_all_but_one() {
    for served in Served::by_both("notifications") {
        let Some(red) = served.open("?team=red", "of team red") else { return };
        let Some(blue) = served.open("?team=blue", "of team blue") else { return };
        for body in [
            json!({"title": "for all"}),
            json!({"title": "for red", "team": "red"}),
            json!({"title": "not for red", "except": "red"}),
            json!({"title": "last"}),
        ] {
            served.post("/notify", &body);
        }
        let lines = |titles: &[&str]| titles.iter().map(|title| format!("{title} (3 bytes)")).collect::<String>();
        served.wait_for(&red, "#list", &lines(&["for all", "for red", "last"]));
        served.wait_for(&blue, "#list", &lines(&["for all", "not for red", "last"]));
        assert_eq!(red.text("#unread").trim(), "3");
        red.click("#read");
        served.wait_for(&red, "#unread", "0");
    }
}

/// The guide names settings and clauses, and so do its readers.
#[test]
fn every_setting_that_the_guide_names_exists() {
    let (guide, settings) = (read("docs/from-socket-io.md"), read("docs/settings.md"));
    let quoted = guide.split('`').skip(1).step_by(2).filter_map(|text| text.split(' ').next());
    let is_setting =
        |text: &&str| text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let named: BTreeSet<_> = quoted.filter(is_setting).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let is_of_the_protocol = ["last_id", "connect_error"].contains(&name);
        assert!(is_of_the_protocol || settings.contains(&format!("## `{name}`\n")), "{name}");
    }
}
