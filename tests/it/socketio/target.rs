//! The two servers that the tables run against, with the same settings.

use std::net::SocketAddr;

use santral_testkit::http::{Request, Response};
use santral_testkit::process::{Server, ServerCommand};
use santral_testkit::tools::require_tool;
use serde_json::Value;

use crate::support::packages::{node_clients, node_program};
use crate::support::{PATIENCE, Santral, memory_kib};

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Santral,
    Reference,
}

/// What differs from the defaults. Both servers have the same defaults where the protocol is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// A heartbeat every 300 ms, to be answered within 200 ms.
    pub(crate) is_quick: bool,
    /// How long a client may take to join a namespace.
    pub(crate) connect_timeout_ms: Option<u32>,
    /// How long an upgrade may take.
    pub(crate) upgrade_timeout_ms: Option<u32>,
    /// Largest payload, in bytes.
    pub(crate) max_payload: Option<u32>,
    /// Whether the reference keeps what disconnected clients miss; clients ask Santral for it themselves.
    pub(crate) has_recovery: bool,
}

impl Options {
    pub(crate) const DEFAULT: Self = Self {
        is_quick: false,
        connect_timeout_ms: None,
        upgrade_timeout_ms: None,
        max_payload: None,
        has_recovery: false,
    };
}

/// A running server.
pub(crate) struct Target {
    running: Running,
    options: Options,
    address: SocketAddr,
}

enum Running {
    Santral(Santral),
    Reference(Server),
}

impl Target {
    /// Starts Santral.
    pub(crate) fn santral(options: Options) -> Self {
        let client = node_clients().map(|folder| folder.join("node_modules/socket.io-client/dist"));
        let millis = |value: Option<u32>| value.map(|value| format!("{value}ms"));
        let more = [
            ("SANTRAL_SOCKETIO_PING_INTERVAL", options.is_quick.then(|| "300ms".to_owned())),
            ("SANTRAL_SOCKETIO_PING_TIMEOUT", options.is_quick.then(|| "200ms".to_owned())),
            ("SANTRAL_SOCKETIO_CONNECT_TIMEOUT", millis(options.connect_timeout_ms)),
            ("SANTRAL_SOCKETIO_UPGRADE_TIMEOUT", millis(options.upgrade_timeout_ms)),
            ("SANTRAL_SOCKETIO_MAX_PAYLOAD", options.max_payload.map(|bytes| bytes.to_string())),
            ("SANTRAL_SOCKETIO_NAMESPACES", Some("/,/chat".to_owned())),
            ("SANTRAL_SOCKETIO_CLIENT_DIR", client.map(|folder| folder.display().to_string())),
            // Bytes are base64 in the log, so a megabyte of them takes a third more.
            ("SANTRAL_MESSAGE_BYTES_MAX", Some("2097152".to_owned())),
            // One client suffices to see its own events come back.
            ("SANTRAL_SOCKETIO_UNKNOWN_EVENT", Some("echo".to_owned())),
        ];
        let settings: Vec<_> = more.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
        let santral = Santral::start_with(&settings);
        let address = santral.address;
        Self { running: Running::Santral(santral), options, address }
    }

    /// Starts the reference; `None`, said loudly, without Node or its packages.
    pub(crate) fn reference(options: Options) -> Option<Self> {
        let (server, address) = launch(options, 0)?;
        Some(Self { running: Running::Reference(server), options, address })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.running {
            Running::Santral(_) => Kind::Santral,
            Running::Reference(_) => Kind::Reference,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the server has said, for a test that looks for a line.
    pub(crate) fn output(&self) -> String {
        match &self.running {
            Running::Santral(santral) => santral.server.output(),
            Running::Reference(server) => server.output(),
        }
    }

    /// Memory that the process has in RAM, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        match &self.running {
            Running::Santral(santral) => memory_kib(santral.server.pid(), "VmRSS"),
            Running::Reference(server) => memory_kib(server.pid(), "VmRSS"),
        }
    }

    /// Sends a request and reads the answer.
    pub(crate) fn send(&self, request: &Request) -> Response {
        request.send(self.address, PATIENCE).expect("the server answers")
    }

    /// What a back end sends to say something to clients.
    pub(crate) fn broadcasting(&self, message: &Value) -> Request {
        match self.kind() {
            Kind::Reference => Request::post_json("/api/broadcast", message),
            Kind::Santral => {
                let mut message = message.clone();
                if ["channel", "channels", "user", "connection"].iter().all(|target| message.get(target).is_none()) {
                    message["channel"] = Value::from("broadcast");
                }
                Request::post_json("/api/publish", &message)
            }
        }
    }

    /// What a back end says to clients.
    pub(crate) fn broadcast(&self, message: &Value) -> Value {
        let answer = self.send(&self.broadcasting(message));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().expect("a receipt is JSON")
    }

    /// Ends one connection, as an operator does.
    pub(crate) fn end_connection(&self, id: &str) {
        let answer = self.send(&Request::new("DELETE", &format!("/api/connections/{id}")));
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }

    /// Ends the server and starts it again on the same address.
    pub(crate) fn restart(&mut self) {
        match &mut self.running {
            Running::Santral(santral) => {
                santral.server.kill9().expect("the server can be killed");
                santral.start_again();
            }
            Running::Reference(server) => {
                server.kill9().expect("the reference can be killed");
                let again = launch(self.options, self.address.port());
                *server = again.expect("it was there before").0;
            }
        }
    }
}

/// Starts the reference on this port, 0 for any.
fn launch(options: Options, port: u16) -> Option<(Server, SocketAddr)> {
    let script = node_program("reference.cjs")?;
    let more = [
        ("PING_INTERVAL_MS", options.is_quick.then_some(300)),
        ("PING_TIMEOUT_MS", options.is_quick.then_some(200)),
        ("CONNECT_TIMEOUT_MS", options.connect_timeout_ms),
        ("UPGRADE_TIMEOUT_MS", options.upgrade_timeout_ms),
        ("MAX_PAYLOAD", options.max_payload),
        ("PORT", Some(u32::from(port))),
        ("RECOVERY", options.has_recovery.then_some(1)),
    ];
    let mut command = ServerCommand::new(require_tool("node")?).arg(script).env("UNKNOWN_EVENT", "echo");
    for (key, value) in more {
        if let Some(value) = value {
            command = command.env(key, value.to_string());
        }
    }
    let mut server = command.spawn().expect("the reference starts");
    let listens = |line: &str| line.strip_prefix("listening on http://")?.parse().ok();
    let address = server.wait_for_line(listens, PATIENCE).expect("the reference says where it listens");
    Some((server, address))
}
