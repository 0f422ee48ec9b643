//! Signals, on their way into the room, which knows who may send which to whom.

use santral_core::names::SessionToken;
use santral_core::rooms::{RoomRefusal, SignalFault, checked_signals};
use santral_schema::signal::{SignalAnswer, SignalRequest};

use super::{Guest, RoomToken, VideoRooms, known};
use crate::service::Refusal;

impl VideoRooms {
    /// Passes on the signals of a participant.
    ///
    /// # Errors
    /// [`Refusal`]; then none was passed on.
    pub async fn signal(&self, guest: &Guest<'_>, request: SignalRequest) -> Result<SignalAnswer, Refusal> {
        let Some(RoomToken::Participant(token)) = guest.token else { return Err(RoomRefusal::BadToken.into()) };
        let (room, signals) = checked_signals(request)?;
        let id = known(&room)?;
        let sent = self.ask(move |rooms, clock| rooms.signal(clock, &id, &token, signals)).await;
        sent.map(|(accepted, last_seq)| SignalAnswer { accepted, last_seq })
    }

    /// The same of the participant that sits at a session.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn signal_from(&self, session: &SessionToken, request: SignalRequest) -> Result<SignalAnswer, Refusal> {
        let (room, signals) = checked_signals(request)?;
        let (id, session) = (known(&room)?, session.clone());
        let sent = self.ask(move |rooms, clock| {
            let token = rooms.token_of(&id, &session)?;
            rooms.signal(clock, &id, &token, signals)
        });
        sent.await.map(|(accepted, last_seq)| SignalAnswer { accepted, last_seq })
    }
}

impl From<SignalFault> for Refusal {
    fn from(fault: SignalFault) -> Self {
        match fault {
            SignalFault::Field(complaint) => Self::Field(complaint),
            SignalFault::TooLarge(complaint) => Self::SignalTooLarge(complaint),
            SignalFault::Target(refusal) => Self::Room(refusal),
        }
    }
}
