//! Accounts: registering, signing in, staying signed in, signing out.
//!
//! Whoever asks for an account that does not exist gets the same answer after the same work as
//! whoever knows the name and not the password. Store calls run off the event loop.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use santral_core::entry::Timestamp;
use santral_schema::access::Role;
use santral_schema::accounts::{Account, Me, SignedIn, TokenType};
use santral_schema::event_log::EventType;

use super::Refusal;
use super::api_keys::patterns_of;
use crate::auth::account_name::AccountName;
use crate::auth::issuer::{Issuer, IssuerError, IssuerOptions};
use crate::auth::password::{PasswordError, Passwords};
use crate::auth::revocations::Revocations;
use crate::auth::secrets::{TokenKey, TokenKeyError};
use crate::auth::setup::Setup;
use crate::auth::throttle::{Attempt, LoginThrottle, Throttled};
use crate::auth::tokens::Tokens;
use crate::auth::{AuthError, Authenticator, Credential, Principal, RoleGrants};
use crate::config::Secret;
use crate::ports::accounts::{AccountStore, Changed, Login, Refreshed, User, UserChange};
use crate::ports::event_log::NewEvent;
use crate::ports::store::StoreError;

/// Characters of the ids of users and logins: 132 bits.
const ID_LENGTH: usize = 22;

/// What was taken back, so that streams which rest on it can be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// One login: `Credential::Login` of this family.
    Login(Arc<str>),
    /// All logins of a user whose tokens are of an older version.
    User {
        /// The user's id.
        id: Arc<str>,
        /// The first version that is good.
        version: i64,
    },
    /// An API key.
    ApiKey(Arc<str>),
}

/// Where the use cases say what has happened.
#[derive(Clone)]
pub struct Hooks {
    /// Takes an entry for the event log; must not block.
    pub on_event: Arc<dyn Fn(NewEvent) + Send + Sync>,
    /// Ends the streams that rest on what was taken back; must not block.
    pub on_revoked: Arc<dyn Fn(Revoked) + Send + Sync>,
}

/// How accounts are kept.
pub struct AccountsOptions {
    /// Where the secret that signs tokens is kept when none is configured.
    pub data_dir: PathBuf,
    /// The configured secret.
    pub token_secret: Option<Secret>,
    /// The operator's own issuer.
    pub issuer: IssuerOptions,
    /// Channels of those whose credential names none.
    pub role_grants: RoleGrants,
    /// Whether anybody may register.
    pub registration_open: bool,
}

/// Why accounts cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The secret that signs our tokens.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
    /// The operator's issuer.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Who can sign tokens of the issuer could sign ours.
    #[error("the issuer's secret must not be the one that signs our own tokens")]
    SameSecret,
    /// The database.
    #[error("accounts cannot be read: {0}")]
    Store(#[from] StoreError),
    /// No memory for hashing, or no randomness.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// From where a request comes: for the throttle and the event log.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The client's address.
    pub address: String,
    /// The request's id.
    pub request_id: Option<String>,
}

/// Accounts and what belongs to them.
pub struct Accounts {
    /// Tells who somebody is.
    pub authenticator: Authenticator,
    /// The way to the first admin.
    pub setup: Setup,
    pub(super) store: Arc<dyn AccountStore>,
    pub(super) passwords: Passwords,
    throttle: LoginThrottle,
    is_registration_open: AtomicBool,
    hooks: Hooks,
}

impl Accounts {
    /// Reads what must be at hand: the keys, and what was taken back lately. Blocks.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub fn open(store: Arc<dyn AccountStore>, options: AccountsOptions, hooks: Hooks) -> Result<Self, AccountsError> {
        let key = TokenKey::open(options.token_secret.as_ref(), &options.data_dir)?;
        if options.issuer.secret.as_ref().is_some_and(|secret| key.is(secret)) {
            return Err(AccountsError::SameSecret);
        }
        let issuer = Issuer::open(&options.issuer)?;
        let authenticator = Authenticator::new(Tokens::new(&key), issuer, options.role_grants);
        let now = now();
        let (logins, users) = store.recently_revoked(Revocations::relevant_since(now))?;
        for login in logins {
            authenticator.revocations.revoke_login(login, now);
        }
        for (user, version) in users {
            authenticator.revocations.revoke_user(user, version, now);
        }
        authenticator.api_keys.replace(store.api_keys()?);
        Ok(Self {
            authenticator,
            setup: Setup::new(store.has_admin()?),
            store,
            passwords: Passwords::new()?,
            throttle: LoginThrottle::default(),
            is_registration_open: AtomicBool::new(options.registration_open),
            hooks,
        })
    }

    /// Changes how many passwords may be tried a minute.
    pub fn set_login_attempts(&self, per_minute: NonZeroU32) {
        self.throttle.set_attempts(per_minute);
    }

    /// Opens or closes the registration, from now on.
    pub fn set_registration(&self, is_open: bool) {
        self.is_registration_open.store(is_open, Ordering::Relaxed);
    }

    /// Creates an account of role `user` and signs it in.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn register(&self, name: &str, password: String, caller: &Caller) -> Result<SignedIn, Refusal> {
        if !self.is_registration_open.load(Ordering::Relaxed) {
            return Err(Refusal::RegistrationClosed);
        }
        let name = AccountName::parse(name).map_err(Refusal::AccountName)?;
        // An account is a hash and a row for ever, so even successes count here.
        self.admit(name.as_str(), caller)?;
        let user = self.create_user(name, password, Role::User).await?;
        self.tell(caller, EventType::Registered, Some(&user.id), "an account was registered");
        self.begin_login(user, caller).await
    }

    /// Signs in.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`] whatever is wrong with name and password.
    pub async fn login(&self, name: &str, password: String, caller: &Caller) -> Result<SignedIn, Refusal> {
        let name = AccountName::parse(name).map_err(Refusal::AccountName)?;
        let attempt = self.admit(name.as_str(), caller)?;
        let user = self.stored(move |store| store.user_named(name.as_str())).await;
        let user = user.inspect_err(|_| self.throttle.give_back(attempt))?;
        let is_right = self.verify(user.as_ref(), password, attempt).await?;
        match user {
            Some(user) if is_right && user.disabled_at.is_none() => self.begin_login(user, caller).await,
            user => {
                let user = user.map(|user| user.id);
                self.tell(caller, EventType::LoginRefused, user.as_ref(), "a sign-in was refused");
                Err(Refusal::BadCredentials)
            }
        }
    }

    /// Goes on with a login: the refresh token is good once. One that comes again was stolen, or was
    /// kept by whoever stole the other; the login ends either way.
    ///
    /// # Errors
    /// [`Refusal::Token`].
    pub async fn refresh(&self, refresh_token: &str, caller: &Caller) -> Result<SignedIn, Refusal> {
        let now = now();
        let claims = self.authenticator.tokens.verify_refresh(refresh_token, now)?;
        let (login, generation) = (Arc::clone(&claims.login), claims.generation);
        let ends_at = self.authenticator.tokens.login_end(now);
        let refreshed = self.stored(move |store| store.refresh_login(&login, generation, now, ends_at));
        match refreshed.await? {
            Refreshed::Done(login, user) => Ok(self.signed_in(&user, &login, now)),
            Refreshed::Reused(login) => {
                self.tell(
                    caller,
                    EventType::RefreshReused,
                    Some(&login.user),
                    "an old refresh token came; its login was ended",
                );
                self.revoked(Revoked::Login(login.id), now);
                Err(AuthError::Revoked.into())
            }
            Refreshed::Ended => Err(AuthError::Revoked.into()),
        }
    }

    /// Ends the login of a refresh token, or that of the principal. One that has ended is left alone.
    ///
    /// # Errors
    /// [`Refusal::Token`] for a token that is none, [`Refusal::NoLogin`] when there is nothing to end.
    pub async fn logout(
        &self,
        principal: &Principal,
        refresh_token: Option<&str>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let now = now();
        let (login, user) = match (refresh_token, &principal.credential) {
            (Some(token), _) => match self.authenticator.tokens.verify_refresh(token, now) {
                Ok(claims) => (claims.login, Some(claims.user)),
                Err(AuthError::Expired) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
            (None, Credential::Login { family, .. }) => (Arc::clone(family), principal.user.clone()),
            (None, Credential::None | Credential::Issuer | Credential::ApiKey { .. }) => return Err(Refusal::NoLogin),
        };
        let id = Arc::clone(&login);
        if self.stored(move |store| store.revoke_login(&id, now)).await? {
            self.tell(caller, EventType::LoggedOut, user.as_ref(), "signed out");
        }
        // Told even if the store knew: the memory of another run may not.
        self.revoked(Revoked::Login(login), now);
        Ok(())
    }

    /// Who the principal is.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn me(&self, principal: &Principal, caller: &Caller) -> Result<Me, Refusal> {
        let name = match (&principal.credential, principal.user.clone()) {
            (Credential::Login { .. }, Some(id)) => {
                self.stored(move |store| store.user(&id)).await?.map(|user| user.name)
            }
            _ => None,
        };
        Ok(Me {
            principal: principal.name.to_string(),
            user: principal.user.as_deref().map(str::to_owned),
            name,
            role: principal.role,
            grants: patterns_of(&principal.grants),
            address: caller.address.clone(),
            expires_at: principal.expires_at.map(Timestamp::to_rfc3339),
        })
    }

    /// Changes the principal's own password. Every login of the account ends; a new one begins.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`] when the present password is not that.
    pub async fn change_password(
        &self,
        principal: &Principal,
        current: String,
        new: String,
        caller: &Caller,
    ) -> Result<SignedIn, Refusal> {
        let (Credential::Login { .. }, Some(id)) = (&principal.credential, principal.user.clone()) else {
            return Err(Refusal::NoLogin);
        };
        let user = self.stored(move |store| store.user(&id)).await?.ok_or(Refusal::BadCredentials)?;
        let attempt = self.admit(&user.name, caller)?;
        if !self.verify(Some(&user), current, attempt).await? || user.disabled_at.is_some() {
            self.tell(caller, EventType::LoginRefused, Some(&user.id), "a change of the password was refused");
            return Err(Refusal::BadCredentials);
        }
        let password_hash = Some(self.passwords.hash(&user.name, new).await?);
        let change = UserChange { password_hash, ..UserChange::default() };
        let user = self.apply(Arc::clone(&user.id), change).await?;
        self.tell(caller, EventType::PasswordChanged, Some(&user.id), "changed the password");
        self.begin_login(user, caller).await
    }

    /// Changes an account and ends all that rested on how it was.
    pub(super) async fn apply(&self, id: Arc<str>, change: UserChange) -> Result<User, Refusal> {
        let now = now();
        match self.stored(move |store| store.change_user(&id, &change, now)).await? {
            Changed::Done(user) => {
                self.revoked(Revoked::User { id: Arc::clone(&user.id), version: user.token_version }, now);
                Ok(user)
            }
            Changed::Unknown => Err(Refusal::NoUser),
            Changed::LastAdmin => Err(Refusal::LastAdmin),
        }
    }

    /// Stores a new account.
    pub(super) async fn create_user(&self, name: AccountName, password: String, role: Role) -> Result<User, Refusal> {
        let user = User {
            id: new_id(),
            name: name.as_str().to_owned(),
            password_hash: Some(self.passwords.hash(name.as_str(), password).await?),
            role,
            token_version: 0,
            disabled_at: None,
            created_at: now(),
        };
        let stored = user.clone();
        match self.stored(move |store| store.create_user(&stored)).await? {
            true => Ok(user),
            false => Err(Refusal::NameTaken),
        }
    }

    pub(super) async fn begin_login(&self, user: User, caller: &Caller) -> Result<SignedIn, Refusal> {
        let now = now();
        let login = Login {
            id: new_id(),
            user: Arc::clone(&user.id),
            generation: 0,
            expires_at: self.authenticator.tokens.login_end(now),
            revoked_at: None,
        };
        let (stored, version) = (login.clone(), user.token_version);
        let is_good = self.stored(move |store| {
            store.create_login(&stored, now)?;
            // The account may have been changed between the look at its password and this login,
            // which the change then did not end.
            let present = store.user(&stored.user)?;
            let is_good = present.is_some_and(|user| user.token_version == version && user.disabled_at.is_none());
            if !is_good {
                store.revoke_login(&stored.id, now)?;
            }
            Ok(is_good)
        });
        if !is_good.await? {
            return Err(Refusal::BadCredentials);
        }
        self.tell(caller, EventType::LoggedIn, Some(&user.id), "signed in");
        Ok(self.signed_in(&user, &login, now))
    }

    fn signed_in(&self, user: &User, login: &Login, now: Timestamp) -> SignedIn {
        let tokens = &self.authenticator.tokens;
        SignedIn {
            access_token: tokens.issue_access(user, &login.id, now),
            token_type: TokenType::Bearer,
            expires_in: tokens.access_seconds(),
            refresh_token: tokens.issue_refresh(login),
            user: account(user),
        }
    }

    /// Lets an attempt at an account through, or says when to come back.
    fn admit(&self, name: &str, caller: &Caller) -> Result<Attempt, Refusal> {
        let admitted = self.throttle.admit(name, &caller.address, Instant::now());
        admitted.map_err(|Throttled { retry_after }| Refusal::Throttled(retry_after))
    }

    /// A right password costs the caller nothing, nor does one that nobody has looked at.
    async fn verify(&self, user: Option<&User>, password: String, attempt: Attempt) -> Result<bool, Refusal> {
        let hash = user.and_then(|user| user.password_hash.clone());
        let verified = self.passwords.verify(hash, password).await;
        if !matches!(verified, Ok(false)) {
            self.throttle.give_back(attempt);
        }
        Ok(verified?)
    }

    /// Forgets what rested on something that was taken back, and tells the streams.
    pub(super) fn revoked(&self, revoked: Revoked, now: Timestamp) {
        let Authenticator { revocations, tickets, api_keys, .. } = &self.authenticator;
        match &revoked {
            Revoked::Login(id) => {
                revocations.revoke_login(Arc::clone(id), now);
                tickets.drop_where(
                    |principal| matches!(&principal.credential, Credential::Login { family, .. } if family == id),
                );
            }
            Revoked::User { id, version } => {
                revocations.revoke_user(Arc::clone(id), *version, now);
                let is_older = |credential: &Credential| match credential {
                    Credential::Login { version: other, .. } => other < version,
                    Credential::None | Credential::Issuer | Credential::ApiKey { .. } => false,
                };
                tickets.drop_where(|principal| principal.user.as_ref() == Some(id) && is_older(&principal.credential));
            }
            Revoked::ApiKey(id) => {
                api_keys.remove(id);
                tickets.drop_where(
                    |principal| matches!(&principal.credential, Credential::ApiKey { id: other } if other == id),
                );
            }
        }
        (self.hooks.on_revoked)(revoked);
    }

    /// Runs a call of the store where it may block.
    pub(super) async fn stored<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn AccountStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        let called = actix_rt::task::spawn_blocking(move || call(&*store)).await;
        Ok(called.map_err(|_| Refusal::Stopped)??)
    }

    /// Writes an event of a user.
    pub(super) fn tell(&self, caller: &Caller, kind: EventType, user: Option<&Arc<str>>, message: &str) {
        self.tell_of(caller, kind, user.map(|id| format!("user:{id}")), message, serde_json::Map::new());
    }

    /// Writes an event with more about it; the caller's address is added.
    pub(super) fn tell_of(
        &self,
        caller: &Caller,
        kind: EventType,
        actor: Option<String>,
        message: &str,
        mut details: serde_json::Map<String, serde_json::Value>,
    ) {
        details.insert("address".to_owned(), caller.address.as_str().into());
        (self.hooks.on_event)(NewEvent {
            at: now(),
            level: kind.level(),
            kind,
            actor,
            message: message.to_owned(),
            details_json: Some(serde_json::Value::Object(details).to_string()),
            request_id: caller.request_id.clone(),
        });
    }
}

/// The account as its owner and the operator see it.
pub(super) fn account(user: &User) -> Account {
    Account {
        id: user.id.to_string(),
        name: user.name.clone(),
        role: user.role,
        disabled: user.disabled_at.is_some(),
        created_at: user.created_at.to_rfc3339(),
    }
}

/// The wall clock: tokens are judged by it on every machine.
pub(super) fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().timestamp_micros())
}

fn new_id() -> Arc<str> {
    nanoid::nanoid!(ID_LENGTH).into()
}

#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;
