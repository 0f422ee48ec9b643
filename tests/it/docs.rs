//! The documents keep up with the code: each clause of docs/protocol.md has a test, and what is
//! generated is fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use santral::telemetry::metrics::{Declaration, Metrics};
use santral_core::websocket::CloseCode;
use santral_schema::event_log::EventType;
use santral_schema::problem::ProblemCode;
use santral_schema::reason::DisconnectReason;

/// What a test's doc comment begins with that shows clauses.
const MARK: &str = "/// Shows ";

#[test]
fn every_clause_of_the_protocol_is_shown_by_a_test() {
    let shown = shown_clauses();
    let untested: Vec<_> = clauses().into_iter().filter(|clause| !shown.contains_key(clause)).collect();
    assert!(untested.is_empty(), "no test's comment begins with \"{MARK}…\" and one of {untested:?}");
}

#[test]
fn no_test_shows_a_clause_that_the_protocol_does_not_have() {
    let clauses: BTreeSet<_> = clauses().into_iter().collect();
    let unknown: Vec<_> = shown_clauses().into_iter().filter(|(clause, _)| !clauses.contains(clause)).collect();
    assert!(unknown.is_empty(), "not in docs/protocol.md: {unknown:?}");
}

#[test]
fn clauses_are_numbered_without_holes_and_references_lead_somewhere() {
    let clauses = clauses();
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for clause in &clauses {
        let (section, number) = clause.split_once('-').expect("a clause has a number");
        let number: u32 = number.parse().expect("a clause's number is decimal");
        let before = last.insert(section, number).unwrap_or(0);
        assert_eq!(number, before + 1, "{clause}");
    }
    let known: BTreeSet<_> = clauses.iter().cloned().collect();
    let named: BTreeSet<_> = clauses_in(&read("docs/protocol.md"), &last).into_iter().collect();
    assert_eq!(named, known, "a reference in docs/protocol.md leads nowhere");
}

#[test]
fn the_table_of_errors_is_fresh() {
    let mut text = "<!-- Generated from shared-schema/src/problem.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
        # Errors\n\n\
        Every error answer is a problem document, see section \"Errors\" of [protocol.md](protocol.md). Its `code` is one of\n\
        these; codes are added, never renamed.\n"
        .to_owned();
    let source = read("shared-schema/src/problem.rs");
    for code in ProblemCode::ALL {
        let meaning = doc_of(&source, &format!("{code:?} = "));
        write!(
            text,
            "\n## {}\n\n{meaning}\n\n| | |\n|---|---|\n| status | {} |\n| title | {} |\n| what to do first | {} |\n",
            code.name(),
            code.status(),
            code.title(),
            code.remediation()
        )
        .expect("a String takes all text");
    }
    keep_fresh("docs/errors.md", &text);
}

#[test]
fn the_table_of_disconnect_reasons_is_fresh() {
    let mut text = "<!-- Generated from shared-schema/src/reason.rs and core/src/websocket/close_code.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
        # Why connections end\n\n\
        `code` and `name` stand in `bye`, see clause SSE-14 of [protocol.md](protocol.md), and in the server's log. A WebSocket\n\
        is closed with the code in the third column, and its reason begins with `code` and `name`. Not every reason is ever\n\
        told: who has left hears nothing.\n\n\
        | code | name | WebSocket | come back? | what happened | what to do |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for reason in DisconnectReason::ALL {
        let back = if reason.should_reconnect() { "yes" } else { "no" };
        let (code, name, close) = (reason.code(), reason.name(), reason.close_code());
        writeln!(text, "| {code} | `{name}` | {close} | {back} | {} | {} |", reason.text(), reason.advice())
            .expect("a String takes all text");
    }
    text.push_str(
        "\n## Close codes of WebSockets\n\nThe codes of RFC 6455, section 7.4.1, and of the registry of IANA that this server sends.\n\n\
        | code | meaning | what to do |\n|---|---|---|\n",
    );
    for code in CloseCode::ALL {
        writeln!(text, "| {} | {} | {} |", code.number(), code.meaning(), code.advice())
            .expect("a String takes all text");
    }
    keep_fresh("docs/codes.md", &text);
}

#[test]
fn the_description_of_the_api_is_fresh() {
    let document = santral::http::openapi::document();
    let text = serde_json::to_string_pretty(&document).expect("a value can be written");
    keep_fresh("docs/openapi.json", &format!("{text}\n"));
}

#[test]
fn the_table_of_metrics_is_fresh() {
    let mut text = "<!-- Generated from src/telemetry/metrics/mod.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
        # Metrics\n\n\
        `GET /metrics` shows these in the OpenMetrics text format, or in that of Prometheus for whoever accepts only\n\
        `text/plain`. What the threads of the streams count is carried over once a second. Labels come from closed sets: no\n\
        user, channel or address is ever one, and every combination is there from the start.\n\n\
        Counters end in `_total`, an info in `_info`; a histogram has `_bucket`, `_sum` and `_count`.\n"
        .to_owned();
    for Declaration { name, kind, unit, help, labels } in Metrics::declarations() {
        write!(text, "\n## {name}\n\n{help}\n\n| | |\n|---|---|\n| kind | {kind} |\n| unit | {} |\n", unit.name())
            .expect("a String takes all text");
        for (label, values) in labels {
            // Versions come and go; the document does not say them.
            let values = if label == "version" { "the version of the server".to_owned() } else { quoted(&values) };
            writeln!(text, "| `{label}` | {values} |").expect("a String takes all text");
        }
    }
    keep_fresh("docs/metrics.md", &text);
}

fn quoted(values: &[&str]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_table_of_event_types_is_fresh() {
    let mut text = "<!-- Generated from shared-schema/src/event_log.rs and tests/it/docs.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
        # The event log\n\n\
        What happened, for the operator; not the log of messages. It names people and addresses, so only the roles\n\
        viewer and admin read it, and only an admin clears it. Secrets and control characters are taken out before an event\n\
        is stored.\n\n\
        | | |\n|---|---|\n\
        | `GET /api/logs` | newest first; `cursor` and `limit` as everywhere |\n\
        | `GET /api/logs/stream` | Server-Sent Events: `event: log` with the event's id, behind `Last-Event-ID` or `lastEventId` or from now on; `ping` after as much silence as the setting `heartbeat` allows, `bye` when the server stops or the right to follow ends |\n\
        | `GET /api/logs/export?format=ndjson` or `csv` | all there is, oldest first, as a file |\n\
        | `DELETE /api/logs?before=` | deletes what is older than a time, by default everything, and leaves one event that says who did it; minutes for a million, and nobody is held up |\n\n\
        Filters of all but the last: `level` (at least as important), `type` (repeat it, or a list with commas), `actor` (the\n\
        name of a principal), `q` (text in the message, the actor or the details; small and capital letters of ASCII are the\n\
        same), `from` and `to` (RFC 3339; from that moment on, and before it). Events are in the order of their ids, which is\n\
        that in which they were stored; times may go back when a clock does. A page by type, level or actor is found by an\n\
        index; a search for text or for a time long ago looks at every event, about a second for a million.\n\n\
        In a CSV file a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return has an apostrophe in front:\n\
        spreadsheets would take it for a formula, and anybody can choose a user agent. Who reads the file with a program takes\n\
        NDJSON, where nothing is added.\n\n\
        Nobody who does something waits for the event log. When events come faster than the database takes them, or it\n\
        fails for long, some are lost; how many is counted and told by `event_log.lost`. What is older than the setting\n\
        `event_log_age`, or in excess of `event_log_rows_max`, is deleted.\n\n\
        ## Types\n"
        .to_owned();
    text.push_str("\n| type | level | what happened |\n|---|---|---|\n");
    for kind in EventType::ALL {
        let meaning = kind.meaning().trim();
        writeln!(text, "| `{}` | {} | {meaning} |", kind.name(), kind.level().name()).expect("a String takes all text");
    }
    keep_fresh("docs/event-log.md", &text);
}

/// The clauses of docs/protocol.md, in order: paragraphs that begin with a number in bold.
fn clauses() -> Vec<String> {
    let text = read("docs/protocol.md");
    let clauses = text.lines().filter_map(|line| line.strip_prefix("**")?.split_once(".**"));
    let clauses: Vec<_> = clauses.map(|(clause, _)| clause.to_owned()).collect();
    assert!(clauses.len() > 50, "docs/protocol.md is not read as it should be");
    clauses
}

/// The clauses that tests say they show, with the file of one of them.
fn shown_clauses() -> BTreeMap<String, PathBuf> {
    let mut sections = BTreeMap::new();
    let clauses = clauses();
    sections.extend(clauses.iter().filter_map(|clause| Some((clause.split_once('-')?.0, 0))));
    let mut shown = BTreeMap::new();
    for file in rust_files(&root().join("tests/it")) {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let marked = text.lines().filter_map(|line| line.trim_start().strip_prefix(MARK));
        for clause in marked.flat_map(|line| clauses_in(line, &sections)) {
            shown.insert(clause, file.clone());
        }
    }
    shown
}

/// Words like `SSE-4`, of the sections of the protocol.
fn clauses_in(text: &str, sections: &BTreeMap<&str, u32>) -> Vec<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    let clauses = words.filter(|word| {
        word.split_once('-').is_some_and(|(section, number)| {
            sections.contains_key(section) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    });
    clauses.map(str::to_owned).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of the tests can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let of = |path: PathBuf| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    };
    paths.flat_map(of).filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The doc comment above the line that begins with `start`.
fn doc_of(source: &str, start: &str) -> String {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(start)).expect("each code stands in the source");
    let above = lines[..at].iter().rev().map_while(|line| line.strip_prefix("/// "));
    let mut doc: Vec<_> = above.collect();
    doc.reverse();
    doc.join(" ")
}

/// Compares a generated file with what it should hold; rewrites it if that is asked for.
pub(crate) fn keep_fresh(path: &str, text: &str) {
    if std::env::var_os("SANTRAL_UPDATE_DOCS").is_some() {
        fs::write(root().join(path), text).expect("the documentation can be written");
    }
    let committed = fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(committed == text, "{path} is stale; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it docs");
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
