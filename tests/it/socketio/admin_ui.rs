//! An npm `socket.io-client` in the place of the Admin UI, driven by lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use santral_testkit::http::Request;
use santral_testkit::process::{Server, ServerCommand};
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};

use super::wire::handshake;
use crate::support::PATIENCE;
use crate::support::packages::node_program;

/// One Admin UI. Dropping it ends it.
pub(crate) struct AdminUi {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Everything that it has heard, as it was printed.
    pub(crate) heard: Vec<Value>,
}

impl AdminUi {
    /// Starts one and lets it ask for entry; `None`, said loudly, without Node or its packages.
    pub(crate) fn open(address: SocketAddr, transport: &str, auth: &Value) -> Option<Self> {
        let script = node_program("admin_ui.cjs")?;
        let mut command = Command::new(require_tool("node")?);
        command.arg(script).arg(format!("http://{address}")).arg(transport).arg(auth.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the client starts");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Some(Self { child, input: input.expect("it is piped"), lines, heard: Vec::new() })
    }

    /// The same, once it is in.
    pub(crate) fn enter(address: SocketAddr, transport: &str, auth: &Value) -> Option<Self> {
        let mut ui = Self::open(address, transport, auth)?;
        ui.wait("connect", |_| true);
        ui.wait("config", |_| true);
        Some(ui)
    }

    /// The first event of this name that is as wanted, of all that came and come.
    pub(crate) fn wait(&mut self, name: &str, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let matches = |line: &Value| {
            let (first, args) = line.as_array()?.split_first()?;
            (first == name && is_wanted(args)).then(|| args.to_vec())
        };
        if let Some(args) = self.heard.iter().find_map(matches) {
            return args;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {name} as wanted; heard:\n{}", self.transcript())
            };
            let line: Value = serde_json::from_str(&line).expect("the client prints JSON");
            let found = matches(&line);
            self.heard.push(line);
            if let Some(args) = found {
                return args;
            }
        }
    }

    /// Forgets what came, so that the next [`Self::wait`] is for what comes.
    pub(crate) fn forget(&mut self) {
        self.heard.clear();
    }

    /// Calls a command and returns its answer.
    pub(crate) fn call(&mut self, command: &Value) -> Value {
        self.heard.retain(|line| line[0] != "ack");
        writeln!(self.input, "{command}").expect("the client listens");
        self.wait("ack", |_| true).into_iter().next().unwrap_or(Value::Null)
    }

    /// What it may do and is shown.
    pub(crate) fn features(&mut self) -> Value {
        self.wait("config", |_| true)[0]["supportedFeatures"].clone()
    }

    /// The socket of this id, from the first list or from what came since.
    pub(crate) fn socket(&mut self, id: &str) -> Value {
        let list = self.wait("all_sockets", |_| true);
        let listed = list[0].as_array().and_then(|list| list.iter().find(|socket| socket["id"] == id)).cloned();
        listed.unwrap_or_else(|| self.wait("socket_connected", |args| args[0]["id"] == id)[0].clone())
    }

    /// Everything that was heard, as text.
    pub(crate) fn transcript(&self) -> String {
        self.heard.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for AdminUi {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// npm `socket.io` with `instrument()`, where `root` has this password; `None`, said loudly, without Node.
pub(crate) fn reference(password: &str) -> Option<(Server, SocketAddr)> {
    let script = node_program("admin_reference.cjs")?;
    let command = ServerCommand::new(require_tool("node")?).arg(script).env("ADMIN_PASSWORD", password);
    let mut server = command.spawn().expect("the reference starts");
    let listens = |line: &str| line.strip_prefix("listening on http://")?.parse().ok();
    let address = server.wait_for_line(listens, PATIENCE).expect("the reference says where it listens");
    Some((server, address))
}

/// An Engine.IO connection by polls, by hand.
pub(crate) struct Polled {
    address: SocketAddr,
    pub(crate) sid: String,
}

impl Polled {
    /// Shakes hands.
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let request = Request::get(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send(address, PATIENCE).expect("the server answers");
        let sid = handshake(&answer.text())["sid"].as_str().expect("a sid is text").to_owned();
        Self { address, sid }
    }

    /// What is shown of its id.
    pub(crate) fn client(&self) -> &str {
        &self.sid[..12]
    }

    /// Its address on this transport.
    pub(crate) fn path(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    /// Says something.
    pub(crate) fn post(&self, packets: &str) {
        let answer = Request::post(&self.path("polling"), packets).send(self.address, PATIENCE);
        assert_eq!(answer.expect("the server answers").status, 200);
    }
}

/// What the page sends for a form that was filled in.
pub(crate) fn form(name: &str, password: &str) -> Value {
    json!({ "username": name, "password": password })
}
