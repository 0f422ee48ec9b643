//! A node: its shards with their mailboxes, and what the shell around the engine does for them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use santral_core::entry::Entry;
use santral_core::limits::PAGE_READS_MAX;
use santral_core::names::ConnectionId;
use santral_core::position::Offset;
use santral_core::session::SessionKey;
use santral_core::shard::{Effect, PageRequest, PresenceNotice, Progress, Shard, ShardConfig};
use santral_core::time::Moment;
use santral_schema::events::PresenceKind;

use crate::bugs::Bug;
use crate::facts::Kind;
use crate::log_store::Page;
use crate::network::{Expected, ShardLinks};
use crate::plan::{MILLIS, Micros};
use crate::publisher::Outstanding;
use crate::world::{At, Check, Event, World};

/// Something that waits for a shard, first come, first served.
#[derive(Debug)]
pub(crate) enum Mail {
    Stored(Vec<Arc<Entry>>),
    /// The copies of a message, which no other input parts.
    Volatile(Vec<u64>),
    Direct(ConnectionId, u64),
    Presence(PresenceNotice),
    Trimmed(Offset),
}

/// One shard and its surroundings.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) shard: Shard,
    pub(crate) mailbox: VecDeque<Mail>,
    /// When the last mail comes: none may overtake it.
    pub(crate) mail_at: Micros,
    wake_at: Option<Micros>,
    /// The link of each session that has one.
    pub(crate) by_session: BTreeMap<SessionKey, usize>,
    reads: usize,
    /// What has gone through the ring.
    pub(crate) items: usize,
    pub(crate) weight: usize,
    /// The same when no pass was to come: what the ring may hold of more recent items, it holds.
    passed: (usize, usize),
}

/// A batch on its way into the log.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) commit: u64,
    pub(crate) requests: Vec<(usize, Outstanding)>,
    pub(crate) outcomes: Vec<crate::log_store::Outcome>,
    pub(crate) entries: Option<Vec<Arc<Entry>>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) up: bool,
    pub(crate) life: u64,
    pub(crate) draining: bool,
    pub(crate) frozen_until: Micros,
    pub(crate) hosts: Vec<Host>,
    pub(crate) requests: Vec<(usize, Outstanding)>,
    pub(crate) commit: Option<Commit>,
    /// The shards were handed everything up to here.
    pub(crate) fed: Offset,
    /// Entries that came before those in front of them.
    pub(crate) early: BTreeMap<Offset, Arc<Entry>>,
    /// The last offset that the node has heard of.
    pub(crate) committed: Offset,
}

impl Node {
    /// Whether it takes new requests.
    pub(crate) fn serves(&self) -> bool {
        self.up && !self.draining
    }

    pub(crate) fn host_mut(&mut self, at: At) -> Option<&mut Host> {
        (self.up && self.life == at.life).then(|| &mut self.hosts[at.shard])
    }
}

impl World {
    pub(crate) fn on_node_start(&mut self, index: usize) -> Check {
        if self.nodes[index].up {
            return Ok(());
        }
        let (epoch, head, trimmed_to) = (self.log.epoch, self.log.head(), self.log.trimmed_to());
        let preload = if self.rng.percent(50) { self.rng.below(10) } else { 0 };
        let start = head.saturating_sub(preload).max(trimmed_to);
        let page = self.log.page(&[], start, head, usize::MAX, usize::MAX);
        let now = self.moment();
        let hosts = (0..self.plan.shards).map(|_| {
            let mut config = ShardConfig::new(epoch, start, trimmed_to);
            config.heartbeat = std::time::Duration::from_micros(self.plan.heartbeat);
            config.grace = std::time::Duration::from_micros(self.plan.grace);
            config.ring_entries_max = self.plan.ring_entries_max;
            config.ring_bytes_max = self.plan.ring_bytes_max;
            let mut shard = Shard::new(now, config);
            shard.publish_stored(&page.entries);
            let (mailbox, by_session) = (VecDeque::new(), BTreeMap::new());
            Host {
                shard,
                mailbox,
                mail_at: 0,
                wake_at: None,
                by_session,
                reads: 0,
                items: 0,
                weight: 0,
                passed: (0, 0),
            }
        });
        let hosts = hosts.collect();
        let life = self.nodes[index].life + 1;
        self.nodes[index] = Node { up: true, life, hosts, fed: head, committed: head, ..Node::default() };
        self.soon(500 * MILLIS, Event::Repair(At { node: index, life, shard: 0 }));
        Ok(())
    }

    pub(crate) fn wake(&mut self, at: At, delay: Micros) {
        let when = self.now + delay;
        let Some(host) = self.nodes[at.node].host_mut(at) else {
            return;
        };
        if host.wake_at.is_none_or(|earlier| earlier > when) {
            host.wake_at = Some(when);
            self.after(delay, Event::Wake(at, when));
        }
    }

    pub(crate) fn on_wake(&mut self, at: At, when: Micros) -> Check {
        let now = self.moment();
        let bug = self.bug;
        let Some(host) = self.nodes[at.node].host_mut(at).filter(|host| host.wake_at == Some(when)) else {
            return Ok(());
        };
        host.wake_at = None;
        if bug != Some(Bug::TimersLate) || now.0.is_multiple_of(16) {
            host.shard.handle_timeout(now);
        }
        let mut links = ShardLinks {
            links: &mut self.links,
            by_session: &host.by_session,
            rng: &mut self.rng,
            now: now.0,
            bug,
            touched: Vec::new(),
            fault: None,
        };
        let progress = host.shard.run_slice(now, &mut links);
        let (touched, fault) = (links.touched, links.fault);
        host.shard.slice_ended(Moment(now.0 + self.rng.below(2_000)));
        let next = host.shard.next_timeout();
        // Asserts that its counts are right.
        let _ = host.shard.gauges();
        if let Some(fault) = fault {
            return Err(fault);
        }
        for link in touched {
            self.want_drain(link);
        }
        self.drain_effects(at)?;
        match progress {
            Progress::More => {
                let delay = self.rng.below(300);
                self.wake(at, delay);
            }
            Progress::Idle => {
                self.check_idle(at)?;
                if next.is_none_or(|next| next.0 > self.now + 15 * MILLIS) {
                    let host = &mut self.nodes[at.node].hosts[at.shard];
                    host.passed = (host.items, host.weight);
                }
                if let Some(next) = next {
                    if next <= now && bug.is_none() {
                        return Err("a shard is idle although a timer is due".to_owned());
                    }
                    let next = if bug == Some(Bug::TimersLate) { Moment(now.0 + 40_000_000) } else { next };
                    self.wake(at, next.0.saturating_sub(self.now));
                }
            }
        }
        Ok(())
    }

    /// An idle shard owes nobody anything (heartbeats, volatile messages).
    fn check_idle(&mut self, at: At) -> Check {
        let heartbeat = self.plan.heartbeat;
        let host = &self.nodes[at.node].hosts[at.shard];
        let (ring_items, ring_weight) = (self.plan.ring_entries_max, self.plan.ring_bytes_max);
        for &index in host.by_session.values() {
            let link = &mut self.links[index];
            if !link.up || link.blocked || link.dead || link.closed {
                continue;
            }
            if self.now > link.last_write + heartbeat + 150 * MILLIS {
                return Err(format!(
                    "a stream is silent for {} us, and {heartbeat} were said",
                    self.now - link.last_write
                ));
            }
            link.settled = !link.awaits_page && host.reads < PAGE_READS_MAX;
            link.expected.retain(|due| host.items - due.items <= ring_items && host.weight - due.weight <= ring_weight);
            if let Some(lost) = link.expected.iter().find(|due| due.at + 100 * MILLIS < self.now) {
                return Err(format!("volatile message {} was not sent to a client that was ready", lost.uid));
            }
        }
        Ok(())
    }

    pub(crate) fn on_mail(&mut self, at: At) -> Check {
        let Some(mail) = self.nodes[at.node].host_mut(at).and_then(|host| host.mailbox.pop_front()) else {
            return Ok(());
        };
        match mail {
            Mail::Stored(entries) => {
                let host = &mut self.nodes[at.node].hosts[at.shard];
                host.items += entries.len();
                host.weight += entries.iter().map(|entry| entry.weight()).sum::<usize>();
                host.shard.publish_stored(&entries);
            }
            Mail::Volatile(uids) => uids.into_iter().for_each(|uid| self.deliver_volatile(at, uid)),
            Mail::Direct(connection, uid) => self.deliver_direct(at, connection, uid)?,
            Mail::Presence(notice) => self.deliver_presence(at, &notice),
            Mail::Trimmed(upto) => self.nodes[at.node].hosts[at.shard].shard.log_trimmed(upto),
        }
        self.after_input(at)
    }

    fn deliver_volatile(&mut self, at: At, uid: u64) {
        let fact = self.facts.message(uid).expect("published before").clone();
        let publication = self.bug.map_or_else(|| fact.publication.clone(), |bug| bug.strip(&fact.publication));
        let entry = Arc::new(Entry::volatile(self.timestamp(), publication));
        let host = &mut self.nodes[at.node].hosts[at.shard];
        host.items += 1;
        host.weight += entry.weight();
        for &index in host.by_session.values() {
            let link = &mut self.links[index];
            let view = self.clients[link.client].view.as_ref();
            let wanted = view.is_some_and(|view| view.wants_volatile(&fact));
            let settled = link.settled && host.reads < PAGE_READS_MAX;
            if settled && wanted && self.clients[link.client].link == Some(index) {
                let (items, weight) = host.passed;
                link.expected.push(Expected { uid, at: self.now, items, weight });
            }
        }
        host.shard.publish(&entry);
    }

    fn deliver_direct(&mut self, at: At, connection: ConnectionId, uid: u64) -> Check {
        let fact = self.facts.message(uid).expect("published before");
        debug_assert_eq!(fact.kind, Kind::Direct);
        let (publication, now) = (Arc::new(fact.publication.clone()), self.timestamp());
        let shard = &mut self.nodes[at.node].hosts[at.shard].shard;
        if shard.send_direct(connection, now, publication).is_none() {
            return Ok(());
        }
        let chain = self.facts.chains.iter_mut().find(|chain| chain.connections.last() == Some(&connection));
        chain
            .ok_or("a direct message was taken for a connection that is not the last of its session")?
            .directs
            .push(uid);
        Ok(())
    }

    fn deliver_presence(&mut self, at: At, notice: &PresenceNotice) {
        let kind = match notice.kind {
            PresenceKind::Joined => "joined",
            PresenceKind::Left => "left",
        };
        let key = format!("{} {kind} {}", notice.channel, notice.connection.as_str());
        for client in &mut self.clients {
            let presence = client.presence;
            let Some(view) = client.view.as_mut().filter(|view| view.node == at.node && view.life == at.life) else {
                continue;
            };
            let follows = |interval: &&crate::client::Interval| {
                interval.active && interval.selector.to_string() == notice.channel.as_str()
            };
            if view.shard == at.shard && presence && view.follows.iter().any(|interval| follows(&interval)) {
                view.presence_due.push(key.clone());
            }
        }
        let host = &mut self.nodes[at.node].hosts[at.shard];
        host.items += 1;
        host.weight += 400;
        host.shard.publish_presence(notice);
    }

    /// What every input is followed by: its effects, then a slice soon.
    pub(crate) fn after_input(&mut self, at: At) -> Check {
        self.drain_effects(at)?;
        let delay = self.rng.below(300);
        self.wake(at, delay);
        Ok(())
    }

    pub(crate) fn drain_effects(&mut self, at: At) -> Check {
        loop {
            let Some(effect) = self.nodes[at.node].host_mut(at).and_then(|host| host.shard.poll_effect()) else {
                return Ok(());
            };
            match effect {
                Effect::ReadPage(request) => self.begin_read(at, request)?,
                Effect::Close { session, farewell, reason: _ } => self.close_link(at, session, &farewell)?,
                Effect::Presence(notice) => {
                    for other in self.live_shards() {
                        self.mail(other, Mail::Presence(notice.clone()));
                    }
                }
                Effect::ConnectionEnded { connection, .. } => self.facts.connection_ended(connection)?,
                Effect::SessionEnded { .. } => (),
            }
        }
    }

    fn begin_read(&mut self, at: At, request: PageRequest) -> Check {
        if request.selectors.is_empty() || request.after >= request.upto {
            return Err(format!("a page that reads nothing: {request:?}"));
        }
        let host = &mut self.nodes[at.node].hosts[at.shard];
        host.reads += 1;
        if host.reads > PAGE_READS_MAX {
            return Err("INV-6: too many pages at a time".to_owned());
        }
        if let Some(&link) = host.by_session.get(&request.session) {
            self.links[link].awaits_page = true;
            self.links[link].settled = false;
        }
        let delay = self.plan.page_delay;
        self.soon(delay, Event::PageSnapshot(at, request));
        Ok(())
    }

    pub(crate) fn on_page_snapshot(&mut self, at: At, request: &PageRequest) -> Check {
        let failed = !self.calm && self.rng.percent(self.plan.page_failures);
        let page = (!failed).then(|| self.read_page(request));
        let delay = self.plan.page_delay;
        self.soon(delay, Event::PageAnswer(at, request.session, page));
        Ok(())
    }

    fn read_page(&mut self, request: &PageRequest) -> Page {
        let after = request.after + u64::from(self.bug == Some(Bug::ReplayOffByOne));
        let (entries_max, bytes_max) = (self.plan.page_entries_max, 4_000);
        let mut page = self.log.page(&request.selectors, after, request.upto, entries_max, bytes_max);
        match self.bug {
            Some(Bug::PageReachesTooFar) => page.reached = request.upto,
            Some(Bug::TrimmingUntold) => page.trimmed_to = 0,
            Some(Bug::StalePageAccepted) => {
                let stale = self.stale_page.replace((page.entries.clone(), page.reached));
                if let Some((entries, _)) = stale.filter(|_| self.rng.percent(30)) {
                    page.entries = entries;
                }
            }
            Some(_) | None => (),
        }
        page
    }

    pub(crate) fn on_page_answer(&mut self, at: At, session: SessionKey, page: Option<Page>) -> Check {
        let now = self.moment();
        let Some(host) = self.nodes[at.node].host_mut(at) else {
            return Ok(());
        };
        host.reads -= 1;
        if let (Some(&link), true) = (host.by_session.get(&session), page.is_some()) {
            self.links[link].awaits_page = false;
        }
        host.shard.page_read(now, session, page.map(|page| (page.entries, page.reached, page.trimmed_to)));
        self.after_input(at)
    }
}
