//! Signals between participants of one room.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::effect::{Clock, Effects};
use super::ids::ParticipantId;
use super::outbox::{Item, Mark, Overflow};
use super::refusal::RoomRefusal;
use super::room::{Audience, Room};
use super::uplink::Turn;
use crate::limits::{ROOM_SIGNALS_BURST, ROOM_SIGNALS_PER_SECOND, SIGNALS_BURST, SIGNALS_PER_SECOND};
use santral_schema::signal::{SignalFate, SignalTo, SignalType};

/// For whom a signal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// These, one or more.
    These(Vec<ParticipantId>),
    /// All others.
    Others,
}

/// A signal whose form is checked.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Its number, if the sender counts.
    pub seq: Option<u64>,
    /// For whom.
    pub target: Target,
    /// The same, as it was written.
    pub to: SignalTo,
    /// What it is.
    pub kind: SignalType,
    /// Which negotiation it belongs to.
    pub negotiation: Option<Arc<str>>,
    /// Who sends it, as the sender says.
    pub from: Option<String>,
    /// JSON text, passed on as it was written.
    pub data: Box<RawValue>,
}

/// What the server says of a sender.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct From<'a> {
    participant_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    display_name: &'a str,
    ordinal: u32,
}

/// The event `webrtc.signal`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignalEvent<'a> {
    room_id: &'a str,
    epoch: &'a str,
    room_seq: u64,
    from: From<'a>,
    to: &'a SignalTo,
    #[serde(rename = "type")]
    kind: SignalType,
    #[serde(skip_serializing_if = "Option::is_none")]
    negotiation_id: Option<&'a str>,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    ts: String,
}

impl Room {
    /// Passes on what a participant sends. Fails as a whole only before anything of it was passed on.
    pub(super) fn signal(
        &mut self,
        clock: Clock,
        out: &mut Effects,
        index: usize,
        signals: Vec<Signal>,
    ) -> Result<(Vec<SignalFate>, u64), RoomRefusal> {
        self.check_sender(index, &signals)?;
        let count = u32::try_from(signals.len()).unwrap_or(u32::MAX);
        let mut bucket = self.seats[index].bucket;
        bucket.take(clock.now, count, SIGNALS_PER_SECOND, SIGNALS_BURST).map_err(RoomRefusal::TooFast)?;
        let of_room = self.bucket.take(clock.now, count, ROOM_SIGNALS_PER_SECOND, ROOM_SIGNALS_BURST);
        of_room.map_err(RoomRefusal::TooFast)?;
        self.seats[index].bucket = bucket;
        let is_one = signals.len() == 1;
        let mut fates = Vec::with_capacity(signals.len());
        let mut failed = None;
        for signal in signals {
            match self.take(clock, index, signal) {
                Ok(fate) => fates.push(fate),
                // Those before it were passed on; who sent a batch learns what became of each.
                Err((refusal, _)) if is_one || (fates.is_empty() && !has_own_fate(&refusal)) => {
                    failed = Some(refusal);
                    break;
                }
                Err((refusal, seq)) => fates.push(refused(&refusal, seq)),
            }
        }
        // Also behind a refused one: its number is used up, and those that waited for it wait no longer.
        let passed_on = fates.iter().filter(|fate: &&SignalFate| fate.room_seq.is_some()).count() as u64;
        out.signals += passed_on + self.pass_on_parked(clock, index);
        self.flush(out);
        failed.map_or_else(|| Ok((fates, self.seats[index].uplink.last_seq())), Err)
    }

    /// What can be said before a signal is looked at in the order of their numbers.
    fn check_sender(&self, index: usize, signals: &[Signal]) -> Result<(), RoomRefusal> {
        let seat = &self.seats[index];
        if !seat.is_admitted {
            return Err(RoomRefusal::InLobby);
        }
        if !seat.permissions.signal {
            return Err(RoomRefusal::NotAllowed("the participant may not send signals"));
        }
        for signal in signals {
            if signal.from.as_ref().is_some_and(|from| from != seat.id.as_str()) {
                return Err(RoomRefusal::FromMismatch);
            }
            if signal.target == Target::Others {
                if signal.kind != SignalType::Custom {
                    return Err(RoomRefusal::CannotBroadcast);
                }
                if !seat.permissions.broadcast {
                    return Err(RoomRefusal::NotAllowed("the participant may not send to everybody at once"));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, clock: Clock, index: usize, signal: Signal) -> Result<SignalFate, (RoomRefusal, Option<u64>)> {
        let seq = signal.seq;
        let uplink = &mut self.seats[index].uplink;
        match uplink.turn(seq, signal.data.get().len()) {
            Turn::Now => {
                // A number that was answered is used up, whatever the answer.
                uplink.passed(seq);
                self.relay(clock, index, &signal).map_err(|refusal| {
                    self.seats[index].uplink.refused(seq, code(&refusal));
                    (refusal, seq)
                })
            }
            Turn::Duplicate => {
                let error = uplink.refusal_of(seq).map(str::to_owned);
                Ok(SignalFate { duplicate: true, error, ..fate(seq) })
            }
            Turn::Gap => Err((RoomRefusal::SeqGap { expected: uplink.last_seq() + 1 }, seq)),
            Turn::Wait => {
                uplink.park(clock.now, seq.unwrap_or_default(), signal);
                Ok(SignalFate { parked: true, ..fate(seq) })
            }
        }
    }

    /// Passes on what waits no longer; nobody is there to be answered, so who sent it is told of failures.
    fn pass_on_parked(&mut self, clock: Clock, index: usize) -> u64 {
        let mut passed_on = 0;
        while let Some(signal) = self.seats[index].uplink.take_next(clock.now) {
            self.seats[index].uplink.passed(signal.seq);
            match self.relay(clock, index, &signal) {
                Ok(_) => passed_on += 1,
                Err(refusal) => {
                    self.seats[index].uplink.refused(signal.seq, code(&refusal));
                    self.tell_undelivered(index, &[signal], code(&refusal));
                }
            }
        }
        passed_on
    }

    fn relay(&mut self, clock: Clock, index: usize, signal: &Signal) -> Result<SignalFate, RoomRefusal> {
        let targets = self.targets(index, &signal.target)?;
        let is_candidate =
            matches!(signal.kind, SignalType::Candidate | SignalType::Candidates | SignalType::EndOfCandidates);
        let mark = Mark {
            from: self.seats[index].id.clone(),
            seq: signal.seq,
            negotiation: signal.negotiation.clone(),
            is_offer: signal.kind == SignalType::Offer,
            is_candidate,
        };
        self.seq += 1;
        let publication = self.publication("webrtc.signal", self.encode(clock, index, signal));
        let (mut delivered, mut buffered, mut full) = (0, 0, Vec::new());
        for target in targets {
            let item = Item::new(self.seq, Arc::clone(&publication), Some(mark.clone()));
            let seat = &mut self.seats[target];
            match seat.outbox.push_signal(item) {
                Err(Overflow) => full.push(seat.id.clone()),
                Ok(()) if seat.is_up() => delivered += 1,
                Ok(()) => buffered += 1,
            }
        }
        if delivered + buffered == 0 && signal.target != Target::Others {
            return Err(RoomRefusal::TargetFull);
        }
        let fate = SignalFate { room_seq: Some(self.seq), delivered, buffered, ..fate(signal.seq) };
        // The answer counts those whom it reaches; only an event can name the others.
        for target in full {
            let code = code(&RoomRefusal::TargetFull);
            let body = serde_json::json!({ "to": target.as_str(), "seqs": signal.seq.as_slice(), "reason": code });
            self.tell(Audience::Only(&mark.from), "webrtc.undelivered", body);
        }
        Ok(fate)
    }

    /// Where a signal goes. Whoever is not in this room is nowhere.
    fn targets(&self, from: usize, target: &Target) -> Result<Vec<usize>, RoomRefusal> {
        let member = |id: &ParticipantId| {
            self.find(id).filter(|&index| index != from && self.seats[index].is_admitted).ok_or(RoomRefusal::NoTarget)
        };
        match target {
            // Who is named twice hears it once.
            Target::These(ids) => {
                let members: BTreeSet<usize> = ids.iter().map(member).collect::<Result<_, _>>()?;
                Ok(members.into_iter().collect())
            }
            Target::Others => {
                Ok((0..self.seats.len()).filter(|&index| index != from && self.seats[index].is_admitted).collect())
            }
        }
    }

    fn encode(&self, clock: Clock, index: usize, signal: &Signal) -> String {
        let seat = &self.seats[index];
        let event = SignalEvent {
            room_id: self.id.as_str(),
            epoch: &self.epoch,
            room_seq: self.seq,
            from: From {
                participant_id: seat.id.as_str(),
                user_id: seat.visitor.user.as_deref(),
                display_name: &seat.display_name,
                ordinal: seat.ordinal,
            },
            to: &signal.to,
            kind: signal.kind,
            negotiation_id: signal.negotiation.as_deref(),
            data: &signal.data,
            seq: signal.seq,
            ts: clock.at.to_rfc3339(),
        };
        serde_json::to_string(&event).expect("the event has string keys and no failing serializer")
    }

    /// Tells a sender what was not passed on.
    pub(super) fn tell_undelivered(&mut self, index: usize, signals: &[Signal], reason: &'static str) {
        for signal in signals {
            let body = serde_json::json!({ "to": signal.to, "seqs": signal.seq.as_slice(), "reason": reason });
            let id = self.seats[index].id.clone();
            self.tell(Audience::Only(&id), "webrtc.undelivered", body);
        }
    }

    /// Tells the senders of what waited for somebody who is gone.
    pub(super) fn tell_senders(&mut self, gone: &ParticipantId, unsent: &[Item]) {
        let mut by_sender: Vec<(ParticipantId, Vec<u64>)> = Vec::new();
        for mark in unsent.iter().filter_map(|item| item.mark.as_ref()) {
            match by_sender.iter_mut().find(|(sender, _)| *sender == mark.from) {
                Some((_, seqs)) => seqs.extend(mark.seq),
                None => by_sender.push((mark.from.clone(), mark.seq.into_iter().collect())),
            }
        }
        for (sender, seqs) in by_sender {
            let body = serde_json::json!({ "to": gone.as_str(), "seqs": seqs, "reason": "target_left" });
            self.tell(Audience::Only(&sender), "webrtc.undelivered", body);
        }
    }

    /// Signals whose predecessors did not come in time are given up.
    pub(super) fn give_up_parked(&mut self, index: usize) {
        let signals = self.seats[index].uplink.give_up();
        self.tell_undelivered(index, &signals, "seq_gap");
    }
}

fn fate(seq: Option<u64>) -> SignalFate {
    SignalFate { seq, room_seq: None, delivered: 0, buffered: 0, duplicate: false, parked: false, error: None }
}

fn refused(refusal: &RoomRefusal, seq: Option<u64>) -> SignalFate {
    SignalFate { error: Some(code(refusal).to_owned()), ..fate(seq) }
}

/// Whether a refusal is about one signal of a batch only.
fn has_own_fate(refusal: &RoomRefusal) -> bool {
    matches!(refusal, RoomRefusal::NoTarget | RoomRefusal::TargetFull)
}

fn code(refusal: &RoomRefusal) -> &'static str {
    match refusal {
        RoomRefusal::TargetFull => "target_buffer_full",
        RoomRefusal::SeqGap { .. } => "seq_gap",
        _other => "target_not_in_room",
    }
}
