//! One keep-alive connection that sends requests, several at once if asked (pipelining).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::error::{BenchError, During, Result};
use crate::http::{self, Extent};

/// Start of a refused request's answer that is kept for the message.
const REFUSAL_BYTES: usize = 300;

/// One answered request.
#[derive(Debug, Clone, Copy)]
pub struct Completion {
    /// Which requester.
    pub requester: usize,
    /// What the caller gave as the time of sending.
    pub sent_ns: u64,
    /// When the whole answer was there.
    pub done_ns: u64,
}

/// A connection for requests and the requests that wait for an answer.
#[derive(Debug)]
pub(super) struct Requester {
    stream: TcpStream,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    pending: VecDeque<u64>,
    ended: bool,
}

impl Requester {
    /// Connects and registers under `token`.
    ///
    /// # Errors
    /// When the server or the poll refuses.
    pub(super) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        let stream = std::net::TcpStream::connect(address).during("connect a publisher")?;
        stream.set_nodelay(true).during("set up a publisher")?;
        stream.set_nonblocking(true).during("set up a publisher")?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).during("watch a publisher")?;
        Ok(Self { stream, outgoing: Vec::new(), incoming: Vec::new(), pending: VecDeque::new(), ended: false })
    }

    /// Whether the server closed the connection, which it may do while nothing is pending.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Requests without an answer.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Sends a request, or keeps what the socket does not take for [`Requester::flush`].
    ///
    /// # Errors
    /// When the connection broke.
    pub(super) fn send(&mut self, request: &[u8], sent_ns: u64) -> Result<()> {
        self.outgoing.extend_from_slice(request);
        self.pending.push_back(sent_ns);
        self.flush()
    }

    /// Sends what was kept.
    ///
    /// # Errors
    /// When the connection broke.
    pub(super) fn flush(&mut self) -> Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).during("send a request"),
            }
        }
        Ok(())
    }

    /// Reads answers and passes each one's time of sending to `on_answer`.
    ///
    /// # Errors
    /// When the connection broke or an answer is not 2xx.
    pub(super) fn receive(&mut self, buffer: &mut [u8], on_answer: &mut impl FnMut(u64)) -> Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) if self.pending.is_empty() => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(0) => {
                    let ended = io::Error::from(ErrorKind::UnexpectedEof);
                    return Err(ended).during("await an answer");
                }
                Ok(count) => self.incoming.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).during("await an answer"),
            }
        }
        self.take_answers(on_answer)
    }

    fn take_answers(&mut self, on_answer: &mut impl FnMut(u64)) -> Result<()> {
        let mut at = 0;
        while let Some(extent) = Extent::find(&self.incoming[at..]) {
            let answer = &self.incoming[at..at + extent.bytes()];
            let status = http::status(answer);
            if !(200..300).contains(&status) {
                let body = &answer[extent.head_bytes..];
                let start = &body[..body.len().min(REFUSAL_BYTES)];
                let body = String::from_utf8_lossy(start).into_owned();
                return Err(BenchError::Refused { what: "a request", status, body });
            }
            at += extent.bytes();
            if let Some(sent_ns) = self.pending.pop_front() {
                on_answer(sent_ns);
            }
        }
        self.incoming.drain(..at);
        Ok(())
    }
}
