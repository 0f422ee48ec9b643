//! How people come in: the checks in an order that tells strangers nothing, then a seat.

use std::sync::Arc;

use serde_json::Value;

use santral_schema::participants::{OnDuplicate, Participant};
use santral_schema::video::Room as RoomView;
use santral_schema::video::{LeaveReason, LobbyMode, Media, ParticipantRole, Permissions};

use super::effect::{Clock, Dead, Effect, Effects, IndexChange, NewsKind, Place, Record};
use super::ids::{ParticipantId, RoomId, TokenHash};
use super::outbox::{Item, Outbox};
use super::refusal::RoomRefusal;
use super::room::{Audience, Room};
use super::seat::{Line, Seat, Visitor};
use super::uplink::{Bucket, Uplink};
use crate::call_quality::QualityWatch;
use crate::entry::Timestamp;
use crate::limits::{LOBBY_MAX, LOBBY_PATIENCE};
use crate::names::SessionToken;

/// What is to be known of a room before somebody's password is looked at, which takes long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The hash that the password must match; `None` where none is asked for.
    pub password_hash: Option<Arc<str>>,
}

/// An invitation that was verified: a join token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invitation {
    /// Tells it from others, where it may be used a number of times only.
    pub id: Option<Arc<str>>,
    /// How often.
    pub uses_max: Option<u32>,
    /// For people.
    pub name: Option<Arc<str>>,
    /// What it makes one.
    pub role: Option<ParticipantRole>,
    /// Whether it makes one the host.
    pub is_host: bool,
    /// What it allows.
    pub permissions: Option<Permissions>,
}

/// Somebody who wants to come in, or back.
#[derive(Debug)]
pub struct Join {
    /// Where to.
    pub room: RoomId,
    /// Who.
    pub visitor: Visitor,
    /// On which session; `None` where no stream is open.
    pub place: Option<Place>,
    /// An id for the participant, drawn just now.
    pub fresh_id: ParticipantId,
    /// Hash of a token that was drawn just now: theirs from now on.
    pub fresh_token: TokenHash,
    /// The seat that they come back to.
    pub resume: Option<TokenHash>,
    /// The last event that they have handled, in this incarnation of the room.
    pub seen: Option<(u64, Arc<str>)>,
    /// The hash that their password was found to match.
    pub password_of: Option<Arc<str>>,
    /// Their invitation.
    pub invitation: Option<Invitation>,
    /// Proof of being the host.
    pub host_token: Option<TokenHash>,
    /// What to do when they are in already.
    pub on_duplicate: OnDuplicate,
    /// For people.
    pub display_name: Arc<str>,
    /// What they want to be there for.
    pub role: ParticipantRole,
    /// What they send.
    pub media: Media,
    /// What the application says of them.
    pub metadata: Option<Value>,
}

/// Somebody who is in, or waits.
#[derive(Debug)]
pub struct Joined {
    /// Themselves; `state` says whether they wait.
    pub participant: Participant,
    /// Whether they had been in before.
    pub already: bool,
    /// Whether they must go by this answer, since something was lost.
    pub resync: bool,
    /// The room.
    pub room: RoomView,
    /// The others; empty for who waits.
    pub participants: Vec<Participant>,
    /// Who waits, for the host and moderators.
    pub waiting: Vec<Participant>,
    /// Number of the room's last event.
    pub room_seq: u64,
    /// Number of their last signal.
    pub last_seq: u64,
}

impl Room {
    /// What to ask somebody for who wants to come in.
    pub(super) fn door(&self, clock: Clock, join: &Join) -> Result<Door, RoomRefusal> {
        self.check_may_approach(clock, join)?;
        let is_free = self.returning(join).is_some() || self.proves_host(join) || join.invitation.is_some();
        Ok(Door { password_hash: self.settings.password_hash.clone().filter(|_| !is_free) })
    }

    /// Lets somebody in, or back to their seat.
    pub(super) fn join(&mut self, clock: Clock, out: &mut Effects, join: Join) -> Result<Joined, RoomRefusal> {
        let door = self.door(clock, &join)?;
        let Some(place) = join.place.clone() else { return Err(RoomRefusal::NoEventStream) };
        if let Some(index) = self.returning(&join) {
            return Ok(self.come_back(clock, out, index, place, &join));
        }
        if door.password_hash.is_some() && door.password_hash != join.password_of {
            return Err(RoomRefusal::BadPassword);
        }
        self.check_invitation(&join)?;
        let replaced = self.find_duplicate(&join)?;
        let takes_seat = replaced.filter(|&index| self.seats[index].is_admitted);
        // Who is in need not be let in again.
        let waits = takes_seat.is_none() && self.must_wait(&join);
        if waits && self.seats.iter().filter(|seat| !seat.is_admitted).count() >= LOBBY_MAX {
            return Err(RoomRefusal::LobbyFull);
        }
        let taken = self.taken() - usize::from(takes_seat.is_some());
        if !waits && taken >= self.settings.max_participants as usize {
            return Err(RoomRefusal::Full { max: self.settings.max_participants });
        }
        // From here on nothing is refused.
        self.use_invitation(&join);
        let was_host = takes_seat.is_some_and(|index| self.seats[index].is_host);
        if let Some(index) = replaced {
            self.remove(clock, out, index, LeaveReason::Replaced);
        }
        let index = self.sit_down(clock, out, place, join);
        if waits {
            self.knock(out, index);
        } else {
            self.seats[index].is_host = was_host;
            self.admit(clock, out, index);
        }
        if was_host {
            self.tell_of_host(out, index);
        }
        self.after_change_of_members(clock, out);
        self.flush_probing(index, out);
        Ok(self.answer(index, false, false))
    }

    /// Whether a room exists, and is open, for somebody.
    fn check_may_approach(&self, clock: Clock, join: &Join) -> Result<(), RoomRefusal> {
        let is_in = self.returning(join).is_some();
        let is_known = is_in || self.is_known_to(&join.visitor) || join.invitation.is_some() || self.proves_host(join);
        if !is_known {
            return Err(RoomRefusal::NoRoom);
        }
        // Whoever is kept out has lost every seat, so who has one is somebody else of the same network.
        if !is_in && self.is_barred(clock, &join.visitor, join.place.as_ref().map(|place| &place.session)) {
            return Err(RoomRefusal::Banned);
        }
        let opens = self.settings.more.not_before.map(Timestamp).filter(|opens| *opens > clock.at);
        match opens {
            Some(opens) if !self.proves_host(join) => Err(RoomRefusal::NotOpenYet(opens)),
            Some(_) | None => Ok(()),
        }
    }

    /// The seat that somebody comes back to: by its token, or because their session sits there. A session is
    /// as good a proof as a token, which may be an old one where the answer with the newer one was lost.
    fn returning(&self, join: &Join) -> Option<usize> {
        let session = join.place.as_ref().map(|place| &place.session);
        let is_theirs = |seat: &&Seat| seat.is_of(&join.visitor);
        let sits_there = |seat: &Seat| session.is_some() && seat.session.as_ref() == session;
        let find = |found: &dyn Fn(&Seat) -> bool| self.seats.iter().position(|seat| is_theirs(&seat) && found(seat));
        find(&|seat| join.resume == Some(seat.token)).or_else(|| find(&sits_there))
    }

    fn proves_host(&self, join: &Join) -> bool {
        let has_token = self.host_token.is_some() && join.host_token == self.host_token;
        let is_user = join.visitor.user.is_some() && join.visitor.user == self.settings.host_id;
        let is_owner = join.visitor.is_named() && join.visitor.principal == self.owner;
        let is_invited = join.invitation.as_ref().is_some_and(|invitation| invitation.is_host);
        has_token || is_user || is_invited || (is_owner && self.settings.host_id.is_none())
    }

    fn check_invitation(&self, join: &Join) -> Result<(), RoomRefusal> {
        let limited = join.invitation.as_ref().and_then(|invitation| invitation.id.as_ref().zip(invitation.uses_max));
        match limited {
            Some((id, max)) if self.invitations.get(id).copied().unwrap_or(0) >= max => {
                Err(RoomRefusal::InvitationUsed)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn use_invitation(&mut self, join: &Join) {
        let limited = join.invitation.as_ref().and_then(|invitation| invitation.id.as_ref().zip(invitation.uses_max));
        if let Some((id, _)) = limited {
            *self.invitations.entry(Arc::clone(id)).or_default() += 1;
        }
    }

    /// The seat of the same person that has to go.
    fn find_duplicate(&self, join: &Join) -> Result<Option<usize>, RoomRefusal> {
        let is_same = |seat: &Seat| join.visitor.is_named() && seat.is_of(&join.visitor);
        match (join.on_duplicate, self.seats.iter().position(is_same)) {
            (OnDuplicate::Reject, Some(_)) => Err(RoomRefusal::AlreadyIn),
            (OnDuplicate::Replace, found) => Ok(found),
            (OnDuplicate::Reject | OnDuplicate::Allow, _) => Ok(None),
        }
    }

    fn must_wait(&self, join: &Join) -> bool {
        let is_host = self.proves_host(join);
        match self.settings.lobby {
            LobbyMode::Off => false,
            LobbyMode::On => !is_host,
            LobbyMode::UntilHost => !is_host && !self.seats.iter().any(|seat| seat.is_admitted && seat.is_host),
        }
    }

    fn sit_down(&mut self, clock: Clock, out: &mut Effects, place: Place, join: Join) -> usize {
        let invitation = join.invitation.clone().unwrap_or_default();
        let asked = if join.role == ParticipantRole::Moderator { ParticipantRole::Participant } else { join.role };
        let role = invitation.role.unwrap_or(asked);
        let usual = self.settings.more.permissions;
        let permissions = invitation.permissions.unwrap_or(match role {
            ParticipantRole::Participant | ParticipantRole::Moderator => usual,
            ParticipantRole::Viewer | ParticipantRole::Recorder => {
                Permissions { audio: false, video: false, screen: false, ..usual }
            }
        });
        out.note(IndexChange::TokenAdded(join.fresh_token));
        out.note(IndexChange::SessionAdded(place.session.clone()));
        let proves_host = self.proves_host(&join);
        self.seats.push(Seat {
            id: join.fresh_id,
            visitor: join.visitor,
            token: join.fresh_token,
            earlier_token: None,
            session: Some(place.session.clone()),
            line: Line::Up(place),
            generation: 0,
            is_admitted: false,
            waits_until: clock.now + LOBBY_PATIENCE,
            ordinal: 0,
            is_host: false,
            proves_host,
            display_name: invitation.name.unwrap_or(join.display_name),
            role,
            permissions,
            media: join.media,
            muted: Media::default(),
            hand_raised: false,
            metadata: join.metadata,
            quality: None,
            quality_watch: QualityWatch::default(),
            joined_at: clock.at,
            outbox: Outbox::since(self.seq),
            uplink: Uplink::default(),
            bucket: Bucket::default(),
            ice_due: None,
            silent_from: None,
        });
        self.seats.len() - 1
    }

    fn knock(&mut self, out: &mut Effects, index: usize) {
        let seat = &self.seats[index];
        let body = serde_json::json!({ "participant": seat.view() });
        self.happened(out, NewsKind::LobbyWaiting, Some(&self.seats[index]));
        self.tell(Audience::Moderators, "video.lobby.waiting", body);
    }

    /// Gives somebody who has a place a number and tells all others, before anything of theirs can reach them.
    pub(super) fn admit(&mut self, clock: Clock, out: &mut Effects, index: usize) {
        // Whoever takes its own place, or comes before an empty room is closed, goes on with the same call.
        let is_first = self.started_at.is_none();
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        let seat = &mut self.seats[index];
        (seat.is_admitted, seat.ordinal, seat.joined_at) = (true, ordinal, clock.at);
        let id = seat.id.clone();
        if is_first {
            self.begin(clock, out);
        }
        let gave_way = self.take_host(out, index);
        let seat = &self.seats[index];
        let body = serde_json::json!({ "participant": seat.view() });
        out.push(Effect::Record(Box::new(Record::Participant(seat.record(&self.id)))));
        self.happened(out, NewsKind::ParticipantJoined, Some(&self.seats[index]));
        self.tell(Audience::Others(&id), "video.participant.joined", body);
        if gave_way {
            self.tell_of_host(out, index);
        }
    }

    /// Whoever can prove to be the host is, unless somebody is who can. True when somebody gave way.
    fn take_host(&mut self, out: &mut Effects, index: usize) -> bool {
        if !self.seats[index].proves_host || self.seats.iter().any(|seat| seat.is_host && seat.proves_host) {
            return false;
        }
        let earlier = self.seats.iter().position(|seat| seat.is_host);
        for (other, seat) in self.seats.iter_mut().enumerate() {
            seat.is_host = other == index;
        }
        if let Some(earlier) = earlier {
            self.record_person(out, earlier);
        }
        earlier.is_some()
    }

    fn come_back(&mut self, clock: Clock, out: &mut Effects, index: usize, place: Place, join: &Join) -> Joined {
        let seq = self.seq;
        let seen = join.seen.as_ref().filter(|(upto, of)| *of == self.epoch && *upto <= seq);
        let announcement = seen.map(|(upto, _)| {
            let publication = self.numbered("video.room.replay", *upto, serde_json::json!({}));
            Item::new(*upto, publication, None)
        });
        let seat = &mut self.seats[index];
        let was_down = !seat.is_up();
        let is_elsewhere = seat.session.as_ref() != Some(&place.session);
        if is_elsewhere {
            if let Some(session) = seat.session.replace(place.session.clone()) {
                out.note(IndexChange::SessionGone(session));
            }
            out.note(IndexChange::SessionAdded(place.session.clone()));
        }
        // Where the session is known to be, the news are newer than what was looked up for this request.
        if is_elsewhere || was_down {
            seat.line = Line::Up(place);
        }
        seat.silent_from = None;
        seat.generation += 1;
        // Without it a client could not tell what it is sent again from what was sent before it asked.
        let resync = !announcement.is_some_and(|item| seat.outbox.rewind(item));
        if resync {
            seat.outbox.restart(seq);
            // The answer says up to which number all was passed on: what comes next is something else.
            seat.uplink.restart();
        }
        rotate(out, seat, join.fresh_token, join.resume);
        if seat.is_admitted {
            out.push(Effect::Record(Box::new(Record::Participant(seat.record(&self.id)))));
            let mut changed = Vec::new();
            if was_down {
                changed.push("state");
            }
            if resync {
                // The others must expect new offers.
                changed.push("connection");
            }
            if !changed.is_empty() {
                self.tell_of_update(index, &changed, false);
            }
        }
        let resynced_at = self.seq;
        if resync {
            self.seats[index].outbox.restart(resynced_at);
        }
        self.after_change_of_members(clock, out);
        self.flush_probing(index, out);
        self.answer(index, true, resync)
    }

    fn answer(&self, index: usize, already: bool, resync: bool) -> Joined {
        let seat = &self.seats[index];
        let participants = if seat.is_admitted { self.others(&seat.id) } else { Vec::new() };
        Joined {
            participant: seat.view(),
            already,
            resync,
            room: self.view(),
            participants,
            waiting: self.waiting_for(&seat.id),
            room_seq: self.seq,
            last_seq: seat.uplink.last_seq(),
        }
    }

    pub(super) fn flush_probing(&mut self, index: usize, out: &mut Effects) {
        // The line may have gone down since somebody looked: only its shard can tell.
        self.flush_seat(index, out, true);
        self.flush(out);
    }

    /// Whether somebody is kept out.
    fn is_barred(&self, clock: Clock, visitor: &Visitor, session: Option<&SessionToken>) -> bool {
        let in_force = self.bars.iter().filter(|bar| bar.until.is_none_or(|until| until > clock.now));
        let subjects = subjects_of(visitor, session);
        let is_theirs = |subject: &Arc<str>| subjects.contains(subject);
        in_force.map(|bar| &bar.subject).any(is_theirs)
    }
}

/// By what somebody is recognised who is kept out: who they are, or, where nobody knows, where they come from.
pub(super) fn subjects_of(visitor: &Visitor, session: Option<&SessionToken>) -> Vec<Arc<str>> {
    if visitor.is_named() {
        return vec![Arc::clone(&visitor.principal)];
    }
    let session = session.map(|session| format!("session:{}", session.reveal()).into());
    let network = visitor.network.as_ref().map(|network| format!("address:{network}").into());
    session.into_iter().chain(network).collect()
}

/// The token that the client has stays good for another resume until it shows the fresh one: the answer
/// that brings it may be lost.
fn rotate(out: &mut Effects, seat: &mut Seat, fresh: TokenHash, shown: Option<TokenHash>) {
    let newest = std::mem::replace(&mut seat.token, fresh);
    out.note(IndexChange::TokenAdded(fresh));
    let unused =
        if shown.is_some() && shown == seat.earlier_token { Some(newest) } else { seat.earlier_token.replace(newest) };
    if let Some(unused) = unused {
        out.note(IndexChange::TokenDead(unused, Dead::Superseded));
    }
}
