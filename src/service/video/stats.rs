//! Which servers a participant is given, and what it says of its call.

use santral_core::call_quality::Report;
use santral_core::rooms::RoomRefusal;
use santral_schema::call_quality::{ScoreAnswer, StatsReport};
use serde_json::Value;

use super::{Guest, RoomToken, VideoRooms, known};
use crate::service::{Refusal, call_quality};

impl VideoRooms {
    /// Fresh STUN and TURN servers for a participant.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn ice_servers(&self, guest: &Guest<'_>, room: Option<&str>) -> Result<Value, Refusal> {
        let Some(RoomToken::Participant(token)) = guest.token else { return Err(RoomRefusal::BadToken.into()) };
        let named = room.map(known).transpose()?;
        let offer = self.ask(move |rooms, clock| {
            // A token is of one room, so nobody needs to say which.
            let id = named.or_else(|| rooms.room_of(&token)).ok_or(RoomRefusal::BadToken)?;
            rooms.ice_servers(clock, &id, &token)
        });
        Ok(offer.await?.json)
    }

    /// Takes a report on a call, which shows also that the participant is alive.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn report(&self, guest: &Guest<'_>, report: StatsReport) -> Result<ScoreAnswer, Refusal> {
        let Some(RoomToken::Participant(token)) = guest.token else { return Err(RoomRefusal::BadToken.into()) };
        let id = known(&report.room_id)?;
        let report = Report::parse(&report.peers).map_err(Refusal::CallReport)?;
        let observation = self.ask(move |rooms, clock| rooms.note_quality(clock, &id, &token, &report)).await?;
        call_quality::record(&self.hub.metrics, &observation);
        Ok(ScoreAnswer { score: observation.score })
    }
}
