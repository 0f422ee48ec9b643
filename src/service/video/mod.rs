//! Video rooms: what can be asked of them, whichever edge asks.
//!
//! | file | what |
//! |---|---|
//! | `rooms`, `listing` | a room: made, found, changed, closed |
//! | `join`, `people` | who comes in, and how people in a room are steered |
//! | `signals`, `stats` | what participants say to each other, and of their calls |
//! | `invitations` | tokens that let somebody in |
//! | `form` | what has a form: names, metadata, times |
//! | `tokens`, `creations` | secrets of rooms, and how many rooms somebody makes |
//!
//! What a room allows, `santral_core::rooms` knows; here are forms, passwords and tokens.

mod creations;
mod form;
mod invitations;
mod join;
mod listing;
mod people;
mod rooms;
mod signals;
mod stats;
mod tokens;

pub use listing::RoomQuery;
pub use rooms::{Made, Seen};
pub use tokens::RoomToken;

use std::num::NonZeroU32;
use std::sync::Arc;

use santral_core::limits::ROOM_PASSWORD_TRIES_PER_MINUTE;
use santral_core::rooms::{Actor, Clock, RoomId, RoomRefusal, Rooms, Visitor};
use santral_schema::access::Role;

use super::Refusal;
use super::accounts::Accounts;
use super::openness::Openness;
use super::room_journal::RoomJournal;
use crate::auth::Principal;
use crate::auth::throttle::LoginThrottle;
use crate::hub::Hub;
use crate::hub::admission::ClientAddress;
use crate::ports::video::VideoStore;
use creations::Creations;

/// Who asks something of a room.
#[derive(Debug, Clone, Copy)]
pub struct Guest<'a> {
    /// On whose behalf.
    pub principal: &'a Principal,
    /// From where.
    pub address: ClientAddress,
    /// The secret of a room that it shows instead of saying who it is.
    pub token: Option<RoomToken>,
}

impl Guest<'_> {
    /// As the room of this id sees it.
    fn visitor(&self, room: &RoomId) -> Visitor {
        self.visitor_with(self.principal.grants.rooms.allow(&room.as_granted()))
    }

    fn visitor_with(&self, may_enter: bool) -> Visitor {
        Visitor {
            principal: Arc::clone(&self.principal.name),
            user: self.principal.user.clone(),
            is_admin: self.principal.role == Role::Admin,
            may_enter,
            network: self.address.network.map(|network| network.to_string().into()),
        }
    }

    /// The same for what is not done from within: a token speaks for itself.
    fn actor(&self, room: &RoomId) -> Actor {
        match self.token {
            Some(RoomToken::Participant(hash)) => Actor::Participant(hash),
            Some(RoomToken::Host(hash)) => Actor::Host(hash),
            None => Actor::Visitor(self.visitor(room)),
        }
    }
}

/// The use cases of video rooms.
pub struct VideoRooms {
    hub: Arc<Hub>,
    journal: Arc<RoomJournal>,
    store: Arc<dyn VideoStore>,
    accounts: Arc<Accounts>,
    openness: Arc<Openness>,
    creations: Creations,
    /// Of passwords of rooms.
    tries: LoginThrottle,
}

impl VideoRooms {
    /// Of this node.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        journal: Arc<RoomJournal>,
        store: Arc<dyn VideoStore>,
        accounts: Arc<Accounts>,
        openness: Arc<Openness>,
    ) -> Self {
        let tries = LoginThrottle::default();
        tries.set_attempts(NonZeroU32::new(ROOM_PASSWORD_TRIES_PER_MINUTE).unwrap_or(NonZeroU32::MIN));
        Self { hub, journal, store, accounts, openness, creations: Creations::default(), tries }
    }

    /// Asks something of the rooms.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Rooms, Clock) -> Result<T, RoomRefusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        Ok(self.hub.switchboard.call(work).await.ok_or(Refusal::Stopped)??)
    }
}

/// The id in a path or a body of somebody who asks for a room that is there. What cannot be an id names no room.
fn known(room: &str) -> Result<RoomId, Refusal> {
    RoomId::parse(room).map_err(|_| RoomRefusal::NoRoom.into())
}
