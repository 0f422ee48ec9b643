//! Webhooks, with the real binary and a receiver that is slow, refuses, redirects or is down.

mod receiver;
mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use santral_core::limits::OCCUPANCY_QUIET;
use santral_testkit::http::SseClient;
use santral_testkit::postgres::Postgres;
use santral_testkit::tools::require_tool;
use serde_json::json;

use crate::docs::read;
use crate::support::contract::{assert_refused, text};
use crate::support::{Santral, deadline};
use receiver::{Answer, Received, Receiver};

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

const ALL: &str = "client_connected,client_disconnected,channel_occupied,channel_vacated";

const CONNECTIONS: &str = "client_connected,client_disconnected";

/// A server that tells these receivers of these events.
fn telling(urls: &[String], events: &str) -> Santral {
    telling_with(urls, events, &[])
}

/// The same with further settings.
fn telling_with(urls: &[String], events: &str, more: &[(&str, &str)]) -> Santral {
    let urls = urls.join(",");
    let settings = [
        ("SANTRAL_WEBHOOK_URLS", urls.as_str()),
        ("SANTRAL_WEBHOOK_EVENTS", events),
        ("SANTRAL_WEBHOOK_SECRET", SECRET),
        ("SANTRAL_WEBHOOK_ALLOW_PRIVATE", "true"),
    ];
    Santral::start_with(&[&settings[..], more].concat())
}

/// Waits until a metric without labels, or with those in its name, satisfies the test.
fn wait_for_metric(santral: &Santral, name: &str, is_there: impl Fn(u64) -> bool) {
    let end = deadline();
    loop {
        let metrics = santral.get("/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number");
        if is_there(value) {
            return;
        }
        assert!(Instant::now() < end, "{name} is {value}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const DELIVERED: &str = r#"santral_webhook_tries_total{outcome="delivered"}"#;
const FAILED: &str = r#"santral_webhook_tries_total{outcome="failed"}"#;
const WAITING: &str = "santral_webhooks_waiting";
const GIVEN_UP: &str = "santral_webhooks_given_up_total";

/// Opens a stream and closes it again, so that its connection begins and ends.
fn visit(santral: &Santral, path: &str) {
    drop(santral.listen(path));
}

#[test]
fn a_webhook_is_signed_and_says_what_happened() {
    let receiver = Receiver::willing();
    let santral = telling(&[receiver.url()], ALL);
    let client = santral.listen_with("/api/events?channel=news", &[("User-Agent", "teller/1")]);
    let connected = receiver.wait_for_taken("client_connected", 1).remove(0);
    let occupied = receiver.wait_for_taken("channel_occupied", 1).remove(0);
    drop(client);
    let disconnected = receiver.wait_for_taken("client_disconnected", 1).remove(0);
    let vacated = receiver.wait_for_taken("channel_vacated", 1).remove(0);
    for received in [&connected, &occupied, &disconnected, &vacated] {
        received.assert_signed_with(SECRET);
        assert_eq!(received.path, "/hooks");
        assert_eq!(received.headers["content-type"], "application/json");
        assert_eq!(received.headers["x-santral-event"], received.kind());
        assert_eq!(received.headers["x-santral-delivery"], received.field("id"));
        assert!(received.headers["user-agent"].starts_with("santral-webhooks/"));
        assert!(received.field("id").starts_with("whk_"));
        chrono::DateTime::parse_from_rfc3339(&received.field("at")).expect("a time");
    }
    let data = &connected.json()["data"];
    let connection = text(&data["connectionId"]);
    assert_eq!(connected.field("subject"), format!("connection:{connection}"));
    assert_eq!((text(&data["transport"]), text(&data["address"])), ("sse".to_owned(), "127.0.0.1".to_owned()));
    assert_eq!(text(&data["userAgent"]), "teller/1");
    assert!(data.get("reason").is_none() && data.get("userId").is_none(), "{data}");
    let end = &disconnected.json()["data"];
    assert_eq!((text(&end["connectionId"]), text(&end["reason"])), (connection, "client_left".to_owned()));
    for received in [&occupied, &vacated] {
        assert_eq!(received.field("subject"), "channel:news");
        assert_eq!(received.json()["data"], json!({"channel": "news"}));
    }
    wait_for_metric(&santral, WAITING, |count| count == 0);
    wait_for_metric(&santral, DELIVERED, |count| count == 4);
    let kinds: Vec<_> = receiver.received().iter().map(Received::kind).collect();
    assert_eq!(kinds.len(), 4, "each once: {kinds:?}");
}

#[test]
fn events_of_one_subject_arrive_in_order_though_every_first_try_fails() {
    let receiver = Receiver::start(|received| match received.before {
        0 if received.body.len() % 2 == 0 => Answer::Hangup,
        0 => Answer::Status(500),
        _ => Answer::Status(200),
    });
    let santral = telling(&[receiver.url()], CONNECTIONS);
    for _ in 0..5 {
        visit(&santral, "/api/events");
    }
    receiver.wait_for_taken("client_disconnected", 5);
    let mut subjects: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for received in receiver.received() {
        subjects.entry(received.field("subject")).or_default().push((received.kind(), received.is_taken()));
    }
    assert_eq!(subjects.len(), 5);
    for (subject, tries) in subjects {
        let expected = [
            ("client_connected", false),
            ("client_connected", true),
            ("client_disconnected", false),
            ("client_disconnected", true),
        ];
        let tries: Vec<_> = tries.iter().map(|(kind, is_taken)| (kind.as_str(), *is_taken)).collect();
        assert_eq!(tries, expected, "{subject}");
    }
    wait_for_metric(&santral, FAILED, |count| count == 10);
}

#[test]
fn what_was_under_way_when_the_server_died_is_sent_again() {
    die_while_a_webhook_is_under_way(&[]);
}

#[test]
fn what_was_under_way_when_the_server_died_is_sent_again_with_postgresql() {
    let Some(postgres) = Postgres::start().expect("a private PostgreSQL") else { return };
    let url = postgres.create_database("webhooks").expect("a fresh database");
    die_while_a_webhook_is_under_way(&[("DATABASE_URL", &url)]);
}

fn die_while_a_webhook_is_under_way(settings: &[(&str, &str)]) {
    // Under way for ever, as far as the server that dies can tell.
    let receiver = Receiver::start(|received| match received.before {
        0 => Answer::Silence,
        _ => Answer::Status(200),
    });
    let mut santral = telling_with(&[receiver.url()], CONNECTIONS, settings);
    let client = santral.listen("/api/events");
    let first = receiver.wait_for("webhook", |all| !all.is_empty()).remove(0);
    santral.server.kill9().expect("it dies");
    drop(client);
    santral.start_again();
    let again = receiver.wait_for_taken("client_connected", 1).remove(0);
    assert_eq!((again.field("id"), again.body), (first.field("id"), first.body));
    wait_for_metric(&santral, WAITING, |count| count == 0);
}

#[test]
fn what_a_receiver_that_was_down_has_missed_comes_after_a_restart() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let receiver = Receiver::start(move |_| Answer::Status(if up.load(Ordering::SeqCst) { 200 } else { 503 }));
    let mut santral = telling(&[receiver.url()], CONNECTIONS);
    for _ in 0..3 {
        visit(&santral, "/api/events");
    }
    let refused = receiver.wait_for("webhook of each", |all| subjects(all).len() == 3);
    assert!(refused.iter().all(|received| received.kind() == "client_connected"), "the second waits for the first");
    wait_for_metric(&santral, WAITING, |count| count == 6);
    santral.server.kill9().expect("it dies");
    is_up.store(true, Ordering::SeqCst);
    santral.start_again();
    let taken = receiver.wait_for_taken("client_disconnected", 3);
    let connected = receiver.wait_for_taken("client_connected", 3);
    assert_eq!((subjects(&taken).len(), subjects(&connected).len()), (3, 3));
    wait_for_metric(&santral, WAITING, |count| count == 0);
}

#[test]
fn what_waits_for_an_address_that_was_taken_away_is_kept_and_goes_nowhere_else() {
    let down = Receiver::start(|_| Answer::Status(503));
    let mut santral = telling(&[down.url()], CONNECTIONS);
    visit(&santral, "/api/events");
    down.wait_for("webhook", |all| !all.is_empty());
    wait_for_metric(&santral, WAITING, |count| count == 2);
    santral.server.kill9().expect("it dies");
    let other = Receiver::willing();
    santral.start_again_with(&[("SANTRAL_WEBHOOK_URLS", &other.url())]);
    let before = down.received().len();
    visit(&santral, "/api/events");
    other.wait_for_taken("client_disconnected", 1);
    wait_for_metric(&santral, WAITING, |count| count == 2);
    assert_eq!((other.received().len(), down.received().len()), (2, before));
}

fn subjects(all: &[Received]) -> BTreeSet<String> {
    all.iter().map(|received| received.field("subject")).collect()
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::willing();
    let target = elsewhere.url();
    let receiver = Receiver::start(move |received| match received.before {
        0 => Answer::Redirect(target.clone()),
        _ => Answer::Status(200),
    });
    let santral = telling(&[receiver.url()], "client_connected");
    let _client = santral.listen("/api/events");
    let taken = receiver.wait_for_taken("client_connected", 1).remove(0);
    assert_eq!(taken.before, 1, "a redirect is a try that failed");
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn private_addresses_are_refused_unless_they_are_allowed() {
    let receiver = Receiver::willing();
    let port = receiver.address.port();
    let urls = [
        format!("http://127.0.0.1:{port}/a"),
        format!("http://[::ffff:127.0.0.1]:{port}/b"),
        format!("http://localhost:{port}/c"),
        format!("http://127.1:{port}/d"),
    ];
    let urls = urls.join(",");
    let settings = [("SANTRAL_WEBHOOK_URLS", urls.as_str()), ("SANTRAL_WEBHOOK_EVENTS", "client_connected")];
    let mut santral = Santral::start_with(&settings);
    let client = santral.listen("/api/events");
    wait_for_metric(&santral, FAILED, |count| count >= 8);
    assert_eq!(receiver.connections(), 0, "not even a connection is made");
    let output = santral.server.output();
    assert_eq!(output.matches("its address is private").count(), 4, "told once for each: {output}");
    drop(client);
    santral.server.terminate(crate::support::PATIENCE).expect("it ends");
    santral.start_again_with(&[("SANTRAL_WEBHOOK_ALLOW_PRIVATE", "true")]);
    let ways = |all: &[Received]| all.iter().map(|received| received.path.clone()).collect::<BTreeSet<_>>();
    let by_name_and_number = ["/a".to_owned(), "/c".to_owned()];
    receiver.wait_for("webhook by name and number", |all| {
        ways(all).is_superset(&BTreeSet::from(by_name_and_number.clone()))
    });
}

#[test]
fn a_receiver_that_never_answers_slows_nobody() {
    let receiver = Receiver::start(|_| Answer::Silence);
    let willing = Receiver::willing();
    let santral = telling(&[receiver.url(), willing.url()], CONNECTIONS);
    let mut client = santral.listen("/api/events?channel=news");
    receiver.wait_for("webhook", |all| !all.is_empty());
    for number in 0..300 {
        santral.publish(&format!(r#"{{"channel":"news","data":{number}}}"#));
        client.wait_for(|event| event.data == number.to_string(), deadline()).expect("it comes");
    }
    for _ in 0..20 {
        visit(&santral, "/api/events");
    }
    willing.wait_for_taken("client_disconnected", 20);
    assert!(receiver.received().iter().all(|received| received.status.is_none()), "it never said a word");
    assert!(receiver.received().len() < 300, "it is asked no more often than it may take");
}

#[test]
fn what_the_receiver_calls_gone_is_given_up_and_the_next_has_its_turn() {
    let receiver = Receiver::start(|received| match received.kind().as_str() {
        "client_connected" => Answer::Status(410),
        _ => Answer::Status(200),
    });
    let santral = telling(&[format!("{}?key=hunter2", receiver.url())], CONNECTIONS);
    visit(&santral, "/api/events");
    receiver.wait_for_taken("client_disconnected", 1);
    wait_for_metric(&santral, WAITING, |count| count == 0);
    wait_for_metric(&santral, GIVEN_UP, |count| count == 1);
    let kinds: Vec<_> = receiver.received().iter().map(Received::kind).collect();
    assert_eq!(kinds, ["client_connected", "client_disconnected"], "it is not tried again");
    let end = deadline();
    let events = loop {
        let events = santral.get("/api/logs?type=webhook.given_up").text();
        if events.contains("webhook.given_up") {
            break events;
        }
        assert!(Instant::now() < end, "{events}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(events.contains("410") && events.contains(&receiver.url()), "{events}");
    assert!(!events.contains("hunter2"), "a key in the address is nobody's business: {events}");
}

#[test]
fn a_page_that_is_reloaded_is_no_news() {
    let receiver = Receiver::willing();
    let santral = telling(&[receiver.url()], "channel_occupied,channel_vacated,client_disconnected");
    let mut page = santral.listen("/api/events?channel=page");
    receiver.wait_for_taken("channel_occupied", 1);
    for reload in 1..=3 {
        let left_at = Instant::now();
        drop(page);
        receiver.wait_for_taken("client_disconnected", reload);
        page = santral.listen("/api/events?channel=page");
        if left_at.elapsed() > OCCUPANCY_QUIET / 2 {
            eprintln!("this machine is too slow to tell a reload from an end: nothing is shown");
            return;
        }
    }
    // Looked at later than the page was: when it has come, the page would have, too.
    let _marker = santral.listen("/api/events?channel=marker");
    receiver.wait_for_taken("channel_occupied", 2);
    drop(page);
    receiver.wait_for_taken("channel_vacated", 1);
    let mut told: Vec<_> = receiver.received().iter().map(|all| (all.kind(), all.field("subject"))).collect();
    told.retain(|(kind, _)| kind != "client_disconnected");
    let told: Vec<_> = told.iter().map(|(kind, subject)| (kind.as_str(), subject.as_str())).collect();
    let expected = [
        ("channel_occupied", "channel:page"),
        ("channel_occupied", "channel:marker"),
        ("channel_vacated", "channel:page"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_receiver_that_is_down_keeps_nothing_from_another() {
    let down = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let down = format!("http://{}/hooks", down.expect("a port where nobody listens any more"));
    let receiver = Receiver::willing();
    let santral = telling(&[down, receiver.url()], CONNECTIONS);
    for _ in 0..30 {
        visit(&santral, "/api/events");
    }
    receiver.wait_for_taken("client_disconnected", 30);
    wait_for_metric(&santral, WAITING, |count| count == 60);
}

#[test]
fn webhooks_begin_when_an_address_is_set_and_are_signed_with_a_secret_that_is_drawn() {
    let receiver = Receiver::willing();
    let (santral, admin) =
        Santral::start_closed(&[("SANTRAL_WEBHOOK_ALLOW_PRIVATE", "true"), ("SANTRAL_ANONYMOUS_SUBSCRIBE", "*")]);
    let key_file = santral.data_dir.path().join("webhook.key");
    let client: SseClient = santral.listen("/api/events?channel=old");
    assert!(!key_file.exists(), "nobody needs it yet");
    let set = |key: &str, value: serde_json::Value| {
        let body = json!({"key": key, "value": value}).to_string();
        santral.ask("POST", "/api/settings", Some(&admin.access), Some(&body))
    };
    assert_eq!(set("webhook_urls", json!([receiver.url()])).status, 200);
    let occupied = receiver.wait_for_taken("channel_occupied", 1).remove(0);
    assert_eq!(occupied.field("subject"), "channel:old", "what is occupied already is told, too");
    let secret = fs::read_to_string(&key_file).expect("a secret was drawn");
    assert_eq!(fs::metadata(&key_file).expect("it is there").permissions().mode() & 0o777, 0o600);
    occupied.assert_signed_with(secret.trim());
    assert_refused(&set("webhook_allow_private", json!(true)), "setting_needs_restart");
    assert_eq!(set("webhook_urls", json!([])).status, 200);
    drop(client);
    let other = Receiver::willing();
    assert_eq!(set("webhook_urls", json!([other.url()])).status, 200);
    assert_eq!(set("webhook_events", json!(["client_connected"])).status, 200);
    let _client = santral.listen("/api/events");
    other.wait_for_taken("client_connected", 1);
    let kinds: Vec<_> = receiver.received().iter().map(Received::kind).collect();
    assert_eq!(kinds, ["channel_occupied"], "by default, and not after the end");
}

/// Reads the arguments header, body, secret; prints what the example says of what came, and of three forgeries.
const JUDGE_IN_JS: &str = r#"
const [header, body, secret] = process.argv.slice(-3);
const old = header.replace(/t=\d+/, "t=1700000000");
const cases = [[header, body, secret], [header, body + " ", secret], [header, body, secret + "x"], [old, body, secret]];
console.log(cases.map(([header, body, secret]) => isGenuine(header, Buffer.from(body), secret) ? 1 : 0).join(" "));
"#;

const JUDGE_IN_PYTHON: &str = r#"
import re, sys
header, body, secret = sys.argv[-3:]
old = re.sub(r"t=\d+", "t=1700000000", header)
cases = [(header, body, secret), (header, body + " ", secret), (header, body, secret + "x"), (old, body, secret)]
print(*(int(is_genuine(header, body.encode(), secret)) for header, body, secret in cases))
"#;

#[test]
fn the_examples_of_the_documentation_tell_genuine_from_forged() {
    let receiver = Receiver::willing();
    let santral = telling(&[receiver.url()], "client_connected");
    let _client = santral.listen_with("/api/events", &[("User-Agent", "gölge/1")]);
    let received = receiver.wait_for_taken("client_connected", 1).remove(0);
    let header = &received.headers["x-santral-signature"];
    let document = read("docs/webhooks.md");
    let languages = [
        ("js", "node", &["--input-type=module", "-e"][..], JUDGE_IN_JS),
        ("python", "python3", &["-c"][..], JUDGE_IN_PYTHON),
    ];
    for (language, tool, arguments, judge) in languages {
        let Some(program) = require_tool(tool) else { continue };
        let example = document.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
        let code = format!("{}{judge}", example.expect("there is one"));
        let output = Command::new(program).args(arguments).args([&code, "--", header, &received.body, SECRET]).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), "1 0 0 0", "{language}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
