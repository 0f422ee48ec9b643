//! The world: one queue of events in virtual time, and everything that they happen to.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use santral_core::entry::Timestamp;
use santral_core::session::SessionKey;
use santral_core::shard::PageRequest;
use santral_core::socketio::Request;
use santral_core::time::Moment;

use crate::bugs::Bug;
use crate::client::Client;
use crate::dialog::{Dialog, Reply};
use crate::engine::{Engine, Step};
use crate::facts::Facts;
use crate::host::{Host, Page};
use crate::line::Line;
use crate::plan::{MILLIS, Micros, Plan, SECOND};
use crate::requests::{Asked, HttpRequest};
use crate::rng::Rng;

/// Why a run failed.
pub(crate) type Check = Result<(), String>;

/// What the runs must bring: a check that is never put to the test checks nothing.
pub(crate) const REACHED: [&str; 30] = [
    "a poll is held while another is",
    "a poll comes behind the upgrade",
    "a poll comes behind the end of the server's making",
    "a poll comes behind the end of the client's making",
    "a poll is over when the WebSocket takes over",
    "a POST comes while another is under way",
    "a POST comes behind the upgrade",
    "a WebSocket is one too many",
    "a WebSocket comes behind the end",
    "a WebSocket does not take over in time",
    "a WebSocket breaks before it takes over",
    "a WebSocket takes over",
    "the answer of a poll finds nobody",
    "a frame is taken in part",
    "a binary event is taken in part",
    "a client is not read for its answers pile up",
    "a client closes",
    "a client is unreachable",
    "a client sends no pong",
    "a client sends what is no packet",
    "the server closes for good",
    "the server closes for now",
    "the server stops",
    "a client comes back",
    "a client comes back before its first event",
    "a client comes back to another shard",
    "a client comes back while it is still thought to be there",
    "a client comes back too late",
    "a client is told of a gap",
    "events come before the answer to CONNECT",
];

/// What happens next.
pub(crate) enum Event {
    /// A shard looks after its work.
    Wake(usize, Micros),
    /// The next mail of a shard is there.
    Mail(usize),
    PageSnapshot(usize, PageRequest),
    PageAnswer(usize, SessionKey, Option<Page>),
    /// A client comes, if it made no later attempt.
    Connect(usize, u64),
    /// A request is there, on the shard that its connection lives on.
    Arrive(Asked),
    /// The server's edge learns that the client of a request is gone.
    Dropped(usize),
    /// An answer is with the client.
    Answer(usize, usize, Reply),
    /// What a client asked for is carried out.
    Carried(usize, Box<Request<SessionKey>>),
    /// The client polls again, after a pause.
    PollAgain(usize),
    /// The client answers a ping, or says something else.
    Say(usize, Vec<String>),
    /// The next message of a WebSocket is with the server.
    LineUp(usize),
    /// The network moves bytes of a WebSocket to its client.
    LineMoves(usize),
    /// The kernel says that a WebSocket takes bytes again.
    LineReady(usize),
    Act(usize),
    Publish,
    Trim,
    Trouble,
}

pub(crate) struct Scheduled {
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

/// See the module.
pub(crate) struct World {
    pub(crate) now: Micros,
    pub(crate) step: u64,
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) bug: Option<Bug>,
    /// Trouble is over: everything heals.
    pub(crate) calm: bool,
    /// Nobody publishes any more.
    pub(crate) quiet: bool,
    pub(crate) facts: Facts,
    pub(crate) hosts: Vec<Host>,
    /// Both ends of each connection have the same index.
    pub(crate) engines: Vec<Option<Engine>>,
    pub(crate) dialogs: Vec<Dialog>,
    pub(crate) lines: Vec<Line>,
    pub(crate) requests: Vec<HttpRequest>,
    pub(crate) clients: Vec<Client>,
    /// What has happened that a run may bring.
    pub(crate) reached: BTreeSet<&'static str>,
    /// The longest frame of any message.
    pub(crate) largest_frame: usize,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::of(&mut rng);
        let clients = (0..plan.clients).map(|_| Client::draw(&mut rng)).collect();
        let hosts = (0..plan.shards).map(|_| Host::new(Moment(SECOND), &plan)).collect();
        let mut world = Self {
            now: SECOND,
            step: 0,
            rng,
            plan,
            bug,
            calm: false,
            quiet: false,
            facts: Facts::default(),
            hosts,
            engines: Vec::new(),
            dialogs: Vec::new(),
            lines: Vec::new(),
            requests: Vec::new(),
            clients,
            reached: BTreeSet::new(),
            largest_frame: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
        };
        for client in 0..world.clients.len() {
            world.soon(SECOND, Event::Connect(client, 0));
            world.soon(SECOND, Event::Act(client));
        }
        world.soon(MILLIS, Event::Publish);
        world.soon(SECOND, Event::Trim);
        world.soon(SECOND, Event::Trouble);
        world
    }

    /// Plays the whole scenario.
    pub(crate) fn run(&mut self) -> Check {
        self.run_until(self.now + self.plan.trouble)?;
        self.heal()?;
        self.run_until(self.now + 5 * SECOND)?;
        self.quiet = true;
        self.run_until(self.now + 3 * SECOND)?;
        self.check_at_rest()?;
        self.end_everything()
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
            Event::Wake(host, when) => self.on_wake(host, when),
            Event::Mail(host) => self.on_mail(host),
            Event::PageSnapshot(host, request) => self.on_page_snapshot(host, request),
            Event::PageAnswer(host, session, page) => self.on_page_answer(host, session, page),
            Event::Connect(client, attempt) => self.on_connect(client, attempt),
            Event::Arrive(asked) => self.on_arrive(asked),
            Event::Dropped(request) => self.on_dropped(request),
            Event::Answer(dialog, request, reply) => self.on_answer(dialog, request, reply),
            Event::Carried(engine, request) => self.on_carried(engine, *request),
            Event::PollAgain(dialog) => self.on_poll_again(dialog),
            Event::Say(dialog, packets) => self.say(dialog, packets),
            Event::LineUp(line) => self.on_line_up(line),
            Event::LineMoves(line) => self.on_line_moves(line),
            Event::LineReady(line) => self.on_line_ready(line),
            Event::Act(client) => self.on_act(client),
            Event::Publish => self.on_publish(),
            Event::Trim => self.on_trim(),
            Event::Trouble => self.on_trouble(),
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

    pub(crate) fn moment(&self) -> Moment {
        Moment(self.now)
    }

    pub(crate) fn step_now(&self) -> Step {
        Step { now: self.moment(), bug: self.bug }
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + i64::try_from(self.now).expect("a run is short"))
    }
}
