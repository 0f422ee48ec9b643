//! The command line: reads it, calls what it names, and turns the outcome into an exit code.
//!
//! The only place that looks at arguments, environment and current directory. Exit codes follow
//! sysexits(3); docs/settings.md lists them.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand, value_parser};

use crate::config::{self, Config, Inputs, KEYS, LiveConfig, Loaded, Problems, descriptors};
use crate::store::{self, OpenError, StoreOptions};
use crate::telemetry;

/// Runs what the arguments of the process say; `serve` runs the server until it is asked to stop.
///
/// Complaints go to stderr, answers to stdout.
pub fn run<E: Display>(serve: impl FnOnce(&Arc<LiveConfig>) -> Result<(), E>) -> ExitCode {
    let Cli { command, flags } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(error),
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
        Command::Healthcheck => healthcheck(&inputs),
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
    /// Print the version
    Version,
}

/// The flags of the settings, made from their declarations.
#[derive(Debug, Default)]
struct Flags {
    file: Option<PathBuf>,
    settings: Vec<(String, String)>,
}

impl Flags {
    /// Together with the rest of what the process was given.
    fn inputs(&self) -> Inputs {
        Inputs {
            flags: self.settings.clone(),
            file: self.file.clone(),
            environment: std::env::vars_os().collect::<Vec<(OsString, OsString)>>(),
            // Paths stay relative, as they were written.
            folder: PathBuf::new(),
            descriptors: descriptors::raise(),
        }
    }
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help("Read settings from this TOML file instead of santral.toml");
        KEYS.iter().fold(command.arg(file), |command, key| {
            let argument = Arg::new(key.name)
                .long(key.flag())
                .value_name("VALUE")
                .global(true)
                .help(key.summary())
                .long_help(key.help());
            command.arg(if key.is_switch() {
                argument.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                argument
            })
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |name: &str| matches.get_one::<String>(name).map(|text| (name.to_owned(), text.clone()));
        let settings = KEYS.iter().filter_map(|key| value(key.name)).collect();
        Ok(Self { file: matches.get_one::<PathBuf>("config").cloned(), settings })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Help and version were asked for, or the arguments make no sense.
fn misused(error: clap::Error) -> ExitCode {
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

fn healthcheck(inputs: &Inputs) -> ExitCode {
    let readiness = config::load_listen(inputs).map_err(Unready::Configuration).and_then(ask_ready);
    match readiness {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            complain(&reason);
            // Container engines reserve the other codes.
            ExitCode::from(UNREADY)
        }
    }
}

/// Why a server does not count as ready.
#[derive(Debug)]
enum Unready {
    Configuration(Problems),
    Network(SocketAddr, io::Error),
    Answer(SocketAddr, String),
}

impl Display for Unready {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => problems.fmt(formatter),
            Self::Network(address, error) => write!(formatter, "{address} does not answer: {error}"),
            Self::Answer(address, line) => write!(formatter, "{address} is not ready: {line:?}"),
        }
    }
}

/// Asks the server that listens at `listen` for `/health/ready`.
fn ask_ready(listen: SocketAddr) -> Result<(), Unready> {
    let mut address = listen;
    // A server that listens everywhere listens here.
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    let line = status_line(address).map_err(|error| Unready::Network(address, error))?;
    let is_ready = line.starts_with("HTTP/1.") && line.split(' ').nth(1) == Some("200");
    if is_ready { Ok(()) } else { Err(Unready::Answer(address, line)) }
}

/// The first line of the answer; the whole exchange has one deadline.
fn status_line(address: SocketAddr) -> io::Result<String> {
    let deadline = Instant::now() + HEALTHCHECK_DEADLINE;
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    write!(stream, "GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < STATUS_LINE_BYTES_MAX {
        stream.set_read_timeout(Some(left()?))?;
        if stream.read(&mut byte)? == 0 || byte == *b"\r" || byte == *b"\n" {
            break;
        }
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
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

/// `healthcheck` says no.
const UNREADY: u8 = 1;

/// `EX_USAGE`: the command line cannot be read.
const USAGE: u8 = 64;

/// `EX_UNAVAILABLE`: something that the server needs is not to be had.
const UNAVAILABLE: u8 = 69;

/// `EX_SOFTWARE`: what should not happen.
const INTERNAL: u8 = 70;

/// `EX_CONFIG`: a setting is wrong.
const CONFIGURATION: u8 = 78;

/// Less than what container engines allow a health check by default.
const HEALTHCHECK_DEADLINE: Duration = Duration::from_secs(5);

/// No status line of ours is longer.
const STATUS_LINE_BYTES_MAX: usize = 128;
