//! The oracle: what leaves the rooms, and how everything stands at rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use santral_core::entry::Publication;
use santral_core::rooms::{Actor, Parcel};
use santral_schema::signal::SignalType;
use santral_schema::video::LeaveReason;

use crate::facts::{Fate, Sent, host_token, room_index};
use crate::requests::room_id;
use crate::view::{View, text};
use crate::world::{Check, World};

/// What must hold does, or is named.
pub(crate) fn require(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}")) }
}

impl World {
    /// A batch leaves the rooms for a participant.
    pub(crate) fn check_batch(&mut self, parcel: Option<&Parcel>, batch: &[Arc<Publication>]) -> Check {
        for publication in batch {
            let name = publication.event.as_ref().map_or("", |name| name.as_str());
            if name != "webrtc.signal" && name != "webrtc.undelivered" {
                continue;
            }
            let body: Value = serde_json::from_str(&publication.data).map_err(|error| error.to_string())?;
            if name == "webrtc.undelivered" {
                self.note_undelivered(parcel, &body);
                continue;
            }
            let number = body["data"]["n"].as_u64().unwrap_or_default();
            let sent = self.facts.sent.get_mut(&number).ok_or("INV-10: a signal that nobody sent")?;
            if sent.fate == Fate::Parked {
                sent.fate = Fate::Accepted(body["roomSeq"].as_u64().unwrap_or_default());
            }
            let Some(parcel) = parcel else { continue };
            let room = room_index(parcel.room.as_str());
            require(sent.room == room, "INV-10: a signal stays in its room")?;
            let is_in = self.facts.members[room].contains(parcel.participant.as_str());
            require(is_in, "INV-10: a signal goes to who is in")?;
        }
        Ok(())
    }

    fn note_undelivered(&mut self, parcel: Option<&Parcel>, body: &Value) {
        let Some(sender) = parcel.map(|parcel| parcel.participant.to_string()) else { return };
        let to: Vec<String> = match &body["to"] {
            Value::Array(several) => several.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            one => one.as_str().map(str::to_owned).into_iter().collect(),
        };
        let seqs: Vec<u64> = body["seqs"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        for sent in self.facts.sent.values_mut().filter(|sent| sent.sender == sender) {
            // Those without a number cannot be named: any of them may be meant.
            if sent.seq.is_none_or(|seq| seqs.contains(&seq)) {
                sent.undelivered.extend(to.iter().cloned());
            }
        }
    }

    pub(crate) fn note_leave(&mut self, id: &str, reason: LeaveReason) {
        if let Some(person) = self.facts.people.get_mut(id) {
            person.is_gone = true;
        }
        match reason {
            LeaveReason::Timeout | LeaveReason::PageClosed => self.note("a grace ends"),
            LeaveReason::Replaced => self.note("somebody is replaced"),
            LeaveReason::ClientLeave
            | LeaveReason::Kicked
            | LeaveReason::Banned
            | LeaveReason::Denied
            | LeaveReason::LobbyTimeout
            | LeaveReason::SignedOut
            | LeaveReason::RoomClosed
            | LeaveReason::RoomExpired => (),
        }
    }

    /// Everybody is there, nobody says anything: all that was sent has arrived, and all know the same.
    pub(crate) fn check_at_rest(&mut self) -> Check {
        self.rooms.audit()?;
        for room in 0..2 {
            let detail = self.rooms.detail(&room_id(room), &Actor::Host(host_token(room)));
            let people = detail.ok().and_then(|(_, people)| people).unwrap_or_default();
            let people = people.iter().map(|person| serde_json::to_value(person).expect("JSON"));
            let people: BTreeMap<String, Value> =
                people.map(|person| (text(&person, "participantId"), person)).collect();
            let admitted = people.iter().filter(|(_, person)| person["state"] != "lobby");
            let admitted: BTreeMap<String, Value> = admitted.map(|(id, it)| (id.clone(), it.clone())).collect();
            require(admitted.keys().eq(self.facts.members[room].iter()), "the news agree with the room")?;
            for id in people.keys() {
                let is_here = |view: &View| view.id == *id;
                let has_client = self.clients.iter().any(|client| client.view.as_ref().is_some_and(is_here));
                require(has_client, &format!("{id} is somebody's"))?;
            }
            for (index, view) in self.views(room) {
                check_view(view, &people, &admitted)
                    .map_err(|fault| format!("client {index}, room {room}: {fault}"))?;
            }
        }
        for (number, sent) in &self.facts.sent {
            for target in &sent.targets {
                self.check_sent(*number, sent, target)?;
            }
        }
        Ok(())
    }

    fn views(&self, room: usize) -> impl Iterator<Item = (usize, &View)> {
        let views = self.clients.iter().enumerate().filter_map(|(index, client)| Some((index, client.view.as_ref()?)));
        views.filter(move |(_, view)| view.room == room)
    }

    fn view_of(&self, id: &str) -> Option<&View> {
        self.clients.iter().filter_map(|client| client.view.as_ref()).find(|view| view.id == id)
    }

    /// A signal that was taken has reached its target, or somebody knows why not.
    fn check_sent(&self, number: u64, sent: &Sent, target: &str) -> Check {
        let has_arrived = sent.handled_by.contains(target) || sent.undelivered.contains(target);
        let Some(view) = self.view_of(target).filter(|_| !has_arrived) else { return Ok(()) };
        let is_told = match sent.fate {
            Fate::Open | Fate::Refused => true,
            Fate::Accepted(room_seq) => {
                view.epoch != sent.epoch || room_seq <= view.base || self.is_superseded(sent, target)
            }
            Fate::Parked => {
                // Where its sender began anew, the answer said which numbers were taken.
                let sender = self.view_of(&sent.sender);
                let is_sender_told =
                    sender.is_none_or(|sender| sender.epoch != sent.epoch || sender.base_at >= sent.at);
                is_sender_told
                    || view.epoch != sent.epoch
                    || view.base_at >= sent.at
                    || self.is_superseded(sent, target)
            }
        };
        require(is_told, &format!("INV-10: signal {number} has reached {target}: {sent:?}, base {}", view.base))
    }

    /// A candidate may go for which its sender has no use any more.
    fn is_superseded(&self, sent: &Sent, target: &str) -> bool {
        let is_candidate = matches!(sent.kind, SignalType::Candidate | SignalType::Candidates);
        let supersedes = |later: &Sent| {
            later.kind == SignalType::Offer
                && later.sender == sent.sender
                && later.targets.iter().any(|id| id == target)
                && later.negotiation != sent.negotiation
                && match (&later.fate, &sent.fate) {
                    (Fate::Accepted(later), Fate::Accepted(own)) => later > own,
                    // Of one that waited for others nobody was told where it stands but by its number.
                    (Fate::Accepted(_) | Fate::Parked, Fate::Parked) => later.seq > sent.seq,
                    (_, _) => false,
                }
        };
        is_candidate && self.facts.sent.values().any(supersedes)
    }

    pub(crate) fn close_everything(&mut self) -> Check {
        for room in 0..2 {
            // It may be closed already.
            drop(self.rooms.close(self.clock(), &room_id(room), &Actor::Host(host_token(room))));
            self.after_rooms()?;
        }
        Ok(())
    }

    pub(crate) fn check_empty(&mut self) -> Check {
        require(self.rooms.census() == (0, 0, 0), "no room is left")?;
        require(self.rooms.next_timeout().is_none(), "nothing is due")?;
        let watched: Vec<_> = self.watched.iter().flatten().collect();
        require(watched.is_empty(), &format!("no session is watched: {watched:?}"))?;
        let unaware = self.clients.iter().position(|client| client.view.is_some());
        require(unaware.is_none(), &format!("everybody knows that the rooms are closed: {unaware:?}"))
    }
}

fn check_view(view: &View, people: &BTreeMap<String, Value>, admitted: &BTreeMap<String, Value>) -> Check {
    let own = people.get(&view.id);
    require(own.is_some(), &format!("{} is in its room", view.id))?;
    if view.is_waiting {
        return require(own.is_some_and(|own| own["state"] == "lobby"), "whoever waits is in the lobby");
    }
    for (id, person) in admitted {
        require(person["state"] == "joined", &format!("{id} is back"))?;
        let known = view.roster.get(id).cloned().unwrap_or_default();
        require(known == *person, &format!("{} knows {person} as it is, not as {known}", view.id))?;
    }
    require(view.roster.len() == admitted.len(), &format!("{} knows of nobody else: {:?}", view.id, view.roster.keys()))
}
