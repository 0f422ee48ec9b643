//! `santral-journal-check [--complete] FILE...`: checks journals and says what is wrong.
//!
//! Exit status: 0 = no rule was broken, 1 = some were, 2 = the journals cannot be read or there
//! is nothing in them. The rules are those of [`santral_testkit::checker`].

use std::path::PathBuf;
use std::process::ExitCode;

use santral_testkit::checker::{Options, check_files};

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut paths: Vec<PathBuf> = Vec::new();
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--complete") => options.is_complete = true,
            Some(flag) if flag.starts_with('-') => return refuse(USAGE),
            Some(_) | None => paths.push(argument.into()),
        }
    }
    if paths.is_empty() {
        return refuse(USAGE);
    }
    let report = match check_files(&paths, options) {
        Ok(report) => report,
        Err(error) => return refuse(&error.to_string()),
    };
    print!("{report}");
    match (report.is_sound(), report.attempts + report.events) {
        (true, 0) => refuse("the journals hold no attempt and no event, so they prove nothing"),
        (true, _) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(1),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}

const USAGE: &str = "usage: santral-journal-check [--complete] FILE...";
