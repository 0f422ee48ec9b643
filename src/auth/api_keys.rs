//! API keys of servers: `sk_<id>_<secret>`, shown once, kept as the SHA-256 of a 256-bit secret.
//!
//! A secret of that size needs no slow hash: there is nothing to guess.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use santral_core::entry::Timestamp;

use super::error::AuthError;
use super::principal::{Credential, Principal};
use crate::config::Secret;
use crate::ports::accounts::ApiKey;

/// What every API key begins with, so that scanners for leaked secrets can find it.
pub const PREFIX: &str = "sk_";

/// Characters of a key's id.
const ID_LENGTH: usize = 12;

/// Random bytes of a key's secret.
const SECRET_BYTES: usize = 32;

/// Characters of a secret in base64url.
const SECRET_LENGTH: usize = 43;

/// Letters and digits: an underline would look like the end of the id.
const ID_ALPHABET: [char; 62] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
    'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j',
    'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
];

/// A key that was just drawn.
pub struct DrawnKey {
    /// Names it; no secret.
    pub id: Arc<str>,
    /// The whole key: shown to its owner once, kept nowhere.
    pub text: Secret,
    /// What is kept of the secret.
    pub secret_hash: [u8; 32],
}

/// Draws a new key.
#[must_use]
pub fn draw() -> DrawnKey {
    let id = nanoid::nanoid!(ID_LENGTH, &ID_ALPHABET);
    let secret = BASE64_URL_SAFE_NO_PAD.encode(nanoid::rngs::default(SECRET_BYTES));
    let secret_hash = Sha256::digest(&secret).into();
    DrawnKey { text: Secret::new(format!("{PREFIX}{id}_{secret}")), id: id.into(), secret_hash }
}

/// All live keys, in memory: as many as the store's bound allows.
#[derive(Default)]
pub struct KeyRing(ArcSwap<HashMap<Arc<str>, Arc<ApiKey>>>);

impl KeyRing {
    /// Takes these keys in place of all.
    pub fn replace(&self, keys: Vec<ApiKey>) {
        let keys = keys.into_iter().map(|key| (Arc::clone(&key.id), Arc::new(key)));
        self.0.store(Arc::new(keys.collect()));
    }

    /// Takes one more key.
    pub fn insert(&self, key: ApiKey) {
        let key = Arc::new(key);
        self.0.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.insert(Arc::clone(&key.id), Arc::clone(&key));
            keys
        });
    }

    /// Drops a key.
    pub fn remove(&self, id: &str) {
        self.0.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.remove(id);
            keys
        });
    }

    /// Whether there is a key of this id.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.load().contains_key(id)
    }

    /// On whose behalf the holder of a key acts.
    ///
    /// # Errors
    /// [`AuthError::UnknownApiKey`], [`AuthError::Expired`].
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let (id, secret) = split(text).ok_or(AuthError::UnknownApiKey)?;
        let keys = self.0.load();
        let key = keys.get(id).ok_or(AuthError::UnknownApiKey)?;
        let hash: [u8; 32] = Sha256::digest(secret).into();
        if !bool::from(hash.ct_eq(&key.secret_hash)) {
            return Err(AuthError::UnknownApiKey);
        }
        if key.expires_at.is_some_and(|end| now >= end) {
            return Err(AuthError::Expired);
        }
        Ok(Principal {
            name: format!("key:{id}").into(),
            user: None,
            role: key.role,
            grants: Arc::clone(&key.grants),
            credential: Credential::ApiKey { id: Arc::clone(&key.id) },
            expires_at: key.expires_at,
        })
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use santral_core::grants::Grants;
    use santral_schema::access::Role;

    use super::*;

    fn key(drawn: &DrawnKey, expires_at: Option<Timestamp>) -> ApiKey {
        ApiKey {
            id: Arc::clone(&drawn.id),
            name: "shop".to_owned(),
            secret_hash: drawn.secret_hash,
            role: Role::Publisher,
            grants: Grants::all(),
            created_by: None,
            created_at: Timestamp(0),
            expires_at,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_is_known_by_its_whole_text_until_it_ends_or_is_dropped() {
        let (ring, drawn, other) = (KeyRing::default(), draw(), draw());
        let text = drawn.text.reveal();
        assert_eq!(text.len(), PREFIX.len() + ID_LENGTH + 1 + SECRET_LENGTH);
        ring.replace(vec![key(&other, None)]);
        assert_eq!(ring.verify(text, Timestamp(0)).err(), Some(AuthError::UnknownApiKey));
        ring.insert(key(&drawn, Some(Timestamp(10))));
        let principal = ring.verify(text, Timestamp(9)).expect("it is known");
        assert_eq!((&*principal.name, principal.role), (format!("key:{}", drawn.id).as_str(), Role::Publisher));
        assert_eq!(principal.expires_at, Some(Timestamp(10)));
        assert_eq!(ring.verify(text, Timestamp(10)).err(), Some(AuthError::Expired));
        ring.remove(&drawn.id);
        assert_eq!(ring.verify(text, Timestamp(9)).err(), Some(AuthError::UnknownApiKey));
        assert!(ring.verify(other.text.reveal(), Timestamp(9)).is_ok());
    }

    #[test]
    fn a_key_with_any_character_changed_is_unknown() {
        let (ring, drawn) = (KeyRing::default(), draw());
        ring.insert(key(&drawn, None));
        let text = drawn.text.reveal();
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(ring.verify(&changed, Timestamp(0)).err(), Some(AuthError::UnknownApiKey), "byte {at}");
        }
        for changed in [format!("{text}="), text[..text.len() - 1].to_owned(), format!(" {text}"), "sk_".to_owned()] {
            assert_eq!(ring.verify(&changed, Timestamp(0)).err(), Some(AuthError::UnknownApiKey));
        }
    }
}
