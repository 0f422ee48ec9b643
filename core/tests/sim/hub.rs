//! What the hub and the network do with connections: admission, takeover, bytes, ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use santral_core::client::Client;
use santral_core::entry::Timestamp;
use santral_core::names::{ConnectionId, Selector};
use santral_core::position::{Offset, ResumeFrom, SUB_MAX};
use santral_core::session::{Legacy, SessionKey};
use santral_core::shard::{AttachRequest, Attached};
use santral_core::time::Moment;
use santral_schema::access::Role;
use santral_schema::events::Hello;
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::client::{Interval, View, draw_token};
use crate::facts::Chain;
use crate::network::Link;
use crate::plan::{MILLIS, Micros, SECOND};
use crate::world::{At, Check, Event, World};

/// The principal of every client.
const OWNER: &str = "user:ada";

/// What the server knows of every client.
fn sim_client() -> Arc<Client> {
    let guest = Client::guest("sse", "203.0.113.7".into(), Timestamp(0));
    Arc::new(Client { principal: OWNER.into(), role: Role::User, ..guest })
}

impl World {
    /// A client asks for a stream.
    pub(crate) fn on_connect(&mut self, client: usize, attempt: u64) -> Check {
        if self.clients[client].link.is_some() || self.clients[client].attempt != attempt {
            return Ok(());
        }
        let node = self.draw_node().filter(|&node| self.nodes[node].frozen_until <= self.now);
        let Some(node) = node else {
            self.soon(SECOND, Event::Connect(client, attempt));
            return Ok(());
        };
        let at = At { node, life: self.nodes[node].life, shard: self.rng.index(self.plan.shards) };
        let (legacy, chain) = self.take_over(at, client)?;
        let lies = if self.calm { 0 } else { self.plan.lies };
        let claim = self.clients[client].choose_claim(&mut self.rng, lies);
        self.admit(at, client, claim, legacy, chain)
    }

    /// Ends the session's earlier attach on this node and takes what it leaves (INV-5).
    fn take_over(&mut self, at: At, client: usize) -> Result<(Option<Legacy>, Option<usize>), String> {
        let rng = &mut self.rng;
        let owner = &mut self.clients[client];
        if !owner.resumable {
            owner.token = draw_token(rng);
        }
        let token = owner.token.clone();
        let (mut legacy, now) = (None, self.moment());
        for shard in 0..self.plan.shards {
            let from = At { shard, ..at };
            let released = self.nodes[at.node].hosts[shard].shard.release(now, &token, OWNER);
            legacy = released.map_err(|error| format!("INV-9: {error}"))?.or(legacy);
            self.after_input(from)?;
        }
        let chain = legacy.as_ref().and(self.clients[client].chains.get(&(at.node, at.life)).copied());
        if self.bug == Some(Bug::LegacyLost) {
            legacy = None;
        }
        Ok((legacy, chain))
    }

    fn admit(
        &mut self,
        at: At,
        client: usize,
        claim: Option<String>,
        legacy: Option<Legacy>,
        chain: Option<usize>,
    ) -> Check {
        let connection = ConnectionId::parse(&self.rng.token(22)).expect("of the right length and alphabet");
        let node = &self.nodes[at.node];
        let knows = if self.rng.percent(50) { self.log.head() } else { node.committed };
        let resume = claim.as_deref().map(ResumeFrom::parse);
        let expires = self.draw_expiry();
        let owner = &self.clients[client];
        let request = AttachRequest {
            token: owner.token.clone(),
            resumable: owner.resumable,
            is_new: false,
            connection,
            client: sim_client(),
            expires: expires.filter(|_| self.bug != Some(Bug::RightIgnored)).map(Moment),
            format: owner.format,
            selectors: owner.selectors.clone(),
            presence: owner.presence,
            resume: self.resume_for_shard(client, resume),
            requested: claim.clone(),
            committed: knows,
            legacy,
            restored: Vec::new(),
        };
        let (now, head) = (self.moment(), self.nodes[at.node].hosts[at.shard].shard.head().offset);
        let mut attached = self.nodes[at.node].hosts[at.shard].shard.attach(now, request);
        if self.bug == Some(Bug::HelloTooHigh)
            && let (None, Some(id)) = (resume, &mut attached.id)
        {
            id.offset = id.offset.max(self.log.head()) + 1;
        }
        let chain = self.chain_of(client, chain, resume);
        self.clients[client].chains.insert((at.node, at.life), chain);
        let known = &mut self.facts.chains[chain].connections;
        known.push(connection);
        let excepted = known.iter().rev().take(1 + santral_core::limits::REMEMBERED_CONNECTIONS_MAX).copied().collect();
        let view = View {
            node: at.node,
            life: at.life,
            shard: at.shard,
            epoch: self.log.epoch,
            chain,
            connection,
            excepted,
            claim: resume,
            ahead: matches!(resume, Some(ResumeFrom::Position(claim)) if claim.offset > head.max(knows) || claim.sub > SUB_MAX),
            hello_id: attached.id,
            hello_seen: false,
            bye_seen: false,
            complete_to: None,
            last: None,
            follows: self.clients[client].selectors.iter().cloned().map(Interval::whole).collect(),
            presence_due: Vec::new(),
            presence_excused: Vec::new(),
            volatile_last: BTreeMap::new(),
            volatile_seen: BTreeSet::new(),
        };
        self.clients[client].begin(claim.as_deref(), view);
        self.open_connections.push((at, connection));
        self.open_link(at, client, &attached, expires);
        self.after_input(at)
    }

    /// The position that the shard is told; only planted faults change it.
    fn resume_for_shard(&mut self, client: usize, resume: Option<ResumeFrom>) -> Option<ResumeFrom> {
        let Some(ResumeFrom::Position(mut position)) = resume else {
            return resume;
        };
        match self.bug {
            Some(Bug::ReplayOverlapsLive) => position.offset = position.offset.saturating_sub(1),
            Some(Bug::InboxNotRewound) => position.sub += 1,
            Some(Bug::EpochIgnored) => position.epoch = self.log.epoch,
            Some(Bug::DoubleDeliveryAtTakeover) => {
                position = self.clients[client].earlier_id.parse().unwrap_or(position);
            }
            Some(_) | None => (),
        }
        Some(ResumeFrom::Position(position))
    }

    /// Direct messages belong to one life of a session; a new life owes a word about the old one.
    fn chain_of(&mut self, client: usize, kept: Option<usize>, resume: Option<ResumeFrom>) -> usize {
        let owner = &mut self.clients[client];
        match kept {
            Some(chain) => {
                // On the way back from another node nobody knows what this one's link still held.
                let strange = owner.chain != Some(chain);
                if strange || !matches!(resume, Some(ResumeFrom::Position(_))) {
                    owner.repeats = true;
                    owner.excused_to = self.facts.chains[chain].directs.len();
                    // Who names no position of its own is owed nothing behind it.
                    owner.owed_inbox_gap = false;
                }
                if strange {
                    (owner.chain, owner.next_direct) = (Some(chain), 0);
                }
                chain
            }
            None => {
                let lost = owner.chain.map_or(0, |chain| self.facts.chains[chain].directs.len());
                let missing = owner.next_direct < lost && owner.excused_to < lost;
                let resumes = matches!(resume, Some(ResumeFrom::Position(_)));
                owner.owed_inbox_gap = owner.resumable && resumes && (missing || owner.owed_inbox_gap);
                self.facts.chains.push(Chain::default());
                (owner.next_direct, owner.excused_to) = (0, 0);
                owner.chain = Some(self.facts.chains.len() - 1);
                self.facts.chains.len() - 1
            }
        }
    }

    fn open_link(&mut self, at: At, client: usize, attached: &Attached, expires: Option<Micros>) {
        let index = self.links.len();
        let hello = Hello {
            session: self.clients[client].token.reveal().to_owned(),
            connection: "c".to_owned(),
            recovered: attached.recovered,
            heartbeat_ms: 1,
            server_time: String::new(),
            node: at.node.to_string(),
            user: None,
            channels: self.clients[client].selectors.iter().map(Selector::to_string).collect(),
            retention_seconds: 0,
            transports: Vec::new(),
        };
        let mut buffer: VecDeque<u8> =
            self.clients[client].format.hello(attached.id, 2_000, &hello).iter().copied().collect();
        if self.bug != Some(Bug::GapNotSent) {
            buffer.extend(attached.gaps.iter());
        }
        self.links.push(Link {
            client,
            node: at.node,
            life: at.life,
            shard: at.shard,
            session: attached.session,
            buffer,
            capacity: usize::try_from(self.rng.between(100, self.plan.capacity_max)).expect("small"),
            blocked: false,
            writable_due: false,
            dead: false,
            closed: false,
            stalled_until: 0,
            drain_due: false,
            last_write: self.now,
            up: false,
            settled: false,
            awaits_page: false,
            expected: Vec::new(),
            expires,
        });
        self.clients[client].link = Some(index);
        self.want_drain(index);
        if self.calm || !self.rng.percent(3) {
            self.soon(200 * MILLIS, Event::LinkUp(index));
        }
    }

    /// The response head is out: the link belongs to the shard now.
    pub(crate) fn on_link_up(&mut self, index: usize) -> Check {
        let (now, link) = (self.moment(), &mut self.links[index]);
        let at = At { node: link.node, life: link.life, shard: link.shard };
        let session = link.session;
        let Some(host) = self.nodes[at.node].host_mut(at).filter(|_| !link.closed) else {
            return Ok(());
        };
        host.shard.link_up(now, session);
        if !host.shard.is_linked(session) {
            self.hang_up(index);
            return Ok(());
        }
        host.by_session.insert(session, index);
        (link.up, link.last_write) = (true, self.now);
        if link.dead {
            self.soon(4 * SECOND, Event::LinkDead(index));
        }
        self.after_input(at)
    }

    /// The server closes the connection without another word.
    fn hang_up(&mut self, index: usize) {
        self.links[index].closed = true;
        self.want_drain(index);
    }

    pub(crate) fn close_link(&mut self, at: At, session: SessionKey, farewell: &Bytes) -> Check {
        let host = &mut self.nodes[at.node].hosts[at.shard];
        let index = host.by_session.remove(&session).ok_or("INV-5: a close for a session without a link")?;
        let link = &mut self.links[index];
        let taken = farewell.len().min(link.room());
        link.buffer.extend(&farewell[..taken]);
        let text = String::from_utf8_lossy(farewell);
        if !text.contains("event: bye") && !text.contains("\"event\":\"bye\"") {
            return Err("INV-11: a farewell without bye".to_owned());
        }
        self.hang_up(index);
        Ok(())
    }

    pub(crate) fn want_drain(&mut self, index: usize) {
        if !self.links[index].drain_due {
            self.links[index].drain_due = true;
            let longest = if self.calm { MILLIS } else { 10 * MILLIS };
            self.soon(longest, Event::Drain(index));
        }
    }

    /// The network moves some bytes to the client.
    pub(crate) fn on_drain(&mut self, index: usize) -> Check {
        self.links[index].drain_due = false;
        let link = &mut self.links[index];
        if link.dead {
            return Ok(());
        }
        if link.stalled_until > self.now {
            let delay = link.stalled_until - self.now;
            link.drain_due = true;
            self.after(delay, Event::Drain(index));
            return Ok(());
        }
        let bound = if self.calm { 1 << 16 } else { self.plan.drain_max };
        let count = link.buffer.len().min(usize::try_from(self.rng.between(1, bound)).expect("small"));
        let bytes: Vec<u8> = link.buffer.drain(..count).collect();
        let (client, closed, empty) = (link.client, link.closed, link.buffer.is_empty());
        let due = link.blocked && !link.writable_due && link.room() > 0;
        if due {
            link.writable_due = true;
            let lost = self.bug == Some(Bug::LostWakeUp) && self.rng.percent(20);
            if !lost {
                let longest = if self.calm { MILLIS } else { 100 * MILLIS };
                self.soon(longest, Event::Writable(index));
            }
        }
        self.clients[client].receive(&bytes, &self.facts, self.log.trimmed_to())?;
        if !empty {
            self.want_drain(index);
        } else if closed {
            self.links[index].dead = true;
            self.client_lost_link(client, index);
        }
        Ok(())
    }

    /// The client sees that its stream is over and will come back.
    pub(crate) fn client_lost_link(&mut self, client: usize, index: usize) {
        let owner = &mut self.clients[client];
        if owner.link == Some(index) {
            owner.link = None;
            owner.attempt += 1;
            let attempt = owner.attempt;
            let pause = if self.calm { SECOND / 2 } else { 2 * SECOND };
            self.soon(pause, Event::Connect(client, attempt));
        }
    }

    pub(crate) fn on_writable(&mut self, index: usize) -> Check {
        let link = &mut self.links[index];
        let at = At { node: link.node, life: link.life, shard: link.shard };
        if link.dead || link.closed {
            return Ok(());
        }
        (link.blocked, link.writable_due, link.last_write) = (false, false, self.now);
        let session = link.session;
        if let Some(host) = self.nodes[at.node].host_mut(at) {
            host.shard.writable(session);
            self.after_input(at)?;
        }
        Ok(())
    }

    /// The server learns that a client is gone.
    pub(crate) fn on_link_dead(&mut self, index: usize) -> Check {
        let (now, link) = (self.moment(), &self.links[index]);
        let at = At { node: link.node, life: link.life, shard: link.shard };
        let session = link.session;
        let Some(host) = self.nodes[at.node].host_mut(at) else {
            return Ok(());
        };
        if host.by_session.get(&session) == Some(&index) {
            host.by_session.remove(&session);
            host.shard.link_down(now, session, DisconnectReason::Unreachable);
            self.after_input(at)?;
        }
        Ok(())
    }

    /// Changes what a session follows while it runs.
    pub(crate) fn resubscribe(&mut self, client: usize) -> Check {
        let selector = crate::world::draw_selector(&mut self.rng);
        let next_uid = self.facts.messages.len() as u64;
        let log_head = self.log.head();
        let owner = &mut self.clients[client];
        let (Some(link), Some(view)) = (owner.link, owner.view.as_mut()) else {
            return Ok(());
        };
        let at = At { node: view.node, life: view.life, shard: view.shard };
        let session = self.links[link].session;
        let Some(host) = self.nodes[at.node].host_mut(at) else {
            return Ok(());
        };
        let shard_head: Offset = host.shard.head().offset;
        if let Some(index) = owner.selectors.iter().position(|known| *known == selector) {
            host.shard.unsubscribe(session, std::slice::from_ref(&selector));
            owner.selectors.remove(index);
            for interval in view.follows.iter_mut().filter(|interval| interval.active && interval.selector == selector)
            {
                (interval.active, interval.allowed_to, interval.closed_uid) = (false, log_head, next_uid);
            }
            view.presence_excused.append(&mut view.presence_due);
            // A message that has not left yet concerns the client no longer.
            let facts = &self.facts;
            let still_due = |uid| facts.message(uid).is_some_and(|fact| view.wants_volatile(fact));
            self.links[link].expected.retain(|expected| still_due(expected.uid));
        } else {
            host.shard.subscribe(session, vec![selector.clone()], owner.presence).map_err(|error| error.to_string())?;
            owner.selectors.push(selector.clone());
            view.follows.push(Interval::since(selector, shard_head, log_head, next_uid));
        }
        self.after_input(at)
    }

    /// When the right ends that a client comes with; never, once trouble is over.
    fn draw_expiry(&mut self) -> Option<Micros> {
        let right = self.plan.right;
        (right > 0 && !self.calm).then(|| self.now + self.rng.between(right / 4, right))
    }

    /// A client brings a fresh right; its stream goes on as if nothing had happened (INV-9).
    pub(crate) fn renew_right(&mut self, link: usize) -> Check {
        let expires = self.draw_expiry();
        let at = self.at_of(link);
        let session = self.links[link].session;
        let Some(host) = self.nodes[at.node].host_mut(at).filter(|host| host.by_session.contains_key(&session)) else {
            return Ok(());
        };
        let lost = host.shard.renew_right(session, sim_client(), expires.map(Moment), |_| true, |_| true);
        if !lost.is_empty() {
            return Err(format!("INV-9: a right that covers everything lost {lost:?}"));
        }
        self.links[link].expires = expires;
        self.after_input(at)
    }

    /// The login of a client is taken back: its session ends at once, with all that it held.
    pub(crate) fn revoke(&mut self, link: usize) -> Check {
        let (at, now) = (self.at_of(link), self.moment());
        let session = self.links[link].session;
        let Some(host) = self.nodes[at.node].host_mut(at) else {
            return Ok(());
        };
        host.shard.end_where(now, DisconnectReason::SignedOut, |view| view.key() == session);
        if host.shard.view(session).is_some() {
            return Err("INV-9: a session outlives its login".to_owned());
        }
        self.after_input(at)
    }

    fn at_of(&self, link: usize) -> At {
        let link = &self.links[link];
        At { node: link.node, life: link.life, shard: link.shard }
    }
}
