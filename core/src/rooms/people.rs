//! What people in a room do to themselves and to each other.

use std::sync::Arc;

use serde_json::Value;

use santral_schema::call_quality::CallScore;
use santral_schema::video::{CloseReason, HostPolicy, LeaveReason, Media, MediaChange, ParticipantRole, Permissions};

use super::effect::{Clock, Dead, Effect, Effects, NewsKind, Record};
use super::ids::{ParticipantId, TokenHash};
use super::join::subjects_of;
use super::refusal::{Decided, RoomRefusal};
use super::room::{Audience, Bar, Room};
use super::seat::{Absence, Line, Seat, Visitor};
use super::settings::SettingsChange;
use crate::limits::{BARS_MAX, KICK_PAUSE, PAGE_CLOSED_GRACE};

/// Who wants something done.
#[derive(Debug, Clone)]
pub enum Actor {
    /// A participant, by its token.
    Participant(TokenHash),
    /// The bearer of the host token.
    Host(TokenHash),
    /// Somebody from outside: the operator, or who created the room.
    Visitor(Visitor),
}

/// A change of a participant; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct PersonChange {
    /// For people.
    pub display_name: Option<Arc<str>>,
    /// What the application says of it, or nothing.
    pub metadata: Option<Option<Value>>,
    /// Which media it sends.
    pub media: Option<MediaChange>,
    /// Whether it wants to speak.
    pub hand_raised: Option<bool>,
    /// What it is there for.
    pub role: Option<ParticipantRole>,
    /// What it may do.
    pub permissions: Option<Permissions>,
    /// Which of its media others shall not play.
    pub mute: Option<MediaChange>,
}

/// Which of those who wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// All of them.
    Everybody,
    /// These.
    These(Vec<ParticipantId>),
}

/// What an actor may do in a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power {
    /// Where it sits.
    pub(super) seat: Option<usize>,
    pub(super) moderates: bool,
    /// Whether it is the host, or above it.
    pub(super) hosts: bool,
}

const NOT_MODERATOR: RoomRefusal = RoomRefusal::NotAllowed("this is for the host and moderators of the room");
const NOT_HOST: RoomRefusal = RoomRefusal::NotAllowed("this is for the host of the room");

impl Room {
    /// What somebody may do here; a stranger does not learn that there is a room.
    pub(super) fn power_of(&mut self, out: &mut Effects, actor: &Actor) -> Result<Power, RoomRefusal> {
        match actor {
            Actor::Participant(token) => {
                let index = self.bearer(out, token)?;
                let seat = &self.seats[index];
                Ok(Power { seat: Some(index), moderates: seat.moderates(), hosts: seat.is_admitted && seat.is_host })
            }
            Actor::Host(token) if self.host_token == Some(*token) => {
                Ok(Power { seat: None, moderates: true, hosts: true })
            }
            Actor::Host(_) => Err(RoomRefusal::BadToken),
            Actor::Visitor(visitor) if !self.is_known_to(visitor) => Err(RoomRefusal::NoRoom),
            Actor::Visitor(visitor) => {
                let owns = self.is_owned_by(visitor);
                Ok(Power { seat: None, moderates: owns, hosts: owns })
            }
        }
    }

    /// Changes what the room is set to.
    pub(super) fn change_settings(
        &mut self,
        clock: Clock,
        out: &mut Effects,
        actor: &Actor,
        change: SettingsChange,
    ) -> Result<(), RoomRefusal> {
        if !self.power_of(out, actor)?.moderates {
            return Err(NOT_MODERATOR);
        }
        let taken = self.taken();
        if change.max_participants.is_some_and(|seats| (seats as usize) < taken) {
            return Err(RoomRefusal::BelowCurrent { taken });
        }
        let changed = self.settings.apply(change);
        if changed.is_empty() {
            return Ok(());
        }
        let body = serde_json::json!({ "changed": changed, "room": self.view() });
        self.tell(Audience::Members, "video.room.updated", body);
        out.push(Effect::Record(Box::new(self.record(clock.at))));
        self.happened(out, NewsKind::RoomChanged, None);
        self.after_change_of_members(clock, out);
        self.flush(out);
        Ok(())
    }

    /// Changes a participant. Its own things are its own; the rest is for the host and moderators.
    pub(super) fn change_person(
        &mut self,
        clock: Clock,
        out: &mut Effects,
        actor: &Actor,
        person: &ParticipantId,
        change: PersonChange,
    ) -> Result<santral_schema::participants::Participant, RoomRefusal> {
        let power = self.power_of(out, actor)?;
        let index = self.find(person).ok_or(RoomRefusal::NoParticipant)?;
        let is_own = power.seat == Some(index);
        let touches_own = change.display_name.is_some() || change.metadata.is_some() || change.media.is_some();
        let raises = change.hand_raised == Some(true);
        if (touches_own || raises) && !is_own {
            return Err(RoomRefusal::NotAllowed("name, metadata, media and hand of a participant are its own"));
        }
        if (change.permissions.is_some() || change.mute.is_some()) && !power.moderates {
            return Err(NOT_MODERATOR);
        }
        if change.hand_raised.is_some() && !is_own && !power.moderates {
            return Err(NOT_MODERATOR);
        }
        if change.role.is_some() && !power.hosts {
            return Err(NOT_HOST);
        }
        if let Some(index) = power.seat {
            self.sign_of_life(clock, out, index);
        }
        let mute = change.mute;
        let changed = apply(&mut self.seats[index], change);
        if !changed.is_empty() {
            self.tell_of_update(index, &changed, false);
            self.record_person(out, index);
        }
        if let Some(mute) = mute {
            let by = power.seat.map(|seat| self.seats[seat].id.to_string());
            let body = serde_json::json!({ "mute": mute, "by": by });
            self.tell(Audience::Only(person), "video.moderation", body);
        }
        self.flush(out);
        Ok(self.seats[index].view())
    }

    /// Somebody leaves, or says that its page was closed and may come back at once.
    pub(super) fn leave(&mut self, clock: Clock, out: &mut Effects, index: usize, reason: LeaveReason) {
        if reason == LeaveReason::PageClosed && self.seats[index].is_admitted {
            let until = clock.now + PAGE_CLOSED_GRACE.min(self.settings.more.grace);
            self.line_down(index, until, Absence::PageClosed);
        } else {
            self.send_away(clock, out, index, LeaveReason::ClientLeave);
        }
        self.after_change_of_members(clock, out);
        self.flush(out);
    }

    /// Sends somebody away, for a while or for good.
    pub(super) fn kick(
        &mut self,
        clock: Clock,
        out: &mut Effects,
        actor: &Actor,
        person: &ParticipantId,
        ban: bool,
    ) -> Result<(), RoomRefusal> {
        let power = self.power_of(out, actor)?;
        if !power.moderates {
            return Err(NOT_MODERATOR);
        }
        let index = self.find(person).ok_or(RoomRefusal::NoParticipant)?;
        let seat = &self.seats[index];
        let visitor = seat.visitor.clone();
        // Somebody who is in twice goes twice: a person is kept out, not a page.
        let goes = |other: &Seat| other.id == *person || (visitor.is_named() && other.is_of(&visitor));
        if power.seat.is_some_and(|own| goes(&self.seats[own])) {
            return Err(RoomRefusal::NotAllowed("who wants to go leaves"));
        }
        if !power.hosts && self.seats.iter().any(|other| other.is_host && goes(other)) {
            return Err(RoomRefusal::NotAllowed("moderators do not send the host away"));
        }
        let mut subjects = subjects_of(&seat.visitor, seat.session.as_ref());
        if !ban {
            // Others may share a guest's network, and it is for minutes only.
            subjects.truncate(1);
        }
        for subject in subjects {
            if ban && !subject.starts_with("session:") {
                out.push(Effect::Record(Box::new(Record::Ban(self.id.clone(), Arc::clone(&subject)))));
            }
            self.bars.push(Bar { subject, until: (!ban).then(|| clock.now + KICK_PAUSE) });
        }
        let excess = self.bars.len().saturating_sub(BARS_MAX);
        self.bars.drain(..excess);
        let reason = if ban { LeaveReason::Banned } else { LeaveReason::Kicked };
        while let Some(index) = self.seats.iter().position(goes) {
            self.send_away(clock, out, index, reason);
        }
        self.after_change_of_members(clock, out);
        self.flush(out);
        Ok(())
    }

    /// Lets some of those in who wait, and turns others away.
    pub(super) fn decide(
        &mut self,
        clock: Clock,
        out: &mut Effects,
        actor: &Actor,
        admit: &Waiting,
        deny: &Waiting,
    ) -> Result<Decided, RoomRefusal> {
        if !self.power_of(out, actor)?.moderates {
            return Err(NOT_MODERATOR);
        }
        let mut decided = Decided::default();
        let (denied, admitted) = (self.waiting(deny)?, self.waiting(admit)?);
        for id in denied {
            // Somebody who is named twice is gone by now.
            let Some(index) = self.find(&id) else { continue };
            self.remove(clock, out, index, LeaveReason::Denied);
            decided.denied.push(id);
        }
        self.let_in(clock, out, admitted, &mut decided);
        self.after_change_of_members(clock, out);
        self.flush(out);
        Ok(decided)
    }

    /// Makes somebody else host.
    pub(super) fn transfer_host(
        &mut self,
        out: &mut Effects,
        actor: &Actor,
        person: &ParticipantId,
    ) -> Result<(), RoomRefusal> {
        if !self.power_of(out, actor)?.hosts {
            return Err(NOT_HOST);
        }
        let index = self.find(person).filter(|&index| self.seats[index].is_admitted);
        self.make_host(out, index.ok_or(RoomRefusal::NoParticipant)?);
        self.flush(out);
        Ok(())
    }

    /// Ends the room for everybody.
    pub(super) fn close(&mut self, clock: Clock, out: &mut Effects, reason: CloseReason) {
        let why = if reason == CloseReason::Expired { LeaveReason::RoomExpired } else { LeaveReason::RoomClosed };
        let body = serde_json::json!({ "reason": reason });
        let (_, publication) = self.event("video.room.closed", body);
        for mut seat in std::mem::take(&mut self.seats) {
            if let Line::Up(place) = &seat.line {
                let unsent = seat.outbox.drain_unsent().into_iter().map(|item| item.publication);
                let batch = unsent.chain([Arc::clone(&publication)]).collect();
                out.push(Effect::Deliver { to: place.clone(), parcel: None, batch });
            }
            for token in [Some(seat.token), seat.earlier_token].into_iter().flatten() {
                out.note(super::effect::IndexChange::TokenDead(token, Dead::Left(why)));
            }
            if let Some(session) = seat.session.clone() {
                out.note(super::effect::IndexChange::SessionGone(session));
            }
            if seat.is_admitted {
                let mut record = seat.record(&self.id);
                record.left = Some((clock.at, why));
                out.push(Effect::Record(Box::new(Record::Participant(record))));
                self.happened(out, NewsKind::ParticipantLeft(why), Some(&seat));
            }
        }
        if let Some(token) = self.host_token {
            out.note(super::effect::IndexChange::TokenDead(token, Dead::Left(why)));
        }
        self.closed = Some(reason);
        out.push(Effect::Record(Box::new(self.record(clock.at))));
        self.happened(out, NewsKind::RoomFinished(reason), None);
    }

    /// Takes somebody's seat away; a host leaves the room to somebody else, or closes it.
    pub(super) fn send_away(&mut self, clock: Clock, out: &mut Effects, index: usize, reason: LeaveReason) {
        let seat = self.remove(clock, out, index, reason);
        if !seat.is_host {
            return;
        }
        match self.settings.host_policy {
            HostPolicy::Keep => (),
            HostPolicy::Close => self.close(clock, out, CloseReason::HostLeft),
            HostPolicy::Transfer => {
                let of = |role: Option<ParticipantRole>| {
                    let fits = move |seat: &&(usize, &Seat)| role.is_none_or(|role| seat.1.role == role);
                    let members = self.seats.iter().enumerate().filter(|(_, seat)| seat.is_admitted);
                    let members: Vec<(usize, &Seat)> = members.collect();
                    members.iter().filter(fits).min_by_key(|(_, seat)| seat.ordinal).map(|(index, _)| *index)
                };
                if let Some(heir) = of(Some(ParticipantRole::Moderator)).or_else(|| of(None)) {
                    self.make_host(out, heir);
                }
            }
        }
    }

    fn make_host(&mut self, out: &mut Effects, index: usize) {
        if self.seats[index].is_host {
            return;
        }
        for (other, seat) in self.seats.iter_mut().enumerate() {
            seat.is_host = other == index;
        }
        for other in 0..self.seats.len() {
            self.record_person(out, other);
        }
        self.tell_of_host(out, index);
    }

    pub(super) fn tell_of_host(&mut self, out: &mut Effects, index: usize) {
        self.happened(out, NewsKind::HostChanged, Some(&self.seats[index]));
        let body = serde_json::json!({ "participantId": self.seats[index].id.as_str() });
        self.tell(Audience::Members, "video.host.changed", body);
    }

    /// Tells of a change, everybody or everybody else.
    pub(super) fn tell_of_update(&mut self, index: usize, changed: &[&'static str], others_only: bool) {
        let seat = &self.seats[index];
        let id = seat.id.clone();
        let body = serde_json::json!({ "participant": seat.view(), "changed": changed });
        let audience = match (seat.is_admitted, others_only) {
            (false, _) => Audience::Moderators,
            (true, true) => Audience::Others(&id),
            (true, false) => Audience::Members,
        };
        self.tell(audience, "video.participant.updated", body);
    }

    /// Tells everybody how the call of somebody goes.
    pub(super) fn tell_of_quality(&mut self, out: &mut Effects, index: usize, score: CallScore) {
        let seat = &mut self.seats[index];
        // What is shown of somebody is what everybody was told.
        seat.quality = Some(score.name().into());
        let body = serde_json::json!({ "participantId": seat.id.as_str(), "score": score.name() });
        if score >= CallScore::Poor {
            self.happened(out, NewsKind::QualityPoor, Some(&self.seats[index]));
        }
        self.tell(Audience::Members, "video.quality", body);
    }

    pub(super) fn record_person(&self, out: &mut Effects, index: usize) {
        if self.seats[index].is_admitted {
            out.push(Effect::Record(Box::new(Record::Participant(self.seats[index].record(&self.id)))));
        }
    }

    /// Those among the named who wait; naming somebody who does not is an error.
    fn waiting(&self, which: &Waiting) -> Result<Vec<ParticipantId>, RoomRefusal> {
        let waits = |id: &ParticipantId| self.seats.iter().any(|seat| seat.id == *id && !seat.is_admitted);
        match which {
            Waiting::These(ids) if ids.iter().all(waits) => Ok(ids.clone()),
            Waiting::These(_) => Err(RoomRefusal::NoParticipant),
            Waiting::Everybody => Ok(self.everybody_waiting()),
        }
    }

    pub(super) fn everybody_waiting(&self) -> Vec<ParticipantId> {
        self.seats.iter().filter(|seat| !seat.is_admitted).map(|seat| seat.id.clone()).collect()
    }

    /// Lets people in as long as there are seats.
    pub(super) fn let_in(&mut self, clock: Clock, out: &mut Effects, who: Vec<ParticipantId>, decided: &mut Decided) {
        for id in who {
            // Somebody may be named twice, or have been turned away by the same request.
            let Some(index) = self.find(&id).filter(|&index| !self.seats[index].is_admitted) else { continue };
            if self.is_full() {
                decided.full.push(id);
                continue;
            }
            self.admit(clock, out, index);
            let body = serde_json::json!({
                "participant": self.seats[index].view(), "room": self.view(), "participants": self.others(&id),
            });
            self.tell(Audience::Only(&id), "video.lobby.admitted", body);
            decided.admitted.push(id);
        }
    }
}

fn apply(seat: &mut Seat, change: PersonChange) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if let Some(name) = change.display_name.filter(|name| *name != seat.display_name) {
        seat.display_name = name;
        changed.push("displayName");
    }
    if let Some(metadata) = change.metadata.filter(|metadata| *metadata != seat.metadata) {
        seat.metadata = metadata;
        changed.push("metadata");
    }
    if let Some(media) = change.media.map(|media| merged(seat.media, media)).filter(|media| *media != seat.media) {
        seat.media = media;
        changed.push("media");
    }
    if let Some(raised) = change.hand_raised.filter(|raised| *raised != seat.hand_raised) {
        seat.hand_raised = raised;
        changed.push("handRaised");
    }
    if let Some(role) = change.role.filter(|role| *role != seat.role) {
        seat.role = role;
        changed.push("role");
    }
    if let Some(permissions) = change.permissions.filter(|permissions| *permissions != seat.permissions) {
        seat.permissions = permissions;
        changed.push("permissions");
    }
    if let Some(muted) = change.mute.map(|mute| merged(seat.muted, mute)).filter(|muted| *muted != seat.muted) {
        seat.muted = muted;
        changed.push("mutedByHost");
    }
    changed
}

fn merged(media: Media, change: MediaChange) -> Media {
    Media {
        audio: change.audio.unwrap_or(media.audio),
        video: change.video.unwrap_or(media.video),
        screen: change.screen.unwrap_or(media.screen),
    }
}
