//! `santral healthcheck`: asks a server on this machine whether it is ready, for container engines.

use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::complain;
use crate::config::{self, Inputs, Problems};

/// Asks the server whether it is ready: exit code 0 if so, else 1.
pub(super) fn run(inputs: &Inputs) -> ExitCode {
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

/// The server is not ready.
const UNREADY: u8 = 1;

/// Less than what container engines allow a health check by default.
const HEALTHCHECK_DEADLINE: Duration = Duration::from_secs(5);

/// No status line of ours is longer.
const STATUS_LINE_BYTES_MAX: usize = 128;
