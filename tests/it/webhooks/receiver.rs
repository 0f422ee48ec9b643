//! A receiver of webhooks: keeps what comes, and answers as the test says.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{PATIENCE, deadline};

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    /// Names in small letters.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    /// How many with the same id came before.
    pub(crate) before: usize,
    /// What it was answered with; `None` while it is not.
    pub(crate) status: Option<u16>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }

    pub(crate) fn kind(&self) -> String {
        self.field("type")
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// What a receiver does that was given the secret, with HMAC spelled out (RFC 2104).
    pub(crate) fn assert_signed_with(&self, secret: &str) {
        let header = &self.headers["x-santral-signature"];
        let (time, signature) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("two parts");
        let age = chrono::Utc::now().timestamp() - time.parse::<i64>().expect("seconds");
        assert!((-5..300).contains(&age), "signed {age} s ago");
        let signed = format!("{time}.{}", self.body);
        assert_eq!(signature, hmac(secret.as_bytes(), signed.as_bytes()), "{header}");
        assert_ne!(signature, hmac(b"another secret", signed.as_bytes()));
    }
}

fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut block = [0_u8; 64];
    match key.len() <= block.len() {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let pad = |byte: u8| block.map(|each| each ^ byte);
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    let mut text = String::new();
    for byte in Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()) {
        write!(text, "{byte:02x}").expect("a String takes all text");
    }
    text
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This status.
    Status(u16),
    /// `302 Found`, there.
    Redirect(String),
    /// Nothing, and the connection stays open.
    Silence,
    /// Nothing but the end of the connection.
    Hangup,
}

type Script = Box<dyn Fn(&Received) -> Answer + Send + Sync>;

#[derive(Default)]
struct Book {
    received: Mutex<Vec<Received>>,
    changed: Condvar,
    connections: Mutex<usize>,
    silent: Mutex<Vec<TcpStream>>,
}

/// See the module. Its threads end with the test's process.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    book: Arc<Book>,
}

impl Receiver {
    /// Answers every request with 204.
    pub(crate) fn willing() -> Self {
        Self::start(|_| Answer::Status(204))
    }

    /// Answers as `script` says.
    pub(crate) fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let book = Arc::<Book>::default();
        let (kept, script): (_, Arc<Script>) = (Arc::clone(&book), Arc::new(Box::new(script)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *kept.connections.lock().expect("no panic") += 1;
                let (book, script) = (Arc::clone(&kept), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &book, &script));
            }
        });
        Self { address, book }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.lock().clone()
    }

    /// Connections that were ever made.
    pub(crate) fn connections(&self) -> usize {
        *self.book.connections.lock().expect("no panic")
    }

    /// Waits until what came is as the test wants it, and returns it.
    pub(crate) fn wait_for(&self, what: &str, is_there: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let end = deadline();
        let mut received = self.lock();
        while !is_there(&received) {
            assert!(std::time::Instant::now() < end, "no {what} in {received:#?}");
            let waited = self.book.changed.wait_timeout(received, Duration::from_millis(100));
            received = waited.expect("no panic").0;
        }
        received.clone()
    }

    /// Waits until as many were taken of a type, and returns those.
    pub(crate) fn wait_for_taken(&self, kind: &str, count: usize) -> Vec<Received> {
        let taken = |all: &[Received]| -> Vec<Received> {
            all.iter().filter(|received| received.is_taken() && received.kind() == kind).cloned().collect()
        };
        taken(&self.wait_for(&format!("{count} {kind}"), |all| taken(all).len() >= count))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.book.received.lock().expect("no panic")
    }
}

fn serve(stream: TcpStream, book: &Book, script: &Script) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let Some(mut received) = read(&stream) else { return };
    let id = received.field("id");
    let (answer, place) = {
        let mut all = book.received.lock().expect("no panic");
        received.before = all.iter().filter(|other| other.field("id") == id).count();
        let answer = script(&received);
        all.push(received);
        book.changed.notify_all();
        (answer, all.len() - 1)
    };
    let (status, extra) = match answer {
        Answer::Status(status) => (status, String::new()),
        Answer::Redirect(location) => (302, format!("Location: {location}\r\n")),
        Answer::Silence => return book.silent.lock().expect("no panic").push(stream),
        Answer::Hangup => return,
    };
    // Noted before it is sent: what the server does next comes behind it.
    book.received.lock().expect("no panic")[place].status = Some(status);
    book.changed.notify_all();
    let head = format!("HTTP/1.1 {status} Whatever\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n");
    // The server may have gone meanwhile.
    let _ = (&stream).write_all(head.as_bytes());
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    assert_eq!(words.next()?, "POST");
    let path = words.next()?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("JSON is text");
    Some(Received { path, headers, body, before: 0, status: None })
}
