//! One HTTP/1.1 connection seen from the client: bytes with deadlines, heads, body framing.
//!
//! Used by [`crate::http::Request`] and [`crate::SseClient`]; knows neither requests nor events.
//! Framing follows RFC 9112 section 6.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::http::{HttpError, header};

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The reason phrase, possibly empty.
    pub reason: String,
    /// All header fields in order, names as sent.
    pub headers: Vec<(String, String)>,
}

/// How much body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// This many bytes, then the answer is whole.
    Counted(u64),
    /// A chunk-size line comes next.
    ChunkSize,
    /// This many bytes of a chunk, then its line end.
    ChunkData(u64),
    /// The line end behind a chunk's data.
    ChunkEnd,
    /// Trailer fields up to an empty line.
    Trailer,
    /// Everything until the server closes.
    UntilClose,
    /// The answer is whole.
    Done,
}

/// A connection with what has been read from it and not yet used.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    framing: Framing,
}

impl Wire {
    /// Connects before the deadline.
    ///
    /// # Errors
    /// [`HttpError::Connect`].
    pub fn connect(address: SocketAddr, deadline: Instant) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Connect { address, source };
        let stream = TcpStream::connect_timeout(&address, remaining(deadline)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self { stream, buffer: Vec::new(), framing: Framing::UntilClose })
    }

    /// The socket below, for tests that set its options or shut one direction.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes all bytes before the deadline.
    ///
    /// # Errors
    /// [`HttpError::Broken`], or [`HttpError::Deadline`] when the server does not read.
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), HttpError> {
        self.stream.set_write_timeout(Some(remaining(deadline))).map_err(HttpError::Broken)?;
        match self.stream.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) if is_timeout(&error) => Err(self.deadline_passed()),
            // A server may refuse and close before it has read everything: its answer, if any,
            // is still there to be read, and reading shows the break if there is none.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(HttpError::Broken(error)),
        }
    }

    /// Tells the server that nothing more will be sent (FIN) while reading goes on.
    ///
    /// # Errors
    /// [`HttpError::Broken`].
    pub fn shutdown_write(&self) -> Result<(), HttpError> {
        self.stream.shutdown(Shutdown::Write).map_err(HttpError::Broken)
    }

    /// Reads the head of the answer to a request of that method, skipping interim (1xx) ones.
    ///
    /// # Errors
    /// Any [`HttpError`] of reading, or [`HttpError::Malformed`].
    pub fn read_head(&mut self, method: &str, deadline: Instant) -> Result<Head, HttpError> {
        loop {
            let head = self.read_one_head(deadline)?;
            let is_interim = (100..200).contains(&head.status) && head.status != 101;
            if !is_interim {
                self.framing = framing_of(method, &head)?;
                return Ok(head);
            }
        }
    }

    /// The next piece of the body as soon as there is one; `None` once the answer is whole.
    ///
    /// # Errors
    /// [`HttpError::Truncated`] when the server closes too early, else any error of reading.
    pub fn read_body(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            match self.framing {
                Framing::Done | Framing::Counted(0) => return Ok(None),
                Framing::UntilClose => {
                    let more = !self.buffer.is_empty() || self.fill(deadline)?;
                    return Ok(more.then(|| std::mem::take(&mut self.buffer)));
                }
                Framing::Counted(left) => {
                    let piece = self.take_some(left, deadline)?;
                    self.framing = Framing::Counted(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Framing::ChunkData(left) => {
                    let piece = self.take_some(left, deadline)?;
                    let left = left - piece.len() as u64;
                    self.framing = if left == 0 { Framing::ChunkEnd } else { Framing::ChunkData(left) };
                    return Ok(Some(piece));
                }
                Framing::ChunkSize => {
                    let line = self.read_line(deadline)?;
                    self.framing = match chunk_size(&line)? {
                        0 => Framing::Trailer,
                        size => Framing::ChunkData(size),
                    };
                }
                Framing::ChunkEnd => {
                    let line = self.read_line(deadline)?;
                    expect_rule(line.is_empty(), "a chunk ends with CRLF", &line)?;
                    self.framing = Framing::ChunkSize;
                }
                Framing::Trailer => {
                    if self.read_line(deadline)?.is_empty() {
                        self.framing = Framing::Done;
                    }
                }
            }
        }
    }

    /// Everything until the server closes, without any framing.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn read_to_end(&mut self, deadline: Instant) -> Result<Vec<u8>, HttpError> {
        while self.fill(deadline)? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The next `count` bytes without any framing, which stay to be read; `None` when the server has closed
    /// before them.
    ///
    /// # Errors
    /// Any error of reading; [`HttpError::Truncated`] when some of them have come, but not all.
    pub(crate) fn peek(&mut self, count: usize, deadline: Instant) -> Result<Option<&[u8]>, HttpError> {
        while self.buffer.len() < count {
            if !self.fill(deadline)? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(self.truncated()) };
            }
        }
        Ok(Some(&self.buffer[..count]))
    }

    /// Takes bytes that have been peeked at.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Whether the body ended as its framing says, rather than by a cut.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.framing, Framing::Done | Framing::Counted(0))
    }

    fn read_one_head(&mut self, deadline: Instant) -> Result<Head, HttpError> {
        let status_line = self.read_line(deadline)?;
        let mut parts = status_line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default();
        let is_http = matches!(version, "HTTP/1.1" | "HTTP/1.0");
        expect_rule(is_http, "a status line begins with HTTP/1.x", &status_line)?;
        let code = parts.next().unwrap_or_default();
        let status = code.parse().ok().filter(|status| (100..600).contains(status));
        expect_rule(status.is_some(), "a status is 100 to 599", &status_line)?;
        let reason = parts.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let line = self.read_line(deadline)?;
            if line.is_empty() {
                let status = status.unwrap_or_default();
                return Ok(Head { status, reason, headers });
            }
            let field = line.split_once(':').filter(|(name, _)| is_token(name));
            expect_rule(field.is_some(), "a header is `name: value`", &line)?;
            let (name, value) = field.unwrap_or_default();
            headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    fn read_line(&mut self, deadline: Instant) -> Result<String, HttpError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            let is_short = self.buffer.len() <= LINE_BYTES_MAX;
            expect_rule(is_short, "a line is at most 64 KiB", &self.so_far())?;
            if !self.fill(deadline)? {
                return Err(self.truncated());
            }
        }
    }

    fn take_some(&mut self, at_most: u64, deadline: Instant) -> Result<Vec<u8>, HttpError> {
        if self.buffer.is_empty() && !self.fill(deadline)? {
            return Err(self.truncated());
        }
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        let count = self.buffer.len().min(at_most);
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads once; false means that the server closed.
    fn fill(&mut self, deadline: Instant) -> Result<bool, HttpError> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if Instant::now() >= deadline {
                return Err(self.deadline_passed());
            }
            self.stream.set_read_timeout(Some(remaining(deadline))).map_err(HttpError::Broken)?;
            match self.stream.read(&mut chunk) {
                Ok(count) => {
                    self.buffer.extend_from_slice(&chunk[..count]);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(self.deadline_passed()),
                Err(error) => return Err(HttpError::Broken(error)),
            }
        }
    }

    fn so_far(&self) -> String {
        let start = self.buffer.len().saturating_sub(SHOWN_BYTES);
        format!("{:?}", String::from_utf8_lossy(&self.buffer[start..]))
    }

    fn deadline_passed(&self) -> HttpError {
        HttpError::Deadline { so_far: self.so_far() }
    }

    pub(crate) fn truncated(&self) -> HttpError {
        HttpError::Truncated { so_far: self.so_far() }
    }
}

fn framing_of(method: &str, head: &Head) -> Result<Framing, HttpError> {
    if method == "HEAD" || matches!(head.status, 101 | 204 | 304) {
        return Ok(Framing::Done);
    }
    if let Some(coding) = header(&head.headers, "transfer-encoding") {
        expect_rule(coding.eq_ignore_ascii_case("chunked"), "the coding is chunked", coding)?;
        let has_length = header(&head.headers, "content-length").is_some();
        expect_rule(!has_length, "chunked and Content-Length exclude each other", coding)?;
        return Ok(Framing::ChunkSize);
    }
    let Some(length) = header(&head.headers, "content-length") else {
        return Ok(Framing::UntilClose);
    };
    let count = length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()));
    expect_rule(count.is_some(), "Content-Length is a number", length)?;
    Ok(Framing::Counted(count.unwrap_or_default()))
}

fn chunk_size(line: &str) -> Result<u64, HttpError> {
    let digits = line.split(';').next().unwrap_or_default().trim_end();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = u64::from_str_radix(digits, 16).ok().filter(|_| is_hex);
    expect_rule(size.is_some(), "a chunk size is hexadecimal", line)?;
    Ok(size.unwrap_or_default())
}

fn is_token(name: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

fn expect_rule(holds: bool, rule: &'static str, found: &str) -> Result<(), HttpError> {
    match holds {
        true => Ok(()),
        false => Err(HttpError::Malformed { rule, found: found.to_owned() }),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The time left, never zero: the socket calls refuse a zero timeout.
fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

const LINE_BYTES_MAX: usize = 64 * 1024;
const SHOWN_BYTES: usize = 300;
