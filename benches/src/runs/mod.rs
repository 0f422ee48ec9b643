//! The benchmark runs, one file each, and the stage that they share.

pub mod connect;
pub mod crowds;
pub mod fanout;
pub mod feeds;
pub mod idle;
pub mod login_timing;
pub mod operator;
pub mod publish;
pub mod relay;
pub mod rest_latency;
pub mod signalling;
pub mod socketio;
pub mod stalled;
pub mod sustained;
pub mod transports;

use std::time::{Duration, Instant};

use crate::clock::nanoseconds;
use crate::dialect::Transport;
use crate::error::{BenchError, Result};
use crate::http;
use crate::payload::{Payload, Stamp};
use crate::process::ProcessTree;
use crate::servers::{Durability, Launch, Server, ServerKind};
use crate::swarm::{Completion, Swarm};

/// How long one publication may take to reach all readers before a run is given up.
const PASS_WITHIN: Duration = Duration::from_secs(30);

/// What the command line asked for.
#[derive(Debug, Clone)]
pub struct Bench {
    /// How servers are started.
    pub launch: Launch,
    /// Servers to measure.
    pub servers: Vec<ServerKind>,
    /// Repetitions of each measurement; the median counts.
    pub rounds: usize,
    /// A tenth of everything, for development: the figures then mean little.
    pub quick: bool,
}

/// A server with its clients. Clients go first, so that no server ends under them.
#[derive(Debug)]
pub struct Stage {
    /// The clients.
    pub swarm: Swarm,
    /// The server.
    pub server: Server,
}

/// One publisher: a connection, a sequence and a path.
#[derive(Debug)]
pub struct Publisher {
    requester: usize,
    number: u64,
    sequence: u64,
    body: Body,
    head: Vec<u8>,
    request: Vec<u8>,
}

/// What a publisher posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// The data of one publication.
    Data,
    /// A JSON array of this many envelopes.
    Batch(usize),
}

const ENVELOPE_START: &[u8] = br#"{"channel":"bench","data":"#;

impl Bench {
    /// Starts a server with a swarm that expects `publishers` sequences of `payload`.
    ///
    /// # Errors
    /// When the server does not start.
    pub fn stage(&self, kind: ServerKind, payload: Payload, publishers: usize) -> Result<Stage> {
        eprintln!("  {} …", kind.name());
        let server = Server::start(kind, &self.launch)?;
        let swarm = Swarm::new(server.address(), payload, publishers)?;
        Ok(Stage { swarm, server })
    }

    /// `count`, or a tenth of it for a quick run.
    pub fn scaled(&self, count: usize) -> usize {
        if self.quick { (count / 10).max(1) } else { count }
    }

    /// The asked-for servers that have event streams.
    pub fn event_stream_servers(&self) -> Vec<ServerKind> {
        self.servers.iter().copied().filter(|kind| kind.has_event_streams()).collect()
    }

    /// The asked-for servers among `kinds`, in this order.
    pub fn among(&self, kinds: &[ServerKind]) -> Vec<ServerKind> {
        kinds.iter().copied().filter(|kind| self.servers.contains(kind)).collect()
    }
}

impl Stage {
    /// Opens streams on channel `bench`.
    ///
    /// # Errors
    /// When one is refused.
    pub fn open_readers(&mut self, count: usize) -> Result<()> {
        self.open_clients(Transport::EventStream, count)
    }

    /// Opens clients of channel or room `bench`.
    ///
    /// # Errors
    /// When one is refused.
    pub fn open_clients(&mut self, transport: Transport, count: usize) -> Result<()> {
        self.swarm.open_readers(&self.server.kind().entrance(transport), count)
    }

    /// Opens a connection for publications, the data of each being the body.
    ///
    /// # Errors
    /// When it is refused.
    pub fn open_publisher(&mut self, number: u64, durability: Durability) -> Result<Publisher> {
        let path = self.server.kind().publish_path(durability);
        self.publisher(number, path, Body::Data)
    }

    /// Opens a connection for stored publications in arrays of `items`; Santral only.
    ///
    /// # Errors
    /// When it is refused.
    pub fn open_batch_publisher(&mut self, number: u64, items: usize) -> Result<Publisher> {
        self.publisher(number, "/api/publish", Body::Batch(items))
    }

    fn publisher(&mut self, number: u64, path: &str, body: Body) -> Result<Publisher> {
        let head = http::post_head(path, body.bytes(self.swarm.payload()));
        let requester = self.swarm.open_requester()?;
        Ok(Publisher { requester, number, sequence: 0, body, head, request: Vec::new() })
    }

    /// The server's processes.
    pub fn processes(&self) -> ProcessTree {
        self.server.processes()
    }

    /// Publishes `count` times, each when all readers have the one before.
    ///
    /// # Errors
    /// When a publication does not reach all readers within 30 s.
    pub fn publish_in_turn(&mut self, publisher: &mut Publisher, count: usize) -> Result<()> {
        for _ in 0..count {
            publisher.publish(&mut self.swarm)?;
            self.await_delivery(publisher)?;
        }
        Ok(())
    }

    /// As [`Stage::publish_in_turn`], with a pause after each, since ordinary traffic does not
    /// come back to back.
    ///
    /// # Errors
    /// When a publication does not reach all readers within 30 s.
    pub fn publish_with_pauses(&mut self, publisher: &mut Publisher, count: usize, pause: Duration) -> Result<()> {
        for _ in 0..count {
            self.publish_in_turn(publisher, 1)?;
            let resume_ns = self.swarm.now_ns() + nanoseconds(pause);
            while self.swarm.now_ns() < resume_ns {
                self.swarm.turn(pause)?;
            }
        }
        Ok(())
    }

    /// Publishes `each` times by each of the publishers, which do not wait for each other: each goes on when
    /// all readers have its last publication and it has its answer.
    ///
    /// # Errors
    /// When no publication reaches all readers for 30 s.
    pub fn publish_in_flight(&mut self, publishers: &mut [Publisher], each: u64) -> Result<()> {
        let readers = self.swarm.readers() as u64;
        let ends: Vec<u64> = publishers.iter().map(|publisher| publisher.sequence + each).collect();
        let mut give_up_at = Instant::now() + PASS_WITHIN;
        loop {
            let mut is_done = true;
            for (index, (publisher, &end)) in publishers.iter_mut().zip(&ends).enumerate() {
                let has_arrived = self.swarm.delivered_of(index) >= publisher.sequence * readers;
                if !has_arrived || publisher.pending(&self.swarm) > 0 {
                    is_done = false;
                } else if publisher.sequence < end {
                    publisher.publish(&mut self.swarm)?;
                    give_up_at = Instant::now() + PASS_WITHIN;
                    is_done = false;
                }
            }
            if is_done {
                return Ok(());
            }
            if Instant::now() > give_up_at {
                return Err(BenchError::Timeout { what: "a publication" });
            }
            self.swarm.turn(Duration::from_millis(10))?;
            while self.swarm.next_completion().is_some() {}
        }
    }

    /// Lets the server come to rest, without garbage where it has a collector.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn settle(&mut self, span: Duration) -> Result<()> {
        self.swarm.turn_while(span, |_| true)?;
        let Some(path) = self.server.kind().collect_path() else {
            return Ok(());
        };
        let requester = self.swarm.open_requester()?;
        let now_ns = self.swarm.now_ns();
        self.swarm.request(requester, &http::post_head(path, 0), now_ns)?;
        let is_answered = self.swarm.turn_while(PASS_WITHIN, |swarm| swarm.pending(requester) > 0)?;
        if is_answered { Ok(()) } else { Err(BenchError::Timeout { what: "a collection of garbage" }) }
    }

    /// Waits until all readers have all of one publisher's publications and it has its answers.
    ///
    /// # Errors
    /// When that takes more than 30 s.
    pub fn await_delivery(&mut self, publisher: &Publisher) -> Result<()> {
        let expected = publisher.sequence * self.swarm.readers() as u64;
        let requester = publisher.requester;
        let delivered =
            self.swarm.turn_while(PASS_WITHIN, |swarm| swarm.delivered() < expected || swarm.pending(requester) > 0)?;
        if delivered { Ok(()) } else { Err(BenchError::Timeout { what: "a publication" }) }
    }
}

impl Publisher {
    /// Publishes the next number, stamped with the present time.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn publish(&mut self, swarm: &mut Swarm) -> Result<()> {
        let now_ns = swarm.now_ns();
        self.publish_stamped(swarm, now_ns)
    }

    /// Publishes the next number, or the next batch of them, stamped with the time at which it
    /// was due.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn publish_stamped(&mut self, swarm: &mut Swarm, sent_ns: u64) -> Result<()> {
        self.request.clear();
        self.request.extend_from_slice(&self.head);
        match self.body {
            Body::Data => self.write_data(swarm.payload(), sent_ns),
            Body::Batch(items) => {
                for index in 0..items {
                    self.request.push(if index == 0 { b'[' } else { b',' });
                    self.request.extend_from_slice(ENVELOPE_START);
                    self.write_data(swarm.payload(), sent_ns);
                    self.request.push(b'}');
                }
                self.request.push(b']');
            }
        }
        swarm.request(self.requester, &self.request, sent_ns)
    }

    fn write_data(&mut self, payload: &Payload, sent_ns: u64) {
        self.sequence += 1;
        let stamp = Stamp { publisher: self.number, sequence: self.sequence, sent_ns };
        payload.write(stamp, &mut self.request);
    }

    /// The last number published.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether an answer is to a publication of this publisher.
    pub fn owns(&self, completion: &Completion) -> bool {
        completion.requester == self.requester
    }

    /// Publications without an answer.
    pub fn pending(&self, swarm: &Swarm) -> usize {
        swarm.pending(self.requester)
    }
}

impl Body {
    fn bytes(self, payload: &Payload) -> usize {
        match self {
            Self::Data => payload.bytes(),
            Self::Batch(items) => 1 + items * (ENVELOPE_START.len() + payload.bytes() + 2),
        }
    }
}
