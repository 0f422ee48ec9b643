//! The plain connections of the listener: who may have how many, and who goes when they are scarce.
//!
//! A stream leaves for its shard and is counted there; here are connections that are asked something.
//! Each worker stops accepting at its share of them, so a few are kept free for health checks and the
//! operator: beyond the rest, whoever keeps the server waiting for a request has to go.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use ipnet::IpNet;
use slotmap::{DefaultKey, SlotMap};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use santral_core::limits::{CROWD_SWEEP_INTERVAL, CROWDED_PATIENCE};

use crate::http::edge::Edge;
use crate::http::edge::client_address::contains;
use crate::hub::admission::{Counts, group};

/// What all workers share: how many plain connections each network has.
pub(super) struct Gate {
    edge: Arc<Edge>,
    per_network: usize,
    counts: Counts<IpNet>,
}

impl Gate {
    /// A gate for so many connections, of which one network gets half.
    pub(super) fn new(edge: &Arc<Edge>, connections: usize) -> Arc<Self> {
        Arc::new(Self { edge: Arc::clone(edge), per_network: (connections / 2).max(1), counts: Counts::default() })
    }

    /// Lets a peer in, unless its network has its share. Proxies carry everyone, so they have no share.
    fn admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<Pass> {
        let peer = peer?.to_canonical();
        let options = self.edge.options();
        if options.is_unlimited(peer) || contains(&options.trusted_proxies, peer) {
            return Some(Pass { gate: Arc::clone(self), network: None });
        }
        let network = group(peer);
        let is_free = self.counts.take(&network, self.per_network);
        is_free.then(|| Pass { gate: Arc::clone(self), network: Some(network) })
    }
}

/// A place in a network's share; given back when dropped.
struct Pass {
    gate: Arc<Gate>,
    network: Option<IpNet>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(network) = &self.network {
            self.gate.counts.give_back(network);
        }
    }
}

/// The plain connections of one worker.
#[derive(Clone)]
pub(super) struct Connections(Rc<Crowd>);

struct Crowd {
    gate: Arc<Gate>,
    /// Beyond this many, those that keep the server waiting go.
    comfortable: usize,
    members: RefCell<SlotMap<DefaultKey, Rc<Member>>>,
    crowded: Notify,
}

/// One connection, as the crowd sees it.
pub(super) struct Member {
    /// Since when the server waits for its request; `None` while it is the client that waits.
    waiting_since: Cell<Option<Instant>>,
    is_ended: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Connections {
    /// The connections of a worker that accepts up to `most`. Sweeps while they are scarce.
    pub(super) fn new(gate: &Arc<Gate>, most: usize) -> Self {
        let kept_free = (most / KEPT_FREE).max(1);
        let crowd = Rc::new(Crowd {
            gate: Arc::clone(gate),
            comfortable: most.saturating_sub(kept_free).max(1),
            members: RefCell::default(),
            crowded: Notify::new(),
        });
        let swept = Rc::clone(&crowd);
        actix_rt::spawn(async move {
            loop {
                swept.crowded.notified().await;
                while swept.is_crowded() {
                    swept.sweep();
                    sleep(CROWD_SWEEP_INTERVAL).await;
                }
            }
        });
        Self(crowd)
    }

    /// Takes in a connection; `None` when its network has its share already.
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> Option<Place> {
        let pass = self.0.gate.admit(peer)?;
        let member = Rc::new(Member {
            waiting_since: Cell::new(Some(Instant::now())),
            is_ended: Cell::new(false),
            task: RefCell::default(),
        });
        let key = self.0.members.borrow_mut().insert(Rc::clone(&member));
        if self.0.is_crowded() {
            self.0.crowded.notify_one();
        }
        Some(Place { connections: self.clone(), key, member, _pass: pass })
    }
}

/// One in so many places is kept free of connections that wait.
const KEPT_FREE: usize = 8;

impl Crowd {
    fn is_crowded(&self) -> bool {
        self.members.borrow().len() > self.comfortable
    }

    /// Ends the connections that have kept the server waiting.
    fn sweep(&self) {
        for member in self.members.borrow().values().filter(|member| member.has_kept_us_waiting()) {
            member.end();
        }
    }
}

impl Member {
    fn has_kept_us_waiting(&self) -> bool {
        self.waiting_since.get().is_some_and(|since| since.elapsed() >= CROWDED_PATIENCE)
    }

    fn end(&self) {
        self.is_ended.set(true);
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }

    /// Notes whether the server waits for the client, or the client for the server.
    pub(super) fn set_waiting(&self, is_waiting: bool) {
        match (is_waiting, self.waiting_since.get()) {
            (true, None) => self.waiting_since.set(Some(Instant::now())),
            (false, Some(_)) => self.waiting_since.set(None),
            (true, Some(_)) | (false, None) => (),
        }
    }

    /// Whether it has to go; if not, its task is woken when it has to.
    pub(super) fn poll_ended(&self, context: &Context<'_>) -> bool {
        if self.is_ended.get() {
            return true;
        }
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
        false
    }
}

/// A connection's place among the plain ones; free again when dropped.
pub(super) struct Place {
    connections: Connections,
    key: DefaultKey,
    member: Rc<Member>,
    _pass: Pass,
}

impl Place {
    pub(super) fn member(&self) -> &Rc<Member> {
        &self.member
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.0.members.borrow_mut().remove(self.key);
    }
}
