//! What participants ask of their room, each request at its room.

use santral_schema::participants::Participant;
use santral_schema::signal::SignalFate;
use santral_schema::video::{CloseReason, LeaveReason};

use super::IceOffer;
use super::effect::{Clock, Dead};
use super::ids::{ParticipantId, RoomId, TokenHash};
use super::join::{Door, Join, Joined};
use super::people::{Actor, PersonChange, Waiting};
use super::refusal::{Decided, RoomRefusal};
use super::registry::Rooms;
use super::signals::Signal;
use crate::call_quality::{Observation, Report};
use crate::limits::SIGN_OF_LIFE;
use crate::names::SessionToken;

impl Rooms {
    /// What to ask somebody for who wants to come in.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn door(&self, clock: Clock, join: &Join) -> Result<Door, RoomRefusal> {
        let room = self.rooms.get(&join.room).ok_or_else(|| self.gone(join))?;
        room.door(clock, join)
    }

    /// Lets somebody in, or back to their seat.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn join(&mut self, clock: Clock, join: Join) -> Result<(Joined, IceOffer), RoomRefusal> {
        let id = join.room.clone();
        let Some(room) = self.rooms.get_mut(&id) else { return Err(self.gone(&join)) };
        let joined = room.join(clock, &mut self.effects, join);
        let answer = joined.map(|joined| {
            let participant = ParticipantId::parse(&joined.participant.participant_id);
            let offer = self.ice_for(clock, &id, participant.ok().as_ref());
            (joined, offer)
        });
        self.settle(&id);
        answer
    }

    /// The servers of a participant who is in, of which fresh ones are due some time.
    fn ice_for(&mut self, clock: Clock, id: &RoomId, participant: Option<&ParticipantId>) -> IceOffer {
        let seat = self.rooms.get_mut(id).and_then(|room| {
            // Whoever waits has no call to make yet, and may never have.
            let index = room.find(participant?).filter(|&index| room.seats[index].is_admitted)?;
            Some((room.settings.more.relay_only, &mut room.seats[index]))
        });
        let Some((relay_only, seat)) = seat else {
            return IceOffer { json: serde_json::Value::Null, refresh_in: None };
        };
        let offer = self.ice.offer(&seat.id, relay_only, clock.at);
        seat.ice_due = offer.refresh_in.map(|after| clock.now + after);
        offer
    }

    /// Why there is no room where somebody had a seat.
    fn gone(&self, join: &Join) -> RoomRefusal {
        match join.resume.and_then(|token| self.dead.get(&token)) {
            Some(Dead::Left(LeaveReason::RoomClosed)) => RoomRefusal::Closed(CloseReason::Closed),
            Some(Dead::Left(LeaveReason::RoomExpired)) => RoomRefusal::Closed(CloseReason::Expired),
            Some(_) | None => RoomRefusal::NoRoom,
        }
    }

    /// Somebody leaves. Whoever is gone already has what they want.
    ///
    /// # Errors
    /// [`RoomRefusal::BadToken`], [`RoomRefusal::WrongRoom`].
    pub fn leave(
        &mut self,
        clock: Clock,
        id: &RoomId,
        token: &TokenHash,
        reason: LeaveReason,
    ) -> Result<(), RoomRefusal> {
        if matches!(self.dead.get(token), Some(Dead::Left(_))) {
            return Ok(());
        }
        self.with_seat(clock, id, token, |room, out, index| {
            room.leave(clock, out, index, reason);
            Ok(())
        })
    }

    /// Changes a participant.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn change_person(
        &mut self,
        clock: Clock,
        id: &RoomId,
        actor: &Actor,
        person: &ParticipantId,
        change: PersonChange,
    ) -> Result<Participant, RoomRefusal> {
        self.with_room(id, actor, |room, out| room.change_person(clock, out, actor, person, change))
    }

    /// Sends somebody away.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn kick(
        &mut self,
        clock: Clock,
        id: &RoomId,
        actor: &Actor,
        person: &ParticipantId,
        ban: bool,
    ) -> Result<(), RoomRefusal> {
        self.with_room(id, actor, |room, out| room.kick(clock, out, actor, person, ban))
    }

    /// Lets some of those in who wait, and turns others away.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn decide(
        &mut self,
        clock: Clock,
        id: &RoomId,
        actor: &Actor,
        admit: &Waiting,
        deny: &Waiting,
    ) -> Result<Decided, RoomRefusal> {
        self.with_room(id, actor, |room, out| room.decide(clock, out, actor, admit, deny))
    }

    /// Makes somebody else host.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn transfer_host(&mut self, id: &RoomId, actor: &Actor, person: &ParticipantId) -> Result<(), RoomRefusal> {
        self.with_room(id, actor, |room, out| room.transfer_host(out, actor, person))
    }

    /// Passes signals on, and says what became of each, and up to which number none is missing.
    ///
    /// # Errors
    /// [`RoomRefusal`]; then none was passed on.
    pub fn signal(
        &mut self,
        clock: Clock,
        id: &RoomId,
        token: &TokenHash,
        signals: Vec<Signal>,
    ) -> Result<(Vec<SignalFate>, u64), RoomRefusal> {
        self.with_seat(clock, id, token, |room, out, index| room.signal(clock, out, index, signals))
    }

    /// The same for a session, which is proof enough of itself.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn token_of(&self, id: &RoomId, session: &SessionToken) -> Result<TokenHash, RoomRefusal> {
        let room = self.rooms.get(id).ok_or(RoomRefusal::BadToken)?;
        let seat = room.seats.iter().find(|seat| seat.session.as_ref() == Some(session));
        seat.map(|seat| seat.token).ok_or(RoomRefusal::BadToken)
    }

    /// The room that a participant token is of.
    #[must_use]
    pub fn room_of(&self, token: &TokenHash) -> Option<RoomId> {
        self.tokens.get(token).cloned()
    }

    /// Fresh ICE servers.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn ice_servers(&mut self, clock: Clock, id: &RoomId, token: &TokenHash) -> Result<IceOffer, RoomRefusal> {
        let participant = self.with_seat(clock, id, token, |room, _, index| {
            if room.seats[index].is_admitted { Ok(room.seats[index].id.clone()) } else { Err(RoomRefusal::InLobby) }
        })?;
        let offer = self.ice_for(clock, id, Some(&participant));
        self.settle(id);
        Ok(offer)
    }

    /// Notes how the call of a participant is, which others may see; and that it is alive.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn note_quality(
        &mut self,
        clock: Clock,
        id: &RoomId,
        token: &TokenHash,
        report: &Report,
    ) -> Result<Observation, RoomRefusal> {
        self.with_seat(clock, id, token, |room, out, index| {
            let seat = &mut room.seats[index];
            if !seat.is_admitted {
                return Err(RoomRefusal::InLobby);
            }
            seat.silent_from = Some(clock.now + SIGN_OF_LIFE);
            let observation = seat.quality_watch.observe(report, clock.now);
            if let Some(score) = observation.event {
                room.tell_of_quality(out, index, score);
                room.flush(out);
            }
            Ok(observation)
        })
    }

    /// Whether somebody is the host of a room, or above it.
    ///
    /// # Errors
    /// [`RoomRefusal`] says why not.
    pub fn check_host(&mut self, id: &RoomId, actor: &Actor) -> Result<(), RoomRefusal> {
        self.with_room(id, actor, |room, out| match room.power_of(out, actor)?.hosts {
            true => Ok(()),
            false => Err(RoomRefusal::NotAllowed("this is for the host of the room")),
        })
    }
}
