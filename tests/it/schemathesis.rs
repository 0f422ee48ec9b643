//! The API against its own description, by schemathesis (the package `schemathesis` of PyPI): requests
//! that the description allows and such that it forbids, and every answer judged by it.
//!
//! All of schemathesis' checks but one: `positive_data_acceptance` would want every request to be taken
//! that keeps to the schemas, which do not say that a message has exactly one target, which names are
//! the server's own, which positions are of this log, and which sessions live.
//!
//! `SCHEMATHESIS_CASES` sets about how many requests each caller sends, `SCHEMATHESIS_SEED` the seed.

use std::fs;
use std::process::Command;

use santral_testkit::tools::require_tool;

use crate::openapi::described;
use crate::support::{Santral, id_of};

/// Requests of one caller when nothing else is asked for; what covers each word of the description comes on top.
const CASES: &str = "300";

/// The seed when nothing else is asked for: CI meets the same requests each time.
const SEED: &str = "1";

/// Requests per operation, however many operations there are.
const EXAMPLES_MIN: usize = 5;

/// Fewer requests than this mean that schemathesis has not read the description as it should.
const CASES_MIN: u32 = 500;

/// The session of a stream that is open all along, so that its commands find it.
const SESSION: &str = "schemathesis-0123456789abc";

/// Who sends the requests.
struct Caller {
    name: &'static str,
    /// Goes into `Authorization: Bearer`.
    token: Option<String>,
}

#[test]
fn the_api_keeps_to_its_description_for_everyone_in_open_mode() {
    judge(&Santral::start(), &Caller { name: "anonymous", token: None });
}

/// Runs schemathesis twice: on everything, then where only a live session and a position of this log
/// lead further than to a refusal.
fn judge(santral: &Santral, caller: &Caller) {
    let Some(schemathesis) = require_tool("schemathesis") else { return };
    let stream = santral.listen(&format!("/api/events?session={SESSION}&broadcast=0"));
    let position = id_of(&santral.post("/api/publish", r#"{"channel":"orders.42","data":{"order":42}}"#));
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(folder.path().join("hooks.py"), include_str!("schemathesis/hooks.py")).expect("a file can be written");
    // `hello` is enough of a stream that never ends.
    let everything = "hooks = \"hooks\"\nmax-stream-events = 1\n".to_owned();
    let deeper = format!(
        "{everything}[[operations]]\ninclude-path-regex = \"/commands$|/history$|/presence$\"\n\
         parameters = {{ \"path.session\" = \"{SESSION}\", \"path.channel\" = \"orders.42\", \"query.since\" = \"{position}\" }}\n"
    );
    let operations = described(&santral::http::openapi::document()).len();
    let cases: usize = setting("SCHEMATHESIS_CASES", CASES).parse().expect("SCHEMATHESIS_CASES is a number");
    let examples = (cases / operations).max(EXAMPLES_MIN);
    let mut cases = 0;
    for (config, only) in [(everything, None), (deeper, Some("/commands$|/history$|/presence$"))] {
        let path = folder.path().join("schemathesis.toml");
        fs::write(&path, config).expect("a file can be written");
        let mut command = Command::new(&schemathesis);
        command.current_dir(folder.path()).arg("--config-file").arg(&path);
        command.args(["run", "--no-color", "--continue-on-failure", "--generation-database=none"]);
        command.args(["--checks=all", "--exclude-checks=positive_data_acceptance", "--warnings=off"]);
        command.arg(format!("--max-examples={examples}"));
        command.arg(format!("--seed={}", setting("SCHEMATHESIS_SEED", SEED)));
        command.args(only.map(|only| format!("--include-path-regex={only}")));
        command.args(caller.token.as_ref().map(|token| format!("--header=Authorization: Bearer {token}")));
        command.arg(format!("http://{}/api/openapi.json", santral.address));
        cases += run(command, caller.name);
    }
    assert!(cases >= CASES_MIN, "schemathesis has tried {cases} requests only");
    assert_eq!(santral.get("/health").status, 200, "the server lives");
    assert!(!santral.server.output().contains("panicked"), "{}", santral.server.output());
    drop(stream);
}

/// Runs it and returns how many requests it has tried.
fn run(mut command: Command, caller: &str) -> u32 {
    let output = command.output().expect("schemathesis starts");
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
