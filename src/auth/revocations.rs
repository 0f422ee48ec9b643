//! What was taken back before its access tokens have expired: looked at with every token, so in memory.
//!
//! Bounded: when there is no room for another one, every access token issued before has to be
//! refreshed, and the refresh asks the store. Nothing that was taken back is ever forgotten early.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use santral_core::entry::Timestamp;
use santral_core::limits::{ACCESS_TOKEN_LIFETIME_MAX, REVOCATIONS_MAX};

/// Ended logins, and the version that a user's tokens must have at least.
pub struct Revocations {
    inner: RwLock<Inner>,
    capacity: usize,
}

struct Inner {
    logins: HashMap<Arc<str>, Timestamp>,
    users: HashMap<Arc<str>, (i64, Timestamp)>,
    /// Tokens that end up to then are not accepted whosever they are.
    expiry_floor: Timestamp,
}

impl Default for Revocations {
    fn default() -> Self {
        Self::with_capacity(REVOCATIONS_MAX)
    }
}

impl Revocations {
    fn with_capacity(capacity: usize) -> Self {
        let inner = Inner { logins: HashMap::new(), users: HashMap::new(), expiry_floor: Timestamp(i64::MIN) };
        Self { inner: RwLock::new(inner), capacity }
    }

    /// Since when something must have been taken back to matter at `now`: older tokens have expired.
    #[must_use]
    pub fn relevant_since(now: Timestamp) -> Timestamp {
        // Another second, since tokens count whole ones.
        Timestamp(now.0 - lifetime() - 1_000_000)
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

    /// Whether an access token of this user, login and version that ends then was taken back.
    #[must_use]
    pub fn concern(&self, user: &str, login: &str, version: i64, expires_at: Timestamp) -> bool {
        let inner = self.inner.read();
        expires_at <= inner.expiry_floor
            || inner.logins.contains_key(login)
            || inner.users.get(user).is_some_and(|(first_good, _)| version < *first_good)
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
            // Every token that was issued up to now ends up to then.
            self.expiry_floor = Timestamp(now.0 + lifetime());
            self.logins.clear();
            self.users.clear();
        }
    }
}

/// How long an access token is good at most, in microseconds.
fn lifetime() -> i64 {
    i64::try_from(ACCESS_TOKEN_LIFETIME_MAX.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Whether a token is taken back that was issued in this second.
    fn is_revoked(revocations: &Revocations, user: &str, login: &str, version: i64, issued: i64) -> bool {
        revocations.concern(user, login, version, Timestamp(seconds(issued).0 + lifetime()))
    }

    #[test]
    fn a_login_or_an_older_version_of_a_user_is_taken_back() {
        let revocations = Revocations::default();
        revocations.revoke_login("phone".into(), Timestamp(1));
        revocations.revoke_user("bob".into(), 3, Timestamp(1));
        revocations.revoke_user("bob".into(), 2, Timestamp(2));
        assert!(is_revoked(&revocations, "ada", "phone", 0, 100));
        assert!(!is_revoked(&revocations, "ada", "desk", 0, 100));
        assert!(is_revoked(&revocations, "bob", "desk", 2, 100));
        assert!(!is_revoked(&revocations, "bob", "desk", 3, 100));
    }

    #[test]
    fn a_full_memory_forgets_only_what_has_expired_and_else_wants_fresh_tokens() {
        let revocations = Revocations::with_capacity(2);
        revocations.revoke_login("old".into(), seconds(0));
        revocations.revoke_login("a".into(), seconds(4_000));
        revocations.revoke_login("b".into(), seconds(4_001));
        assert!(!is_revoked(&revocations, "u", "old", 0, 4_000), "its tokens have expired by themselves");
        assert!(!is_revoked(&revocations, "u", "c", 0, 4_000));
        revocations.revoke_login("d".into(), seconds(4_002));
        for login in ["a", "b", "c", "d"] {
            assert!(is_revoked(&revocations, "u", login, 0, 4_002), "{login}");
        }
        assert!(!is_revoked(&revocations, "u", "c", 0, 4_003), "a fresh token was checked by the store");
        assert!(is_revoked(&revocations, "u", "d", 0, 4_003));
    }
}
