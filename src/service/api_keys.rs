//! API keys of servers: listing, making, taking back.

use std::sync::Arc;

use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_core::limits::ACCOUNT_NAME_CHARACTERS_MAX;
use santral_schema::access::Role;
use santral_schema::accounts::{ApiKeyItem, ApiKeyList, CreatedApiKey, GrantPatterns, NewApiKey};
use santral_schema::event_log::EventType;

use super::Refusal;
use super::accounts::{Accounts, Caller, Revoked, now};
use super::users::{account_role, actor, details};
use crate::auth::account_name::is_invisible;
use crate::auth::{Principal, api_keys};
use crate::ports::accounts::ApiKey;

/// Longest life of a key that has an end, in seconds: a century, far below what a time can hold.
const LIFETIME_SECONDS_MAX: u64 = 100 * 366 * 24 * 60 * 60;

impl Accounts {
    /// API keys that were not taken back, the oldest first. There are few enough for one page.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn list_api_keys(&self) -> Result<ApiKeyList, Refusal> {
        let keys = self.stored(|store| store.api_keys()).await?;
        Ok(ApiKeyList { keys: keys.iter().map(item).collect() })
    }

    /// Makes an API key and shows it, this once.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn create_api_key(
        &self,
        principal: &Principal,
        asked: NewApiKey,
        caller: &Caller,
    ) -> Result<CreatedApiKey, Refusal> {
        let role = account_role(asked.role.unwrap_or(Role::Publisher))?;
        let grants = match asked.grants {
            Some(patterns) => Arc::new(parse_grants(&patterns)?),
            None => self.authenticator.grants_of(role),
        };
        let (drawn, created_at) = (api_keys::draw(), now());
        let key = ApiKey {
            id: Arc::clone(&drawn.id),
            name: key_name(&asked.name)?,
            secret_hash: drawn.secret_hash,
            role,
            grants,
            created_by: actor(principal),
            created_at,
            expires_at: asked.expires_in.map(|seconds| key_end(created_at, seconds)).transpose()?,
            revoked_at: None,
        };
        let stored = key.clone();
        if !self.stored(move |store| store.create_api_key(&stored)).await? {
            return Err(Refusal::TooManyApiKeys);
        }
        let details = details(&[("key", drawn.id.to_string().into()), ("role", role.name().into())]);
        self.tell_of(caller, EventType::ApiKeyCreated, actor(principal), "made an API key", details);
        let created = CreatedApiKey { key: drawn.text.reveal().to_owned(), item: item(&key) };
        self.authenticator.api_keys.insert(key);
        Ok(created)
    }

    /// Takes an API key back: its streams end.
    ///
    /// # Errors
    /// [`Refusal::NoApiKey`].
    pub async fn revoke_api_key(&self, principal: &Principal, id: &str, caller: &Caller) -> Result<(), Refusal> {
        let (id, now): (Arc<str>, _) = (id.into(), now());
        let asked = Arc::clone(&id);
        if !self.stored(move |store| store.revoke_api_key(&asked, now)).await? {
            return Err(Refusal::NoApiKey);
        }
        let details = details(&[("key", id.to_string().into())]);
        self.tell_of(caller, EventType::ApiKeyRevoked, actor(principal), "took an API key back", details);
        self.revoked(Revoked::ApiKey(id), now);
        Ok(())
    }
}

fn key_name(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    let length = name.chars().take(ACCOUNT_NAME_CHARACTERS_MAX + 1).count();
    if length == 0 || length > ACCOUNT_NAME_CHARACTERS_MAX || name.chars().any(is_invisible) {
        return Err(Refusal::Field("the name of an API key has 1 to 64 characters that can be seen"));
    }
    Ok(name.to_owned())
}

fn key_end(created_at: Timestamp, seconds: u64) -> Result<Timestamp, Refusal> {
    let seconds = i64::try_from(seconds).ok().filter(|_| (1..=LIFETIME_SECONDS_MAX).contains(&seconds));
    let seconds = seconds.ok_or(Refusal::Field("expiresIn is a number of seconds from 1 to a century"))?;
    Ok(Timestamp(created_at.0 + seconds * 1_000_000))
}

fn parse_grants(patterns: &GrantPatterns) -> Result<Grants, Refusal> {
    let parse = |texts: &[String]| Patterns::parse(texts).map_err(Refusal::Pattern);
    Ok(Grants {
        subscribe: parse(&patterns.subscribe)?,
        publish: parse(&patterns.publish)?,
        presence: parse(&patterns.presence)?,
        rooms: parse(&patterns.rooms)?,
    })
}

/// The patterns of grants as they are written.
pub(super) fn patterns_of(grants: &Grants) -> GrantPatterns {
    GrantPatterns {
        subscribe: grants.subscribe.iter().collect(),
        publish: grants.publish.iter().collect(),
        presence: grants.presence.iter().collect(),
        rooms: grants.rooms.iter().collect(),
    }
}

fn item(key: &ApiKey) -> ApiKeyItem {
    ApiKeyItem {
        id: key.id.to_string(),
        name: key.name.clone(),
        role: key.role,
        grants: patterns_of(&key.grants),
        created_by: key.created_by.clone(),
        created_at: key.created_at.to_rfc3339(),
        expires_at: key.expires_at.map(Timestamp::to_rfc3339),
    }
}
