//! A server that a test may starve, kill and start again: the real binary in a clean environment.
//!
//! Beside what every test's private server does, it starts under another program (a shell that
//! lowers a limit, a tracer) and comes back on a free port: while it is down, somebody else may
//! take the old one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use santral_testkit::http::{Request, Response, SseClient};
use santral_testkit::process::{Server, ServerCommand};

use crate::support::{PATIENCE, deadline, id_of, post_json};

/// What a node is started with.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    wrapper: Vec<String>,
    settings: Vec<(String, String)>,
    data_dir: Option<PathBuf>,
}

impl Plan {
    /// The defaults, a free port, and a folder of its own.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With this environment variable.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Under this command, which runs the program that is named behind it.
    pub(crate) fn under(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// With its data in a folder that the test looks after.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.data_dir = Some(folder.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Node {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (server, address) = self.launch(folder.path(), "127.0.0.1:0");
        Node { plan: self, folder, server, address }
    }

    fn launch(&self, folder: &Path, listen: &str) -> (Server, SocketAddr) {
        let program = env!("CARGO_BIN_EXE_santral");
        let words = self.wrapper.iter().map(String::as_str).chain([program]).collect::<Vec<_>>();
        let data_dir = self.data_dir.as_deref().unwrap_or(folder);
        self.dress(ServerCommand::new(words[0]).args(&words[1..]), data_dir, folder, listen)
    }

    /// Gives a command the environment of a node and runs it until it listens.
    fn dress(&self, command: ServerCommand, data_dir: &Path, folder: &Path, listen: &str) -> (Server, SocketAddr) {
        // Variables of the test run are none of the server's settings.
        let mut command =
            command.env_clear().current_dir(folder).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command = command.env("SANTRAL_DATA_DIR", data_dir).env("SANTRAL_LISTEN", listen);
        for (name, value) in &self.settings {
            command = command.env(name, value);
        }
        let mut server = command.spawn().expect("the server starts");
        let pick = |line: &str| line.split("listening on http://").nth(1)?.split([',', ' ']).next()?.parse().ok();
        let address = server.wait_for_line(pick, PATIENCE).expect("the server says where it listens");
        (server, address)
    }

    /// Starts a command that runs the server by itself, such as a tracer.
    pub(crate) fn start_command(self, command: ServerCommand, data_dir: &Path) -> Node {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (server, address) = self.dress(command, data_dir, folder.path(), "127.0.0.1:0");
        Node { plan: self.in_folder(data_dir), folder, server, address }
    }
}

/// A running server.
pub(crate) struct Node {
    plan: Plan,
    folder: TempDir,
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
}

impl Node {
    /// Starts it again with the same data on another port, after it was stopped or killed.
    pub(crate) fn start_again(&mut self) {
        (self.server, self.address) = self.plan.launch(self.folder.path(), "127.0.0.1:0");
    }

    /// The folder that holds its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.plan.data_dir.clone().unwrap_or_else(|| self.folder.path().to_owned())
    }

    /// `GET path`.
    pub(crate) fn get(&self, path: &str) -> Response {
        Request::get(path).send(self.address, PATIENCE).expect("the server answers")
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post(&self, path: &str, json: &str) -> Response {
        post_json(path, json).send(self.address, PATIENCE).expect("the server answers")
    }

    /// Publishes to everyone and returns the position.
    pub(crate) fn broadcast(&self, json: &str) -> String {
        id_of(&self.post("/api/broadcast", json))
    }

    /// Publishes to everyone, and asks again for as long as the server refuses; returns the position.
    pub(crate) fn broadcast_when_healed(&self, json: &str) -> String {
        let answer = eventually("the server stores again", || {
            let answer = self.post("/api/broadcast", json);
            (answer.status != 503).then_some(answer)
        });
        id_of(&answer)
    }

    /// Opens a stream and waits for its `hello`.
    pub(crate) fn listen(&self, path: &str) -> SseClient {
        let mut client = SseClient::open(self.address, path, &[], PATIENCE).expect("the stream opens");
        client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
        client
    }

    /// Opens a stream behind a position and waits for its `hello`.
    pub(crate) fn listen_from(&self, path: &str, position: &str) -> SseClient {
        let headers = [("Last-Event-ID", position)];
        let mut client = SseClient::open(self.address, path, &headers, PATIENCE).expect("the stream opens");
        client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
        client
    }

    /// What `GET /health` says.
    pub(crate) fn health(&self) -> Value {
        self.get("/health").json().expect("health is JSON")
    }

    /// Memory of the process that is not shared with the page cache, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid()));
        let status = status.expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let digits = line.and_then(|line| line.split_whitespace().next()).expect("the kernel counts its memory");
        digits.parse().expect("it is a number")
    }
}

/// Asks until there is an answer, and gives up after a while.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(what, PATIENCE, &mut ask)
}

/// Asks until there is an answer, for so long.
pub(crate) fn eventually_within<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "it never came to pass: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The data of the next messages of a stream, pings left out, up to and with `last`.
pub(crate) fn data_up_to(client: &mut SseClient, last: &str) -> Vec<String> {
    let mut found = Vec::new();
    while found.last().is_none_or(|data| data != last) {
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        if event.event_type != "ping" {
            found.push(event.data);
        }
    }
    found
}

/// Lets this process hold some thousands of sockets.
pub(crate) fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the test that needs them says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
