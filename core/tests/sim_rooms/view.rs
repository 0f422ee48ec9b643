//! What a client knows of its room, and how it takes what it is told: the checks of a receiver.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use santral_core::entry::Publication;
use santral_core::rooms::Joined;

use crate::facts::ROOMS;
use crate::oracle::require;
use crate::plan::Micros;
use crate::world::{Check, World};

/// See the module.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) room: usize,
    pub(crate) id: String,
    pub(crate) token: u64,
    pub(crate) epoch: String,
    /// The event of the room that the last snapshot is from, and when it was taken over.
    pub(crate) base: u64,
    pub(crate) base_at: Micros,
    /// The last event that was handled.
    pub(crate) last: u64,
    handled: BTreeSet<u64>,
    pub(crate) is_waiting: bool,
    /// Everything behind the last event will be sent again; what comes before that is not in order.
    pub(crate) awaits_replay: bool,
    /// Everybody who is in, this one included.
    pub(crate) roster: BTreeMap<String, Value>,
    /// The last numbers of others' signals.
    last_from: BTreeMap<String, u64>,
    pub(crate) next_seq: u64,
}

impl View {
    /// Everything anew from the answer to a join.
    pub(crate) fn of(room: usize, joined: &Joined, token: u64, now: Micros) -> Self {
        let own = &joined.participant;
        let is_waiting = own.ordinal == 0;
        let others = joined.participants.iter();
        let people = others.chain((!is_waiting).then_some(own));
        let entry = |person: &santral_schema::participants::Participant| {
            (person.participant_id.clone(), serde_json::to_value(person).expect("JSON"))
        };
        Self {
            room,
            id: own.participant_id.clone(),
            token,
            epoch: joined.room.epoch.clone(),
            base: joined.room_seq,
            base_at: now,
            last: joined.room_seq,
            handled: BTreeSet::new(),
            is_waiting,
            awaits_replay: false,
            roster: people.map(entry).collect(),
            last_from: BTreeMap::new(),
            next_seq: joined.last_seq + 1,
        }
    }

    fn take_snapshot(&mut self, body: &Value, seq: u64, now: Micros) {
        let people = body["participants"].as_array().cloned().unwrap_or_default();
        let own = body.get("participant").cloned().or_else(|| self.roster.get(&self.id).cloned());
        let people = people.into_iter().chain(own);
        self.roster = people.map(|person| (text(&person, "participantId"), person)).collect();
        (self.base, self.base_at) = (seq, now);
    }

    /// Something about who is in; true when this one is no longer.
    fn take_news(&mut self, name: &str, body: &Value) -> Result<bool, String> {
        let about = body.get("participant").map_or_else(|| text(body, "participantId"), |it| text(it, "participantId"));
        match name {
            "video.participant.joined" => {
                require(self.roster.insert(about, body["participant"].clone()).is_none(), "whoever joins was not in")?;
            }
            "video.participant.updated" if body["participant"]["state"] == "lobby" => (),
            "video.participant.updated" => {
                require(self.roster.insert(about, body["participant"].clone()).is_some(), "whoever changes is in")?;
            }
            "video.participant.left" => {
                if about == self.id {
                    return Ok(true);
                }
                require(self.roster.remove(&about).is_some(), "whoever leaves was in")?;
            }
            "video.lobby.denied" => return Ok(about == self.id),
            "video.room.closed" => return Ok(true),
            "video.host.changed" => {
                require(self.roster.contains_key(&about), "whoever is host is in")?;
                for (id, person) in &mut self.roster {
                    person["isHost"] = Value::Bool(*id == about);
                }
            }
            "video.quality" => {
                let person = self.roster.get_mut(&about).ok_or("quality of somebody who is not in")?;
                person["quality"] = body["score"].clone();
            }
            "video.lobby.waiting"
            | "video.room.updated"
            | "video.room.expiring"
            | "video.moderation"
            | "video.advice"
            | "webrtc.ice-servers" => (),
            other => return Err(format!("an event that nobody knows: {other}")),
        }
        Ok(false)
    }
}

impl World {
    /// A message is with a client, in the order of its session.
    pub(crate) fn take_message(&mut self, client: usize, publication: &Publication) -> Check {
        let body: Value = serde_json::from_str(&publication.data).map_err(|error| error.to_string())?;
        let name = publication.event.as_ref().map_or("", |name| name.as_str()).to_owned();
        let taker = &mut self.clients[client];
        if taker.joining.is_some() || taker.must_resume {
            taker.early.push((name, body));
            return Ok(());
        }
        self.take_event(client, &name, &body)
    }

    /// What came before the answer to a join is taken after it.
    pub(crate) fn take_early(&mut self, client: usize) -> Check {
        for (name, body) in std::mem::take(&mut self.clients[client].early) {
            self.take_event(client, &name, &body)?;
        }
        Ok(())
    }

    fn take_event(&mut self, client: usize, name: &str, body: &Value) -> Check {
        let now = self.now;
        let Some(view) = &mut self.clients[client].view else { return Ok(()) };
        if body["roomId"] != ROOMS[view.room] || body["epoch"] != *view.epoch {
            return Ok(());
        }
        let seq = body["roomSeq"].as_u64().ok_or("an event without a number")?;
        if name == "video.room.replay" {
            view.awaits_replay = false;
            return Ok(());
        }
        if view.awaits_replay {
            self.note("an event comes before those that are sent again");
            return Ok(());
        }
        if seq <= view.last {
            let is_known = seq <= view.base || view.handled.contains(&seq);
            return require(is_known, "events of a room come in order, each at least once")
                .map_err(|fault| format!("client {client}, {name} {seq} behind {}: {fault}", view.last));
        }
        view.last = seq;
        view.handled.insert(seq);
        match name {
            "webrtc.signal" => self.take_signal(client, body),
            "webrtc.undelivered" => self.take_undelivered(client, body),
            "video.room.resync" => {
                view.take_snapshot(body, seq, now);
                Ok(())
            }
            "video.lobby.admitted" => {
                view.take_snapshot(body, seq, now);
                view.is_waiting = false;
                self.note("somebody is let in");
                Ok(())
            }
            _news => {
                let is_over =
                    view.take_news(name, body).map_err(|fault| format!("client {client}, {name} {body}: {fault}"))?;
                if is_over {
                    self.clients[client].forget_room();
                }
                Ok(())
            }
        }
    }

    fn take_signal(&mut self, client: usize, body: &Value) -> Check {
        let Some(view) = &mut self.clients[client].view else { return Ok(()) };
        let number = body["data"]["n"].as_u64().ok_or("a signal that nobody sent")?;
        let sent = self.facts.sent.get_mut(&number).ok_or("a signal that nobody sent")?;
        let from = text(&body["from"], "participantId");
        let place = format!("signal {number} from {from} to {}", view.id);
        let require = |holds, what: &str| require(holds, what).map_err(|fault| format!("INV-10, {place}: {fault}"));
        require(from == sent.sender, "the server says truly who sends")?;
        require(sent.room == view.room, "a signal stays in its room")?;
        require(sent.is_broadcast || sent.targets.contains(&view.id), "a signal is for who gets it")?;
        require(!view.is_waiting, "nobody in the lobby gets signals")?;
        require(view.roster.contains_key(&from), "a sender is in before its first signal and after its last")?;
        // A restart forgets which signals have come: one whose answer it took is sent, and passed on, again.
        let is_first = sent.handled_by.insert(format!("{} in {}", view.id, view.epoch));
        sent.handled_by.insert(view.id.clone());
        require(is_first, "a signal comes once")?;
        if let Some(seq) = sent.seq {
            let last = view.last_from.insert(from, seq).unwrap_or(0);
            require(last < seq, "signals of one sender come in the order of their numbers")?;
        }
        Ok(())
    }

    /// Numbers that were given up behind a gap are sent again.
    fn take_undelivered(&mut self, client: usize, body: &Value) -> Check {
        if body["reason"] == "target_left" {
            self.note("a sender is told that a target is gone");
        }
        if body["reason"] != "seq_gap" {
            return Ok(());
        }
        self.note("a signal is given up behind a gap");
        let seqs: Vec<u64> = body["seqs"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        self.send_again(client, &seqs);
        Ok(())
    }
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
