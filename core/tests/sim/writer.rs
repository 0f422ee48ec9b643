//! The writers: group commit, crashes in the middle of it, the bus between nodes, hole repair.

use std::sync::Arc;

use santral_core::entry::Entry;

use crate::bugs::Bug;
use crate::log_store::Append;
use crate::network::uid_in;
use crate::node::{Commit, Mail};
use crate::plan::MILLIS;
use crate::world::{At, Check, Event, World};

impl World {
    /// The writer takes what waits and writes it in one commit.
    pub(crate) fn on_commit_begin(&mut self, at: At) -> Check {
        let now = self.timestamp();
        let Some(node) = self.nodes.get_mut(at.node).filter(|node| node.up && node.life == at.life) else {
            return Ok(());
        };
        if node.commit.is_some() || node.requests.is_empty() {
            return Ok(());
        }
        let appends: Vec<Append> = node.requests.iter().map(|(_, outstanding)| outstanding.append.clone()).collect();
        let forget = self.bug == Some(Bug::KeysForgotten);
        let Some((commit, outcomes, entries)) = self.log.stage(now, &appends, forget) else {
            self.after(2 * MILLIS, Event::CommitBegin(at));
            return Ok(());
        };
        let requests = std::mem::take(&mut self.nodes[at.node].requests);
        if self.bug == Some(Bug::AcknowledgeBeforeSync) {
            for ((publisher, outstanding), outcome) in requests.iter().zip(&outcomes) {
                self.answer(*publisher, outstanding, Some(outcome))?;
            }
        }
        if self.bug == Some(Bug::DeliverBeforeSync) {
            self.take_entries(at, entries);
        }
        self.nodes[at.node].commit = Some(Commit { commit, requests, outcomes, entries: None });
        self.soon(20 * MILLIS, Event::CommitSync(at, commit));
        Ok(())
    }

    /// The disk has it, whether or not the node still lives.
    pub(crate) fn on_commit_sync(&mut self, at: At, commit: u64) -> Check {
        let entries = self.log.sync(commit);
        for entry in entries.iter().flatten() {
            self.facts.committed(entry, uid_of(entry))?;
        }
        let unknown = !self.calm && self.rng.percent(4);
        let entries = entries.filter(|_| !unknown);
        let node = &mut self.nodes[at.node];
        if let Some(under_way) =
            node.commit.as_mut().filter(|under_way| node.life == at.life && under_way.commit == commit)
        {
            under_way.entries = entries;
            self.soon(5 * MILLIS, Event::CommitAnswer(at, commit));
        }
        Ok(())
    }

    /// The node learns what became of its commit.
    pub(crate) fn on_commit_answer(&mut self, at: At, commit: u64) -> Check {
        let node = &mut self.nodes[at.node];
        if node.life != at.life || !node.up {
            return Ok(());
        }
        let Some(done) = node.commit.take_if(|under_way| under_way.commit == commit) else {
            return Ok(());
        };
        for ((publisher, outstanding), outcome) in done.requests.iter().zip(&done.outcomes) {
            let outcome = done.entries.is_some().then_some(outcome);
            self.answer(*publisher, outstanding, outcome)?;
        }
        for entries in done.entries.into_iter().filter(|entries| !entries.is_empty()) {
            self.tell_other_nodes(at, &entries);
            self.take_entries(at, entries);
        }
        self.after(MILLIS, Event::CommitBegin(at));
        Ok(())
    }

    fn tell_other_nodes(&mut self, at: At, entries: &[Arc<Entry>]) {
        for other in 0..self.nodes.len() {
            if other == at.node || !self.nodes[other].up || self.rng.percent(self.plan.bus_loss) {
                continue;
            }
            let life = self.nodes[other].life;
            let delay = self.plan.mail_delay;
            self.soon(delay, Event::Bus(At { node: other, life, shard: 0 }, entries.to_vec()));
        }
    }

    pub(crate) fn on_bus(&mut self, at: At, entries: Vec<Arc<Entry>>) -> Check {
        if self.nodes[at.node].up && self.nodes[at.node].life == at.life {
            self.take_entries(at, entries);
        }
        Ok(())
    }

    /// Entries from anywhere; the shards get them in offset order and without a hole.
    fn take_entries(&mut self, at: At, entries: Vec<Arc<Entry>>) {
        let node = &mut self.nodes[at.node];
        for entry in entries {
            let offset = entry.offset().expect("a stored entry");
            node.committed = node.committed.max(offset);
            if offset > node.fed {
                node.early.insert(offset, entry);
            }
        }
        let mut run = Vec::new();
        while let Some(first) = node.early.first_entry() {
            let skips = self.bug == Some(Bug::HoleNotRepaired);
            if *first.key() != node.fed + 1 && !skips {
                break;
            }
            node.fed = *first.key();
            run.push(first.remove());
        }
        self.feed(at, &run);
    }

    fn feed(&mut self, at: At, run: &[Arc<Entry>]) {
        let shards = self.nodes[at.node].hosts.len();
        for shard in 0..shards {
            let mut rest = run;
            while !rest.is_empty() {
                let (part, left) = rest.split_at(1 + self.rng.index(rest.len()));
                let part = part.iter().map(|entry| self.as_handed(entry)).collect();
                self.mail(At { shard, ..at }, Mail::Stored(part));
                rest = left;
            }
        }
    }

    fn as_handed(&self, entry: &Arc<Entry>) -> Arc<Entry> {
        let Some(bug) = self.bug.filter(|_| entry.publication().unless.is_some()) else {
            return Arc::clone(entry);
        };
        let publication = bug.strip(entry.publication());
        Arc::new(Entry::stored(entry.position().expect("a stored entry"), entry.at(), publication))
    }

    /// Now and then a node reads what the bus, or a lost answer, has kept from it.
    pub(crate) fn on_repair(&mut self, at: At) -> Check {
        if !self.nodes[at.node].up || self.nodes[at.node].life != at.life {
            return Ok(());
        }
        let (fed, head) = (self.nodes[at.node].fed, self.log.head());
        if fed < head {
            let page = self.log.page(&[], fed, head, 50, usize::MAX);
            self.nodes[at.node].fed = page.reached;
            self.nodes[at.node].early.retain(|&offset, _| offset > page.reached);
            self.nodes[at.node].committed = head;
            self.feed(at, &page.entries);
            self.take_entries(at, Vec::new());
        }
        let pause = if self.calm { 50 * MILLIS } else { 1_000 * MILLIS };
        self.soon(pause, Event::Repair(at));
        Ok(())
    }
}

/// The number of a message of the simulator.
pub(crate) fn uid_of(entry: &Entry) -> u64 {
    uid_in(&entry.publication().data).expect("every message of the simulator has a number")
}
