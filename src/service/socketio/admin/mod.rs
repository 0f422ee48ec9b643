//! The namespace of the official Admin UI of Socket.IO, which shows the connections of all transports.
//!
//! Its socket is a session like any other, so that a right which ends, ends it; but it follows nothing. What
//! it shows does not come from the log: [`watch`] looks at all connections, and says what has changed.

mod changes;
mod commands;
mod entry;
mod figures;
mod logins;
mod messages;
mod shown;
mod watch;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use santral_core::limits::ADMIN_UIS_MAX;
use santral_core::socketio::Args;
use santral_schema::access::Role;

use super::answer::Answer;
use super::open;
use crate::auth::Principal;
use crate::config::{AdminUi, Config};
use crate::hub::admission::Full;
use crate::hub::engineio::Joined;
use crate::hub::shard_thread::LocalShard;
use crate::service::accounts::Accounts;
use crate::service::operator::Operator;
use crate::service::{Peer, Refusal};

pub use entry::{Entrance, Entry};
pub use logins::Logins;
use watch::{Task, Watch};

/// The namespace that the page asks for unless it is told otherwise.
pub const NAMESPACE: &str = "/admin";

/// What an Admin UI may do and is shown; the page knows these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Feature {
    Emit,
    Join,
    Leave,
    Disconnect,
    /// To make all in a room join another.
    MJoin,
    MLeave,
    MDisconnect,
    /// Figures of what happened, for all connections together.
    #[serde(rename = "AGGREGATED_EVENTS")]
    AggregatedEvents,
    /// Each connection, and what happens to it.
    #[serde(rename = "ALL_EVENTS")]
    AllEvents,
}

/// What an operator may do who changes things.
const CHANGES: [Feature; 7] = [
    Feature::Emit,
    Feature::Join,
    Feature::Leave,
    Feature::Disconnect,
    Feature::MJoin,
    Feature::MLeave,
    Feature::MDisconnect,
];

/// See the module.
pub struct Admin {
    operator: Arc<Operator>,
    accounts: Arc<Accounts>,
    logins: Arc<Logins>,
    places: Arc<Semaphore>,
}

/// The socket of an Admin UI. Dropped, nothing is said to it any more.
pub struct AdminSocket {
    principal: Arc<Principal>,
    _watch: Task,
}

impl Admin {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(operator: Arc<Operator>, accounts: Arc<Accounts>, logins: Arc<Logins>) -> Self {
        Self { operator, accounts, logins, places: Arc::new(Semaphore::new(ADMIN_UIS_MAX)) }
    }

    /// Whether this namespace is that of the Admin UI. Whoever names `/admin` among the namespaces of an
    /// application has it for the application.
    #[must_use]
    pub fn is_at(namespace: &str, config: &Config) -> bool {
        let is_of_an_application = || config.socketio_namespaces.iter().any(|name| name.as_str() == NAMESPACE);
        namespace == NAMESPACE && config.socketio_admin != AdminUi::Off && !is_of_an_application()
    }

    /// Opens the session of an Admin UI that was let in, and begins to tell it what there is. `is_welcome` is
    /// asked now and then whether its right still stands.
    ///
    /// # Errors
    /// [`Refusal::Full`], and see `streams::admit`.
    pub fn open(
        &self,
        local: &LocalShard,
        peer: &Peer,
        entry: Entry,
        is_welcome: impl Fn() -> bool + 'static,
    ) -> Result<(Joined, AdminSocket), Refusal> {
        let place = self.take_place()?;
        let Entry { principal, login } = entry;
        let joined = open::open_apart(local, &principal, peer)?;
        let watch = Watch::new(local.clone(), joined.session, Arc::clone(&principal.grants), is_welcome);
        let features = features(&principal, &local.hub().config.load());
        let task = watch.begin(login, features, place);
        Ok((joined, AdminSocket { principal, _watch: task }))
    }

    /// Carries out what an operator asks for by an Admin UI.
    pub async fn carry_out(&self, local: &LocalShard, socket: &AdminSocket, name: &str, args: &Args) -> Answer {
        let done = commands::carry_out(&self.operator, local, &socket.principal, name, args).await;
        done.unwrap_or_else(|refusal| Answer::refused(&refusal))
    }

    fn take_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Full(Full::Total))
    }
}

impl AdminSocket {
    /// On whose behalf it speaks.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}

fn features(principal: &Principal, config: &Config) -> Vec<Feature> {
    let changes = if principal.role == Role::Admin { &CHANGES[..] } else { &[] };
    let each = (config.socketio_admin == AdminUi::Development).then_some(Feature::AllEvents);
    changes.iter().copied().chain([Feature::AggregatedEvents]).chain(each).collect()
}
