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

use crate::dialect::{Entrance, Transport};
use crate::error::{BenchError, During, Result};
use crate::http;
use crate::process::ProcessTree;

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(10);
const LOG_TAIL_BYTES: usize = 2_000;
const NGINX_TEMPLATE: &str = include_str!("../../rivals/nginx.conf.template");
/// What npm is asked for, and the programs that use it.
const EXPRESS: NodeRival =
    NodeRival { folder: "express", packages: &["express@5"], source: include_str!("../../rivals/express.js") };
const SOCKET_IO: NodeRival = NodeRival {
    folder: "socketio",
    packages: &["socket.io@4.8.4", "bufferutil@4.1.0", "utf-8-validate@6.0.6"],
    source: include_str!("../../rivals/socketio.js"),
};

const PEER_JS: NodeRival = NodeRival {
    folder: "peerjs",
    packages: &["peer@1.0.2", "bufferutil@4.1.0"],
    source: include_str!("../../rivals/peerjs.js"),
};

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
    /// npm `socket.io`, tuned: `rivals/socketio.js`.
    #[value(name = "socketio")]
    SocketIo,
    /// npm `peer`, the server of PeerJS: `rivals/peerjs.js`.
    #[value(name = "peerjs")]
    PeerJs,
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
    /// Parent of the servers' directories; databases lie here, and what npm installed.
    pub directory: PathBuf,
}

/// A server that Node runs.
struct NodeRival {
    /// Below the servers' directory.
    folder: &'static str,
    packages: &'static [&'static str],
    source: &'static str,
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
            Self::SocketIo => "npm socket.io",
            Self::PeerJs => "npm peer",
        }
    }

    /// Whether it has event streams.
    pub fn has_event_streams(self) -> bool {
        match self {
            Self::Floor | Self::Santral | Self::Nchan | Self::Express => true,
            Self::SocketIo | Self::PeerJs => false,
        }
    }

    /// Where clients of channel or room `bench` come in. What a server does not have it answers with 404.
    pub fn entrance(self, transport: Transport) -> Entrance {
        let (path, room) = match (transport, self) {
            (Transport::EventStream, Self::Santral) => ("/api/events?channel=bench", None),
            (Transport::EventStream, _) => ("/events", None),
            (Transport::WebSocket, _) => ("/api/v1/ws?channel=bench", None),
            (Transport::LongPoll, _) => ("/api/poll?channel=bench", None),
            (Transport::SocketIoWebSocket, _) => ("/socket.io/?EIO=4&transport=websocket", Some("bench")),
            (Transport::SocketIoPolling, _) => ("/socket.io/?EIO=4&transport=polling", Some("bench")),
        };
        Entrance { transport, path, room }
    }

    /// Where a POST makes the server collect its garbage, if it has any.
    pub fn collect_path(self) -> Option<&'static str> {
        match self {
            Self::SocketIo => Some("/collect"),
            Self::Floor | Self::Santral | Self::Nchan | Self::Express | Self::PeerJs => None,
        }
    }

    /// Path to which one publication's data is posted as it is.
    pub fn publish_path(self, durability: Durability) -> &'static str {
        match (self, durability) {
            (Self::Santral, Durability::Volatile) => "/api/broadcast?channel=bench&volatile=true",
            (Self::Santral, Durability::Stored) => "/api/broadcast?channel=bench",
            (Self::Floor | Self::Nchan | Self::Express | Self::SocketIo | Self::PeerJs, _) => "/publish",
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
            command.arg("node").arg("server.js").current_dir(EXPRESS.install(launch)?);
            command.env("PORT", port).env("NODE_ENV", "production");
        }
        ServerKind::SocketIo => {
            command.args(["node", "--expose-gc", "server.js"]).current_dir(SOCKET_IO.install(launch)?);
            command.env("PORT", port).env("NODE_ENV", "production");
        }
        ServerKind::PeerJs => {
            command.args(["node", "server.js"]).current_dir(PEER_JS.install(launch)?);
            command.env("PORT", port).env("NODE_ENV", "production");
        }
    }
    Ok(())
}

/// The versions that npm installed for the Socket.IO server, as `socket.io 4.8.4, ws 8.…`.
pub fn socketio_versions(launch: &Launch) -> String {
    SOCKET_IO.versions(launch, &["socket.io", "engine.io", "ws", "bufferutil", "utf-8-validate"])
}

/// The same for the server of PeerJS.
pub fn peerjs_versions(launch: &Launch) -> String {
    PEER_JS.versions(launch, &["peer", "ws", "bufferutil"])
}

impl NodeRival {
    fn versions(&self, launch: &Launch, packages: &[&str]) -> String {
        let modules = launch.directory.join(self.folder).join("node_modules");
        let version = |package: &&str| {
            let manifest = fs::read_to_string(modules.join(package).join("package.json")).unwrap_or_default();
            let version = manifest.split_once("\"version\": \"").and_then(|(_, rest)| rest.split('"').next());
            format!("{package} {}", version.unwrap_or("not found"))
        };
        packages.iter().map(version).collect::<Vec<_>>().join(", ")
    }

    /// Puts the packages into their directory by npm, the first time, and returns it.
    fn install(&self, launch: &Launch) -> Result<PathBuf> {
        let directory = launch.directory.join(self.folder);
        fs::create_dir_all(&directory).during("create a Node server's directory")?;
        fs::write(directory.join("server.js"), self.source).during("write a Node server's program")?;
        let is_there = |package: &&str| {
            let name = package.split('@').next().unwrap_or(package);
            directory.join("node_modules").join(name).is_dir()
        };
        if self.packages.iter().all(is_there) {
            return Ok(directory);
        }
        let output = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
            .args(self.packages)
            .arg("--prefix")
            .arg(&directory)
            .output()
            .during("run npm")?;
        if output.status.success() {
            return Ok(directory);
        }
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(BenchError::Helper { program: "npm install", log })
    }
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
