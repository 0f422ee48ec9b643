//! `santral doctor`, the real binary: each check passes where all is well, and says so where its fault is.

mod certificates;
mod here;
mod outside;
mod stand_in;
mod transports;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use santral::doctor::{Check, reference};

/// What one run said.
#[derive(Debug)]
struct Diagnosis {
    code: Option<i32>,
    findings: Vec<Value>,
    stdout: String,
    stderr: String,
}

impl Diagnosis {
    fn finding(&self, check: &str) -> &Value {
        let found = self.findings.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no finding of {check} in {self:#?}"))
    }

    fn outcome(&self, check: &str) -> &str {
        self.finding(check)["outcome"].as_str().expect("an outcome is a word")
    }

    /// The check ended like this, and what was found and what to do about it say these words.
    fn says(&self, check: &str, outcome: &str, words: &[&str]) -> &Self {
        let finding = self.finding(check);
        assert_eq!(finding["outcome"], outcome, "{check} in {self:#?}");
        let text = finding.to_string();
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        self
    }

    /// Nothing failed, and none of these checks found anything to complain of.
    fn is_well(&self, checks: &[&str]) -> &Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        checks.iter().fold(self, |diagnosis, check| diagnosis.says(check, "ok", &[]))
    }

    fn has_failed(&self) -> &Self {
        assert_eq!(self.code, Some(1), "{self:#?}");
        self
    }
}

/// Runs it in a folder with nothing but this environment.
fn doctor(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Diagnosis {
    let mut command = Command::new(env!("CARGO_BIN_EXE_santral"));
    command.arg("doctor").arg("--json").args(arguments);
    diagnose(command.env_clear().envs(environment.iter().copied()).current_dir(folder))
}

fn diagnose(command: &mut Command) -> Diagnosis {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let (stdout, stderr) = (text(stdout), text(stderr));
    let report: Value = serde_json::from_str(&stdout).unwrap_or_default();
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    if !findings.is_empty() {
        assert_eq!(report["failed"].as_bool(), status.code().map(|code| code == 1), "{stdout}");
        for finding in &findings {
            assert!(Check::ALL.iter().any(|check| finding["check"] == check.id()), "{finding}");
            let needs_remedy = ["warn", "fail"].iter().any(|outcome| finding["outcome"] == *outcome);
            assert_eq!(finding["remedy"].is_string(), needs_remedy, "{finding}");
        }
    }
    Diagnosis { code: status.code(), findings, stdout, stderr }
}

#[test]
fn the_table_of_checks_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
    if std::env::var_os("SANTRAL_UPDATE_DOCS").is_some() {
        fs::write(&path, reference()).expect("the documentation can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == reference(),
        "docs/doctor.md is stale; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it doctor"
    );
}

#[test]
fn what_cannot_be_looked_at_is_a_misuse() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("empty.pem"), "nothing").expect("it can be written");
    for (arguments, word) in [
        (&["--url", "example.org"][..], "--url"),
        (&["--url", "ftp://example.org"], "--url"),
        (&["--url", "http://127.0.0.1:1", "--ca-file", "empty.pem"], "--ca-file"),
        (&["--url", "http://127.0.0.1:1", "--token-file", "gone"], "gone"),
        (&["--token", "x"], "--url"),
        (&["--url", "http://127.0.0.1:1", "--timeout", "0"], "--timeout"),
    ] {
        let diagnosis = doctor(folder.path(), arguments, &[]);
        assert_eq!(diagnosis.code, Some(64), "{diagnosis:#?}");
        assert!(diagnosis.stderr.contains(word), "{diagnosis:#?}");
        assert_eq!(diagnosis.stdout, "");
    }
}

#[test]
fn people_get_a_line_for_each_check_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_santral"));
    command.arg("doctor").env_clear().env("SANTRAL_WORKERS", "0").current_dir(folder.path());
    let diagnosis = diagnose(&mut command);
    diagnosis.has_failed();
    let lines: Vec<_> = diagnosis.stdout.lines().collect();
    assert!(lines[0].starts_with("FAIL  configuration   one thing is wrong: workers"), "{lines:#?}");
    assert!(lines[1].trim_start().starts_with("-> "), "{lines:#?}");
    assert!(lines[2].starts_with("skip  data-directory"), "{lines:#?}");
    assert_eq!(lines.last(), Some(&"1 failure."));
}
