//! A private server for one test: the real binary on a free port with its own data directory.

pub(crate) mod contract;
pub(crate) mod packages;
pub(crate) mod people;
pub(crate) mod programs;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use santral_testkit::http::{Request, Response, SseClient};
use santral_testkit::process::{Server, ServerCommand};
use tempfile::TempDir;

/// How long a test waits for something that must come. Generous: it only runs out when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The moment at which a test that waits now gives up.
pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// A running server.
pub(crate) struct Santral {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    settings: Vec<(String, String)>,
    pub(crate) data_dir: TempDir,
}

impl Santral {
    /// Starts a server with nothing configured but its own directory and a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with settings from the environment.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let data_dir = tempfile::tempdir().expect("a temporary directory can be made");
        let settings: Vec<_> = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let (server, address) = launch(&data_dir, &settings, "127.0.0.1:0");
        Self { server, address, settings, data_dir }
    }

    /// Starts the server again on the same address and data, after it was stopped or killed.
    pub(crate) fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same with further settings, for this start only.
    pub(crate) fn start_again_with(&mut self, more: &[(&str, &str)]) {
        let more = more.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let settings: Vec<_> = self.settings.iter().cloned().chain(more).collect();
        let (server, address) = launch(&self.data_dir, &settings, &self.address.to_string());
        self.server = server;
        self.address = address;
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

    /// Opens a stream and waits for its `hello`.
    pub(crate) fn listen(&self, path: &str) -> SseClient {
        self.listen_with(path, &[])
    }

    /// Opens a stream with headers and waits for its `hello`.
    pub(crate) fn listen_with(&self, path: &str, headers: &[(&str, &str)]) -> SseClient {
        let mut client = SseClient::open(self.address, path, headers, PATIENCE).expect("the stream opens");
        client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
        client
    }
}

/// Memory of the process, in KiB, as Linux counts it under this name.
pub(crate) fn memory_kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.expect("Linux says how much");
    line.trim().trim_end_matches("kB").trim().parse().expect("it is a number")
}

/// A `POST` with JSON text, exactly as it is given.
pub(crate) fn post_json(path: &str, json: &str) -> Request {
    Request::post(path, json).header("Content-Type", "application/json")
}

/// The position in a receipt.
pub(crate) fn id_of(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    let receipt = response.json().expect("a receipt is JSON");
    receipt["id"].as_str().expect("a stored message has a position").to_owned()
}

fn launch(data_dir: &TempDir, settings: &[(String, String)], listen: &str) -> (Server, SocketAddr) {
    let mut command = ServerCommand::new(env!("CARGO_BIN_EXE_santral"));
    command = command.env("SANTRAL_DATA_DIR", data_dir.path()).env("SANTRAL_LISTEN", listen);
    // Meant for the test itself; the server refuses settings that it does not know.
    command = command.env_remove("SANTRAL_UPDATE_DOCS");
    for (key, value) in settings {
        command = command.env(key, value);
    }
    let mut server = command.spawn().expect("the server starts");
    let address = server.wait_for_line(
        |line| line.split("listening on http://").nth(1)?.split([',', ' ']).next()?.parse().ok(),
        PATIENCE,
    );
    (server, address.expect("the server says where it listens"))
}
