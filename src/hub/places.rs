//! Where somebody's open stream is, for who wants to tell them something there.

use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::Place;
use santral_core::shard::Shard;

use super::Hub;

impl Hub {
    /// Where the open stream of a session is. `None` if none is open, or the session is somebody else's: whoever
    /// knows the token of a guest's session holds it.
    pub async fn place_of_session(&self, token: &SessionToken, principal: &str) -> Option<Place> {
        let shard = self.directory.find(token)?;
        let (session, principal) = (token.clone(), principal.to_owned());
        let connection = self.call(shard, move |served: &mut Shard, _| {
            let key = served.find_own_session(&session, &principal)?;
            served.view(key).filter(|view| !view.is_detached()).map(|view| view.connection())
        });
        let connection = connection.await??;
        Some(Place { session: token.clone(), connection, shard })
    }

    /// Where the open stream of a session is, whoever it belongs to.
    pub(super) async fn place_of_watched(&self, token: &SessionToken) -> Option<Place> {
        let shard = self.directory.find(token)?;
        let session = token.clone();
        let connection = self.call(shard, move |served: &mut Shard, _| {
            let view = served.view(served.find_session(&session)?)?;
            (!view.is_detached()).then(|| view.connection())
        });
        let connection = connection.await??;
        Some(Place { session: token.clone(), connection, shard })
    }

    /// Where a connection is, if it is this principal's. A connection id is no secret, so nobody can have one on behalf
    /// of nobody.
    pub async fn place_of_connection(&self, connection: ConnectionId, principal: &str) -> Option<Place> {
        if principal.is_empty() {
            return None;
        }
        let principal = principal.to_owned();
        let found = self.call_all(move |served: &mut Shard, _| {
            let view = served.view(served.find_connection(&connection)?)?;
            let is_theirs = *view.client().principal == *principal && !view.is_detached();
            is_theirs.then(|| view.token().clone())
        });
        let found = found.await.into_iter().enumerate().find_map(|(shard, token)| Some((shard, token?)));
        found.map(|(shard, session)| Place { session, connection, shard })
    }
}
