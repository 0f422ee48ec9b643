//! What goes wrong on purpose, how it heals, and what must hold once everything is at rest.

use std::time::Duration;

use santral_core::position::Epoch;
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::log_store::LogModel;
use crate::plan::{MILLIS, SECOND};
use crate::world::{At, Check, Event, World};

impl World {
    /// A client does something: drops, stalls, changes what it follows.
    pub(crate) fn on_act(&mut self, client: usize) -> Check {
        if self.calm {
            return Ok(());
        }
        if let Some(link) = self.clients[client].link {
            if self.rng.percent(self.plan.drops) {
                self.drop_link(client, link);
            } else if self.rng.percent(self.plan.stalls) {
                self.links[link].stalled_until = self.now + self.rng.below(4 * SECOND);
            } else if self.rng.percent(self.plan.resubscribes) {
                self.resubscribe(client)?;
            } else if self.rng.percent(self.plan.renewals) {
                self.renew_right(link)?;
            } else if self.rng.percent(self.plan.revocations) {
                self.revoke(link)?;
            }
        }
        let pause = self.plan.act_pause;
        self.soon(2 * pause, Event::Act(client));
        Ok(())
    }

    /// The line is cut: what was in it is gone, and the server learns late.
    fn drop_link(&mut self, client: usize, link: usize) {
        self.links[link].dead = true;
        self.links[link].buffer.clear();
        self.client_lost_link(client, link);
        self.soon(4 * SECOND, Event::LinkDead(link));
    }

    /// Something happens to the servers.
    pub(crate) fn on_trouble(&mut self) -> Check {
        if self.calm {
            return Ok(());
        }
        let node = self.rng.index(self.nodes.len());
        let up = self.nodes[node].up;
        if self.plan.store_crashes && self.rng.percent(20) {
            self.crash_store();
        } else if self.plan.crashes && up && self.rng.percent(10) {
            self.crash_node(node);
        } else if self.plan.freezes && up && self.rng.percent(10) {
            self.freeze(node);
        } else if self.plan.drains && up && self.rng.percent(10) {
            self.drain_node(node)?;
        } else if self.plan.replaced_log && self.rng.percent(10) {
            self.replace_log();
        }
        self.facts.check_acknowledged()?;
        self.soon(600 * MILLIS, Event::Trouble);
        Ok(())
    }

    fn crash_store(&mut self) {
        self.log.crash();
        if self.bug == Some(Bug::OffsetReuse) {
            self.log.forget_offsets(2);
        }
    }

    /// Everything in a node's memory is gone; its clients notice.
    pub(crate) fn crash_node(&mut self, node: usize) {
        if self.rng.percent(50) {
            self.log.crash();
        }
        self.nodes[node].up = false;
        let life = self.nodes[node].life;
        self.open_connections.retain(|(at, _)| at.node != node);
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            if link.node == node && link.life == life && !link.dead {
                let client = link.client;
                link.dead = true;
                self.client_lost_link(client, index);
            }
        }
        self.soon(3 * SECOND, Event::NodeStart(node));
    }

    /// A node stands still, as under SIGSTOP: time jumps for it.
    fn freeze(&mut self, node: usize) {
        let thaw = self.now + self.rng.between(SECOND / 10, 8 * SECOND);
        let thaw = thaw.max(self.nodes[node].frozen_until);
        self.nodes[node].frozen_until = thaw;
        for link in self.links.iter_mut().filter(|link| link.node == node) {
            link.last_write = link.last_write.max(thaw);
            link.expected.clear();
        }
    }

    fn drain_node(&mut self, node: usize) -> Check {
        if self.nodes[node].draining {
            return Ok(());
        }
        self.nodes[node].draining = true;
        let window = self.rng.between(0, 2 * SECOND);
        let (now, life) = (self.moment(), self.nodes[node].life);
        for shard in 0..self.plan.shards {
            let at = At { node, life, shard };
            let forgets = self.bug == Some(Bug::DrainForgets) && self.rng.percent(50);
            if !forgets {
                self.nodes[node].hosts[shard].shard.drain(now, Duration::from_micros(window));
            }
            self.after_input(at)?;
        }
        self.after(window + SECOND, Event::NodeStop(At { node, life, shard: 0 }));
        Ok(())
    }

    /// The drain window is over: nobody may be left (INV-11).
    pub(crate) fn on_node_stop(&mut self, at: At) -> Check {
        let node = &mut self.nodes[at.node];
        if !node.up || node.life != at.life {
            return Ok(());
        }
        if self.now < node.frozen_until + 2 * SECOND {
            self.after(SECOND, Event::NodeStop(at));
            return Ok(());
        }
        if let Some(link) = node.hosts.iter().flat_map(|host| host.by_session.values()).next() {
            return Err(format!("INV-11: {:?} was not told of the drain", self.links[*link]));
        }
        self.check_ended(|other| other.node == at.node)?;
        self.crash_node(at.node);
        Ok(())
    }

    /// The log itself is replaced: a new epoch, and every node starts anew.
    fn replace_log(&mut self) {
        let epoch = Epoch(self.log.epoch.0 + 1);
        for node in 0..self.nodes.len() {
            if self.nodes[node].up {
                self.crash_node(node);
            }
        }
        self.log = LogModel::new(epoch);
        for publisher in &mut self.publishers {
            publisher.outstanding = None;
        }
    }

    /// Trouble is over: nodes come back, links flow, whoever is cut off comes again.
    pub(crate) fn heal(&mut self) -> Check {
        self.calm = true;
        self.plan.page_delay = self.plan.page_delay.min(MILLIS);
        self.plan.page_entries_max = self.plan.page_entries_max.max(8);
        self.plan.mail_delay = self.plan.mail_delay.min(5 * MILLIS);
        for node in 0..self.nodes.len() {
            if !self.nodes[node].up {
                self.on_node_start(node)?;
            }
        }
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            link.stalled_until = 0;
            let (client, up, dead) = (link.client, link.up, link.dead);
            if dead {
                self.on_link_dead(index)?;
            } else if !up {
                self.drop_link(client, index);
            }
        }
        for client in 0..self.clients.len() {
            if self.clients[client].link.is_none() {
                let attempt = self.clients[client].attempt;
                self.soon(SECOND, Event::Connect(client, attempt));
            }
        }
        Ok(())
    }

    /// At rest everybody has everything.
    pub(crate) fn check_at_rest(&self) -> Check {
        self.facts.check_acknowledged()?;
        if let Some(publisher) = self.publishers.iter().find(|publisher| publisher.outstanding.is_some()) {
            return Err(format!("a publisher still waits: {publisher:?}"));
        }
        for client in &self.clients {
            client.check_caught_up(&self.facts, self.log.head())?;
        }
        Ok(())
    }

    /// Every connection that there was ends once, with a reason (INV-8).
    pub(crate) fn end_everything(&mut self) -> Check {
        let now = self.moment();
        for at in self.live_shards() {
            let sessions = self.links.iter().filter(|link| link.node == at.node && link.life == at.life);
            let sessions: Vec<_> = sessions.filter(|link| link.shard == at.shard).map(|link| link.session).collect();
            for session in sessions {
                let host = &mut self.nodes[at.node].hosts[at.shard];
                host.shard.disconnect(now, session, DisconnectReason::LimitReached);
                self.drain_effects(at)?;
            }
            if !self.nodes[at.node].hosts[at.shard].by_session.is_empty() {
                return Err("INV-8: a link outlives its session".to_owned());
            }
        }
        self.check_ended(|_| true)
    }

    fn check_ended(&self, concerns: impl Fn(&At) -> bool) -> Check {
        for (at, connection) in &self.open_connections {
            if concerns(at) && self.facts.ends.get(connection) != Some(&1) {
                return Err(format!(
                    "INV-8: connection {connection:?} of {at:?} has {:?} ends",
                    self.facts.ends.get(connection)
                ));
            }
        }
        Ok(())
    }
}
