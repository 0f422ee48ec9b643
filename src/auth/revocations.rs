//! What was taken back before its access tokens have expired: looked at with every token, so in memory.
//!
//! Bounded: when there is no room for another one, every access token issued before has to be
//! refreshed, and the refresh asks the store. Nothing that was taken back is ever forgotten early.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use santral_core::entry::Timestamp;
use santral_core::limits::{ACCESS_TOKEN_LIFETIME, REVOCATIONS_MAX};

use super::tokens::AccessClaims;

/// Ended logins, and the version that a user's tokens must have at least.
pub struct Revocations {
    inner: RwLock<Inner>,
    capacity: usize,
}

struct Inner {
    logins: HashMap<Arc<str>, Timestamp>,
    users: HashMap<Arc<str>, (i64, Timestamp)>,
    /// Tokens issued up to this second are not accepted whosever they are.
    issued_floor: i64,
}

impl Default for Revocations {
    fn default() -> Self {
        Self::with_capacity(REVOCATIONS_MAX)
    }
}

impl Revocations {
    fn with_capacity(capacity: usize) -> Self {
        let inner = Inner { logins: HashMap::new(), users: HashMap::new(), issued_floor: 0 };
        Self { inner: RwLock::new(inner), capacity }
    }

    /// Since when something must have been taken back to matter at `now`: older tokens have expired.
    #[must_use]
    pub fn relevant_since(now: Timestamp) -> Timestamp {
        let lifetime = i64::try_from(ACCESS_TOKEN_LIFETIME.as_micros()).unwrap_or(i64::MAX);
        // Another second, since tokens count whole ones.
        Timestamp(now.0 - lifetime - 1_000_000)
    }

    /// The access tokens of a login are good no more.
    pub fn revoke_login(&self, login: Arc<str>, now: Timestamp) {
        let mut inner = self.inner.write();
        inner.make_room(self.capacity, now);
        inner.logins.insert(login, now);
    }

    /// The access tokens of a user are good only if they have this version or a later one.
    pub fn revoke_user(&self, user: Arc<str>, version: i64, now: Timestamp) {
        let mut inner = self.inner.write();
        inner.make_room(self.capacity, now);
        let (known, at) = inner.users.entry(user).or_insert((version, now));
        (*known, *at) = ((*known).max(version), now);
    }

    /// Whether a token was taken back.
    #[must_use]
    pub fn concern(&self, claims: &AccessClaims) -> bool {
        let inner = self.inner.read();
        claims.issued_at <= inner.issued_floor
            || inner.logins.contains_key(&claims.login)
            || inner.users.get(&claims.user).is_some_and(|(version, _)| claims.version < *version)
    }
}

impl Inner {
    fn make_room(&mut self, capacity: usize, now: Timestamp) {
        if self.logins.len() + self.users.len() < capacity {
            return;
        }
        let since = Revocations::relevant_since(now);
        self.logins.retain(|_, at| *at >= since);
        self.users.retain(|_, (_, at)| *at >= since);
        if self.logins.len() + self.users.len() >= capacity {
            log::warn!("{capacity} logins and users were revoked at once; every access token has to be refreshed");
            self.issued_floor = now.0.div_euclid(1_000_000);
            self.logins.clear();
            self.users.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(user: &str, login: &str, version: i64, issued_at: i64) -> AccessClaims {
        AccessClaims {
            user: user.into(),
            login: login.into(),
            version,
            issued_at,
            role: santral_schema::access::Role::User,
            expires_at: Timestamp(i64::MAX),
        }
    }

    #[test]
    fn a_login_or_an_older_version_of_a_user_is_taken_back() {
        let revocations = Revocations::default();
        revocations.revoke_login("phone".into(), Timestamp(1));
        revocations.revoke_user("bob".into(), 3, Timestamp(1));
        revocations.revoke_user("bob".into(), 2, Timestamp(2));
        assert!(revocations.concern(&claims("ada", "phone", 0, 100)));
        assert!(!revocations.concern(&claims("ada", "desk", 0, 100)));
        assert!(revocations.concern(&claims("bob", "desk", 2, 100)));
        assert!(!revocations.concern(&claims("bob", "desk", 3, 100)));
    }

    #[test]
    fn a_full_memory_forgets_only_what_has_expired_and_else_wants_fresh_tokens() {
        let seconds = |seconds: i64| Timestamp(seconds * 1_000_000);
        let revocations = Revocations::with_capacity(2);
        revocations.revoke_login("old".into(), seconds(0));
        revocations.revoke_login("a".into(), seconds(1_000));
        revocations.revoke_login("b".into(), seconds(1_001));
        assert!(!revocations.concern(&claims("u", "old", 0, 1_000)), "its tokens have expired by themselves");
        assert!(!revocations.concern(&claims("u", "c", 0, 1_000)));
        revocations.revoke_login("d".into(), seconds(1_002));
        for login in ["a", "b", "c", "d"] {
            assert!(revocations.concern(&claims("u", login, 0, 1_002)), "{login}");
        }
        assert!(!revocations.concern(&claims("u", "c", 0, 1_003)), "a fresh token was checked by the store");
        assert!(revocations.concern(&claims("u", "d", 0, 1_003)));
    }
}
