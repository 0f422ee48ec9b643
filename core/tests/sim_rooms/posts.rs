//! Signals as a client sends them: several POSTs under way, each repeated until it is answered.

use santral_core::rooms::RoomRefusal;
use santral_schema::signal::{SignalFate, SignalType};

use crate::facts::{Fate, Sent};
use crate::plan::{MILLIS, SECOND};
use crate::requests::{Answer, Ask};
use crate::world::{Event, World};

/// A POST under way, or waiting to be sent again.
#[derive(Debug)]
pub(crate) struct Post {
    /// Its last request.
    pub(crate) id: u64,
    numbers: Vec<u64>,
}

const KINDS: [SignalType; 5] =
    [SignalType::Offer, SignalType::Answer, SignalType::Candidate, SignalType::Candidates, SignalType::Custom];

impl World {
    /// A client has something to say to others in its room, or to all of them.
    pub(crate) fn say_something(&mut self, client: usize) {
        let plan = self.plan.clone();
        let speaker = &self.clients[client];
        let Some(view) = speaker.view.as_ref().filter(|view| !view.is_waiting) else { return };
        let others: Vec<String> = view.roster.keys().filter(|id| **id != view.id).cloned().collect();
        if others.is_empty() || speaker.posts.len() >= plan.parallel {
            return;
        }
        let is_flood = self.rng.percent(plan.floods);
        let count = if is_flood { 60 } else { 1 + self.rng.below(plan.batch) };
        let is_numbered = !self.rng.percent(plan.unnumbered);
        let numbers = (0..count).map(|_| self.compose(client, &others, is_numbered)).collect();
        self.post(client, numbers);
        if is_flood {
            for _ in 0..4 {
                let numbers = (0..count).map(|_| self.compose(client, &others, is_numbered)).collect();
                self.post(client, numbers);
            }
        }
    }

    fn compose(&mut self, client: usize, others: &[String], is_numbered: bool) -> u64 {
        let number = self.fresh();
        let is_broadcast = self.rng.percent(self.plan.broadcasts);
        let is_several = self.rng.percent(self.plan.several);
        let first = self.rng.index(others.len());
        let several: Vec<String> = others.iter().filter(|_| self.rng.percent(50)).cloned().collect();
        let targets = match (is_broadcast, is_several && !several.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => several,
            (false, false) => vec![others[first].clone()],
        };
        let kind = if is_broadcast { SignalType::Custom } else { self.rng.pick(&KINDS) };
        let pad = if self.rng.percent(self.plan.large) { 64_000 + self.rng.index(1_400) } else { self.rng.index(40) };
        let negotiation = (kind != SignalType::Custom).then(|| format!("n{}", self.rng.index(3)));
        let Some(view) = &mut self.clients[client].view else { return number };
        let seq = is_numbered.then_some(view.next_seq);
        view.next_seq += u64::from(is_numbered);
        let sent = Sent {
            room: view.room,
            sender: view.id.clone(),
            seq,
            targets,
            is_broadcast,
            kind,
            negotiation,
            pad,
            fate: Fate::Open,
            epoch: view.epoch.clone(),
            at: self.now,
            handled_by: std::collections::BTreeSet::new(),
            undelivered: std::collections::BTreeSet::new(),
        };
        self.facts.sent.insert(number, sent);
        number
    }

    fn post(&mut self, client: usize, numbers: Vec<u64>) {
        let by_session = self.rng.percent(10);
        let id = self.ask(client, Ask::Signals { numbers: numbers.clone(), by_session });
        // Without numbers nobody would know a repeated one, so it is not repeated.
        let is_numbered = numbers.iter().all(|number| self.facts.sent[number].seq.is_some());
        if is_numbered {
            self.clients[client].posts.push(Post { id, numbers });
            self.after(1_500 * MILLIS, Event::Patience(client, id));
        }
    }

    /// No answer came: the same again.
    pub(crate) fn post_again(&mut self, client: usize, id: u64) {
        let posts = &mut self.clients[client].posts;
        let Some(index) = posts.iter().position(|post| post.id == id) else { return };
        let Post { numbers, .. } = posts.remove(index);
        self.post(client, numbers);
    }

    pub(crate) fn on_post_answer(&mut self, client: usize, id: u64, answer: Answer) {
        let posts = &mut self.clients[client].posts;
        let Some(index) = posts.iter().position(|post| post.id == id) else { return };
        match answer {
            Answer::Fates(fates) => {
                let Post { numbers, .. } = posts.remove(index);
                let is_missing = |fate: &SignalFate| fate.error.as_deref() == Some("seq_gap");
                let missing = numbers.iter().zip(&fates).filter(|(_, fate)| is_missing(fate));
                let missing: Vec<u64> = missing.map(|(number, _)| *number).collect();
                if !missing.is_empty() {
                    self.post(client, missing);
                }
            }
            Answer::Refused(RoomRefusal::SeqGap { .. } | RoomRefusal::TooFast(_)) => {
                let pause = self.rng.between(50, 300) * MILLIS;
                self.after(pause, Event::Patience(client, id));
            }
            // It is sent again when patience is over, perhaps by another token then.
            Answer::Refused(refusal @ (RoomRefusal::Superseded | RoomRefusal::BadToken)) => {
                self.take_refusal(client, &refusal);
            }
            Answer::Refused(refusal) => {
                posts.remove(index);
                self.take_refusal(client, &refusal);
            }
            Answer::Done | Answer::Joined(..) => (),
        }
    }

    /// The server gave up waiting for what came before these, so they are sent again.
    pub(crate) fn send_again(&mut self, client: usize, seqs: &[u64]) {
        let Some(view) = &self.clients[client].view else { return };
        let key = |seq: &u64| (view.id.clone(), view.epoch.clone(), *seq);
        let numbers: Vec<u64> = seqs.iter().filter_map(|seq| self.facts.numbered.get(&key(seq)).copied()).collect();
        if !numbers.is_empty() {
            let pause = self.rng.below(SECOND / 10);
            let id = self.fresh();
            self.clients[client].posts.push(Post { id, numbers });
            self.after(pause, Event::Patience(client, id));
        }
    }
}
