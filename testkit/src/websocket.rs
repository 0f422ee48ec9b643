//! A blocking WebSocket client for tests (RFC 6455), with full control over the frames it sends.
//!
//! It is a judge: every frame that the server sends is held against the standard, and what a sane
//! client would never send (no mask, reserved bits, fragments of one byte) can be sent on purpose.
//! It answers nothing by itself, neither pings nor a close; the test says what is sent and when.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::http::wire::{Head, Wire};
use crate::http::{HttpError, Request, header};

pub use frame::{Frame, Opcode};

mod frame;

/// What one data or control message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message, whole.
    Text(String),
    /// A binary message, whole.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The server's close; nothing may follow it.
    Close {
        /// The code, if there was one.
        code: Option<u16>,
        /// The reason in words, possibly empty.
        reason: String,
    },
}

/// An open WebSocket. Dropping it closes the connection without a close frame.
#[derive(Debug)]
pub struct WebSocket {
    wire: Wire,
    head: Head,
    has_closed: bool,
}

impl WebSocket {
    /// Opens `GET path` as a WebSocket, with further headers.
    ///
    /// # Errors
    /// [`HttpError::NotUpgraded`] with the answer unless it is a valid 101.
    pub fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        let deadline = Instant::now() + timeout;
        let request = headers.iter().fold(upgrade_request(path), |request, (name, value)| request.header(name, value));
        Self::opened(request.open(address, deadline)?, deadline)
    }

    /// Opens `GET path` and sends these bytes before the answer can have come: the first piece in the same
    /// write as the request, the others in writes of their own. The standard forbids it to clients.
    ///
    /// # Errors
    /// As [`WebSocket::open`].
    pub fn open_hastily(
        address: SocketAddr,
        path: &str,
        pieces: &[&[u8]],
        deadline: Instant,
    ) -> Result<Self, HttpError> {
        let mut wire = Wire::connect(address, deadline)?;
        let request = upgrade_request(path).encode(address);
        let (first, others) = pieces.split_first().map_or((&b""[..], pieces), |(first, others)| (*first, others));
        wire.write(&[request.as_slice(), first].concat(), deadline)?;
        for piece in others {
            wire.write(piece, deadline)?;
        }
        Self::opened(wire, deadline)
    }

    fn opened(mut wire: Wire, deadline: Instant) -> Result<Self, HttpError> {
        let head = wire.read_head("GET", deadline)?;
        if head.status != 101 {
            return Err(HttpError::NotUpgraded(Box::new(crate::sse_client::drain(wire, head, deadline))));
        }
        judge_answer(&head)?;
        Ok(Self { wire, head, has_closed: false })
    }

    /// The first header of that name in the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head.headers, name)
    }

    /// The socket below, for tests that set its options or shut one direction.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.wire.stream()
    }

    /// Sends one text message in one frame.
    ///
    /// # Errors
    /// [`HttpError::Broken`], or [`HttpError::Deadline`] when the server does not read.
    pub fn send_text(&mut self, text: &str, deadline: Instant) -> Result<(), HttpError> {
        self.send(&Frame::text(text), deadline)
    }

    /// Sends one binary message in one frame.
    ///
    /// # Errors
    /// As [`WebSocket::send_text`].
    pub fn send_binary(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), HttpError> {
        self.send(&Frame::new(Opcode::BINARY, bytes), deadline)
    }

    /// Sends a close frame; the server is to answer with its own.
    ///
    /// # Errors
    /// As [`WebSocket::send_text`].
    pub fn send_close(&mut self, code: u16, reason: &str, deadline: Instant) -> Result<(), HttpError> {
        self.send(&Frame::close(code, reason), deadline)
    }

    /// Sends a frame exactly as it is described, valid or not.
    ///
    /// # Errors
    /// As [`WebSocket::send_text`].
    pub fn send(&mut self, frame: &Frame, deadline: Instant) -> Result<(), HttpError> {
        self.wire.write(&frame.encode(), deadline)
    }

    /// Sends bytes that need not be frames at all.
    ///
    /// # Errors
    /// As [`WebSocket::send_text`].
    pub fn send_raw(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), HttpError> {
        self.wire.write(bytes, deadline)
    }

    /// Sends bytes in pieces with a pause behind each, so that the server reads them apart.
    ///
    /// # Errors
    /// As [`WebSocket::send_text`].
    pub fn send_slowly(
        &mut self,
        bytes: &[u8],
        piece: usize,
        pause: Duration,
        deadline: Instant,
    ) -> Result<(), HttpError> {
        for piece in bytes.chunks(piece.max(1)) {
            self.wire.write(piece, deadline)?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// The next frame; `None` = the server has ended the connection.
    ///
    /// # Errors
    /// [`HttpError::Malformed`] when the frame breaks RFC 6455, [`HttpError::Truncated`] when the
    /// connection ends within it, [`HttpError::Deadline`] when none came in time. The client can be
    /// asked again after a deadline.
    pub fn next_frame(&mut self, deadline: Instant) -> Result<Option<Frame>, HttpError> {
        let Some(found) = frame::read(&mut self.wire, deadline)? else { return Ok(None) };
        found.judge_as_servers()?;
        if self.has_closed {
            return Err(malformed("nothing follows a close frame", &found));
        }
        self.has_closed = found.opcode == Opcode::CLOSE;
        Ok(Some(found))
    }

    /// The next message, put together from its fragments; `None` = the connection has ended.
    ///
    /// # Errors
    /// As [`WebSocket::next_frame`]; a deadline in the middle of a fragmented message loses its
    /// beginning.
    pub fn next_message(&mut self, deadline: Instant) -> Result<Option<Message>, HttpError> {
        let mut begun: Option<Frame> = None;
        loop {
            let Some(frame) = self.next_frame(deadline)? else { return Ok(None) };
            if frame.opcode.is_control() {
                return frame.into_message().map(Some);
            }
            let whole = match (begun.take(), frame.opcode) {
                (None, Opcode::CONTINUATION) => return Err(malformed("a continuation continues something", &frame)),
                (None, _) => frame,
                (Some(mut first), Opcode::CONTINUATION) => {
                    first.payload.extend_from_slice(&frame.payload);
                    first.is_final = frame.is_final;
                    first
                }
                (Some(_), _) => return Err(malformed("a message ends before the next begins", &frame)),
            };
            if whole.is_final {
                return whole.into_message().map(Some);
            }
            begun = Some(whole);
        }
    }
}

/// A valid upgrade request.
#[must_use]
pub fn upgrade_request(path: &str) -> Request {
    Request::get(path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
}

fn judge_answer(head: &Head) -> Result<(), HttpError> {
    let value = |name| header(&head.headers, name).unwrap_or_default();
    let rules = [
        ("Upgrade is websocket", value("upgrade").eq_ignore_ascii_case("websocket")),
        ("Connection names Upgrade", value("connection").to_ascii_lowercase().contains("upgrade")),
        ("Sec-WebSocket-Accept is the answer to the key", value("sec-websocket-accept") == ACCEPT),
        ("no extension that was not offered", header(&head.headers, "sec-websocket-extensions").is_none()),
    ];
    match rules.into_iter().find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((rule, _)) => Err(HttpError::Malformed { rule, found: format!("{:?}", head.headers) }),
    }
}

fn malformed(rule: &'static str, frame: &Frame) -> HttpError {
    HttpError::Malformed { rule, found: format!("{frame:?}") }
}

/// The key and its answer that RFC 6455 section 1.3 gives as an example: no hash is needed to check it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const HEAD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    const TIMEOUT: Duration = Duration::from_secs(10);

    fn soon() -> Instant {
        Instant::now() + TIMEOUT
    }

    /// A server that answers one request with this and closes.
    fn open(answer: &[&[u8]]) -> Result<WebSocket, HttpError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let answer = answer.concat();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the test connects");
            let mut buffer = [0; 4096];
            let _count = stream.read(&mut buffer).expect("the test sends a request");
            stream.write_all(&answer).expect("the test reads");
        });
        WebSocket::open(address, "/ws", &[], TIMEOUT)
    }

    fn first(frames: &[u8]) -> Result<Option<Message>, HttpError> {
        open(&[HEAD.as_bytes(), frames]).expect("the answer is valid").next_message(soon())
    }

    #[test]
    fn fragments_are_joined_and_control_frames_come_between() {
        let mut client =
            open(&[HEAD.as_bytes(), b"\x81\x02hi\x01\x01a\x80\x01b\x02\x00\x80\x01\xFF\x88\x04\x03\xE9ok"])
                .expect("the answer is valid");
        let mut next = || client.next_message(soon()).expect("the frames are valid");
        assert_eq!(next(), Some(Message::Text("hi".to_owned())));
        assert_eq!(next(), Some(Message::Text("ab".to_owned())));
        assert_eq!(next(), Some(Message::Binary(vec![0xFF])));
        assert_eq!(next(), Some(Message::Close { code: Some(1001), reason: "ok".to_owned() }));
        assert_eq!(next(), None);
    }

    #[test]
    fn what_a_server_must_not_send_is_named() {
        let cases: [(&[u8], &str); 11] = [
            (b"\x81\x82\0\0\0\0hi", "a server does not mask"),
            (b"\xC1\x02hi", "reserved bits are 0"),
            (b"\x83\x00", "the opcode is known"),
            (b"\x09\x00", "a control frame is not fragmented"),
            (b"\x89\x7E\x00\x7E", "a control frame has at most 125 bytes"),
            (b"\x81\x7E\x00\x02hi", "a length is written as short as it can be"),
            (b"\x80\x01a", "a continuation continues something"),
            (b"\x01\x01a\x81\x01b", "a message ends before the next begins"),
            (b"\x81\x01\xFF", "text is UTF-8"),
            (b"\x88\x01\x03", "a close has no code or a whole one"),
            (b"\x88\x02\x03\xEE", "a close code may be sent"),
        ];
        for (bytes, rule) in cases {
            let bytes = &[bytes, &[0; 126]].concat();
            let error = first(bytes).expect_err(rule).to_string();
            assert!(error.contains(rule), "{rule}: {error}");
        }
        let mut client = open(&[HEAD.as_bytes(), b"\x88\x00\x81\x00"]).expect("the answer is valid");
        client.next_message(soon()).expect("a close may be empty");
        let error = client.next_message(soon()).expect_err("nothing follows a close").to_string();
        assert!(error.contains("nothing follows a close frame"), "{error}");
        assert!(matches!(first(b"\x81\x05hi"), Err(HttpError::Truncated { .. })));
    }

    #[test]
    fn a_refusal_and_a_wrong_answer_are_told_apart() {
        let refused = open(&[b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"]).expect_err("403");
        assert!(matches!(&refused, HttpError::NotUpgraded(answer) if answer.text() == "no"), "{refused}");
        let wrong = HEAD.replace("s3pP", "s3pp");
        let error = open(&[wrong.as_bytes()]).expect_err("another key's answer").to_string();
        assert!(error.contains("Sec-WebSocket-Accept"), "{error}");
    }
}
