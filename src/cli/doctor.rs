//! `santral doctor`: hands the doctor what it may not reach itself, and shows what it found.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{USAGE, answer, complain, span};
use crate::config::{self, Config, Inputs};
use crate::doctor::local::{self, Subject};
use crate::doctor::remote::{self, Target};
use crate::doctor::{Finding, Report};
use crate::ports::survey::{Survey, SurveyError};
use crate::store;

/// What the command takes beside the settings.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Look at this public address from outside instead of at this machine
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    /// With --url: an access token; others on this machine can see it, so prefer --token-file
    #[arg(long, value_name = "TOKEN", requires = "url", conflicts_with = "token_file")]
    token: Option<String>,
    /// With --url: a file with an access token, - for standard input
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// With --url: check that pages of this origin are let in
    #[arg(long, value_name = "ORIGIN", requires = "url")]
    origin: Option<String>,
    /// With --url: how many seconds to watch a silent stream, 0 to leave it out
    #[arg(long, value_name = "SECONDS", default_value = "35", value_parser = span::parser(0..=3_600))]
    idle: Duration,
    /// With --url: how many seconds to wait for each answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = span::parser(1..=300))]
    timeout: Duration,
    /// With --url: trust the certificates in this PEM file instead of those of the machine
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
}

/// Looks, and says what was found: exit code 0 when nothing failed, else 1.
pub(super) fn run(inputs: &Inputs, arguments: &DoctorArguments) -> ExitCode {
    let is_json = arguments.json;
    // Some checks take a while, so each finding is shown when it is there.
    let mut tell = |finding: &Finding| {
        if !is_json {
            answer(&finding.to_text());
        }
    };
    let mut report = Report::new(&mut tell);
    match &arguments.url {
        None => examine_here(inputs, &mut report),
        Some(url) => {
            let examined = target(arguments, url)
                .and_then(|target| remote::examine(&target, &mut report).map_err(|error| error.to_string()));
            if let Err(error) = examined {
                complain(&error);
                return ExitCode::from(USAGE);
            }
        }
    }
    answer(&if is_json { report.to_json() } else { report.summary() });
    if report.has_failed() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

fn examine_here(inputs: &Inputs, report: &mut Report<'_>) {
    let survey = |config: &Config| -> Result<Survey, SurveyError> { store::survey(config.database_url.reveal()) };
    local::examine(&Subject { loaded: &config::load(inputs), survey: &survey }, report);
}

fn target(arguments: &DoctorArguments, url: &str) -> Result<Target, String> {
    let token = match &arguments.token_file {
        Some(path) => Some(read(path).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())?),
        None => arguments.token.clone(),
    };
    Ok(Target {
        url: url.to_owned(),
        token,
        origin: arguments.origin.clone(),
        idle: arguments.idle,
        timeout: arguments.timeout,
        authorities: arguments.ca_file.as_deref().map(read).transpose()?,
    })
}

/// A file, or standard input.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let taken = if path == Path::new("-") {
        io::stdin().take(FILE_BYTES_MAX).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
    };
    taken.map(|_| bytes).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Something failed.
const FAILED: u8 = 1;

/// A bundle of every authority that browsers know has a fraction of this.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
