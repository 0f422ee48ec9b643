//! The address that the server listens on: free, or taken by Santral.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::config::Config;
use crate::doctor::check::Check;
use crate::doctor::client::{Client, Health};
use crate::doctor::report::Finding;

/// Whether it is free or answers as this version of Santral.
pub(super) fn examine(config: &Config) -> Finding {
    let listen = config.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok(Check::Listen, format!("{listen} is free: no server runs there")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => taken(listen),
        Err(error) => cannot_bind(listen, &error),
    }
}

fn cannot_bind(listen: SocketAddr, error: &io::Error) -> Finding {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a right: listen on another one behind a proxy, or AmbientCapabilities=CAP_NET_BIND_SERVICE"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: see `ip address`, or listen on 127.0.0.1"
        }
        _ => "name another address in `listen`",
    };
    Finding::fail(Check::Listen, format!("cannot listen on {listen}: {error}"), remedy)
}

fn taken(listen: SocketAddr) -> Finding {
    let address = reachable(listen);
    let health = Client::plain(PATIENCE).get(&format!("http://{address}/health"), &[]);
    let health = health.ok().and_then(|answer| Health::of(&answer));
    let Some(health) = health else {
        return Finding::fail(
            Check::Listen,
            format!("something listens on {listen} that is not Santral"),
            format!("see what it is: ss -ltnp 'sport = :{}'; stop it or listen elsewhere", listen.port()),
        );
    };
    let open = if health.open { "; open mode: everybody may do everything" } else { "" };
    let Health { version, node, status, .. } = &health;
    let ours = env!("CARGO_PKG_VERSION");
    let found = format!("Santral {version} answers on {listen} as node {node}, status {status}{open}");
    if version != ours {
        return Finding::warn(
            Check::Listen,
            format!("{found}; this is {ours}"),
            "after an upgrade: restart the server; else look with its own binary",
        );
    }
    if status == "ok" {
        return Finding::ok(Check::Listen, found);
    }
    Finding::warn(Check::Listen, found, "see `storage` in its /health, and its log")
}

/// A server that listens everywhere listens here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// A server on this machine answers in less.
const PATIENCE: Duration = Duration::from_secs(5);
