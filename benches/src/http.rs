//! As much of HTTP/1.1 as the generator and the floor need: heads in, heads out.
//!
//! RFC 9112 with bodies of known length only; every server under test answers short requests so.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::dialect::stream_parser::{find, status_of};
use crate::error::{BenchError, During, Result};

/// A whole answer or request at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of the head, with its blank line.
    pub head_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
}

impl Extent {
    /// Head and body together.
    pub fn bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// Finds where the first whole answer or request ends; `None` while more must come.
    pub fn find(input: &[u8]) -> Option<Self> {
        let head_bytes = find(input, b"\r\n\r\n")? + 4;
        let extent = Self { head_bytes, body_bytes: content_length(&input[..head_bytes]) };
        (input.len() >= extent.bytes()).then_some(extent)
    }
}

/// The status in an answer's first line.
pub fn status(answer: &[u8]) -> u16 {
    status_of(answer)
}

/// A request without a body.
pub fn get(path: &str, accept: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n").into_bytes()
}

/// The head of a request with a JSON body of `body_bytes`.
pub fn post_head(path: &str, body_bytes: usize) -> Vec<u8> {
    post_head_of(path, "application/json", body_bytes)
}

/// The head of a request with a body of `body_bytes`.
pub fn post_head_of(path: &str, content_type: &str, body_bytes: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n\
         Content-Length: {body_bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// The head of a request with a JSON body of `body_bytes`, by whoever bears this token.
pub fn post_head_with_token(path: &str, token: &str, body_bytes: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {body_bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// A connection on which one request waits for its answer before the next.
#[derive(Debug)]
pub struct Exchange {
    stream: TcpStream,
}

impl Exchange {
    /// Connects.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).during("connect for requests")?;
        stream.set_nodelay(true).during("set up a connection for requests")?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).during("set up a connection for requests")?;
        Ok(Self { stream })
    }

    /// Posts JSON; the body of the answer.
    ///
    /// # Errors
    /// When the answer is not 2xx, or does not come.
    pub fn post(&mut self, path: &str, body: &str) -> Result<String> {
        let request = [&post_head(path, body.len())[..], body.as_bytes()].concat();
        self.stream.write_all(&request).during("send a request")?;
        let mut answer = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let extent = loop {
            if let Some(extent) = Extent::find(&answer) {
                break extent;
            }
            let count = self.stream.read(&mut buffer).during("await an answer")?;
            if count == 0 {
                return Err(std::io::Error::from(ErrorKind::UnexpectedEof)).during("await an answer");
            }
            answer.extend_from_slice(&buffer[..count]);
        };
        let status = status(&answer);
        let body = String::from_utf8_lossy(&answer[extent.head_bytes..extent.bytes()]).into_owned();
        if (200..300).contains(&status) {
            Ok(body)
        } else {
            Err(BenchError::Refused { what: "a request", status, body })
        }
    }
}

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    for line in head.split(|&byte| byte == b'\n') {
        let Some(name) = line.get(..NAME.len()) else {
            continue;
        };
        if name.eq_ignore_ascii_case(NAME) {
            let value = std::str::from_utf8(&line[NAME.len()..]).unwrap_or_default();
            return value.trim().parse().unwrap_or(0);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{Extent, post_head, status};

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let answer = b"HTTP/1.1 202 Accepted\r\nX: y\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(Extent::find(&answer[..answer.len() - 1]), None);
        let extent = Extent::find(answer).map(|extent| (extent.body_bytes, extent.bytes()));
        assert_eq!(extent, Some((3, answer.len())));
        assert_eq!(status(answer), 202);
    }

    #[test]
    fn a_request_of_ours_is_read_by_ours() {
        let mut request = post_head("/publish", 2);
        request.extend_from_slice(b"{}GET");
        let extent = Extent::find(&request).map(|extent| extent.bytes());
        assert_eq!(extent, Some(request.len() - 3));
    }
}
