//! The command line: reads it, calls what it names, and turns the outcome into an exit code.
//!
//! | file | what |
//! |---|---|
//! | `flags` | the settings as flags |
//! | `misuse` | what is said when the arguments make no sense |
//! | `doctor`, `healthcheck` | the commands of these names |
//!
//! The only place that looks at arguments, environment and current directory. Exit codes follow
//! sysexits(3); docs/config.md lists them.

mod doctor;
mod flags;
mod healthcheck;
mod misuse;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Inputs, Loaded, Problems};
use crate::store::{self, OpenError, StoreOptions};
use crate::telemetry;

use doctor::DoctorArguments;
use flags::Flags;

/// Runs what the arguments of the process say; `serve` runs the server until it is asked to stop.
///
/// Complaints go to stderr, answers to stdout.
pub fn run<E: Display>(serve: impl FnOnce(&Config) -> Result<(), E>) -> ExitCode {
    let Cli { command, flags } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misuse::answer(error),
    };
    let inputs = flags.inputs();
    match command.unwrap_or(Command::Serve) {
        Command::Serve => configured(&inputs, |loaded| {
            logged(&loaded.config, |config| {
                warn_of_few_descriptors(config);
                serve(config)
            })
        }),
        Command::Migrate => configured(&inputs, |loaded| logged(&loaded.config, migrate)),
        Command::CheckConfig => configured(&inputs, |loaded| {
            answer(&config::explain(loaded));
            ExitCode::SUCCESS
        }),
        Command::Healthcheck => healthcheck::run(&inputs),
        Command::Doctor(arguments) => doctor::run(&inputs, &arguments),
        Command::Version => {
            answer(concat!(env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
    }
}

/// Realtime broadcast server: SSE and REST over a durable log.
#[derive(Debug, Parser)]
#[command(name = "santral", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server; the same as no command at all
    Serve,
    /// Create the database, or bring its tables up to date
    Migrate,
    /// Show every setting, its effective value and where it came from
    CheckConfig,
    /// Ask a server on this machine whether it is ready: exit code 0 if so, else 1
    Healthcheck,
    /// Look for what keeps a server on this machine, or with --url the way to it, from working
    Doctor(DoctorArguments),
    /// Print the version
    Version,
}

fn configured(inputs: &Inputs, then: impl FnOnce(&Loaded) -> ExitCode) -> ExitCode {
    match config::load(inputs) {
        Ok(loaded) => then(&loaded),
        Err(problems) => {
            complain_of(&problems);
            ExitCode::from(CONFIGURATION)
        }
    }
}

/// Does something that logs.
fn logged<E: Display>(config: &Config, work: impl FnOnce(&Config) -> Result<(), E>) -> ExitCode {
    // The guard's drop writes what is still in the queue.
    let _guard = match telemetry::init(&config.log_level, config.log_format) {
        Ok(guard) => guard,
        Err(error) => {
            complain(&format_args!("cannot start the log: {error}"));
            return ExitCode::from(INTERNAL);
        }
    };
    match work(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// The limit on open files may overrule the setting; that is no reason not to start.
fn warn_of_few_descriptors(config: &Config) {
    let (wanted, streams) = (config.max_connections, config.descriptors.streams);
    if streams < wanted {
        log::warn!("max_connections is {wanted}, but the limit on open files allows {streams} streams (ulimit -n)");
    }
}

fn migrate(config: &Config) -> Result<(), OpenError> {
    let url = config.database_url.reveal().to_owned();
    store::migrate(&StoreOptions { url, durability: config.durability, readers: 1 })
}

fn answer(text: &str) {
    // Nobody is left to be told when stdout is closed.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn complain_of(problems: &Problems) {
    problems.0.iter().for_each(complain);
}

fn complain(what: &impl Display) {
    let _ = writeln!(io::stderr(), "santral: {what}");
}

/// `EX_USAGE`: the command line cannot be read.
const USAGE: u8 = 64;

/// `EX_UNAVAILABLE`: something that the server needs is not to be had.
const UNAVAILABLE: u8 = 69;

/// `EX_SOFTWARE`: what should not happen.
const INTERNAL: u8 = 70;

/// `EX_CONFIG`: a setting is wrong.
const CONFIGURATION: u8 = 78;
