//! The world: one queue of events in virtual time, and everything that they happen to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use santral_core::entry::Timestamp;
use santral_core::names::{ConnectionId, Selector};
use santral_core::position::{Epoch, Offset};
use santral_core::session::SessionKey;
use santral_core::shard::PageRequest;
use santral_core::time::Moment;

use crate::bugs::Bug;
use crate::client::Client;
use crate::facts::Facts;
use crate::log_store::{LogModel, Page};
use crate::network::Link;
use crate::node::{Mail, Node};
use crate::plan::{MILLIS, Micros, Plan, SECOND};
use crate::publisher::Publisher;
use crate::rng::Rng;

/// Why a run failed.
pub(crate) type Check = Result<(), String>;

/// Names one shard of one life of a node, so that events for a dead one are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) shard: usize,
}

/// What happens next.
pub(crate) enum Event {
    Wake(At, Micros),
    Mail(At),
    PageSnapshot(At, PageRequest),
    PageAnswer(At, SessionKey, Option<Page>),
    LinkUp(usize),
    Drain(usize),
    Writable(usize),
    LinkDead(usize),
    Connect(usize, u64),
    Act(usize),
    Publish(usize),
    CommitBegin(At),
    CommitSync(At, u64),
    CommitAnswer(At, u64),
    Bus(At, Vec<Arc<santral_core::entry::Entry>>),
    Repair(At),
    Trim,
    Trouble,
    NodeStart(usize),
    NodeStop(At),
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
    pub(crate) log: LogModel,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    pub(crate) clients: Vec<Client>,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) facts: Facts,
    /// Sessions that were drained or attached on lives that are over: nobody asks for their ends.
    pub(crate) open_connections: Vec<(At, ConnectionId)>,
    /// The page that was read last, for a planted fault.
    pub(crate) stale_page: Option<(Vec<Arc<santral_core::entry::Entry>>, Offset)>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::of(&mut rng);
        let log = LogModel::new(Epoch(1));
        let clients = (0..plan.clients).map(|name| draw_client(name, &plan, &mut rng)).collect();
        let publishers = (0..plan.publishers).map(|_| Publisher::default()).collect();
        let mut world = Self {
            now: SECOND,
            step: 0,
            nodes: (0..plan.nodes).map(|_| Node::default()).collect(),
            log,
            rng,
            bug,
            calm: false,
            links: Vec::new(),
            clients,
            publishers,
            facts: Facts::default(),
            open_connections: Vec::new(),
            stale_page: None,
            queue: BinaryHeap::new(),
            sequence: 0,
            plan,
        };
        world.schedule_start();
        world
    }

    fn schedule_start(&mut self) {
        for node in 0..self.nodes.len() {
            self.after(0, Event::NodeStart(node));
        }
        for client in 0..self.clients.len() {
            let delay = self.rng.below(2 * SECOND);
            self.after(delay, Event::Connect(client, 0));
            self.after(delay + self.plan.act_pause, Event::Act(client));
        }
        for publisher in 0..self.publishers.len() {
            let delay = self.rng.below(SECOND);
            self.after(delay, Event::Publish(publisher));
        }
        self.after(500 * MILLIS, Event::Trim);
        self.after(SECOND, Event::Trouble);
    }

    /// Plays the whole scenario.
    pub(crate) fn run(&mut self) -> Check {
        let trouble_ends = self.now + self.plan.trouble;
        self.run_until(trouble_ends)?;
        self.heal()?;
        let thaw = self.nodes.iter().map(|node| node.frozen_until).max().unwrap_or(0).max(self.now);
        let rest = thaw + 15 * SECOND;
        self.run_until(rest)?;
        self.check_at_rest()?;
        self.end_everything()
    }

    fn run_until(&mut self, end: Micros) -> Check {
        while let Some(Reverse(next)) = self.queue.peek() {
            if next.at > end {
                break;
            }
            let Some(Reverse(Scheduled { at, event, .. })) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(at);
            self.step += 1;
            if let Some(thaw) = self.frozen(&event) {
                let delay = thaw - self.now;
                self.after(delay, event);
                continue;
            }
            self.handle(event)?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Check {
        match event {
            Event::Wake(at, when) => self.on_wake(at, when),
            Event::Mail(at) => self.on_mail(at),
            Event::PageSnapshot(at, request) => self.on_page_snapshot(at, &request),
            Event::PageAnswer(at, session, page) => self.on_page_answer(at, session, page),
            Event::LinkUp(link) => self.on_link_up(link),
            Event::Drain(link) => self.on_drain(link),
            Event::Writable(link) => self.on_writable(link),
            Event::LinkDead(link) => self.on_link_dead(link),
            Event::Connect(client, attempt) => self.on_connect(client, attempt),
            Event::Act(client) => self.on_act(client),
            Event::Publish(publisher) => self.on_publish(publisher),
            Event::CommitBegin(at) => self.on_commit_begin(at),
            Event::CommitSync(at, commit) => self.on_commit_sync(at, commit),
            Event::CommitAnswer(at, commit) => self.on_commit_answer(at, commit),
            Event::Bus(at, entries) => self.on_bus(at, entries),
            Event::Repair(at) => self.on_repair(at),
            Event::Trim => self.on_trim(),
            Event::Trouble => self.on_trouble(),
            Event::NodeStart(node) => self.on_node_start(node),
            Event::NodeStop(at) => self.on_node_stop(at),
        }
    }

    /// Until when the node of an event stands still; `None` when it runs.
    fn frozen(&self, event: &Event) -> Option<Micros> {
        let node = match event {
            Event::Wake(at, _)
            | Event::Mail(at)
            | Event::PageSnapshot(at, _)
            | Event::PageAnswer(at, ..)
            | Event::CommitBegin(at)
            | Event::CommitAnswer(at, _)
            | Event::Bus(at, _)
            | Event::Repair(at)
            | Event::NodeStop(at) => at.node,
            Event::LinkUp(link) | Event::Writable(link) | Event::LinkDead(link) => self.links[*link].node,
            Event::Drain(_)
            | Event::CommitSync(..)
            | Event::Connect(..)
            | Event::Act(_)
            | Event::Publish(_)
            | Event::Trim
            | Event::Trouble
            | Event::NodeStart(_) => return None,
        };
        Some(self.nodes[node].frozen_until).filter(|&thaw| thaw > self.now)
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

    pub(crate) fn moment(&self) -> Moment {
        Moment(self.now)
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + i64::try_from(self.now).expect("a run is short"))
    }

    /// Hands a message to a shard, behind everything that was handed to it before.
    pub(crate) fn mail(&mut self, at: At, mail: Mail) {
        let delay = self.rng.below(self.plan.mail_delay + 1);
        let Some(host) = self.nodes[at.node].host_mut(at) else {
            return;
        };
        let due = (self.now + delay).max(host.mail_at);
        host.mail_at = due;
        host.mailbox.push_back(mail);
        let wait = due - self.now;
        self.after(wait, Event::Mail(at));
    }

    fn on_trim(&mut self) -> Check {
        if self.plan.retained > 0 {
            let behind = self.nodes.iter().filter(|node| node.up).map(|node| node.fed).min().unwrap_or(0);
            let upto = self.log.head().saturating_sub(self.plan.retained).min(behind);
            self.log.trim(upto);
            for at in self.live_shards() {
                if self.rng.percent(50) {
                    self.mail(at, Mail::Trimmed(upto));
                }
            }
        }
        self.soon(SECOND, Event::Trim);
        Ok(())
    }

    /// Every shard of every node that runs.
    pub(crate) fn live_shards(&self) -> Vec<At> {
        let nodes = self.nodes.iter().enumerate().filter(|(_, node)| node.up);
        nodes
            .flat_map(|(index, node)| {
                let life = node.life;
                (0..node.hosts.len()).map(move |shard| At { node: index, life, shard })
            })
            .collect()
    }
}

fn draw_client(name: usize, plan: &Plan, rng: &mut Rng) -> Client {
    let presence = plan.presence && rng.percent(60);
    let mut selectors = vec![draw_selector(rng), draw_selector(rng)];
    selectors.push(Selector::parse("broadcast").expect("a valid name"));
    selectors.dedup();
    Client::new(name, rng, selectors, presence)
}

/// One of the channels and prefixes that clients follow.
pub(crate) fn draw_selector(rng: &mut Rng) -> Selector {
    let text = rng.pick(&["a", "a", "b", "b.x", "b.y", "b.*", "b.*", "*", "c"]);
    Selector::parse(text).expect("a valid selector")
}
