//! Who may come in by an Admin UI: an account that is an operator's, or whoever is the operator anyway.

use std::sync::Arc;

use serde::Deserialize;

use santral_core::entry::Timestamp;
use santral_core::limits::ADMIN_LOGIN_LIFETIME;
use santral_schema::access::Role;

use super::Admin;
use crate::auth::{Presented, Principal};
use crate::config::Secret;
use crate::hub::Hub;
use crate::service::Refusal;
use crate::service::accounts::Caller;

/// What an Admin UI brings along. The page sends empty texts for fields that were left empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entrance {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

/// Somebody who was let in.
pub struct Entry {
    /// On whose behalf.
    pub principal: Arc<Principal>,
    /// What the page keeps to come back with, after a password.
    pub login: Option<Secret>,
}

impl Entrance {
    /// Reads the JSON text of an object; what is none brings nothing.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

impl Admin {
    /// Lets an operator in: by a login that was remembered, a password, a token, or by what opened the
    /// connection. `is_good` says whether a principal of before still stands.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`] for whoever is no operator, and see `Accounts::login`.
    pub async fn let_in(
        &self,
        entrance: Entrance,
        opener: &Arc<Principal>,
        caller: &Caller,
        is_good: impl Fn(&Principal) -> bool,
    ) -> Result<Entry, Refusal> {
        let now = Hub::wall_clock();
        let text = |field: Option<String>| field.filter(|text| !text.is_empty());
        if let Some(secret) = text(entrance.session_id)
            && let Some(principal) = self.logins.find(&secret, now).filter(|principal| is_good(principal))
        {
            return Ok(Entry { principal, login: None });
        }
        if let Some(name) = text(entrance.username) {
            let password = entrance.password.unwrap_or_default();
            return self.by_password(&name, password, caller).await;
        }
        let principal = match text(entrance.token) {
            Some(token) => Arc::new(self.by_token(&token, now)?),
            None => Arc::clone(opener),
        };
        operator(principal).map(|principal| Entry { principal, login: None })
    }

    async fn by_password(&self, name: &str, password: String, caller: &Caller) -> Result<Entry, Refusal> {
        let signed_in = self.accounts.login(name, password, caller).await?;
        let now = Hub::wall_clock();
        let principal = operator(Arc::new(self.by_token(&signed_in.access_token, now)?))?;
        // The page cannot refresh a token; its right stands on the login, and ends with that.
        let lifetime = i64::try_from(ADMIN_LOGIN_LIFETIME.as_micros()).unwrap_or(i64::MAX);
        let end = Timestamp(now.0.saturating_add(lifetime));
        let principal = Arc::new(Principal { expires_at: Some(end), ..Principal::clone(&principal) });
        let login = self.logins.remember(&principal);
        Ok(Entry { principal, login: Some(login) })
    }

    fn by_token(&self, token: &str, now: Timestamp) -> Result<Principal, Refusal> {
        let presented = Presented { bearer: Some(token), ..Presented::default() };
        Ok(self.accounts.authenticator.authenticate(&presented, now)?)
    }
}

fn operator(principal: Arc<Principal>) -> Result<Arc<Principal>, Refusal> {
    match principal.role {
        Role::Admin | Role::Viewer => Ok(principal),
        Role::Anonymous | Role::User | Role::Publisher => Err(Refusal::BadCredentials),
    }
}
