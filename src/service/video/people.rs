//! How people in a room leave, change, and are steered.

use santral_core::limits::LOBBY_MAX;
use santral_core::names::SessionToken;
use santral_core::rooms::{Actor, Decided, ParticipantId, PersonChange, RoomRefusal, Waiting};
use santral_schema::participants::{
    Chosen, HostTransfer, LeaveRequest, LobbyDecided, LobbyDecision, Participant, ParticipantChange,
};
use santral_schema::video::LeaveReason;

use super::join::{NO_ROOM_NAMED, check_room};
use super::{Guest, RoomToken, VideoRooms, form, known};
use crate::service::Refusal;

impl VideoRooms {
    /// A participant leaves. Whoever is gone already has what they want.
    ///
    /// # Errors
    /// [`RoomRefusal::BadToken`], [`RoomRefusal::WrongRoom`].
    pub async fn leave(&self, guest: &Guest<'_>, room: &str, request: LeaveRequest) -> Result<(), Refusal> {
        check_room(room, request.room_id.as_deref())?;
        let reason = reason_of(request.reason)?;
        let shown = request.token.as_deref().map_or(guest.token, RoomToken::of);
        let Some(RoomToken::Participant(token)) = shown else { return Err(RoomRefusal::BadToken.into()) };
        let id = known(room)?;
        self.ask(move |rooms, clock| rooms.leave(clock, &id, &token, reason)).await?;
        self.journal.saved().await;
        Ok(())
    }

    /// The participant that sits at a session leaves.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn leave_from(&self, session: &SessionToken, request: LeaveRequest) -> Result<(), Refusal> {
        let id = known(request.room_id.as_deref().ok_or(NO_ROOM_NAMED)?)?;
        if request.token.is_some() {
            return Err(Refusal::Field("a command is of its own session: leave `token` out"));
        }
        let (reason, session) = (reason_of(request.reason)?, session.clone());
        self.ask(move |rooms, clock| match rooms.token_of(&id, &session) {
            Ok(token) => rooms.leave(clock, &id, &token, reason),
            // Nobody of this session is there, which is what was wanted.
            Err(_) => Ok(()),
        })
        .await?;
        self.journal.saved().await;
        Ok(())
    }

    /// Changes a participant: its own things itself, the rest the host and moderators.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn change_person(
        &self,
        guest: &Guest<'_>,
        room: &str,
        person: &str,
        change: ParticipantChange,
    ) -> Result<Participant, Refusal> {
        let id = known(room)?;
        let (actor, person) = (guest.actor(&id), person_of(person)?);
        let change = PersonChange {
            display_name: change.display_name.as_deref().map(form::name).transpose()?,
            metadata: change.metadata.as_ref().map(|metadata| form::metadata(metadata.as_deref())).transpose()?,
            media: change.media,
            hand_raised: change.hand_raised,
            role: change.role,
            permissions: change.permissions,
            mute: change.mute,
        };
        self.ask(move |rooms, clock| rooms.change_person(clock, &id, &actor, &person, change)).await
    }

    /// Sends somebody away, for minutes or for good.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn kick(&self, guest: &Guest<'_>, room: &str, person: &str, ban: bool) -> Result<(), Refusal> {
        let id = known(room)?;
        let (actor, person) = (guest.actor(&id), person_of(person)?);
        self.ask(move |rooms, clock| rooms.kick(clock, &id, &actor, &person, ban)).await?;
        self.journal.saved().await;
        Ok(())
    }

    /// Lets some of those in who wait, and turns others away.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn decide(
        &self,
        guest: &Guest<'_>,
        room: &str,
        decision: LobbyDecision,
    ) -> Result<LobbyDecided, Refusal> {
        let id = known(room)?;
        let actor = guest.actor(&id);
        let (admit, deny) = (waiting_of(decision.admit)?, waiting_of(decision.deny)?);
        let decided = self.ask(move |rooms, clock| rooms.decide(clock, &id, &actor, &admit, &deny)).await?;
        self.journal.saved().await;
        let Decided { admitted, denied, full } = decided;
        let texts = |ids: Vec<ParticipantId>| ids.iter().map(ToString::to_string).collect();
        Ok(LobbyDecided { admitted: texts(admitted), denied: texts(denied), full: texts(full) })
    }

    /// Makes somebody else host.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn transfer_host(&self, guest: &Guest<'_>, room: &str, wanted: HostTransfer) -> Result<(), Refusal> {
        let id = known(room)?;
        let (actor, person): (Actor, _) = (guest.actor(&id), person_of(&wanted.participant_id)?);
        self.ask(move |rooms, _| rooms.transfer_host(&id, &actor, &person)).await
    }
}

/// What cannot be an id names nobody.
fn person_of(text: &str) -> Result<ParticipantId, Refusal> {
    ParticipantId::parse(text).map_err(|_| RoomRefusal::NoParticipant.into())
}

fn reason_of(reason: Option<LeaveReason>) -> Result<LeaveReason, Refusal> {
    match reason {
        None => Ok(LeaveReason::ClientLeave),
        Some(reason @ (LeaveReason::ClientLeave | LeaveReason::PageClosed)) => Ok(reason),
        Some(_other) => Err(Refusal::Field("`reason` is `client_leave` or `page_closed`")),
    }
}

fn waiting_of(chosen: Option<Chosen>) -> Result<Waiting, Refusal> {
    let ids = match chosen {
        Some(Chosen::One(text)) if text == "*" => return Ok(Waiting::Everybody),
        Some(Chosen::One(text)) => vec![text],
        Some(Chosen::Some(texts)) if texts.len() > LOBBY_MAX => {
            return Err(Refusal::Field("a decision names at most 64 participants"));
        }
        Some(Chosen::Some(texts)) => texts,
        None => Vec::new(),
    };
    let mut ids = ids.iter().map(|text| person_of(text)).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(Waiting::These(ids))
}
