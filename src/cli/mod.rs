//! The command line: reads it, calls what it names, and turns the outcome into an exit code.
//!
//! | file | what |
//! |---|---|
//! | `flags` | the settings as flags |
//! | `misuse` | what is said when the arguments make no sense |
//! | `create_admin`, `doctor`, `healthcheck`, `token` | the commands of these names |
//! | `password`, `span` | what they take |
//!
//! The only place that looks at arguments, environment and current directory. Exit codes follow
//! sysexits(3); docs/settings.md lists them.

mod create_admin;
mod doctor;
mod flags;
mod healthcheck;
mod misuse;
mod password;
mod span;
mod token;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::auth::AuthError;
use crate::auth::account_name::AccountNameError;
use crate::auth::password::PasswordError;
use crate::auth::secrets::TokenKeyError;
use crate::config::{self, Config, Inputs, LiveConfig, Loaded, Problems};
use crate::ports::store::StoreError;
use crate::store::{self, OpenError, Records, StoreOptions};
use crate::telemetry;

use create_admin::CreateAdminArguments;
use doctor::DoctorArguments;
use flags::Flags;
use token::TokenArguments;

/// Runs what the arguments of the process say; `serve` runs the server until it is asked to stop.
///
/// Complaints go to stderr, answers to stdout.
pub fn run<E: Display>(serve: impl FnOnce(&Arc<LiveConfig>) -> Result<(), E>) -> ExitCode {
    let Cli { command, flags } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misuse::answer(error),
    };
    let inputs = flags.inputs();
    match command.unwrap_or(Command::Serve) {
        Command::Serve => configured(&inputs, |loaded| {
            logged(&loaded.config, |config| {
                warn_of_few_descriptors(config);
                serve(&Arc::new(LiveConfig::new(loaded.clone())))
            })
        }),
        Command::Migrate => configured(&inputs, |loaded| logged(&loaded.config, migrate)),
        Command::CheckConfig => configured(&inputs, |loaded| {
            answer(&config::explain(loaded));
            ExitCode::SUCCESS
        }),
        Command::Healthcheck => healthcheck::run(&inputs),
        Command::CreateAdmin(arguments) => carried_out(&inputs, |config| create_admin::run(config, &arguments)),
        Command::Token(arguments) => carried_out(&inputs, |config| token::run(config, &arguments)),
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
    /// Make an account that may do everything, also while a server runs
    CreateAdmin(CreateAdminArguments),
    /// Print an access token for an account, or for somebody without one
    Token(TokenArguments),
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

/// Does something for which the answer is a text, and a refusal is a complaint.
fn carried_out(inputs: &Inputs, work: impl FnOnce(&Config) -> Result<String, CommandError>) -> ExitCode {
    configured(inputs, |loaded| match work(&loaded.config) {
        Ok(text) => {
            answer(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    })
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// The account's name.
    #[error("the name {0}")]
    Name(#[from] AccountNameError),
    /// Somebody has it already.
    #[error("there is an account {0:?} already; choose another name")]
    NameTaken(String),
    /// The password, or the making of its hash.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// None was given.
    #[error("no password was given: type one in a terminal, or use --password-file or --generate-password")]
    NoPassword,
    /// The two that were typed differ.
    #[error("the two passwords differ")]
    PasswordsDiffer,
    /// Nobody has that name.
    #[error("there is no account {0:?}")]
    NoAccount(String),
    /// The account may not sign in.
    #[error("the account {0:?} is disabled")]
    Disabled(String),
    /// What the token is to say.
    #[error("no such token can be made: {0}")]
    Token(#[from] AuthError),
    /// What stands in a file or was typed.
    #[error("cannot read {0}: {1}")]
    Input(String, io::Error),
    /// The key that signs tokens.
    #[error(transparent)]
    Key(#[from] TokenKeyError),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database, once it was open.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Name(_)
            | Self::NameTaken(_)
            | Self::Password(_)
            | Self::NoPassword
            | Self::PasswordsDiffer
            | Self::NoAccount(_)
            | Self::Disabled(_)
            | Self::Token(_)
            | Self::Input(..) => REFUSED,
            Self::Key(_) | Self::Open(_) | Self::Store(_) => UNAVAILABLE,
        }
    }
}

/// Accounts and what is kept beside them, for a command that leaves the log alone.
fn open_records(config: &Config) -> Result<Records, OpenError> {
    store::open_records(&store_options(config))
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
    store::migrate(&store_options(config))
}

fn store_options(config: &Config) -> StoreOptions {
    StoreOptions { url: config.database_url.reveal().to_owned(), durability: config.durability, readers: 1 }
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

/// What was asked for cannot be done.
const REFUSED: u8 = 1;

/// `EX_USAGE`: the command line cannot be read.
const USAGE: u8 = 64;

/// `EX_UNAVAILABLE`: something that the server needs is not to be had.
const UNAVAILABLE: u8 = 69;

/// `EX_SOFTWARE`: what should not happen.
const INTERNAL: u8 = 70;

/// `EX_CONFIG`: a setting is wrong.
const CONFIGURATION: u8 = 78;
