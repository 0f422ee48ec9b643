//! Programs of `tests/clients` in other languages: they print a line of JSON a check, this judges.
//!
//! `{"check": name, "ok": true}` or with `"ok": false` and an `error`; `{"want": what, …}` asks for
//! something that a client cannot do for itself; `{"done": count}` is the last line.

use std::path::PathBuf;
use std::time::Duration;

use santral_testkit::process::{Server, ServerCommand};
use serde_json::Value;

/// A program and how it is called.
pub(crate) struct Program {
    /// What it is, for people.
    pub(crate) name: String,
    pub(crate) interpreter: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// What it checks at least; one that does less has not run to its end.
    pub(crate) checks: u64,
}

impl Program {
    /// Runs it, lets `fulfil` do what it wants, and fails with all checks that failed.
    pub(crate) fn run(&self, fulfil: impl FnMut(&str, &Value)) {
        let command = ServerCommand::new(&self.interpreter).args(&self.arguments);
        let mut client = command.spawn().expect("the client starts");
        let mut count = 0;
        let next = || {
            count += 1;
            line(&mut client, count)
        };
        judge(&self.name, self.checks, next, fulfil);
    }
}

/// Reads lines until the last, lets `fulfil` do what they want, and fails with all checks that failed.
pub(crate) fn judge(name: &str, checks: u64, mut next: impl FnMut() -> Value, mut fulfil: impl FnMut(&str, &Value)) {
    let (mut failed, mut passed) = (Vec::new(), Vec::new());
    loop {
        let line = next();
        if let Some(wanted) = line["want"].as_str() {
            fulfil(wanted, &line);
        } else if let Some(count) = line["done"].as_u64() {
            assert!(count >= checks, "{name}: {count} checks only");
            break;
        } else if line["ok"] == true {
            passed.push(line["check"].as_str().unwrap_or("?").to_owned());
        } else {
            failed.push(format!("{}: {}", line["check"], line["error"].as_str().unwrap_or("?")));
        }
    }
    println!("{name}: {}", passed.join(", "));
    assert!(failed.is_empty(), "{name}: {} checks fail:\n{}", failed.len(), failed.join("\n"));
}

/// The line of JSON with this number, counted from 1; what else a program says is passed over.
fn line(client: &mut Server, number: usize) -> Value {
    let mut seen = 0;
    let pick = |line: &str| {
        let value: Value = serde_json::from_str(line).ok().filter(Value::is_object)?;
        seen += 1;
        (seen == number).then_some(value)
    };
    client.wait_for_line(pick, PATIENCE).expect("the client says what it does")
}

/// How long a client may take for one check.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
