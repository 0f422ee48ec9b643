//! The world: one queue of events in virtual time, and everything that they happen to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use santral_core::entry::Timestamp;
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::{Clock, IceOffer, IceSource, Parcel, ParticipantId, Place, Rooms, RoomsLimits};
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::client::Client;
use crate::edge::Database;
use crate::facts::Facts;
use crate::hub::{Frame, Session, ShardMail};
use crate::plan::{MILLIS, Micros, Plan, SECOND};
use crate::requests::{Answer, Request};
use crate::rng::Rng;

/// Why a run failed.
pub(crate) type Check = Result<(), String>;

/// What the runs must bring: a check that is never put to the test checks nothing.
pub(crate) const REACHED: [&str; 29] = [
    "a batch finds no link",
    "a session moves to another shard",
    "a session ends",
    "a room is full",
    "somebody waits in the lobby",
    "somebody is let in",
    "somebody is replaced",
    "a resume finds everything",
    "a resume must start anew",
    "a resume whose answer was lost",
    "a signal is buffered",
    "a signal is repeated",
    "a signal waits for another",
    "a signal is given up behind a gap",
    "a number is missing",
    "a sender is too fast",
    "a sender is told that a target is gone",
    "a token is superseded",
    "a page is closed and comes back",
    "a grace ends",
    "somebody is kicked",
    "somebody is banned",
    "somebody is kept out",
    "a host is transferred",
    "a host leaves and another becomes host",
    "a room is closed",
    "the server starts anew",
    "rows are lost in a restart",
    "an event comes before those that are sent again",
];

/// What the thread of the rooms finds in its mailbox.
#[derive(Debug)]
pub(crate) enum RoomsMail {
    Delivered(Parcel, bool),
    LinkUp(Place),
    LinkDown(SessionToken, ConnectionId, DisconnectReason),
    /// A request, with the place of its session as the edge found it.
    Ask(Box<Request>, Option<Place>),
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Event {
    ShardMail(usize, u64, ShardMail),
    RoomsMail(u64, RoomsMail),
    /// The rooms look at the clock.
    Timer,
    /// A client's request for its stream is there.
    Connect(usize, u64),
    /// Something is with a client, if that is still its link.
    Frame(usize, u64, Frame),
    /// The server learns that a link is broken.
    LinkBroken(String, ConnectionId),
    SessionEnds(String, ConnectionId),
    /// A request is at the edge.
    Arrive(Box<Request>),
    /// An answer is with its client.
    Answer(usize, u64, Answer),
    /// A client waits for an answer no longer.
    Patience(usize, u64),
    /// Rows are written.
    Written,
    Act(usize),
    Trouble,
}

struct Scheduled {
    at: Micros,
    seq: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// ICE servers that are good for a short time.
pub(crate) struct ShortIce;

impl IceSource for ShortIce {
    fn offer(&self, participant: &ParticipantId, _: bool, _: Timestamp) -> IceOffer {
        let json = serde_json::json!({ "iceServers": [], "for": participant.as_str() });
        IceOffer { json, refresh_in: Some(Duration::from_secs(4)) }
    }
}

/// See the module.
pub(crate) struct World {
    pub(crate) now: Micros,
    pub(crate) step: u64,
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) bug: Option<Bug>,
    /// Trouble is over: everything heals.
    pub(crate) calm: bool,
    /// Nobody says anything any more.
    pub(crate) quiet: bool,
    /// Nor reports how its call is.
    pub(crate) still: bool,
    pub(crate) facts: Facts,
    pub(crate) rooms: Rooms,
    /// Lives of the server.
    pub(crate) incarnation: u64,
    pub(crate) database: Database,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// The sessions that each shard watches.
    pub(crate) watched: Vec<BTreeSet<String>>,
    pub(crate) shard_mail_at: Vec<Micros>,
    pub(crate) rooms_mail_at: BTreeMap<String, Micros>,
    pub(crate) clients: Vec<Client>,
    /// What has happened that a run may bring.
    pub(crate) reached: BTreeSet<&'static str>,
    counter: u64,
    timer_at: Option<Micros>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::of(&mut rng);
        let clients = (0..plan.clients).map(|index| Client::draw(index, &mut rng)).collect();
        let mut world = Self {
            now: SECOND,
            step: 0,
            rng,
            bug,
            calm: false,
            quiet: false,
            still: false,
            facts: Facts::default(),
            rooms: Rooms::new(limits(), Box::new(ShortIce)),
            incarnation: 0,
            database: Database::default(),
            sessions: BTreeMap::new(),
            watched: vec![BTreeSet::new(); plan.shards],
            shard_mail_at: vec![0; plan.shards],
            rooms_mail_at: BTreeMap::new(),
            clients,
            reached: BTreeSet::new(),
            counter: 0,
            timer_at: None,
            queue: BinaryHeap::new(),
            sequence: 0,
            plan,
        };
        for client in 0..world.clients.len() {
            world.soon(SECOND, Event::Act(client));
        }
        world.soon(SECOND, Event::Trouble);
        world
    }

    /// Plays the whole scenario.
    pub(crate) fn run(&mut self) -> Check {
        for room in 0..2 {
            self.create(room)?;
        }
        self.run_until(self.now + self.plan.trouble)?;
        self.calm = true;
        self.run_until(self.now + 3 * SECOND)?;
        self.quiet = true;
        self.run_until(self.now + self.plan.grace + 3 * SECOND)?;
        // Numbers that are missing are sent one after the other.
        for _ in 0..60 {
            if self.clients.iter().any(|client| !client.posts.is_empty()) {
                self.run_until(self.now + SECOND)?;
            }
        }
        self.still = true;
        // A score that changed is told up to five seconds later.
        self.run_until(self.now + 8 * SECOND)?;
        self.check_at_rest()?;
        self.close_everything()?;
        self.run_until(self.now + 3 * SECOND)?;
        self.check_empty()
    }

    fn run_until(&mut self, end: Micros) -> Check {
        while self.queue.peek().is_some_and(|Reverse(next)| next.at <= end) {
            let Some(Reverse(Scheduled { at, event, .. })) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            self.step += 1;
            self.handle(event)?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Check {
        match event {
            Event::ShardMail(shard, incarnation, mail) => {
                if incarnation == self.incarnation {
                    self.on_shard_mail(shard, mail);
                }
                Ok(())
            }
            Event::RoomsMail(incarnation, mail) if incarnation == self.incarnation => self.on_rooms_mail(mail),
            Event::RoomsMail(..) => Ok(()),
            Event::Timer => self.on_timer(),
            Event::Connect(client, number) => self.on_connect(client, number),
            Event::Frame(client, number, frame) => self.on_frame(client, number, frame),
            Event::LinkBroken(token, connection) => {
                self.detach(&token, Some(connection), DisconnectReason::Unreachable);
                Ok(())
            }
            Event::SessionEnds(token, connection) => {
                self.on_session_ends(&token, connection);
                Ok(())
            }
            Event::Arrive(request) => {
                let place = self.place_of(&request.session);
                self.mail_rooms(format!("request {}", request.id), RoomsMail::Ask(request, place));
                Ok(())
            }
            Event::Answer(client, request, answer) => self.on_answer(client, request, answer),
            Event::Patience(client, request) => {
                self.on_patience(client, request);
                Ok(())
            }
            Event::Written => {
                self.database.write(usize::MAX);
                Ok(())
            }
            Event::Act(client) => self.on_act(client),
            Event::Trouble => self.on_trouble(),
        }
    }

    fn on_timer(&mut self) -> Check {
        self.timer_at = None;
        if self.bug == Some(Bug::TimersForgotten) {
            return Ok(());
        }
        self.rooms.handle_timeout(self.clock());
        let next = self.rooms.next_timeout();
        if next.is_some_and(|next| next.0 <= self.now) {
            return Err(format!("something stays due: {next:?}"));
        }
        self.after_rooms()
    }

    /// Looks at the clock again when the rooms want it.
    pub(crate) fn arm_timer(&mut self) {
        let Some(next) = self.rooms.next_timeout() else { return };
        let next = next.0.max(self.now);
        if self.timer_at.is_none_or(|at| next < at) {
            self.timer_at = Some(next);
            self.after(next - self.now, Event::Timer);
        }
    }

    pub(crate) fn after(&mut self, delay: Micros, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled { at: self.now + delay, seq: self.sequence, event }));
    }

    /// After up to `longest`, mostly much sooner.
    pub(crate) fn soon(&mut self, longest: Micros, event: Event) {
        let bound = if self.rng.percent(70) { longest / 8 } else { longest };
        let delay = self.rng.below(bound + 1);
        self.after(delay, event);
    }

    /// Notes that something has happened, see [`REACHED`].
    pub(crate) fn note(&mut self, what: &'static str) {
        debug_assert!(REACHED.contains(&what), "{what}");
        self.reached.insert(what);
    }

    /// A number that nothing else has.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn clock(&self) -> Clock {
        let at = Timestamp(1_700_000_000_000_000 + i64::try_from(self.now).expect("a run is short"));
        Clock { now: Moment(self.now), at }
    }

    /// How long the longest delay on the way may be.
    pub(crate) fn way(&self) -> Micros {
        if self.calm { 20 * MILLIS } else { self.plan.way }
    }
}

pub(crate) fn limits() -> RoomsLimits {
    RoomsLimits { rooms: 4, rooms_per_principal: 4, participants: 8, mesh: 8 }
}
