//! One client: reads, parses, verifies, forgets, and answers where its transport asks for it.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::clock::Clock;
use crate::dialect::{Dialect, Entrance, Found};
use crate::error::{During, Result};
use crate::histogram::Histogram;
use crate::payload::Payload;
use crate::verifier::{Tally, Verifier};

/// What all readers of a swarm found together.
#[derive(Debug, Default)]
pub(super) struct Scores {
    /// Findings about order and completeness.
    pub(super) tally: Tally,
    /// Publications received, whatever their order.
    pub(super) delivered: u64,
    /// The same of each publisher.
    pub(super) delivered_of: Vec<u64>,
    /// Time from publish to receive.
    pub(super) latency: Histogram,
    /// Clients that the server has let in.
    pub(super) open: usize,
    /// The first status with which it has refused one.
    pub(super) refused: Option<u16>,
}

/// One client that receives publications.
#[derive(Debug)]
pub(super) struct Reader {
    stream: TcpStream,
    dialect: Dialect,
    verifiers: Box<[Verifier]>,
    ended: bool,
}

impl Reader {
    /// Connects and asks to be let in; `publishers` sequences are expected.
    ///
    /// # Errors
    /// When the server refuses the connection.
    pub(super) fn connect(address: SocketAddr, entrance: &Entrance, publishers: usize) -> Result<Self> {
        let mut stream = std::net::TcpStream::connect(address).during("connect a reader")?;
        stream.set_nodelay(true).during("set up a reader")?;
        stream.write_all(&Dialect::opening(entrance)).during("ask to be let in")?;
        stream.set_nonblocking(true).during("make a reader non-blocking")?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            dialect: Dialect::new(entrance),
            verifiers: (0..publishers).map(|_| Verifier::default()).collect(),
            ended: false,
        })
    }

    /// Begins to watch for data under `token`.
    ///
    /// # Errors
    /// When the poll refuses.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token) -> Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE).during("watch a reader")
    }

    /// Stops watching, so that nothing is read until [`Reader::watch`].
    ///
    /// # Errors
    /// When the poll refuses.
    pub(super) fn stall(&mut self, registry: &Registry) -> Result<()> {
        registry.deregister(&mut self.stream).during("stall a reader")
    }

    /// Whether the server ended the stream.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it has all numbers of one publisher up to `last`.
    pub(super) fn is_whole_up_to(&self, publisher: usize, last: u64) -> bool {
        self.verifiers[publisher].is_whole_up_to(last)
    }

    /// Declares the last number of each publisher and adds what is missing.
    pub(super) fn finish(&mut self, last: &[u64], tally: &mut Tally) {
        for (verifier, &last) in self.verifiers.iter_mut().zip(last) {
            verifier.finish(last, tally);
        }
    }

    /// Reads all that is there.
    pub(super) fn receive(&mut self, buffer: &mut [u8], payload: &Payload, clock: Clock, scores: &mut Scores) {
        while !self.ended {
            match self.stream.read(buffer) {
                Ok(0) => self.end(scores),
                Ok(count) => {
                    self.take(&buffer[..count], payload, clock.now_ns(), scores);
                    // A short read means that the socket is empty: mio's notes on
                    // edge-triggered readiness allow to stop here and save a call.
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end(scores),
            }
        }
    }

    fn take(&mut self, input: &[u8], payload: &Payload, now_ns: u64, scores: &mut Scores) {
        let verifiers = &mut self.verifiers;
        let mut answer = Vec::new();
        self.dialect.feed(input, payload, &mut answer, &mut |found| match found {
            Found::Publication(stamp) => {
                scores.delivered += 1;
                scores.latency.record(now_ns.saturating_sub(stamp.sent_ns));
                let Some(publisher) = usize::try_from(stamp.publisher).ok().filter(|&at| at < verifiers.len()) else {
                    scores.tally.foreign += 1;
                    return;
                };
                scores.delivered_of[publisher] += 1;
                verifiers[publisher].accept(stamp.sequence, &mut scores.tally);
            }
            Found::Open => scores.open += 1,
            Found::Refused(status) => {
                scores.refused = scores.refused.or(Some(status));
                scores.tally.ended += 1;
            }
            Found::Foreign => scores.tally.foreign += 1,
        });
        self.say(&answer, scores);
    }

    /// Some hundred bytes at most, which an idle socket takes at once; one that does not is given up.
    fn say(&mut self, answer: &[u8], scores: &mut Scores) {
        if !answer.is_empty() && self.stream.write(answer).ok() != Some(answer.len()) {
            self.end(scores);
        }
    }

    fn end(&mut self, scores: &mut Scores) {
        self.ended = true;
        scores.tally.ended += 1;
    }
}
