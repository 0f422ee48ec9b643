//! The load generator: one thread, one loop, up to 10,000 readers and some requesters.
//!
//! Requesters have a poll of their own, nested in the main one. The main poll hands out at most
//! [`SLICE_EVENTS`] readers a turn and the requesters are served before and after each slice, so
//! an answer's time is known to about 50 µs even while 10,000 readers have data.

mod reader;
mod requester;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::clock::Clock;
use crate::dialect::Entrance;
use crate::error::{BenchError, During, Result};
use crate::histogram::Histogram;
use crate::payload::Payload;
use crate::verifier::Tally;

use reader::{Reader, Scores};
pub use requester::Completion;
use requester::Requester;

/// Readers served between two looks at the requesters.
pub const SLICE_EVENTS: usize = 32;
/// Clients not yet let in; below every server's accept queue.
const OPENING_MAX: usize = 128;
const OPEN_WITHIN: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 256 * 1024;
const REQUESTERS: Token = Token(usize::MAX - 1);
/// Waits shorter than this are spun, because the poll counts in whole milliseconds.
const SPIN_BELOW_NS: u64 = 1_500_000;

/// Clients of one server.
#[derive(Debug)]
pub struct Swarm {
    address: SocketAddr,
    clock: Clock,
    payload: Payload,
    publishers: usize,
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    scores: Scores,
    request_poll: Poll,
    request_events: Events,
    requesters: Vec<Requester>,
    completions: VecDeque<Completion>,
    buffer: Vec<u8>,
}

impl Swarm {
    /// A swarm without clients, for publications of `payload` by `publishers` publishers.
    ///
    /// # Errors
    /// When the system refuses a poll.
    pub fn new(address: SocketAddr, payload: Payload, publishers: usize) -> Result<Self> {
        let poll = Poll::new().during("create the readers' poll")?;
        let request_poll = Poll::new().during("create the requesters' poll")?;
        let descriptor = request_poll.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), REQUESTERS, Interest::READABLE)
            .during("nest the requesters' poll")?;
        Ok(Self {
            address,
            clock: Clock::start(),
            payload,
            publishers,
            poll,
            events: Events::with_capacity(SLICE_EVENTS),
            readers: Vec::new(),
            scores: Scores { delivered_of: vec![0; publishers], ..Scores::default() },
            request_poll,
            request_events: Events::with_capacity(256),
            requesters: Vec::new(),
            completions: VecDeque::new(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Nanoseconds on the swarm's clock.
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// The template of publications.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Publications received so far by all readers together.
    pub fn delivered(&self) -> u64 {
        self.scores.delivered
    }

    /// Publications of one publisher received so far by all readers together.
    pub fn delivered_of(&self, publisher: usize) -> u64 {
        self.scores.delivered_of[publisher]
    }

    /// Latencies since the last [`Swarm::reset_latency`].
    pub fn latency(&self) -> &Histogram {
        &self.scores.latency
    }

    /// Forgets the latencies so far.
    pub fn reset_latency(&mut self) {
        self.scores.latency = Histogram::default();
    }

    /// What was found so far.
    pub fn tally(&self) -> Tally {
        self.scores.tally
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Opens `count` more clients and waits until each was let in.
    ///
    /// # Errors
    /// When the server refuses one or does not let all in within 60 s.
    pub fn open_readers(&mut self, entrance: &Entrance, count: usize) -> Result<()> {
        let wanted = self.readers.len() + count;
        self.scores.open = self.readers.len();
        let deadline = Instant::now() + OPEN_WITHIN;
        while self.scores.open < wanted {
            while self.readers.len() < wanted && self.readers.len() - self.scores.open < OPENING_MAX {
                let mut reader = Reader::connect(self.address, entrance, self.publishers)?;
                reader.watch(self.poll.registry(), Token(self.readers.len()))?;
                self.readers.push(reader);
            }
            self.turn(Duration::from_millis(10))?;
            if let Some(status) = self.scores.refused {
                let body = String::new();
                return Err(BenchError::Refused { what: "a client", status, body });
            }
            if Instant::now() > deadline {
                return Err(BenchError::Timeout { what: "clients to be let in" });
            }
        }
        Ok(())
    }

    /// Closes all readers from this side.
    pub fn close_readers(&mut self) {
        self.readers.clear();
        self.scores.open = 0;
    }

    /// Stops reading from some readers.
    ///
    /// # Errors
    /// When the poll refuses.
    pub fn stall(&mut self, readers: Range<usize>) -> Result<()> {
        let registry = self.poll.registry();
        self.readers[readers].iter_mut().try_for_each(|reader| reader.stall(registry))
    }

    /// Reads again from stalled readers.
    ///
    /// # Errors
    /// When the poll refuses.
    pub fn unstall(&mut self, readers: Range<usize>) -> Result<()> {
        for index in readers {
            self.readers[index].watch(self.poll.registry(), Token(index))?;
        }
        Ok(())
    }

    /// How many of `readers` have publisher 0's numbers up to `last`, and how many were ended.
    pub fn caught_up(&self, readers: Range<usize>, last: u64) -> (usize, usize) {
        let readers = &self.readers[readers];
        let whole = readers.iter().filter(|reader| reader.is_whole_up_to(0, last)).count();
        let ended = readers.iter().filter(|reader| reader.has_ended()).count();
        (whole, ended)
    }

    /// Declares the last number of each publisher for `readers` and returns all findings.
    pub fn finish(&mut self, readers: Range<usize>, last: &[u64]) -> Tally {
        for reader in &mut self.readers[readers] {
            reader.finish(last, &mut self.scores.tally);
        }
        self.scores.tally
    }

    /// Opens a connection for requests and returns its index.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn open_requester(&mut self) -> Result<usize> {
        let index = self.requesters.len();
        let registry = self.request_poll.registry();
        self.requesters.push(Requester::connect(self.address, registry, Token(index))?);
        Ok(index)
    }

    /// Sends a request; its [`Completion`] will bear `sent_ns`. A connection that the server
    /// closed for idleness is opened anew.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn request(&mut self, requester: usize, request: &[u8], sent_ns: u64) -> Result<()> {
        if self.requesters[requester].has_ended() {
            let registry = self.request_poll.registry();
            let renewed = Requester::connect(self.address, registry, Token(requester))?;
            self.requesters[requester] = renewed;
        }
        self.requesters[requester].send(request, sent_ns)
    }

    /// Requests of one requester without an answer.
    pub fn pending(&self, requester: usize) -> usize {
        self.requesters[requester].pending()
    }

    /// The next answered request.
    pub fn next_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    /// Serves requesters and one slice of readers, waiting up to `timeout` if nothing is ready.
    ///
    /// # Errors
    /// When a requester broke or was refused; readers that end are counted instead.
    pub fn turn(&mut self, timeout: Duration) -> Result<()> {
        self.serve_requesters()?;
        let timeout = if self.completions.is_empty() { timeout } else { Duration::ZERO };
        poll_once(&mut self.poll, &mut self.events, timeout)?;
        for event in &self.events {
            let Token(index) = event.token();
            if let Some(reader) = self.readers.get_mut(index) {
                reader.receive(&mut self.buffer, &self.payload, self.clock, &mut self.scores);
            }
        }
        self.serve_requesters()
    }

    /// One turn that waits no longer than until `due_ns`.
    ///
    /// # Errors
    /// As [`Swarm::turn`].
    pub fn turn_until(&mut self, due_ns: u64) -> Result<()> {
        let left = due_ns.saturating_sub(self.now_ns());
        let wait = if left < SPIN_BELOW_NS { 0 } else { left / 1_000_000 - 1 };
        self.turn(Duration::from_millis(wait.min(50)))
    }

    /// Takes turns while `busy`, at most `within`; drops completions; says whether it ended in time.
    ///
    /// # Errors
    /// As [`Swarm::turn`].
    pub fn turn_while(&mut self, within: Duration, busy: impl Fn(&Self) -> bool) -> Result<bool> {
        let deadline = Instant::now() + within;
        while busy(self) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            self.turn(Duration::from_millis(10))?;
            self.completions.clear();
        }
        Ok(true)
    }

    fn serve_requesters(&mut self) -> Result<()> {
        if self.requesters.is_empty() {
            return Ok(());
        }
        poll_once(&mut self.request_poll, &mut self.request_events, Duration::ZERO)?;
        for event in &self.request_events {
            let Token(index) = event.token();
            let requester = &mut self.requesters[index];
            if event.is_writable() {
                requester.flush()?;
            }
            let done_ns = self.clock.now_ns();
            let completions = &mut self.completions;
            requester.receive(&mut self.buffer, &mut |sent_ns| {
                completions.push_back(Completion { requester: index, sent_ns, done_ns });
            })?;
        }
        Ok(())
    }
}

fn poll_once(poll: &mut Poll, events: &mut Events, timeout: Duration) -> Result<()> {
    match poll.poll(events, Some(timeout)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        outcome => outcome.during("wait in the generator's poll"),
    }
}
