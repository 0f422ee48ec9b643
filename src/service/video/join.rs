//! How somebody comes in: who they are and where they listen, then the room's own judgement, and between
//! the two a password, which takes long to look at.

use std::sync::Arc;
use std::time::Instant;

use santral_core::limits::{SIGNAL_BYTES_MAX, SIGNAL_REQUEST_BYTES_MAX, SIGNALS_MAX};
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::{Door, Invitation, Join, Joined, Place, RoomId, RoomRefusal};
use santral_schema::participants::{Inside, JoinAnswer, JoinRequest, JoinStatus, SignalLimits};
use santral_schema::video::ParticipantState;

use super::{Guest, RoomToken, VideoRooms, form, known, tokens};
use crate::auth::invitations::InvitationClaims;
use crate::hub::Hub;
use crate::service::{Refusal, ice};

/// What somebody is called who did not say.
const NAMELESS: &str = "Guest";

impl VideoRooms {
    /// Lets somebody in, or back to their seat.
    ///
    /// # Errors
    /// [`Refusal`]; strangers learn nothing of a room from it.
    pub async fn join(&self, guest: &Guest<'_>, room: &str, request: JoinRequest) -> Result<JoinAnswer, Refusal> {
        check_room(room, request.room_id.as_deref())?;
        let id = known(room)?;
        let place = self.place(guest, &request).await?;
        self.join_at(guest, id, place, request).await
    }

    /// The same for a session, whatever the request says of one.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn join_from(
        &self,
        guest: &Guest<'_>,
        session: &SessionToken,
        request: JoinRequest,
    ) -> Result<JoinAnswer, Refusal> {
        let id = known(request.room_id.as_deref().ok_or(NO_ROOM_NAMED)?)?;
        if request.session.is_some() || request.connection_id.is_some() {
            return Err(Refusal::Field("a command is of its own session: leave `session` and `connectionId` out"));
        }
        let place = self.hub.place_of_session(session, &guest.principal.name).await;
        self.join_at(guest, id, place, request).await
    }

    async fn join_at(
        &self,
        guest: &Guest<'_>,
        id: RoomId,
        place: Option<Place>,
        request: JoinRequest,
    ) -> Result<JoinAnswer, Refusal> {
        let token = tokens::new_participant_token();
        let join = self.wanted(guest, &id, place, &request, &token)?;
        let (door, mut join) = self.ask(move |rooms, clock| Ok((rooms.door(clock, &join)?, join))).await?;
        join.password_of = self.look_at_password(guest, &id, door, request.password).await?;
        let (joined, _) = self.ask(move |rooms, clock| rooms.join(clock, join)).await?;
        self.journal.saved().await;
        Ok(self.answer(joined, token))
    }

    /// Where the client listens. That the stream is its own, a guest proves by the session, which is a secret;
    /// whoever is named is known by its name.
    async fn place(&self, guest: &Guest<'_>, request: &JoinRequest) -> Result<Option<Place>, Refusal> {
        let principal = &guest.principal.name;
        match (&request.session, &request.connection_id) {
            (Some(_), Some(_)) => Err(Refusal::Field("send `session` or `connectionId`, not both")),
            (Some(session), None) => {
                let session = SessionToken::parse(session).map_err(Refusal::Session)?;
                Ok(self.hub.place_of_session(&session, principal).await)
            }
            (None, Some(_)) if principal.is_empty() => Err(Refusal::SessionRequired),
            (None, Some(connection)) => {
                let connection =
                    ConnectionId::parse(connection).map_err(|error| Refusal::Connection(connection.clone(), error))?;
                Ok(self.hub.place_of_connection(connection, principal).await)
            }
            (None, None) => Ok(None),
        }
    }

    fn wanted(
        &self,
        guest: &Guest<'_>,
        id: &RoomId,
        place: Option<Place>,
        request: &JoinRequest,
        token: &str,
    ) -> Result<Join, Refusal> {
        let invited = request.join_token.as_deref().map(|token| self.verify_invitation(id, token)).transpose()?;
        let mut visitor = guest.visitor(id);
        if visitor.user.is_none() {
            visitor.user = invited.as_ref().and_then(|claims| claims.user.clone());
        }
        let name = request.display_name.as_deref().map(form::name).transpose()?;
        let resume = match request.resume.as_deref().map(RoomToken::of) {
            None => None,
            Some(Some(RoomToken::Participant(hash))) => Some(hash),
            Some(Some(RoomToken::Host(_)) | None) => return Err(RoomRefusal::BadToken.into()),
        };
        let seen = request.last_room_seq.zip(request.epoch.as_deref().map(Arc::from));
        Ok(Join {
            room: id.clone(),
            visitor,
            place,
            fresh_id: tokens::new_participant_id(),
            fresh_token: tokens::hash(token),
            resume,
            seen,
            password_of: None,
            invitation: invited.map(invitation),
            host_token: request.host_token.as_deref().map(tokens::hash),
            on_duplicate: request.on_duplicate,
            display_name: name.unwrap_or_else(|| NAMELESS.into()),
            role: request.role,
            media: request.media,
            metadata: form::metadata(request.metadata.as_deref())?,
        })
    }

    fn verify_invitation(&self, id: &RoomId, token: &str) -> Result<InvitationClaims, Refusal> {
        let claims = self.accounts.authenticator.verify_invitation(token, Hub::wall_clock())?;
        if claims.room == id.as_str() { Ok(claims) } else { Err(RoomRefusal::WrongRoom.into()) }
    }

    /// The hash that the password matches, where one is asked for. Guessing is slowed down for each address
    /// and room; the right password costs nothing.
    async fn look_at_password(
        &self,
        guest: &Guest<'_>,
        id: &RoomId,
        door: Door,
        password: Option<String>,
    ) -> Result<Option<Arc<str>>, Refusal> {
        let Some(hash) = door.password_hash else { return Ok(None) };
        // Who did not know that there is one has not guessed.
        let Some(password) = password else { return Err(RoomRefusal::BadPassword.into()) };
        let address = guest.address.ip.to_string();
        let attempt = self.tries.admit(id.as_str(), &address, Instant::now());
        let attempt = attempt.map_err(|throttled| Refusal::Throttled(throttled.retry_after))?;
        let verified = self.accounts.passwords.verify(Some(hash.to_string()), password).await;
        if verified != Ok(false) {
            self.tries.give_back(attempt);
        }
        if verified? { Ok(Some(hash)) } else { Err(RoomRefusal::BadPassword.into()) }
    }

    fn answer(&self, joined: Joined, token: String) -> JoinAnswer {
        let Joined { participant, already, resync, room, participants, waiting, room_seq, last_seq } = joined;
        if participant.state == ParticipantState::Lobby {
            return JoinAnswer { status: JoinStatus::Lobby, participant, token, inside: None };
        }
        let ice =
            ice::servers(&self.hub.config.load(), &participant.participant_id, room.relay_only, Hub::wall_clock());
        let inside = Inside {
            already,
            resync,
            room_seq,
            epoch: room.epoch.clone(),
            last_seq,
            ice,
            limits: SignalLimits {
                max_signal_bytes: SIGNAL_BYTES_MAX,
                max_signals: SIGNALS_MAX,
                max_request_bytes: SIGNAL_REQUEST_BYTES_MAX,
            },
            advice: santral_core::call_quality::advice(participants.len() + 1),
            room,
            participants,
            waiting,
        };
        JoinAnswer { status: JoinStatus::Joined, participant, token, inside: Some(inside) }
    }
}

/// What a request says to a command that names no room.
pub(super) const NO_ROOM_NAMED: Refusal = Refusal::Field("`roomId` is missing");

/// Whether a body names the room of its path, or none.
pub(super) fn check_room(path: &str, named: Option<&str>) -> Result<(), Refusal> {
    match named {
        Some(named) if named != path => Err(Refusal::Field("`roomId` names another room than the path")),
        Some(_) | None => Ok(()),
    }
}

fn invitation(claims: InvitationClaims) -> Invitation {
    Invitation {
        id: claims.id.map(Into::into),
        uses_max: claims.uses_max,
        name: claims.name.map(Into::into),
        role: claims.role,
        is_host: claims.is_host,
        permissions: claims.permissions,
    }
}
