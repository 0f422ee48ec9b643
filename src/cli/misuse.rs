//! What is said when the arguments make no sense, or only ask for help.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::flags::Flags;
use super::{Cli, USAGE, complain, complain_of};
use crate::{config, telemetry};

/// Help and version were asked for, or the arguments make no sense.
pub(super) fn answer(error: clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // An argument may be a secret that slipped, so the text is not printed as it is.
    let _ = write!(io::stderr(), "{}", telemetry::without_secrets(&error));
    if let Err(problems) = config::load(&readable_flags(error).inputs()) {
        complain_of(&problems);
    }
    ExitCode::from(USAGE)
}

/// The flags without those that nobody knows, which are complained of one by one: the rest of
/// what is wrong is to be said in the same run.
fn readable_flags(mut error: clap::Error) -> Flags {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    while let Some(unknown) = offender(&error) {
        let is_it = |argument: &OsString| {
            let text = argument.to_string_lossy();
            text.strip_prefix(unknown.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        let Some(index) = arguments.iter().skip(1).position(is_it) else {
            break;
        };
        arguments.remove(index + 1);
        error = match Cli::try_parse_from(&arguments) {
            Ok(cli) => return cli.flags,
            Err(next) => next,
        };
        // What is no flag was probably the value of the one before.
        if offender(&error).is_some_and(|next| next.starts_with('-')) {
            let text = telemetry::without_secrets(&error);
            complain(&text.lines().next().unwrap_or_default().trim_start_matches("error: "));
        }
    }
    Flags::default()
}

/// The argument that clap knows nothing of.
fn offender(error: &clap::Error) -> Option<String> {
    let context = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return None,
    };
    match error.get(context) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}
