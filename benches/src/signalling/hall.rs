//! All participants of all rooms, driven by one thread.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::caller::Caller;
use super::wire::{Identity, Way, room_id, session};
use crate::clock::{Clock, nanoseconds};
use crate::error::{BenchError, During, Result};
use crate::histogram::Histogram;
use crate::http::Exchange;
use crate::payload::{Payload, Stamp};
use crate::swarm::Swarm;
use crate::verifier::Tally;

/// Rooms of a whole run.
pub const ROOMS: usize = 1_000;
/// Participants of each.
pub const PER_ROOM: usize = 4;
/// Participants of a whole run.
pub const PARTICIPANTS: usize = ROOMS * PER_ROOM;
/// Connections by which signals are posted, as a proxy in front keeps them.
const POSTERS: usize = 64;
/// Participants not yet let in.
const OPENING_MAX: usize = 100;
const OPEN_WITHIN: Duration = Duration::from_secs(120);
const ARRIVE_WITHIN: Duration = Duration::from_secs(20);
/// As often as Santral asks by itself; the rival's own client does so every five seconds.
const HEARTBEAT: Duration = Duration::from_secs(25);
const SLICE_EVENTS: usize = 64;
const BUFFER_BYTES: usize = 256 * 1024;

/// What all participants found together.
#[derive(Debug, Default)]
pub(super) struct Scores {
    pub(super) tally: Tally,
    pub(super) arrived: u64,
    pub(super) latency: Histogram,
    pub(super) open: usize,
    pub(super) refused: Option<u16>,
}

/// All participants.
#[derive(Debug)]
pub struct Hall {
    address: SocketAddr,
    way: Way,
    payload: Payload,
    clock: Clock,
    poll: Poll,
    events: Events,
    callers: Vec<Caller>,
    /// Only its requesters are used.
    posts: Swarm,
    posters: Vec<usize>,
    scores: Scores,
    sent: u64,
    beaten_ns: u64,
    buffer: Vec<u8>,
}

impl Hall {
    /// Nobody yet.
    ///
    /// # Errors
    /// When the system refuses a poll, or the server a connection.
    pub fn new(address: SocketAddr, way: Way, payload: Payload) -> Result<Self> {
        let mut posts = Swarm::new(address, payload.clone(), 1)?;
        let count = if way.is_duplex() { 0 } else { POSTERS };
        let posters = (0..count).map(|_| posts.open_requester()).collect::<Result<_>>()?;
        Ok(Self {
            address,
            way,
            payload,
            clock: Clock::start(),
            poll: Poll::new().during("create the participants' poll")?,
            events: Events::with_capacity(SLICE_EVENTS),
            callers: Vec::new(),
            posts,
            posters,
            scores: Scores::default(),
            sent: 0,
            beaten_ns: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Lets everybody of `rooms` rooms connect, and join where the server knows rooms.
    ///
    /// # Errors
    /// When the server refuses somebody or takes too long.
    pub fn open(&mut self, rooms: usize) -> Result<()> {
        let deadline = Instant::now() + OPEN_WITHIN;
        let wanted = rooms * PER_ROOM;
        while self.scores.open < wanted {
            while self.callers.len() < wanted && self.callers.len() - self.scores.open < OPENING_MAX {
                let (room, place) = (self.callers.len() / PER_ROOM, self.callers.len() % PER_ROOM);
                let identity = Identity { room, place, id: format!("caller-{room}-{place}"), token: String::new() };
                let mut caller = Caller::connect(self.address, self.way, identity)?;
                caller.watch(self.poll.registry(), Token(self.callers.len()))?;
                self.callers.push(caller);
            }
            self.turn(Duration::from_millis(10))?;
            if let Some(status) = self.scores.refused {
                return Err(BenchError::Refused { what: "a participant", status, body: String::new() });
            }
            if Instant::now() > deadline {
                return Err(BenchError::Timeout { what: "participants to be let in" });
            }
        }
        match self.way {
            Way::PeerJs => Ok(()),
            Way::Post | Way::WebSocket => self.join_all(rooms),
        }
    }

    /// Sends `count` signals, so many a second, by everybody in turn to each of their room in turn, and waits
    /// until all have arrived; [`Hall::finish`] counts those that do not in [`ARRIVE_WITHIN`].
    ///
    /// # Errors
    /// When a connection for posts broke.
    pub fn signal(&mut self, count: u64, per_second: u64) -> Result<()> {
        let (start_ns, expected) = (self.clock.now_ns(), self.scores.arrived + count);
        for number in 0..count {
            let due_ns = start_ns + number * 1_000_000_000 / per_second;
            while self.clock.now_ns() < due_ns {
                self.turn(Duration::ZERO)?;
            }
            self.send_next(due_ns)?;
        }
        let deadline = Instant::now() + ARRIVE_WITHIN;
        while self.scores.arrived < expected && Instant::now() < deadline {
            self.turn(Duration::from_millis(5))?;
        }
        Ok(())
    }

    /// Lets time pass with nothing sent.
    ///
    /// # Errors
    /// When a connection for posts broke.
    pub fn rest(&mut self, span: Duration) -> Result<()> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Times from when a signal was due to its arrival, since the last call.
    pub fn take_latency(&mut self) -> Histogram {
        std::mem::take(&mut self.scores.latency)
    }

    /// Everything that was found; what was sent and has not come is missing.
    pub fn finish(&mut self) -> Tally {
        for from in 0..self.callers.len() {
            let (first, place) = (from / PER_ROOM * PER_ROOM, from % PER_ROOM);
            for to in (0..PER_ROOM).filter(|to| *to != place) {
                let sent = self.callers[from].sent[to];
                self.callers[first + to].finish(place, sent, &mut self.scores);
            }
        }
        self.scores.tally
    }

    /// Makes the rooms, and lets each participant join with its session.
    fn join_all(&mut self, rooms: usize) -> Result<()> {
        let mut exchange = Exchange::open(self.address)?;
        for room in 0..rooms {
            let id = room_id(room);
            exchange.post(
                "/api/video/rooms",
                &format!(r#"{{"roomId":"{id}","name":"{id}","maxParticipants":{PER_ROOM}}}"#),
            )?;
            for place in 0..PER_ROOM {
                let body = format!(r#"{{"session":"{}","displayName":"caller"}}"#, session(room, place));
                let answer = exchange.post(&format!("/api/video/rooms/{id}/join"), &body)?;
                let identity = &mut self.callers[room * PER_ROOM + place].identity;
                identity.id = text_after(&answer, r#""participant":{"participantId":""#)?;
                identity.token = text_after(&answer, r#""token":""#)?;
            }
            // Who has joined is told of those who join later; that is no part of what is measured.
            self.turn(Duration::ZERO)?;
        }
        Ok(())
    }

    fn send_next(&mut self, due_ns: u64) -> Result<()> {
        let participants = self.callers.len() as u64;
        let from = (self.sent % participants) as usize;
        let round = (self.sent / participants) as usize;
        let (first, place) = (from / PER_ROOM * PER_ROOM, from % PER_ROOM);
        let to = (place + 1 + round % (PER_ROOM - 1)) % PER_ROOM;
        self.sent += 1;
        let sequence = self.callers[from].sent[to] + 1;
        self.callers[from].sent[to] = sequence;
        let stamp = Stamp { publisher: place as u64, sequence, sent_ns: due_ns };
        let target = &self.callers[first + to].identity.id;
        let text = self.way.signal(&self.callers[from].identity, target, &self.payload, stamp);
        if self.way.is_duplex() {
            self.callers[from].say(&text, &mut self.scores);
            return Ok(());
        }
        // One participant, one connection: else its signals could overtake each other.
        self.posts.request(self.posters[from % self.posters.len()], &text, due_ns)
    }

    fn turn(&mut self, timeout: Duration) -> Result<()> {
        self.beat();
        if !self.posters.is_empty() {
            self.posts.turn(Duration::ZERO)?;
            while self.posts.next_completion().is_some() {}
        }
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome.during("wait in the participants' poll")?,
        }
        for event in &self.events {
            let Token(index) = event.token();
            if let Some(caller) = self.callers.get_mut(index) {
                caller.receive(&mut self.buffer, &self.payload, self.clock.now_ns(), &mut self.scores);
            }
        }
        Ok(())
    }

    fn beat(&mut self) {
        let Some(heartbeat) = self.way.heartbeat() else { return };
        let now_ns = self.clock.now_ns();
        if now_ns - self.beaten_ns < nanoseconds(HEARTBEAT) {
            return;
        }
        self.beaten_ns = now_ns;
        for caller in &mut self.callers {
            caller.say(heartbeat, &mut self.scores);
        }
    }
}

/// The text behind `start` up to the next quotation mark.
fn text_after(answer: &str, start: &str) -> Result<String> {
    let rest = answer.split_once(start).map(|(_, rest)| rest);
    let text = rest.and_then(|rest| rest.split('"').next()).map(str::to_owned);
    text.ok_or_else(|| BenchError::Refused { what: "a participant", status: 200, body: answer.to_owned() })
}
