//! A private coturn on loopback, from the configuration that is deployed, and its own client to judge it.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::process::{ProcessError, Server, ServerCommand};
use crate::tools::require_tool;

/// A running coturn. Dropping it kills it and deletes its folder.
#[derive(Debug)]
pub struct Coturn {
    server: Server,
    client: PathBuf,
    plain: u16,
    tls: u16,
    _folder: TempDir,
    _certificate: Certificate,
}

/// To whom it relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// To public addresses, as deployed. It relays from loopback, so nothing gets out.
    AsDeployed,
    /// To loopback as well, where the participants of a test are.
    Loopback,
}

/// By which way a client reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `turn:…?transport=udp`.
    Udp,
    /// `turn:…?transport=tcp`.
    Tcp,
    /// `turns:…?transport=tcp`.
    Tls,
}

impl Coturn {
    /// Starts coturn on 127.0.0.1 and ::1 with this configuration, but with this secret, and with ports, a
    /// certificate and files of its own; `None`, said loudly, when coturn or openssl is not installed.
    ///
    /// # Errors
    /// [`ProcessError`] with coturn's own words.
    pub fn start(deployed: &str, secret: &str, peers: Peers) -> Result<Option<Self>, ProcessError> {
        let (Some(program), Some(client)) = (require_tool("turnserver"), require_tool("turnutils_uclient")) else {
            return Ok(None);
        };
        let Some(certificate) = Certificate::for_loopback()? else {
            return Ok(None);
        };
        let folder = TempDir::with_prefix("santral-coturn-").map_err(failed)?;
        let (plain, tls) = (free_port().map_err(failed)?, free_port().map_err(failed)?);
        let of_folder = |name: &str| folder.path().join(name).display().to_string();
        let replaced = [
            ("static-auth-secret", secret.to_owned()),
            ("listening-port", plain.to_string()),
            ("tls-listening-port", tls.to_string()),
            ("cert", certificate.chain().display().to_string()),
            ("pkey", certificate.key().display().to_string()),
        ];
        let mut text = replace(deployed, &replaced).map_err(failed)?;
        for address in ["127.0.0.1", "::1"] {
            text.push_str(&format!("listening-ip={address}\nrelay-ip={address}\n"));
        }
        text.push_str(&format!("pidfile={}\nuserdb={}\n", of_folder("pid"), of_folder("users")));
        if peers == Peers::Loopback {
            text.push_str("allow-loopback-peers\nallowed-peer-ip=127.0.0.1\nallowed-peer-ip=::1\n");
        }
        let file = folder.path().join("turnserver.conf");
        fs::write(&file, text).map_err(failed)?;
        let mut server = ServerCommand::new(program).arg("-c").arg(file).current_dir(folder.path()).spawn()?;
        for port in [plain, tls] {
            server.wait_for_tcp(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port), TIMEOUT)?;
        }
        Ok(Some(Self { server, client, plain, tls, _folder: folder, _certificate: certificate }))
    }

    /// Waits until this user is taken for good: at its first start, some of its threads find the tables of its
    /// database locked by others that make them, and take nobody for a moment.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] with what it said instead.
    pub fn wait_until_taken(&self, user: &str, password: &str) -> Result<(), ProcessError> {
        let end = Instant::now() + TIMEOUT;
        let mut taken = 0;
        while taken < TAKEN_IN_A_ROW {
            if Instant::now() > end {
                return Err(ProcessError::Deadline {
                    program: "turnserver".to_owned(),
                    what: "an allocation",
                    timeout: TIMEOUT,
                    output: self.log(),
                });
            }
            // Refused as a peer, so that the client ends at once.
            let said = self.bind(IpAddr::from([10, 0, 0, 1]), user, password)?;
            taken = if said.contains("Received relay addr") { taken + 1 } else { 0 };
        }
        Ok(())
    }

    /// The URI under which browsers reach it on 127.0.0.1.
    #[must_use]
    pub fn url(&self, way: Way) -> String {
        match way {
            Way::Udp => format!("turn:127.0.0.1:{}?transport=udp", self.plain),
            Way::Tcp => format!("turn:127.0.0.1:{}?transport=tcp", self.plain),
            Way::Tls => format!("turns:127.0.0.1:{}?transport=tcp", self.tls),
        }
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.output()
    }

    /// Lets two clients of coturn's own send each other `messages` through it; what they said.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] when they come to no end.
    pub fn converse(&self, way: Way, user: &str, password: &str, messages: u32) -> Result<String, ProcessError> {
        let arguments = ["-y".to_owned(), "-n".to_owned(), messages.to_string()];
        self.ask("127.0.0.1", way, user, password, &arguments)
    }

    /// Lets a client of coturn's own ask for an allocation and for a channel to this peer, to which nothing is
    /// sent; what it said.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] when it comes to no end.
    pub fn bind(&self, peer: IpAddr, user: &str, password: &str) -> Result<String, ProcessError> {
        let (family, host) = if peer.is_ipv4() { ("-X", "127.0.0.1") } else { ("-x", "::1") };
        let arguments = [family, "-n", "0", "-r", "80", "-e"].map(str::to_owned);
        self.ask(host, Way::Udp, user, password, &[&arguments[..], &[peer.to_string()]].concat())
    }

    fn ask(
        &self,
        host: &str,
        way: Way,
        user: &str,
        password: &str,
        arguments: &[String],
    ) -> Result<String, ProcessError> {
        let way: &[&str] = match way {
            Way::Udp => &["-p"],
            Way::Tcp => &["-t", "-p"],
            // It draws a version of TLS by lot, and hangs where the server takes none of the old ones. They
            // do not have this cipher.
            Way::Tls => &["-t", "-S", "-F", "ECDHE-ECDSA-AES256-GCM-SHA384", "-p"],
        };
        let port = if way.contains(&"-S") { self.tls } else { self.plain };
        let command = ServerCommand::new(&self.client).args(["-v", "-c"]).args(arguments).args(way);
        let command = command.arg(port.to_string()).args(["-u", user, "-w", password]).arg(host);
        let mut client = command.spawn()?;
        client.wait_exit(TIMEOUT)?;
        Ok(client.output())
    }
}

/// The configuration with other values, each of which must stand there once.
fn replace(text: &str, values: &[(&str, String)]) -> io::Result<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (name, value) in values {
        let is_named = |line: &&mut String| line.split_once('=').is_some_and(|(key, _)| key == *name);
        let line = lines.iter_mut().find(is_named).ok_or_else(|| io::Error::other(format!("no {name}")))?;
        *line = format!("{name}={value}");
    }
    Ok(lines.join("\n") + "\n")
}

/// A port that is free now on both addresses, for TCP and for UDP.
fn free_port() -> io::Result<u16> {
    for _ in 0..PORT_TRIES {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let is_free = |host: &str| TcpListener::bind((host, port)).is_ok() && UdpSocket::bind((host, port)).is_ok();
        if is_free("127.0.0.1") && is_free("::1") {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn failed(source: io::Error) -> ProcessError {
    ProcessError::Prepare { program: "turnserver".to_owned(), source }
}

/// As many as its threads that look at passwords, and some.
const TAKEN_IN_A_ROW: usize = 8;

const PORT_TRIES: usize = 100;

const TIMEOUT: Duration = Duration::from_secs(30);
