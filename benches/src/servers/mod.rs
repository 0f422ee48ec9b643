//! The servers under test: how each is started, addressed, measured and stopped.
//!
//! Each runs as a child of the bench, pinned to one core, in a directory of its own that is
//! removed with it. Only processes started here are ever ended, by their id.

pub mod floor;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::error::{BenchError, During, Result};
use crate::http;
use crate::process::ProcessTree;

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(10);
const LOG_TAIL_BYTES: usize = 2_000;
const NGINX_TEMPLATE: &str = include_str!("../../rivals/nginx.conf.template");
const EXPRESS_SOURCE: &str = include_str!("../../rivals/express.js");

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerKind {
    /// Raw epoll and `send`, see [`floor`].
    Floor,
    /// The server of this repository.
    Santral,
    /// nginx with nchan, tuned: `rivals/nginx.conf.template`.
    Nchan,
    /// Node with Express and a loop of `res.write`: `rivals/express.js`.
    Express,
}

/// Whether a publication goes through the durable log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Never stored; what the floor and Express do, and nchan in memory.
    Volatile,
    /// Stored on disk before it is acknowledged; Santral only.
    Stored,
}

/// Where servers and programs are and on which cores they run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The Santral binary.
    pub santral: PathBuf,
    /// More environment for Santral, `KEY=VALUE`.
    pub santral_env: Vec<(String, String)>,
    /// Cores for the server, as `taskset -c` takes them.
    pub server_cores: String,
    /// Parent of the servers' directories; databases lie here.
    pub directory: PathBuf,
    /// Where `npm install express` was run, once it was.
    pub express: PathBuf,
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    kind: ServerKind,
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl ServerKind {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Santral => "santral",
            Self::Nchan => "nchan",
            Self::Express => "express",
        }
    }

    /// Path of the event stream on channel `bench`.
    pub fn subscribe_path(self) -> &'static str {
        match self {
            Self::Santral => "/api/events?channel=bench",
            Self::Floor | Self::Nchan | Self::Express => "/events",
        }
    }

    /// Path to which one publication's data is posted as it is.
    pub fn publish_path(self, durability: Durability) -> &'static str {
        match (self, durability) {
            (Self::Santral, Durability::Volatile) => "/api/broadcast?channel=bench&volatile=true",
            (Self::Santral, Durability::Stored) => "/api/broadcast?channel=bench",
            (Self::Floor | Self::Nchan | Self::Express, _) => "/publish",
        }
    }
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When the program is missing or does not answer within 20 s.
    pub fn start(kind: ServerKind, launch: &Launch) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(&launch.directory)
            .during("create the server's directory")?;
        let address = free_address()?;
        let mut command = Command::new("taskset");
        command.args(["-c", &launch.server_cores]);
        describe(kind, launch, address, directory.path(), &mut command)?;
        let log = File::create(directory.path().join("log")).during("create the server's log")?;
        let errors = log.try_clone().during("share the server's log")?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().during("start the server")?;
        let mut server = Self { kind, child, address, directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Which server this is.
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its processes.
    pub fn processes(&self) -> ProcessTree {
        ProcessTree::of(&self.child)
    }

    /// The directory with its data and log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The end of what it wrote to standard output and error.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        let start = log.len().saturating_sub(LOG_TAIL_BYTES);
        String::from_utf8_lossy(&log[start..]).into_owned()
    }

    /// Asks it to end and waits, leaving its directory in place until this is dropped.
    pub fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = pid
        {
            // It may have ended meanwhile; it is reaped below either way.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if is_alive(self.address) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(BenchError::NotReady { server: self.kind.name(), log: self.log_tail() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Adds program, arguments and environment of one server.
fn describe(
    kind: ServerKind,
    launch: &Launch,
    address: SocketAddr,
    directory: &Path,
    command: &mut Command,
) -> Result<()> {
    let port = address.port().to_string();
    match kind {
        ServerKind::Floor => {
            let bench = std::env::current_exe().during("find the bench's own program")?;
            command.arg(bench).args(["floor", "--port", &port]);
        }
        ServerKind::Santral => {
            command.arg(&launch.santral).arg("serve").current_dir(directory);
            command.env("SANTRAL_LISTEN", address.to_string());
            command.env("SANTRAL_DATA_DIR", directory.join("data"));
            command.env("SANTRAL_WORKERS", "1").env_remove("DATABASE_URL");
            command.envs(launch.santral_env.iter().map(|(key, value)| (key, value)));
        }
        ServerKind::Nchan => {
            let settings = NGINX_TEMPLATE.replace("@PORT@", &port).replace("@DIR@", &directory.to_string_lossy());
            let path = directory.join("nginx.conf");
            fs::write(&path, settings).during("write nginx's settings")?;
            command.arg("nginx").arg("-p").arg(directory).arg("-c").arg(path);
            command.arg("-e").arg(directory.join("error.log"));
        }
        ServerKind::Express => {
            install_express(&launch.express)?;
            command.args(["node", "server.js"]).current_dir(&launch.express);
            command.env("PORT", port).env("NODE_ENV", "production");
        }
    }
    Ok(())
}

/// Puts Express into its directory by npm, the first time.
fn install_express(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).during("create Express's directory")?;
    fs::write(directory.join("server.js"), EXPRESS_SOURCE).during("write Express's program")?;
    if directory.join("node_modules/express").is_dir() {
        return Ok(());
    }
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--no-update-notifier", "express@5"])
        .arg("--prefix")
        .arg(directory)
        .output()
        .during("run npm")?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BenchError::Helper { program: "npm install express", log })
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("find a free port")?;
    listener.local_addr().during("find a free port")
}

fn is_alive(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let limited = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut answer = [0; 512];
    limited.is_ok()
        && stream.write_all(&http::get("/health/live", "*/*")).is_ok()
        && stream.read(&mut answer).is_ok_and(|count| http::status(&answer[..count]) == 200)
}
