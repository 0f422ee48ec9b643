//! The command line of the bench: which runs, which servers, which cores.
//!
//! Prints Markdown for docs/benchmarks.md on standard output and progress on standard error. Ends
//! with status 1 when a required figure fails and 2 when a run could not be made.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use santral_bench::error::{During, Result};
use santral_bench::report::{Section, figures_table};
use santral_bench::runs::{self, Bench};
use santral_bench::servers::{Launch, ServerKind, floor};
use santral_bench::{bare_insert, process};

/// Benchmarks of Santral and its rivals; every delivery is checked for order and completeness.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
    /// The Santral binary; by default the one beside this program.
    #[arg(long, global = true)]
    santral: Option<PathBuf>,
    /// More environment for Santral.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = parse_variable)]
    santral_env: Vec<(String, String)>,
    /// Servers to measure.
    #[arg(long, global = true, value_delimiter = ',', default_value = "floor,santral,nchan,express,socketio,peerjs")]
    servers: Vec<ServerKind>,
    /// Repetitions of each measurement; the median counts.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// A tenth of everything: a look at whether it works, no measurement.
    #[arg(long, global = true)]
    quick: bool,
    /// Cores of the server, as taskset takes them.
    #[arg(long, global = true, default_value = "0")]
    server_cores: String,
    /// Core of the load generator.
    #[arg(long, global = true, default_value_t = 1)]
    load_core: usize,
    /// Where servers put their data; it should be a real disk.
    #[arg(long, global = true, default_value = "target/bench")]
    directory: PathBuf,
}

#[derive(Subcommand)]
enum Commands {
    /// CPU per delivery at 1,000 and 10,000 readers.
    Fanout {
        /// How many readers, one or more sizes.
        #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
        readers: Vec<usize>,
        /// Milliseconds between a publication's last receipt and the next publication.
        #[arg(long, default_value_t = runs::fanout::PAUSE_MS)]
        pause_ms: u64,
    },
    /// The highest rate to 1,000 readers.
    Sustained,
    /// Memory per idle stream.
    Idle,
    /// 20 of 220 readers that never read.
    Stalled,
    /// A small GET while the worker serves 10,000 readers.
    RestLatency,
    /// Stored publications a second.
    Publish,
    /// CPU per connect and disconnect.
    Connect,
    /// CPU per relayed publication.
    Relay,
    /// The engine with one channel and with 100,000.
    Feeds,
    /// The operator's list, filters and search beside 15,000 streams.
    Operator,
    /// Socket.IO clients on Santral and on npm socket.io.
    Socketio,
    /// Santral's own WebSocket and long polls beside its event streams.
    Transports,
    /// Signals between the participants of 1,000 calls, on Santral and on npm peer.
    Signalling,
    /// Everything above.
    All,
    /// Whether the time of a sign-in tells that an account exists; no part of `all`, since it is no benchmark.
    LoginTiming {
        /// Sign-ins of each kind; more find smaller differences.
        #[arg(long, default_value_t = runs::login_timing::SIGN_INS)]
        sign_ins: usize,
    },
    /// The floor server.
    #[command(hide = true)]
    Floor {
        #[arg(long)]
        port: u16,
    },
    /// The bare insert loop.
    #[command(hide = true)]
    BareInsert {
        #[arg(long)]
        directory: PathBuf,
        #[arg(long)]
        batch: usize,
        #[arg(long)]
        seconds: u64,
    },
}

type Run = fn(&Bench) -> Result<Section>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("santral-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Does what was asked; says whether all required figures pass.
fn execute(cli: Cli) -> Result<bool> {
    let sections = match &cli.command {
        Commands::Floor { port } => return floor::serve(*port).map(|()| true),
        Commands::BareInsert { directory, batch, seconds } => {
            let rate = bare_insert::run(directory, *batch, Duration::from_secs(*seconds))?;
            println!("{rate}");
            return Ok(true);
        }
        Commands::Fanout { readers, pause_ms } => {
            let bench = prepare(&cli)?;
            vec![runs::fanout::run(&bench, readers, Duration::from_millis(*pause_ms))?]
        }
        Commands::All => run_all(&prepare(&cli)?)?,
        Commands::Sustained => run_one(&cli, runs::sustained::run)?,
        Commands::LoginTiming { sign_ins } => vec![runs::login_timing::run(&prepare(&cli)?, *sign_ins)?],
        Commands::Idle => run_one(&cli, runs::idle::run)?,
        Commands::Stalled => run_one(&cli, runs::stalled::run)?,
        Commands::RestLatency => run_one(&cli, runs::rest_latency::run)?,
        Commands::Publish => run_one(&cli, runs::publish::run)?,
        Commands::Connect => run_one(&cli, runs::connect::run)?,
        Commands::Relay => run_one(&cli, runs::relay::run)?,
        Commands::Operator => run_one(&cli, runs::operator::run)?,
        Commands::Socketio => runs::socketio::run(&prepare(&cli)?)?,
        Commands::Transports => runs::transports::run(&prepare(&cli)?)?,
        Commands::Signalling => run_one(&cli, runs::signalling::run)?,
        Commands::Feeds => run_one(&cli, runs::feeds::run)?,
    };
    print_report(&sections);
    let figures = sections.iter().flat_map(|section| &section.figures);
    Ok(figures.into_iter().all(|figure| figure.passes()))
}

fn run_one(cli: &Cli, run: Run) -> Result<Vec<Section>> {
    Ok(vec![run(&prepare(cli)?)?])
}

fn run_all(bench: &Bench) -> Result<Vec<Section>> {
    let runs: [Run; 9] = [
        runs::sustained::run,
        runs::idle::run,
        runs::stalled::run,
        runs::rest_latency::run,
        runs::publish::run,
        runs::connect::run,
        runs::relay::run,
        runs::feeds::run,
        runs::operator::run,
    ];
    let pause = Duration::from_millis(runs::fanout::PAUSE_MS);
    let mut sections = vec![runs::fanout::run(bench, &[1_000, 10_000], pause)?];
    for run in runs {
        sections.push(run(bench)?);
    }
    sections.extend(runs::socketio::run(bench)?);
    sections.extend(runs::transports::run(bench)?);
    sections.push(runs::signalling::run(bench)?);
    Ok(sections)
}

fn prepare(cli: &Cli) -> Result<Bench> {
    process::raise_descriptor_limit()?;
    process::pin_self(cli.load_core)?;
    std::fs::create_dir_all(&cli.directory).during("create the directory for servers")?;
    let directory = cli.directory.canonicalize().during("find the directory for servers")?;
    let own = std::env::current_exe().during("find the bench's own program")?;
    let santral = cli.santral.clone().unwrap_or_else(|| own.with_file_name("santral"));
    let santral = santral.canonicalize().unwrap_or(santral);
    let mut servers = cli.servers.clone();
    if servers.contains(&ServerKind::Santral) && !santral.is_file() {
        eprintln!("no Santral binary at {}: left out", santral.display());
        servers.retain(|&kind| kind != ServerKind::Santral);
    }
    Ok(Bench {
        launch: Launch {
            santral,
            santral_env: cli.santral_env.clone(),
            server_cores: cli.server_cores.clone(),
            directory,
        },
        servers,
        rounds: usize::try_from(cli.rounds).unwrap_or(1),
        quick: cli.quick,
    })
}

fn print_report(sections: &[Section]) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("* command: `santral-bench {}`", arguments.join(" "));
    println!("* commit: {}", process::commit());
    println!("* machine: {}", process::machine());
    let nginx = process::output_of("nginx", &["-v"]);
    let node = process::output_of("node", &["--version"]);
    println!("* rivals: {nginx} with libnginx-mod-nchan {}, node {node}", nchan_version());
    println!();
    if sections.iter().any(|section| !section.figures.is_empty()) {
        println!("{}", figures_table(sections));
    }
    for section in sections {
        println!("{section}");
    }
}

fn nchan_version() -> String {
    process::output_of("dpkg-query", &["-W", "-f", "${Version}", "libnginx-mod-nchan"])
}

fn parse_variable(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
