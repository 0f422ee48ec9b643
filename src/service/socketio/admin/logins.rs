//! Logins of Admin UIs, by which a page comes back after a reload: in memory, bounded, forgotten at a restart.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use santral_core::entry::Timestamp;
use santral_core::limits::ADMIN_LOGINS_MAX;

use crate::auth::{Credential, Principal};
use crate::config::Secret;
use crate::service::accounts::Revoked;

/// Characters of the secret by which a page comes back: 132 bits.
const SECRET_CHARACTERS: usize = 22;

/// See the module.
#[derive(Default)]
pub struct Logins(Mutex<VecDeque<Remembered>>);

struct Remembered {
    /// Of the secret, so that a comparison tells nothing of it.
    hash: [u8; 32],
    principal: Arc<Principal>,
}

impl Logins {
    /// Remembers a login until the principal's right ends, and returns the secret by which it is found.
    pub(super) fn remember(&self, principal: &Arc<Principal>) -> Secret {
        let secret = nanoid::nanoid!(SECRET_CHARACTERS);
        let mut logins = self.0.lock();
        if logins.len() >= ADMIN_LOGINS_MAX {
            logins.pop_front();
        }
        logins.push_back(Remembered { hash: Sha256::digest(&secret).into(), principal: Arc::clone(principal) });
        Secret::new(secret)
    }

    /// Whose login it is.
    pub(super) fn find(&self, secret: &str, now: Timestamp) -> Option<Arc<Principal>> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut logins = self.0.lock();
        logins.retain(|login| login.principal.expires_at.is_none_or(|end| now < end));
        logins.iter().find(|login| login.hash == hash).map(|login| Arc::clone(&login.principal))
    }

    /// Forgets the logins that rest on what was taken back.
    pub fn forget(&self, revoked: &Revoked) {
        self.0.lock().retain(|login| !rests_on(&login.principal, revoked));
    }
}

fn rests_on(principal: &Principal, revoked: &Revoked) -> bool {
    let Credential::Login { family, version } = &principal.credential else { return false };
    match revoked {
        Revoked::Login(id) => family == id,
        Revoked::User { id, version: first_good } => principal.user.as_ref() == Some(id) && version < first_good,
        Revoked::ApiKey(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use santral_core::grants::Grants;

    use super::*;

    fn login(user: &str, family: &str, end: i64) -> Arc<Principal> {
        Arc::new(Principal {
            name: format!("user:{user}").into(),
            user: Some(user.into()),
            credential: Credential::Login { family: family.into(), version: 3 },
            expires_at: Some(Timestamp(end)),
            ..Principal::anonymous(Grants::all())
        })
    }

    #[test]
    fn a_login_is_found_by_its_secret_until_it_ends() {
        let logins = Logins::default();
        let secret = logins.remember(&login("ada", "a", 10));
        let found = |secret: &str, at| logins.find(secret, Timestamp(at)).map(|found| found.name.to_string());
        assert_eq!(found(secret.reveal(), 9).as_deref(), Some("user:ada"));
        assert_eq!(found("", 9), None);
        assert_eq!(found(secret.reveal(), 10), None);
        assert!(logins.0.lock().is_empty(), "what has ended is not kept");
    }

    #[test]
    fn what_was_taken_back_is_forgotten_and_nothing_else() {
        let logins = Logins::default();
        let secrets = [("ada", "a"), ("ada", "b"), ("bob", "c")].map(|(user, family)| {
            let secret = logins.remember(&login(user, family, 10));
            (secret, family)
        });
        let kept = || -> Vec<_> {
            let is_known = |secret: &Secret| logins.find(secret.reveal(), Timestamp(0)).is_some();
            secrets.iter().filter(|(secret, _)| is_known(secret)).map(|(_, family)| *family).collect()
        };
        logins.forget(&Revoked::ApiKey("a".into()));
        logins.forget(&Revoked::User { id: "ada".into(), version: 3 });
        assert_eq!(kept(), ["a", "b", "c"]);
        logins.forget(&Revoked::Login("a".into()));
        assert_eq!(kept(), ["b", "c"]);
        logins.forget(&Revoked::User { id: "ada".into(), version: 4 });
        assert_eq!(kept(), ["c"]);
    }

    #[test]
    fn the_oldest_login_goes_first() {
        let logins = Logins::default();
        let first = logins.remember(&login("ada", "a", 10));
        let second = logins.remember(&login("ada", "a", 10));
        for _ in 1..ADMIN_LOGINS_MAX {
            logins.remember(&login("bob", "b", 10));
        }
        assert!(logins.find(first.reveal(), Timestamp(0)).is_none());
        assert!(logins.find(second.reveal(), Timestamp(0)).is_some());
    }
}
