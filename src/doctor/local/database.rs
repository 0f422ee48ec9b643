//! What the database says of itself.

use std::path::Path;

use crate::config::Config;
use crate::doctor::check::Check;
use crate::doctor::report::{Finding, Report};
use crate::doctor::span_text;
use crate::ports::store::Durability;
use crate::ports::survey::{Integrity, Survey, SurveyError};

/// Whether it is there, up to date and whole.
pub(super) fn examine(survey: &Result<Survey, SurveyError>, report: &mut Report<'_>) {
    match survey {
        Ok(survey) => {
            report.add(presence(survey));
            report.add(match survey.integrity {
                Integrity::Damaged(_) => Finding::skipped(Check::Migrations, "the database cannot be read"),
                Integrity::Whole(_) | Integrity::NotOurs => migrations(survey),
            });
            report.add(integrity(&survey.integrity));
        }
        Err(error) => {
            let (finding, why) = absence(error);
            report.add(finding);
            for check in [Check::Migrations, Check::Integrity] {
                report.add(Finding::skipped(check, why));
            }
        }
    }
}

fn presence(survey: &Survey) -> Finding {
    if matches!(survey.integrity, Integrity::Damaged(_)) {
        return Finding::fail(
            Check::Database,
            format!("{} opens {}, but cannot read it", survey.system, survey.url),
            "see the finding on integrity",
        );
    }
    let log = match survey.messages {
        Some(messages) => format!("about {messages} messages"),
        None => "no log yet; the server begins one".to_owned(),
    };
    Finding::ok(Check::Database, format!("{} answers at {}: {log}", survey.system, survey.url))
}

fn absence(error: &SurveyError) -> (Finding, &'static str) {
    match error {
        SurveyError::Missing(path) => (missing(path), "there is no database yet"),
        SurveyError::Unusable { .. } => {
            let remedy = "is the database up, does it let this user in, and is its file one of Santral's? See \
                          database_url";
            (Finding::fail(Check::Database, error.to_string(), remedy), "the database does not answer")
        }
    }
}

fn missing(path: &Path) -> Finding {
    Finding::ok(Check::Database, format!("{} is not there yet; the server will make it", path.display()))
}

fn migrations(survey: &Survey) -> Finding {
    if !survey.unknown.is_empty() {
        return Finding::fail(
            Check::Migrations,
            format!("a newer version was here: this one does not know {}", survey.unknown.join(", ")),
            "run the newer version, or go back with a backup from before its first start",
        );
    }
    if survey.pending.is_empty() {
        return Finding::ok(Check::Migrations, "all tables are those of this version");
    }
    let pending = survey.pending.join(", ");
    Finding::warn(
        Check::Migrations,
        format!("to be done: {pending}"),
        "nothing, if this version is about to be started: the server does it then, or `santral migrate`",
    )
}

fn integrity(integrity: &Integrity) -> Finding {
    match integrity {
        Integrity::Whole(took) => {
            Finding::ok(Check::Integrity, format!("the file is whole (looked for {})", span_text(*took)))
        }
        Integrity::Damaged(what) => Finding::fail(
            Check::Integrity,
            format!("the file is damaged: {what}"),
            "stop the server, keep a copy of the file with its -wal and -shm, and go back to a backup; then look for \
             the cause in disk and memory",
        ),
        Integrity::NotOurs => {
            Finding::skipped(Check::Integrity, "PostgreSQL looks after its own files (amcheck, checksums)")
        }
    }
}

/// What a receipt promises, and whether the database can keep that.
pub(super) fn durability(config: &Config, survey: &Result<Survey, SurveyError>) -> Finding {
    let promise = match config.durability {
        Durability::Disk => "receipts promise the disk: a message survives a power cut",
        Durability::Os => "receipts promise the operating system: a message survives a crash, not a power cut",
    };
    let safety = survey.as_ref().map(|survey| survey.safety.as_slice()).unwrap_or_default();
    let unsafe_ones: Vec<_> = safety.iter().filter(|(_, _, is_safe)| !is_safe).collect();
    if unsafe_ones.is_empty() || config.durability == Durability::Os {
        return Finding::ok(Check::Durability, promise);
    }
    let names: Vec<_> = unsafe_ones.iter().map(|(name, value, _)| format!("{name} = {value}")).collect();
    Finding::fail(
        Check::Durability,
        format!("{promise}, but PostgreSQL runs with {}", names.join(" and ")),
        "set it to on in postgresql.conf and reload, or say durability = \"os\"",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Outcome;

    fn survey(pending: &[&str], unknown: &[&str]) -> Survey {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Survey {
            system: "SQLite 3".to_owned(),
            url: "sqlite:x".to_owned(),
            pending: owned(pending),
            unknown: owned(unknown),
            messages: Some(3),
            newest: None,
            integrity: Integrity::NotOurs,
            safety: Vec::new(),
            clock_ahead_micros: None,
            commits: Vec::new(),
        }
    }

    #[test]
    fn tables_of_another_version_are_told() {
        assert_eq!(migrations(&survey(&[], &[])).outcome, Outcome::Ok);
        assert_eq!(migrations(&survey(&["0002_x"], &[])).outcome, Outcome::Warn);
        let newer = migrations(&survey(&[], &["0009"]));
        assert_eq!(newer.outcome, Outcome::Fail);
        assert!(newer.found.contains("0009"), "{newer:?}");
    }

    #[test]
    fn a_damaged_file_is_a_failure() {
        assert_eq!(integrity(&Integrity::Damaged("page 3".to_owned())).outcome, Outcome::Fail);
    }
}
