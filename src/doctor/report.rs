//! What was found: one finding a check, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::check::Check;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All is well.
    Ok,
    /// It works, and could bite later.
    Warn,
    /// It does not work, or not as it should.
    Fail,
    /// Not looked at, and why.
    Skipped,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, in a line.
    pub found: String,
    /// What to do, in a line.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, found.into(), None)
    }

    /// It could bite later.
    pub(super) fn warn(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Outcome::Warn, found.into(), Some(remedy.into()))
    }

    /// It does not work.
    pub(super) fn fail(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Outcome::Fail, found.into(), Some(remedy.into()))
    }

    /// It was not looked at.
    pub(super) fn skipped(check: Check, why: impl Into<String>) -> Self {
        Self::new(check, Outcome::Skipped, why.into(), None)
    }

    fn new(check: Check, outcome: Outcome, found: String, remedy: Option<String>) -> Self {
        Self { check, outcome, found, remedy }
    }

    /// For people: a line of what was found, and one of what to do.
    #[must_use]
    pub fn to_text(&self) -> String {
        let word = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
            Outcome::Skipped => "skip",
        };
        let mut text = format!("{word:4}  {:15} {}\n", self.check.id(), self.found);
        if let Some(remedy) = &self.remedy {
            writeln!(text, "      {:15} -> {remedy}", "").expect("writing to a string cannot fail");
        }
        text
    }
}

/// Everything that was found. What is added is told at once: some checks take a while.
pub struct Report<'a> {
    findings: Vec<Finding>,
    /// A text that must not be shown, wherever it comes from.
    secret: Option<String>,
    tell: &'a mut dyn FnMut(&Finding),
}

impl<'a> Report<'a> {
    /// An empty report that hands each finding to `tell`.
    pub fn new(tell: &'a mut dyn FnMut(&Finding)) -> Self {
        Self { findings: Vec::new(), secret: None, tell }
    }

    /// Hides this text in all findings from now on: servers and proxies quote what they were sent.
    pub(super) fn hide(&mut self, secret: Option<&str>) {
        self.secret = secret.filter(|secret| !secret.is_empty()).map(str::to_owned);
    }

    /// Adds a finding.
    pub(super) fn add(&mut self, mut finding: Finding) {
        finding.found = self.clean(&finding.found);
        finding.remedy = finding.remedy.map(|remedy| self.clean(&remedy));
        (self.tell)(&finding);
        self.findings.push(finding);
    }

    /// Adds every check of the same place that has no finding yet, as not looked at.
    pub(super) fn skip_rest(&mut self, of: Check, why: &str) {
        for check in Check::ALL.iter().filter(|check| check.place() == of.place()) {
            if !self.has(*check) {
                self.add(Finding::skipped(*check, why));
            }
        }
    }

    /// Whether there is a finding of this check.
    pub(super) fn has(&self, check: Check) -> bool {
        self.findings.iter().any(|finding| finding.check == check)
    }

    /// Whether something failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.count(Outcome::Fail) > 0
    }

    /// The end of the text for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |outcome, one: &str, many: &str| match self.count(outcome) {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {many}")),
        };
        let parts = [count(Outcome::Fail, "failure", "failures"), count(Outcome::Warn, "warning", "warnings")];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "\nAll is well.\n".to_owned() } else { format!("\n{}.\n", parts.join(", ")) }
    }

    /// For programs: one JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let findings: Vec<_> = self.findings.iter().map(FindingJson::of).collect();
        let json = ReportJson { failed: self.has_failed(), findings };
        let text = serde_json::to_string_pretty(&json).expect("findings have string keys and no failing serializer");
        format!("{text}\n")
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// On one line, whatever others have said, and without the secret.
    fn clean(&self, text: &str) -> String {
        let hidden = match &self.secret {
            Some(secret) => text.replace(secret.as_str(), "[redacted]"),
            None => text.to_owned(),
        };
        let plain = hidden.chars().map(|character| if character.is_control() { ' ' } else { character });
        plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[derive(Serialize)]
struct ReportJson<'a> {
    failed: bool,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    check: &'static str,
    outcome: Outcome,
    found: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

impl<'a> FindingJson<'a> {
    fn of(finding: &'a Finding) -> Self {
        let Finding { check, outcome, found, remedy } = finding;
        Self { check: check.id(), outcome: *outcome, found, remedy: remedy.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_single_lines_without_the_secret() {
        let mut told = Vec::new();
        let mut tell = |finding: &Finding| told.push(finding.to_text());
        let mut report = Report::new(&mut tell);
        report.hide(Some("hunter2"));
        report.add(Finding::ok(Check::Name, "fine"));
        report.add(Finding::fail(Check::Tls, "said\r\n\u{1b}[31m hunter2", "ask for hunter2 again"));
        assert!(report.has_failed());
        report.skip_rest(Check::Tls, "see above");
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("it is JSON");
        assert_eq!(json["failed"], true);
        assert_eq!(json["findings"][1]["outcome"], "fail");
        assert_eq!(json["findings"][1]["found"], "said [31m [redacted]");
        assert_eq!(json["findings"].as_array().map(Vec::len), Some(20));
        assert_eq!(told[0], "ok    name            fine\n");
        assert_eq!(told[1].lines().count(), 2, "{told:?}");
    }
}
