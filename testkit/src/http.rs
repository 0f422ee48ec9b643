//! A small blocking HTTP/1.1 client over a plain `TcpStream`, for tests.
//!
//! One request per connection, no redirects, no decompression, no connection reuse: a test shall
//! see exactly what the server sent. Framing follows RFC 9112 section 6; it lives in [`wire`]
//! and is shared with [`crate::SseClient`]. Nothing waits without a deadline.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use crate::sse_client::SseClient;

pub mod wire;

use wire::Wire;

/// A request to be sent once.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without body; `path` is the request target as it goes on the wire.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A `POST` with these bytes and no content type.
    #[must_use]
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// A `POST` of a JSON value.
    #[must_use]
    pub fn post_json(path: &str, body: &Value) -> Self {
        Self::post(path, body.to_string()).header("Content-Type", "application/json")
    }

    /// Adds a header, as written, also if there is one of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body; `Content-Length` is added unless the headers frame it already.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request on a fresh connection and reads the whole answer within `timeout`.
    ///
    /// # Errors
    /// Any [`HttpError`]; a status of 400 or more is an answer, not an error.
    pub fn send(&self, address: SocketAddr, timeout: Duration) -> Result<Response, HttpError> {
        let deadline = Instant::now() + timeout;
        self.start(address, timeout)?.finish(deadline)
    }

    /// Sends the request on a fresh connection and leaves its answer to be waited for, as that to a
    /// long poll.
    ///
    /// # Errors
    /// [`HttpError`] of connecting and writing.
    pub fn start(&self, address: SocketAddr, timeout: Duration) -> Result<Exchange, HttpError> {
        let wire = self.open(address, Instant::now() + timeout)?;
        Ok(Exchange { wire, method: self.method.clone() })
    }

    /// Connects and writes the request; the answer is still to be read.
    pub(crate) fn open(&self, address: SocketAddr, deadline: Instant) -> Result<Wire, HttpError> {
        let mut wire = Wire::connect(address, deadline)?;
        wire.write(&self.encode(address), deadline)?;
        Ok(wire)
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn encode(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self.has("host") {
            add("Host", &address.to_string());
        }
        if !self.has("connection") {
            add("Connection", "close");
        }
        let is_framed = self.has("content-length") || self.has("transfer-encoding");
        let wants_length = !self.body.is_empty() || self.method == "POST" || self.method == "PUT";
        if wants_length && !is_framed {
            add("Content-Length", &self.body.len().to_string());
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
    }
}

/// A request that has been sent and not yet been answered. Dropping it ends the connection.
#[derive(Debug)]
pub struct Exchange {
    wire: Wire,
    method: String,
}

impl Exchange {
    /// Reads the whole answer.
    ///
    /// # Errors
    /// Any [`HttpError`]; a status of 400 or more is an answer, not an error.
    pub fn finish(mut self, deadline: Instant) -> Result<Response, HttpError> {
        let head = self.wire.read_head(&self.method, deadline)?;
        let mut body = Vec::new();
        while let Some(chunk) = self.wire.read_body(deadline)? {
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status: head.status, reason: head.reason, headers: head.headers, body })
    }

    /// Whether nothing of the answer comes within this time.
    ///
    /// # Errors
    /// [`HttpError::Broken`] when the connection is gone.
    pub fn is_held_for(&mut self, time: Duration) -> Result<bool, HttpError> {
        match self.wire.peek(1, Instant::now() + time) {
            Ok(_) => Ok(false),
            Err(HttpError::Deadline { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// A whole answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase, possibly empty.
    pub reason: String,
    /// All header fields in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name, whatever its letter case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text; broken UTF-8 shows as the replacement character.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`HttpError::NotJson`] with the answer in it, so that the failing test shows it.
    pub fn json(&self) -> Result<Value, HttpError> {
        serde_json::from_slice(&self.body)
            .map_err(|source| HttpError::NotJson { source, response: Box::new(self.clone()) })
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{} {}", self.status, self.reason)?;
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {value}")?;
        }
        let text = self.text();
        let shown: String = text.chars().take(SHOWN_BODY_CHARS).collect();
        let dots = if shown.len() < text.len() { "..." } else { "" };
        write!(formatter, "\n{shown}{dots}")
    }
}

/// Why there is no (whole) answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection could not be made.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, for example by a reset.
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    /// The deadline passed first.
    #[error("nothing more came before the deadline; read so far: {so_far}")]
    Deadline {
        /// What had come and was not yet handed out.
        so_far: String,
    },
    /// The server closed before the answer was whole.
    #[error("the answer was cut short; its last bytes: {so_far}")]
    Truncated {
        /// What had come and was not yet handed out.
        so_far: String,
    },
    /// The bytes are no HTTP/1.1 answer.
    #[error("not HTTP ({rule}): {found}")]
    Malformed {
        /// The rule that was broken.
        rule: &'static str,
        /// The text that broke it.
        found: String,
    },
    /// An answer that should be JSON is not.
    #[error("not JSON ({source}): {response:?}")]
    NotJson {
        /// The parser's word.
        source: serde_json::Error,
        /// The answer.
        response: Box<Response>,
    },
    /// A stream was asked for and something else came.
    #[error("not an event stream: {0:?}")]
    NotAStream(Box<Response>),
    /// A WebSocket was asked for and something else came.
    #[error("not upgraded to a WebSocket: {0:?}")]
    NotUpgraded(Box<Response>),
    /// The stream ended before the event that was waited for.
    #[error("the stream ended while waiting; events that passed: {passed:#?}")]
    Ended {
        /// The events which did not match.
        passed: Vec<crate::sse::Event>,
    },
    /// The deadline passed before the event that was waited for.
    #[error("no matching event before the deadline; events that passed: {passed:#?}")]
    NoMatch {
        /// The events which did not match.
        passed: Vec<crate::sse::Event>,
    },
}

impl HttpError {
    /// Whether time ran out, as opposed to the connection or the server being at fault.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::NoMatch { .. })
    }
}

/// Writes bytes as they are on a fresh connection and returns all that comes back until the
/// server closes; for requests no honest client would send.
///
/// # Errors
/// [`HttpError::Deadline`] when the server has not closed within `timeout` (the error shows what
/// came), else what broke.
pub fn send_raw(address: SocketAddr, bytes: &[u8], timeout: Duration) -> Result<Vec<u8>, HttpError> {
    let deadline = Instant::now() + timeout;
    let mut wire = Wire::connect(address, deadline)?;
    wire.write(bytes, deadline)?;
    wire.read_to_end(deadline)
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

const SHOWN_BODY_CHARS: usize = 2_000;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Serves one connection: answers with the pieces once the request is whole, returns it.
    fn serve(pieces: &'static [&'static [u8]]) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the test connects");
            stream.set_nodelay(true).expect("a fresh socket takes options");
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                let count = stream.read(&mut buffer).expect("the test sends a request");
                request.extend_from_slice(&buffer[..count]);
            }
            for piece in pieces {
                // The client may rightly have gone after an answer it cannot read.
                let _ = stream.write_all(piece);
            }
            String::from_utf8(request).expect("the tests send text")
        });
        (address, thread)
    }

    fn get(pieces: &'static [&'static [u8]]) -> Result<Response, HttpError> {
        Request::get("/x").send(serve(pieces).0, TIMEOUT)
    }

    #[test]
    fn a_counted_body_is_read_to_its_length_and_no_further() {
        let (address, server) =
            serve(&[b"HTTP/1.1 201 Created\r\nContent-Le", b"ngth:  3\r\nX-A:b:c \r\n\r\nab", b"cd"]);
        let request = Request::post("/p?q=1", "hello").header("X-Y", "z");
        let response = request.send(address, TIMEOUT).expect("the answer is whole");
        assert_eq!((response.status, response.reason.as_str()), (201, "Created"));
        assert_eq!(response.body, b"abc");
        assert_eq!(response.header("x-a"), Some("b:c"));
        let sent = server.join().expect("the server thread ends");
        assert!(sent.starts_with("POST /p?q=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{sent}");
        assert!(sent.contains("Content-Length: 5\r\nX-Y: z\r\n\r\n"), "{sent}");
    }

    #[test]
    fn a_chunked_body_is_joined_wherever_it_is_cut() {
        let response = get(&[
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3",
            b"\r",
            b"\nab",
            b"c\r\n1",
            b"0;x=y\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n",
            b"\r\n",
        ]);
        assert_eq!(response.expect("the answer is whole").body, b"abc0123456789abcdef");
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let response = get(&[b"HTTP/1.0 200\r\n\r\nall ", b"of it"]).expect("close ends it");
        assert_eq!(response.text(), "all of it");
    }

    #[test]
    fn interim_answers_are_skipped_and_some_answers_have_no_body() {
        let response = get(&[b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 204 None\r\n\r\n"]);
        assert_eq!(response.expect("204 ends with its head").status, 204);
        let (address, _server) = serve(&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]);
        let response = Request::new("HEAD", "/").send(address, TIMEOUT);
        assert_eq!(response.expect("an answer to HEAD has no body").body, b"");
    }

    #[test]
    fn short_and_broken_answers_are_told_apart() {
        let short = get(&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]);
        assert!(matches!(short, Err(HttpError::Truncated { .. })), "{short:?}");
        let short = get(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]);
        assert!(matches!(short, Err(HttpError::Truncated { .. })), "{short:?}");
        let short = get(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"]);
        assert!(matches!(short, Err(HttpError::Truncated { .. })), "{short:?}");
        let broken = get(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"]);
        assert!(matches!(broken, Err(HttpError::Malformed { .. })), "{broken:?}");
        let broken = get(&[b"SSH-2.0-x\r\n\r\n"]);
        assert!(matches!(broken, Err(HttpError::Malformed { .. })), "{broken:?}");
    }

    #[test]
    fn a_silent_server_meets_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let answer = Request::get("/").send(address, Duration::from_millis(50));
        assert!(answer.is_err_and(|error| error.is_deadline()));
    }

    #[test]
    fn raw_bytes_go_out_and_come_back_untouched() {
        let (address, server) = serve(&[b"whatever\0", b"\xFF"]);
        let back = send_raw(address, b"BAD  \x01\r\n\r\n", TIMEOUT).expect("the server closes");
        assert_eq!(back, b"whatever\0\xFF");
        assert_eq!(server.join().expect("the server thread ends"), "BAD  \x01\r\n\r\n");
    }
}
