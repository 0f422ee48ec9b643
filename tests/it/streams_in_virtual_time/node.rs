//! A node without sockets: the real routes over pipes in memory, one shard, tokio's paused clock.

use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::LocalSet;

use santral::app::assembly::{assemble, open_settings};
use santral::app::recorders::Recorders;
use santral::config::{Inputs, LiveConfig};
use santral::http::Services;
use santral::hub::shard_thread::LocalShard;
use santral::hub::{Hub, HubOptions, LogStart, Queues, switchboard, writer};
use santral::ports::store::Durability;
use santral::store::{self, Opened, StoreOptions};
use santral_testkit::sse::{Event, Item, Parser};

use crate::support::contract::json;

/// Bytes that a pipe holds; a socket holds more.
const PIPE_BYTES: usize = 4 * 1024;

/// Runs a test on a node of its own while time is paused: it leaps to the next timer whenever
/// nothing else is to be done.
pub(super) fn in_virtual_time<F: Future<Output = ()>>(test: impl FnOnce(Node) -> F) {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let url = format!("sqlite:{}/log.db", folder.path().display());
    let opened = store::open(&StoreOptions { url, durability: Durability::Disk, readers: 1 }).expect("a log opens");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime can be made");
    LocalSet::new().block_on(&runtime, async { test(Node::start(opened).await).await });
}

/// The defaults, with a heartbeat of [`super::HEARTBEAT`].
fn config() -> Arc<LiveConfig> {
    let inputs = Inputs {
        flags: vec![("heartbeat".to_owned(), super::HEARTBEAT.as_secs().to_string())],
        file: None,
        environment: Vec::new(),
        folder: "/nonexistent".into(),
        descriptors: 4_096,
    };
    Arc::new(LiveConfig::new(santral::config::load(&inputs).expect("the defaults are valid")))
}

/// See the module.
pub(super) struct Node {
    hub: Arc<Hub>,
    connections: Sender<DuplexStream>,
}

impl Node {
    async fn start(opened: Opened) -> Self {
        let log_start = LogStart {
            epoch: opened.state.epoch,
            trimmed_to: opened.state.trimmed_to,
            behind: opened.state.head,
            recent: Arc::default(),
        };
        let options = HubOptions { node: "virtual".to_owned(), workers: 1, durability: Durability::Disk };
        // Nothing is stored in these tests: the writer's thread would live in real time.
        let (writer, _) = writer::queue();
        let (switchboard, _) = switchboard::switchboard();
        let queues = Queues { writer, switchboard };
        let config = config();
        let recorders = Recorders::start(&opened.records, &config.load()).expect("the system has threads");
        let settings = open_settings(&config, &opened.records, &recorders).expect("the database can be read");
        let (live, observer) = (Arc::clone(&config), recorders.observer());
        let (hub, mut mailboxes) =
            Hub::new(options, config, log_start, opened.state.head, opened.reader, queues, observer);
        let assembly = assemble(&live, &opened.records, &recorders, settings, &hub).expect("nothing is configured");
        let mailbox = mailboxes.remove(0);
        let shard = LocalShard::start(&hub, 0, mailbox).expect("the kernel has a poll for the shard");
        let connections = serve(&shard, assembly.services).await;
        Self { hub, connections }
    }

    /// Opens a stream and waits for its `hello`.
    pub(super) async fn listen(&self, path: &str) -> Client {
        let mut pipe = self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let (head, rest) = read_head(&mut pipe).await;
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("chunked"), "{head}");
        let mut client = Client { pipe, parser: Parser::new(), waiting: VecDeque::new(), hello: Value::Null };
        client.feed(&rest);
        let hello = client.next().await;
        assert_eq!(hello.event_type, "hello");
        client.hello = json(&hello.data);
        client
    }

    /// `POST` of JSON; returns status and body.
    pub(super) async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n");
        let mut pipe = self.send(&format!("{head}Content-Type: application/json\r\n\r\n{body}")).await;
        let (head, mut rest) = read_head(&mut pipe).await;
        pipe.read_to_end(&mut rest).await.expect("a pipe does not break");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
        (status, String::from_utf8(rest).expect("answers are UTF-8"))
    }

    /// Publishes to everyone who is there.
    pub(super) async fn broadcast_volatile(&self, data: &str) {
        let (status, answer) = self.post("/api/broadcast?volatile=1", data).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Sends a command of a session; returns status and body.
    pub(super) async fn command(&self, session: &str, body: &str) -> (u16, String) {
        self.post(&format!("/api/sessions/{session}/commands"), body).await
    }

    /// Does what the server does when it is asked to stop.
    pub(super) async fn drain(&self, window: Duration) {
        self.hub.start_draining();
        self.hub.call_all(move |shard, now| shard.drain(now, window)).await;
    }

    /// Changes a setting, as the API does.
    pub(super) fn set(&self, key: &str, value: &str) {
        self.hub.config.set(key, value, &|| true).expect("the test's value is valid");
    }

    /// Open streams.
    pub(super) fn streams(&self) -> usize {
        self.hub.streams()
    }

    async fn send(&self, request: &str) -> DuplexStream {
        let (mut ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.connections.send(theirs).await.expect("the server takes connections");
        ours.write_all(request.as_bytes()).await.expect("the server reads");
        ours
    }
}

/// Serves every pipe that is sent, as the listener serves sockets.
async fn serve(shard: &LocalShard, services: Services) -> Sender<DuplexStream> {
    let shard = shard.clone();
    let app = App::new()
        .configure(|config| santral::http::configure(config, &shard, &services))
        .wrap(from_fn(santral::http::request_id::stamp));
    let app = map_config(app.into_factory(), |()| AppConfig::default());
    let http = HttpService::build().h1_allow_half_closed(false).finish(app);
    let http = http.new_service(()).await.expect("the service starts");
    let http = Rc::new(http);
    let (connections, mut accepted) = channel::<DuplexStream>(16);
    tokio::task::spawn_local(async move {
        while let Some(pipe) = accepted.recv().await {
            let http = Rc::clone(&http);
            tokio::task::spawn_local(async move {
                // How a connection ends is seen at its other end.
                let _ = http.call((pipe, Protocol::Http1, None)).await;
            });
        }
    });
    connections
}

/// One open stream.
pub(super) struct Client {
    pipe: DuplexStream,
    parser: Parser,
    waiting: VecDeque<Event>,
    pub(super) hello: Value,
}

impl Client {
    /// The next event; fails when the stream ends.
    pub(super) async fn next(&mut self) -> Event {
        self.try_next().await.expect("the stream goes on")
    }

    /// The next event; `None` at the end of the stream.
    pub(super) async fn try_next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let mut buffer = [0; 4096];
            match self.pipe.read(&mut buffer).await.expect("a pipe does not break") {
                0 => return None,
                count => self.feed(&buffer[..count]),
            }
        }
    }

    /// The last position that came.
    pub(super) fn position(&self) -> String {
        self.parser.last_event_id().to_owned()
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.waiting.extend(self.parser.feed(bytes).into_iter().filter_map(|item| match item {
            Item::Event(event) => Some(event),
            Item::Empty { .. } | Item::Comment(_) => None,
        }));
    }
}

/// The head of an answer, and what came behind it already.
async fn read_head(pipe: &mut DuplexStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).expect("a head is ASCII"), rest);
        }
        let count = pipe.read_buf(&mut bytes).await.expect("a pipe does not break");
        assert!(count > 0, "the server closed: {}", String::from_utf8_lossy(&bytes));
    }
}
