//! Publishers: stored batches with and without keys, volatile and direct messages, retries.

use std::sync::Arc;

use santral_core::entry::Publication;
use santral_core::names::{ChannelName, ConnectionId, EventName};
use santral_core::unless::Unless;

use crate::bugs::Bug;
use crate::facts::{Fact, Kind};
use crate::log_store::{Append, Outcome};
use crate::node::Mail;
use crate::plan::SECOND;
use crate::rng::Rng;
use crate::world::{At, Check, Event, World};

/// One publisher; it has at most one request under way.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    pub(crate) outstanding: Option<Outstanding>,
    requests: u64,
}

/// A stored publish that was not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Outstanding {
    pub(crate) request: u64,
    pub(crate) append: Append,
    pub(crate) uids: Vec<u64>,
    /// When the publisher stops to wait for this attempt.
    pub(crate) deadline: u64,
}

impl World {
    pub(crate) fn on_publish(&mut self, index: usize) -> Check {
        if let Some(outstanding) = self.publishers[index].outstanding.clone() {
            if self.now >= outstanding.deadline {
                self.retry(index, outstanding);
            }
        } else if !self.calm {
            self.publish_something(index)?;
        }
        let pause = self.plan.publish_pause;
        self.soon(2 * pause, Event::Publish(index));
        Ok(())
    }

    fn publish_something(&mut self, index: usize) -> Check {
        let Some(node) = self.draw_node() else {
            return Ok(());
        };
        if self.rng.percent(self.plan.volatile) {
            return self.publish_volatile(index, node);
        }
        if self.rng.percent(self.plan.direct) {
            return self.publish_direct(index);
        }
        let burst = self.rng.percent(self.plan.bursts);
        let count = if burst { self.rng.between(100, 400) } else { self.rng.between(1, 4) };
        let (mut uids, mut publications) = (Vec::new(), Vec::new());
        for _ in 0..count {
            for uid in self.draw_message(index, node, Kind::Stored) {
                uids.push(uid);
                publications.push(self.facts.message(uid).expect("just drawn").publication.clone());
            }
        }
        self.publishers[index].requests += 1;
        let request = self.publishers[index].requests * 16 + index as u64;
        let key = self.rng.percent(80).then_some(request);
        let outstanding = Outstanding { request, append: Append { publications, key }, uids, deadline: 0 };
        self.submit(index, node, outstanding);
        Ok(())
    }

    /// The first attempt got no answer, or one that says nothing.
    fn retry(&mut self, index: usize, outstanding: Outstanding) {
        let Some(node) = self.draw_node() else {
            return;
        };
        if outstanding.append.key.is_none() {
            self.publishers[index].outstanding = None;
            return;
        }
        self.submit(index, node, outstanding);
    }

    fn submit(&mut self, index: usize, node: usize, mut outstanding: Outstanding) {
        outstanding.deadline = self.now + self.rng.between(SECOND / 10, SECOND);
        self.publishers[index].outstanding = Some(outstanding.clone());
        let life = self.nodes[node].life;
        self.nodes[node].requests.push((index, outstanding));
        self.soon(5_000, Event::CommitBegin(At { node, life, shard: 0 }));
    }

    /// The writer answers a publisher.
    pub(crate) fn answer(&mut self, index: usize, outstanding: &Outstanding, outcome: Option<&Outcome>) -> Check {
        let waiting = self.publishers[index].outstanding.as_ref();
        if waiting.is_none_or(|waiting| waiting.request != outstanding.request) || self.rng.percent(5) {
            return Ok(());
        }
        let Some(outcome) = outcome else {
            // 503: try again later, under the same key.
            return Ok(());
        };
        if outcome.count != outstanding.uids.len() {
            return Err("a repeated key answers for another request".to_owned());
        }
        self.publishers[index].outstanding = None;
        let epoch = self.log.epoch;
        for (offset, &uid) in (outcome.first..).zip(&outstanding.uids) {
            self.facts.acknowledge(epoch, offset, uid)?;
        }
        if self.bug == Some(Bug::AcknowledgeBeforeSync) {
            return Ok(());
        }
        self.facts.check_acknowledged()
    }

    fn publish_volatile(&mut self, index: usize, node: usize) -> Check {
        let uids = self.draw_message(index, node, Kind::Volatile);
        for at in self.live_shards() {
            // Between nodes a volatile message may get lost.
            if at.node == node || self.rng.percent(80) {
                self.mail(at, Mail::Volatile(uids.clone()));
                if self.bug == Some(Bug::VolatileTwice) && self.rng.percent(10) {
                    self.mail(at, Mail::Volatile(uids.clone()));
                }
            }
        }
        Ok(())
    }

    fn publish_direct(&mut self, index: usize) -> Check {
        let client = self.rng.index(self.clients.len());
        let Some(view) = &self.clients[client].view else {
            return Ok(());
        };
        let (connection, node) = (view.connection, view.node);
        let at = At { node, life: view.life, shard: view.shard };
        let burst = self.rng.percent(self.plan.bursts);
        let count = if burst { 300 } else { self.rng.between(1, 3) };
        for _ in 0..count {
            for uid in self.draw_message(index, node, Kind::Direct) {
                self.mail(at, Mail::Direct(connection, uid));
            }
        }
        Ok(())
    }

    /// A message with a number for each of its copies: one, or several in different channels.
    fn draw_message(&mut self, publisher: usize, node: usize, kind: Kind) -> Vec<u64> {
        let several = kind != Kind::Direct && self.rng.percent(self.plan.unions);
        let mut channels = vec![draw_channel(&mut self.rng)];
        for _ in 0..if several { self.rng.between(1, 3) } else { 0 } {
            let channel = draw_channel(&mut self.rng);
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        let (connections, except) = if kind == Kind::Direct { (Vec::new(), Vec::new()) } else { self.draw_excepted() };
        let event = self.rng.percent(20).then(|| EventName::parse("order.created").expect("a valid name"));
        let unless = Unless::of_copies(&channels, connections, except).collect::<Vec<_>>();
        let copies = channels.into_iter().zip(unless).map(|(channel, unless)| {
            let data: Arc<str> = draw_data(&mut self.rng, self.facts.messages.len() as u64).into();
            let publication = Publication { event: event.clone(), unless, ..Publication::new(channel, data) };
            self.facts.publish(Fact { kind, publisher, node, publication })
        });
        copies.collect()
    }

    /// Who is left out: up to three of a client's connections, up to two channels.
    fn draw_excepted(&mut self) -> (Vec<ConnectionId>, Vec<ChannelName>) {
        if !self.plan.excepts {
            return (Vec::new(), Vec::new());
        }
        let rng = &mut self.rng;
        let client = rng.index(self.clients.len());
        let known = &self.clients[client].connections;
        let recent = known.iter().rev().take(3).copied();
        let connections = if rng.percent(30) { recent.filter(|_| rng.percent(60)).collect() } else { Vec::new() };
        let channels = if rng.percent(20) { rng.between(1, 2) } else { 0 };
        let channels = (0..channels).map(|_| draw_channel(rng)).collect();
        (connections, channels)
    }

    pub(crate) fn draw_node(&mut self) -> Option<usize> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|&node| self.nodes[node].serves()).collect();
        (!up.is_empty()).then(|| self.rng.pick(&up))
    }
}

fn draw_channel(rng: &mut Rng) -> ChannelName {
    let name = rng.pick(&["a", "a", "b", "b.x", "b.y", "c", "d", "broadcast"]);
    ChannelName::parse(name).expect("a valid name")
}

/// JSON text with the number of the message, line breaks of every kind between its tokens.
fn draw_data(rng: &mut Rng, uid: u64) -> String {
    let space = rng.pick(&["", "", " ", "\n", "\r\n", "\r"]);
    let length = if rng.percent(4) { rng.between(500, 2_500) } else { rng.below(60) };
    let filler: String = (0..length).map(|_| rng.pick(&['x', 'é', '\u{2028}', ':', ' '])).collect();
    format!("{{{space}\"n\":{uid},{space}\"p\":\"{filler}\"}}")
}
