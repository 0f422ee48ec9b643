//! The API against its own description, by schemathesis (the package `schemathesis` of PyPI): requests
//! that the description allows and such that it forbids, as each role, and every answer judged by it.
//!
//! All of schemathesis' checks but one: `positive_data_acceptance` would want every request to be taken
//! that keeps to the schemas, which do not say that a message has exactly one target, which names are
//! the server's own, which positions are of this log, and which sessions live.
//!
//! `SCHEMATHESIS_CASES` sets about how many requests each caller sends, `SCHEMATHESIS_SEED` the seed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::slice;

use santral_testkit::http::SseClient;
use santral_testkit::tools::require_tool;

use crate::openapi::described;
use crate::support::contract::{json, text};
use crate::support::people::{PASSWORD, Person};
use crate::support::{Santral, id_of};

/// Requests of one caller when nothing else is asked for; what covers each word of the description comes on top.
const CASES: &str = "300";

/// The seed when nothing else is asked for: CI meets the same requests each time.
const SEED: &str = "1";

/// Requests per operation, however many operations there are.
const EXAMPLES_MIN: usize = 5;

/// Fewer requests of one caller than this mean that schemathesis has not read the description as it should.
const CASES_MIN: u32 = 2_000;

/// The session of a stream that is open all along, so that its commands find it.
const SESSION: &str = "schemathesis-0123456789abc";

/// The channel that everybody here has all rights to.
const CHANNEL: &str = "public:42";

/// A video room with somebody in it.
const ROOM: &str = "meeting-123";

/// Everybody has something to do, strangers may register, and no limit but those of the operations stands in the way.
const SETTINGS: [(&str, &str); 13] = [
    ("SANTRAL_ANONYMOUS_ROOMS", "*"),
    ("SANTRAL_ANONYMOUS_SUBSCRIBE", "public:*"),
    ("SANTRAL_ANONYMOUS_PUBLISH", "public:*"),
    ("SANTRAL_ANONYMOUS_PRESENCE", "public:*"),
    ("SANTRAL_USER_SUBSCRIBE", "public:*"),
    ("SANTRAL_USER_PUBLISH", "public:*"),
    ("SANTRAL_USER_PRESENCE", "public:*"),
    ("SANTRAL_REGISTRATION", "open"),
    ("SANTRAL_LOGIN_ATTEMPTS_PER_MINUTE", "10000"),
    ("SANTRAL_RATE_PER_PRINCIPAL", "1000000"),
    ("SANTRAL_RATE_BURST_PER_PRINCIPAL", "1000000"),
    // A stream of the event log says something soon, whatever its filter.
    ("SANTRAL_HEARTBEAT", "1s"),
    ("SANTRAL_CONNECTIONS_PER_USER", "1000"),
];

/// Who sends the requests.
struct Caller {
    name: &'static str,
    /// Goes into `Authorization: Bearer`.
    token: Option<String>,
}

#[test]
fn the_api_keeps_to_its_description_for_anonymous() {
    let (santral, admin) = Santral::start_closed(&SETTINGS);
    judge(&santral, &admin, &Caller { name: "anonymous", token: None });
}

#[test]
fn the_api_keeps_to_its_description_for_a_user() {
    let (santral, admin) = Santral::start_closed(&SETTINGS);
    let user = santral.enrol(&admin, "ada", "user");
    judge(&santral, &admin, &Caller { name: "user", token: Some(user.access) });
}

#[test]
fn the_api_keeps_to_its_description_for_a_publisher() {
    let (santral, admin) = Santral::start_closed(&SETTINGS);
    let (key, _) = santral.api_key(&admin, r#"{"name":"shop","role":"publisher"}"#);
    judge(&santral, &admin, &Caller { name: "publisher", token: Some(key) });
}

#[test]
fn the_api_keeps_to_its_description_for_a_viewer() {
    let (santral, admin) = Santral::start_closed(&SETTINGS);
    let viewer = santral.enrol(&admin, "grace", "viewer");
    judge(&santral, &admin, &Caller { name: "viewer", token: Some(viewer.access) });
}

#[test]
fn the_api_keeps_to_its_description_for_an_admin() {
    let (santral, admin) = Santral::start_closed(&SETTINGS);
    let caller = Caller { name: "admin", token: Some(admin.access.clone()) };
    judge(&santral, &admin, &caller);
}

/// Runs schemathesis on what exists, then on everything, then on what the caller would not survive.
fn judge(santral: &Santral, admin: &Person, caller: &Caller) {
    let Some(schemathesis) = require_tool("schemathesis") else { return };
    let authorization = caller.token.as_ref().map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
    let stream = santral.listen_with(&format!("/api/events?session={SESSION}&channel={CHANNEL}&broadcast=0"), &headers);
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(folder.path().join("hooks.py"), include_str!("schemathesis/hooks.py")).expect("a file can be written");
    let things = Things::make(santral, admin);
    // The first event is enough of a stream that never ends.
    let base = format!("hooks = \"hooks\"\nmax-stream-events = 1\n{}", things.dictionaries(santral, admin));
    let run = |config: &str, arguments: &[String]| {
        let mut command = Command::new(&schemathesis);
        command.args(["--config-file", "schemathesis.toml", "run", "--no-color", "--continue-on-failure"]);
        command.args(["--generation-database=none", "--warnings=off"]);
        command.args(["--checks=all", "--exclude-checks=positive_data_acceptance"]);
        command.arg(format!("--max-examples={}", examples()));
        command.arg(format!("--seed={}", setting("SCHEMATHESIS_SEED", SEED)));
        command.args(authorization.as_ref().map(|value| format!("--header=Authorization: {value}")));
        command.args(arguments).arg(format!("http://{}/api/openapi.json", santral.address));
        run(command, folder.path(), &format!("{base}{config}"), caller.name)
    };
    let only = |(name, _): &(&str, String)| format!("--include-operation-id={name}");
    let but = |(name, _): &(&str, String)| format!("--exclude-operation-id={name}");
    let (known, enders) = (things.known(), Things::enders(admin));
    let mut cases = run(&config_of(&known), &known.each_ref().map(only));
    cases += run("", &enders.each_ref().map(but));
    for ender in enders {
        cases += run(&config_of(slice::from_ref(&ender)), &[only(&ender)]);
    }
    println!("schemathesis as {}: {cases} requests in all", caller.name);
    assert!(cases >= CASES_MIN, "schemathesis has tried {cases} requests only");
    assert_eq!(santral.get("/health").status, 200, "the server lives");
    assert!(!santral.server.output().contains("panicked"), "{}", santral.server.output());
    drop(stream);
}

/// What exists, so that requests about it lead further than to a 404.
struct Things {
    position: String,
    /// Somebody who is changed.
    somebody: String,
    /// Somebody who signs in.
    visitor: Person,
    key: String,
    /// Two connections: one is read, the other is ended.
    connections: [String; 2],
    /// Somebody in the room [`ROOM`].
    participant: String,
    /// Keep the connections.
    _streams: [SseClient; 2],
}

impl Things {
    fn make(santral: &Santral, admin: &Person) -> Self {
        let authorization = format!("Bearer {}", admin.access);
        let message = format!(r#"{{"channel":"{CHANNEL}","data":{{"order":42}}}}"#);
        let [one, two] = [(); 2].map(|()| santral.greet("/api/events", &[("Authorization", &authorization)]));
        santral.make_room(Some(&admin.access), &serde_json::json!({ "roomId": ROOM, "name": "Team Standup" }));
        let join = serde_json::json!({ "session": one.2["session"] });
        let joined = santral.call("POST", &format!("/api/video/rooms/{ROOM}/join"), Some(&admin.access), &join);
        Self {
            position: id_of(&santral.ask("POST", "/api/publish", Some(&admin.access), Some(&message))),
            somebody: santral.enrol(admin, "somebody", "user").id,
            visitor: santral.enrol(admin, "visitor", "user"),
            key: santral.api_key(admin, r#"{"name":"spare"}"#).1,
            connections: [text(&one.2["connection"]), text(&two.2["connection"])],
            participant: text(&json(&joined.text())["participant"]["participantId"]),
            _streams: [one.0, two.0],
        }
    }

    /// Where bodies have their words from.
    fn dictionaries(&self, santral: &Santral, admin: &Person) -> String {
        let settings = json(&santral.ask("GET", "/api/settings", Some(&admin.access), None).text());
        let settings = settings["settings"].as_array().expect("settings are listed").iter();
        let keys: Vec<_> = settings.map(|setting| setting["key"].to_string()).collect();
        format!(
            "[dictionaries]\n\
             setting = {{ values = [{}] }}\n\
             name = {{ values = [\"visitor\"] }}\n\
             password = {{ values = [\"{PASSWORD}\"] }}\n\
             refreshToken = {{ values = [\"{}\"] }}\n",
            keys.join(", "),
            self.visitor.refresh,
        )
    }

    /// Operations with the parameters that lead somewhere.
    fn known(&self) -> [(&'static str, String); 20] {
        let Self { position, somebody, key, connections, participant, .. } = self;
        let room = format!(r#""path.id" = "{ROOM}""#);
        let person = format!(r#"{room}, "path.participant" = "{participant}""#);
        [
            ("runCommand", format!(r#""path.session" = "{SESSION}""#)),
            ("readHistory", format!(r#""path.channel" = "{CHANNEL}", "query.since" = "{position}""#)),
            ("readPresence", format!(r#""path.channel" = "{CHANNEL}""#)),
            ("readConnection", format!(r#""path.id" = "{}""#, connections[0])),
            ("endConnection", format!(r#""path.id" = "{}""#, connections[1])),
            ("readSetting", r#""path.key" = "heartbeat""#.to_owned()),
            ("resetSetting", r#""path.key" = "retention_messages""#.to_owned()),
            ("login", [drawn("body.name", "name"), drawn("body.password", "password")].join(", ")),
            ("refresh", drawn("body.refreshToken", "refreshToken")),
            ("changeUser", format!(r#""path.id" = "{somebody}""#)),
            ("revokeKey", format!(r#""path.id" = "{key}""#)),
            ("readVideoRoom", room.clone()),
            ("changeVideoRoom", room.clone()),
            ("joinVideoRoom", format!(r#"{room}, "body.session" = "{SESSION}""#)),
            ("leaveVideoRoom", room.clone()),
            ("decideLobby", room.clone()),
            ("transferHost", format!(r#"{room}, "body.participantId" = "{participant}""#)),
            ("inviteToVideoRoom", room),
            ("changeParticipant", person.clone()),
            ("removeParticipant", person),
        ]
    }

    /// Operations that the caller or the run would not survive. Each is tried on its own at the end, in
    /// this order.
    fn enders(admin: &Person) -> [(&'static str, String); 3] {
        [
            // Limits become tighter, and what was open is closed.
            ("changeSetting", drawn("body.key", "setting")),
            // That of the only admin, whose logins end.
            ("changeUser", format!(r#""path.id" = "{}""#, admin.id)),
            // Without a body, it is the caller's login that ends.
            ("logout", String::new()),
        ]
    }
}

/// A parameter whose values come from one of the dictionaries.
fn drawn(parameter: &str, dictionary: &str) -> String {
    format!(r#""{parameter}" = {{ dictionary = "{dictionary}" }}"#)
}

/// What gives operations their parameters.
fn config_of(operations: &[(&str, String)]) -> String {
    let of = |(name, parameters): &(&str, String)| {
        format!("[[operations]]\ninclude-operation-id = \"{name}\"\nparameters = {{ {parameters} }}\n")
    };
    operations.iter().map(of).collect()
}

/// Requests per operation.
fn examples() -> usize {
    let operations = described(&santral::http::openapi::document()).len();
    let cases: usize = setting("SCHEMATHESIS_CASES", CASES).parse().expect("SCHEMATHESIS_CASES is a number");
    (cases / operations).max(EXAMPLES_MIN)
}

/// Runs it with a configuration, and returns how many requests it has tried.
fn run(mut command: Command, folder: &Path, config: &str, caller: &str) -> u32 {
    fs::write(folder.join("schemathesis.toml"), config).expect("a file can be written");
    let output = command.current_dir(folder).output().expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "as {caller}: {command:?}\n{said}\n{errors}");
    let summary: Vec<_> = said.lines().map(str::trim).filter(|line| line.starts_with("Seed:")).collect();
    let cases = said.lines().find_map(|line| line.trim().split_once(" generated")?.0.parse().ok());
    let cases = cases.unwrap_or_else(|| panic!("schemathesis says how much it did:\n{said}"));
    println!("schemathesis as {caller}: {cases} requests, {}", summary.join(", "));
    cases
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
