//! Requests of clients as the edge carries them out, and what the oracle knows of their answers.

use std::sync::Arc;

use serde_json::value::RawValue;

use santral_core::call_quality::Report;
use santral_core::rooms::{
    Actor, Join, Joined, ParticipantId, PersonChange, Place, RoomId, RoomRefusal, Signal, Target, Visitor,
};
use santral_schema::call_quality::PeerReport;
use santral_schema::participants::OnDuplicate;
use santral_schema::signal::{SignalFate, SignalTo};
use santral_schema::video::{LeaveReason, Media, MediaChange, ParticipantRole, ParticipantState};

use crate::bugs::Bug;
use crate::facts::{Fate, Person, ROOMS, hash, host_token};
use crate::world::{Check, Event, World};

/// A report of one link, whose score goes by its round trip.
fn report(rtt_ms: f64) -> Result<Report, String> {
    let peers = serde_json::json!([{ "peer": "p_somebody", "state": "connected", "rttMs": rtt_ms }]);
    let peers: Vec<PeerReport> = serde_json::from_value(peers).map_err(|error| error.to_string())?;
    Report::parse(&peers).map_err(|error| error.to_string())
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Join { resume: Option<u64>, seen: Option<(u64, String)>, with_host: bool, on_duplicate: OnDuplicate },
    Leave { is_closing: bool },
    Signals { numbers: Vec<u64>, by_session: bool },
    Change(PersonChange),
    Quality,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) client: usize,
    pub(crate) session: String,
    pub(crate) room: usize,
    pub(crate) token: u64,
    pub(crate) ask: Ask,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Joined(Box<Joined>, u64),
    Fates(Vec<SignalFate>),
    Done,
    Refused(RoomRefusal),
}

pub(crate) fn room_id(room: usize) -> RoomId {
    RoomId::parse(ROOMS[room]).expect("a valid id")
}

impl World {
    /// A request is carried out.
    pub(crate) fn serve(&mut self, request: Request, place: Option<Place>) -> Check {
        let (id, clock) = (room_id(request.room), self.clock());
        let token = hash(request.token);
        let answer = match &request.ask {
            Ask::Join { .. } => self.serve_join(&request, place)?,
            Ask::Leave { is_closing } => {
                let reason = if *is_closing { LeaveReason::PageClosed } else { LeaveReason::ClientLeave };
                let left = self.rooms.leave(clock, &id, &token, reason);
                left.map_or_else(Answer::Refused, |()| Answer::Done)
            }
            Ask::Signals { numbers, by_session } => self.serve_signals(&request, numbers, *by_session)?,
            Ask::Change(change) => {
                let own = self.facts.tokens.get(&request.token).cloned().unwrap_or_default();
                let person = ParticipantId::parse(&own).map_err(|error| error.to_string())?;
                let actor = Actor::Participant(token);
                let changed = self.rooms.change_person(clock, &id, &actor, &person, change.clone());
                changed.map_or_else(Answer::Refused, |_| Answer::Done)
            }
            Ask::Quality => {
                let report = report(if request.id.is_multiple_of(2) { 50.0 } else { 900.0 })?;
                let noted = self.rooms.note_quality(clock, &id, &token, &report);
                noted.map_or_else(Answer::Refused, |_| Answer::Done)
            }
        };
        let is_done = !matches!(answer, Answer::Refused(_));
        let is_harmless = matches!(request.ask, Ask::Join { .. } | Ask::Leave { .. });
        if is_done && !is_harmless && self.is_dead(request.token) {
            return Err(format!("a token of somebody who is gone does {request:?}"));
        }
        self.after_rooms()?;
        let is_lost = !self.calm && self.rng.percent(self.plan.lost_answers);
        if !is_lost {
            let way = self.way();
            self.soon(way, Event::Answer(request.client, request.id, answer));
        }
        Ok(())
    }

    fn is_dead(&self, token: u64) -> bool {
        let person = self.facts.tokens.get(&token).and_then(|id| self.facts.people.get(id));
        person.is_some_and(|person| person.is_gone)
    }

    pub(crate) fn visitor(&self, client: usize) -> Visitor {
        let user: Option<Arc<str>> = self.clients[client].user.as_deref().map(Into::into);
        let principal = user.as_ref().map_or("".into(), |user| format!("user:{user}").into());
        Visitor { principal, user, is_admin: false, may_enter: true, network: Some("net".into()) }
    }

    fn serve_join(&mut self, request: &Request, place: Option<Place>) -> Result<Answer, String> {
        let Ask::Join { resume, seen, with_host, on_duplicate } = request.ask.clone() else {
            return Err("this is no join".to_owned());
        };
        let number = self.fresh();
        let visitor = self.visitor(request.client);
        let behind = u64::from(self.bug == Some(Bug::ResumedTooFar));
        let join = Join {
            room: room_id(request.room),
            visitor: visitor.clone(),
            place,
            fresh_id: ParticipantId::parse(&format!("p_{number}")).map_err(|error| error.to_string())?,
            fresh_token: hash(number),
            resume: resume.map(hash),
            seen: seen.clone().map(|(upto, epoch)| (upto + behind, epoch.into())),
            password_of: None,
            invitation: None,
            host_token: with_host.then(|| host_token(request.room)),
            on_duplicate,
            display_name: format!("client {}", request.client).into(),
            role: ParticipantRole::Participant,
            media: Media::default(),
            metadata: None,
        };
        let joined = match self.rooms.join(self.clock(), join) {
            Ok((joined, _)) => joined,
            Err(refusal) => {
                self.note_refused_join(&refusal);
                return Ok(Answer::Refused(refusal));
            }
        };
        let now = self.now;
        let keeps_out = |barred: &&crate::facts::Barred| {
            let is_in_force = barred.until.is_none_or(|until| until > now);
            barred.room == request.room && is_in_force && *barred.principal == *visitor.principal
        };
        if let Some(barred) = self.facts.barred.iter().find(keeps_out) {
            return Err(format!("INV-10: somebody who is kept out came in: {barred:?}"));
        }
        self.check_joined(request, &joined, seen.is_some())?;
        let id = joined.participant.participant_id.clone();
        self.facts.tokens.insert(number, id.clone());
        let person = Person { room: request.room, is_gone: false };
        self.facts.people.entry(id).or_insert(person);
        Ok(Answer::Joined(Box::new(joined), number))
    }

    fn note_refused_join(&mut self, refusal: &RoomRefusal) {
        match refusal {
            RoomRefusal::Full { .. } => self.note("a room is full"),
            RoomRefusal::Banned => self.note("somebody is kept out"),
            _other => (),
        }
    }

    fn check_joined(&mut self, request: &Request, joined: &Joined, has_seen: bool) -> Check {
        let own = &joined.participant;
        let known = self.facts.people.get(&own.participant_id);
        if known.is_some_and(|person| person.is_gone || person.room != request.room) {
            return Err(format!("{} came back from the dead", own.participant_id));
        }
        if known.is_some() != joined.already || (joined.already && !joined.resync && !has_seen) {
            return Err(format!("a join tells stories: {joined:?}"));
        }
        if joined.participants.iter().any(|other| other.participant_id == own.participant_id) {
            return Err("a join counts its own participant among the others".to_owned());
        }
        match (joined.already, joined.resync, own.state == ParticipantState::Lobby) {
            (true, false, _) => self.note("a resume finds everything"),
            (true, true, _) => self.note("a resume must start anew"),
            (false, _, true) => self.note("somebody waits in the lobby"),
            (false, _, false) => (),
        }
        Ok(())
    }

    /// The signals of these numbers as the edge hands them on.
    pub(crate) fn signals(&self, numbers: &[u64]) -> Vec<Signal> {
        let signal = |number: &u64| {
            let sent = &self.facts.sent[number];
            let data = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(sent.pad));
            let ids = sent.targets.iter().filter_map(|id| ParticipantId::parse(id).ok());
            let target = if sent.is_broadcast { Target::Others } else { Target::These(ids.collect()) };
            let to = match (sent.is_broadcast, &sent.targets[..]) {
                (true, _) => SignalTo::One("*".to_owned()),
                (false, [one]) => SignalTo::One(one.clone()),
                (false, several) => SignalTo::Several(several.to_vec()),
            };
            Signal {
                seq: sent.seq.filter(|_| self.bug != Some(Bug::NumbersForgotten)),
                target,
                to,
                kind: sent.kind,
                negotiation: sent.negotiation.as_deref().map(Into::into),
                from: None,
                data: RawValue::from_string(data).expect("JSON"),
            }
        };
        numbers.iter().map(signal).collect()
    }

    fn serve_signals(&mut self, request: &Request, numbers: &[u64], by_session: bool) -> Result<Answer, String> {
        let (id, clock) = (room_id(request.room), self.clock());
        let mut token = hash(request.token);
        if by_session {
            match self.rooms.token_of(&id, &crate::hub::session_token(&request.session)) {
                // A command from before a resume, which came on a link that the resume has ended.
                Ok(found) if found != token => return Ok(Answer::Refused(RoomRefusal::Superseded)),
                Ok(found) => token = found,
                Err(refusal) => return Ok(Answer::Refused(refusal)),
            }
        }
        if self.bug == Some(Bug::TokensMixedUp) && self.rng.percent(5) {
            let other = self.clients.iter().rev().filter_map(|client| client.view.as_ref());
            let mut other = other.filter(|view| view.room == request.room).map(|view| view.token);
            token = other.next().map_or(token, hash);
        }
        match self.rooms.signal(clock, &id, &token, self.signals(numbers)) {
            Ok((fates, _)) => {
                self.note_fates(request.room, numbers, &fates)?;
                Ok(Answer::Fates(fates))
            }
            Err(refusal) => {
                self.note_refused_signals(numbers, &refusal);
                Ok(Answer::Refused(refusal))
            }
        }
    }

    fn note_refused_signals(&mut self, numbers: &[u64], refusal: &RoomRefusal) {
        match refusal {
            RoomRefusal::TooFast(_) => return self.note("a sender is too fast"),
            RoomRefusal::SeqGap { .. } => return self.note("a number is missing"),
            RoomRefusal::Superseded => return self.note("a token is superseded"),
            RoomRefusal::TargetFull | RoomRefusal::NoTarget => (),
            _other => return,
        }
        // The number is used up.
        let room = numbers.first().map_or(0, |number| self.facts.sent[number].room);
        let epoch = self.epoch_of(room);
        for number in numbers {
            self.note_fate(*number, Fate::Refused, &epoch);
        }
    }

    pub(crate) fn epoch_of(&mut self, room: usize) -> String {
        let detail = self.rooms.detail(&room_id(room), &Actor::Host(host_token(room)));
        detail.map(|(view, _)| view.epoch).unwrap_or_default()
    }

    fn note_fates(&mut self, room: usize, numbers: &[u64], fates: &[SignalFate]) -> Check {
        let epoch = self.epoch_of(room);
        for (number, fate) in numbers.iter().zip(fates) {
            let sent = &self.facts.sent[number];
            let key = sent.seq.map(|seq| (sent.sender.clone(), epoch.clone(), seq));
            if fate.duplicate {
                self.note("a signal is repeated");
                let earlier = key.and_then(|key| self.facts.numbered.get(&key).copied());
                if earlier != Some(*number) {
                    return Err(format!("signal {number} was taken for a repeated {earlier:?}"));
                }
                let was_refused = self.facts.sent[number].fate == Fate::Refused;
                if was_refused && fate.error.is_none() {
                    return Err(format!("signal {number} was refused, and its repetition passes for sent"));
                }
                continue;
            }
            let fate = match (&fate.error, fate.parked, fate.room_seq) {
                (Some(error), ..) if error == "seq_gap" => continue,
                (Some(_), ..) => Fate::Refused,
                (None, true, _) => Fate::Parked,
                (None, false, Some(room_seq)) => {
                    if fate.buffered > 0 {
                        self.note("a signal is buffered");
                    }
                    Fate::Accepted(room_seq)
                }
                (None, false, None) => return Err(format!("no fate for signal {number}: {fate:?}")),
            };
            if fate == Fate::Parked {
                self.note("a signal waits for another");
            }
            self.note_fate(*number, fate, &epoch);
        }
        Ok(())
    }

    fn note_fate(&mut self, number: u64, fate: Fate, epoch: &str) {
        let now = self.now;
        let members = self.facts.members.clone();
        let Some(sent) = self.facts.sent.get_mut(&number) else { return };
        if sent.is_broadcast && matches!(fate, Fate::Accepted(_)) {
            sent.targets = members[sent.room].iter().filter(|id| **id != sent.sender).cloned().collect();
        }
        (sent.fate, sent.at, sent.epoch) = (fate, now, epoch.to_owned());
        if let Some(seq) = sent.seq {
            self.facts.numbered.insert((sent.sender.clone(), epoch.to_owned(), seq), number);
        }
    }
}

/// Something that a participant changes of its own.
pub(crate) fn own_change(number: u64) -> PersonChange {
    match number % 3 {
        0 => PersonChange { hand_raised: Some(number.is_multiple_of(2)), ..PersonChange::default() },
        1 => PersonChange { display_name: Some(format!("name {number}").into()), ..PersonChange::default() },
        _more => PersonChange {
            media: Some(MediaChange { audio: Some(number.is_multiple_of(2)), ..MediaChange::default() }),
            ..PersonChange::default()
        },
    }
}
