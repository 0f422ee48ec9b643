//! Which shard serves which session. Touched when sessions come and go, never on delivery.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use santral_core::names::SessionToken;

/// Locks for attaches with a token that the client chose: two of the same token go one by one.
const STRIPES: usize = 64;

/// See the module.
pub struct Directory {
    shards: Mutex<HashMap<SessionToken, usize>>,
    stripes: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            shards: Mutex::default(),
            stripes: (0..STRIPES).map(|_| tokio::sync::Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Directory {
    /// Keeps every other attach of the same token out until the guard is dropped (INV-5).
    pub async fn lock_token(&self, token: &SessionToken) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(token);
        let stripe = usize::try_from(hash % STRIPES as u64).expect("below the number of stripes");
        self.stripes[stripe].lock().await
    }

    /// Notes that `shard` serves the session, and returns which one did before.
    pub fn claim(&self, token: &SessionToken, shard: usize) -> Option<usize> {
        self.map().insert(token.clone(), shard)
    }

    /// The shard that serves the session.
    #[must_use]
    pub fn find(&self, token: &SessionToken) -> Option<usize> {
        self.map().get(token).copied()
    }

    /// The session has ended on `shard`; nothing happens if another one serves it by now.
    pub fn forget(&self, token: &SessionToken, shard: usize) {
        let mut map = self.map();
        if map.get(token) == Some(&shard) {
            map.remove(token);
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<SessionToken, usize>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
