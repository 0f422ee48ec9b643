//! The sockets of one connection in the namespace of the Admin UI.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use slotmap::SecondaryMap;

use santral_core::session::SessionKey;

use super::uplink::not_joined;
use crate::auth::Principal;
use crate::http::access::Gate;
use crate::hub::engineio::{Joined, NotJoined, SocketEvent};
use crate::hub::shard_thread::LocalShard;
use crate::service::accounts::Caller;
use crate::service::socketio::Answer;
use crate::service::socketio::admin::{Admin, AdminSocket, Entrance};
use crate::service::{Peer, Refusal};

/// See the module.
pub(super) struct Desk {
    admin: Arc<Admin>,
    caller: Caller,
    sockets: RefCell<SecondaryMap<SessionKey, Rc<AdminSocket>>>,
}

impl Desk {
    pub(super) fn new(admin: Arc<Admin>, caller: Caller) -> Self {
        Self { admin, caller, sockets: RefCell::default() }
    }

    /// Lets an Admin UI in whose operator may come.
    pub(super) async fn let_join(
        &self,
        local: &LocalShard,
        gate: &Arc<Gate>,
        peer: &Peer,
        opener: &Arc<Principal>,
        auth: Option<&str>,
    ) -> Result<Joined, NotJoined> {
        let address = peer.address.ip;
        let is_good = |principal: &Principal| gate.objection(principal, address).is_none();
        let entry = self.admin.let_in(Entrance::read(auth), opener, &self.caller, is_good).await.map_err(refused)?;
        let (watched, principal) = (Arc::clone(gate), Arc::clone(&entry.principal));
        let is_welcome = move || watched.objection(&principal, address).is_none();
        let opened = self.admin.open(local, peer, entry, is_welcome).map_err(refused)?;
        let (joined, socket) = opened;
        // A right that was taken back meanwhile has not found the session.
        if !is_good(socket.principal()) {
            local.abandon(joined.session);
            return Err(refused(Refusal::BadCredentials));
        }
        self.sockets.borrow_mut().insert(joined.session, Rc::new(socket));
        Ok(joined)
    }

    /// Carries out an event of an Admin UI; `None` where the socket is none.
    pub(super) async fn answer(&self, local: &LocalShard, event: &SocketEvent) -> Option<Answer> {
        let socket = self.sockets.borrow().get(event.session).cloned()?;
        Some(self.admin.carry_out(local, &socket, &event.name, &event.args).await)
    }

    /// A socket's session is over.
    pub(super) fn left(&self, session: SessionKey) {
        self.sockets.borrow_mut().remove(session);
    }
}

/// The page knows one text by which it asks for another password.
fn refused(refusal: Refusal) -> NotJoined {
    match refusal {
        Refusal::BadCredentials | Refusal::AccountName(_) | Refusal::Token(_) => {
            NotJoined { message: "invalid credentials".to_owned(), data: None }
        }
        other => not_joined(&other.into()),
    }
}
