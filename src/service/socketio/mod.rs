//! What Socket.IO clients can do without a line of code on the server: join, leave, publish, and be heard.
//!
//! A socket is a session; a room is a channel of the socket's namespace. The events of clients become the
//! use cases of all other transports here, and what those refuse becomes an answer.

pub mod admin;
mod answer;
mod ask;
mod auth;
mod commands;
mod open;
mod pid;
mod rooms;

pub use answer::Answer;
pub use ask::ask;
pub use auth::Auth;
pub use commands::{Command, carry_out};
pub use open::{Order, open};
pub use pid::Pid;
pub use rooms::carry_out_in_room;

use std::sync::Arc;

use santral_core::names::{ChannelName, ConnectionId, NameError};
use santral_core::namespace::Namespace;
use santral_core::session::SessionKey;

use crate::auth::Principal;

/// One socket: whose it is, and which session stands for it.
#[derive(Debug, Clone)]
pub struct Socket {
    /// Its session, on this thread's shard.
    pub session: SessionKey,
    /// Its id.
    pub id: ConnectionId,
    /// Where it is.
    pub namespace: Namespace,
    /// On whose behalf it speaks.
    pub principal: Arc<Principal>,
}

impl Socket {
    /// The channel of a room in the socket's namespace.
    fn channel(&self, room: &str) -> Result<ChannelName, NameError> {
        let room = ChannelName::parse(room)?;
        if room.is_reserved() {
            return Err(NameError::Reserved);
        }
        Ok(ChannelName::in_namespace(&self.namespace, &room))
    }
}
