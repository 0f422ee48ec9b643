//! Accounts, logins, API keys and blocks, as the use cases see them.
//!
//! One method is one transaction; "not found" is `Ok(None)` or `false`, never an error. Rows that do
//! not hold what they should are as good as not there. A NUL in a text is U+FFFD, in what is stored
//! and in what is looked for. Blocking: never call it on an event loop.

use std::sync::Arc;

use santral_core::entry::Timestamp;
use santral_core::grants::Grants;
use santral_schema::access::Role;

use super::store::StoreError;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Names the user for ever; fits into the name of the user's channel.
    pub id: Arc<str>,
    /// What the user signs in with.
    pub name: String,
    /// Argon2id in PHC form; `None` for an account that cannot sign in with a password.
    pub password_hash: Option<String>,
    /// What the user may do in general.
    pub role: Role,
    /// Raised to end every token of the user.
    pub token_version: i64,
    /// Since when the account may not sign in.
    pub disabled_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What changes in an account; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Another password.
    pub password_hash: Option<String>,
    /// Another role.
    pub role: Option<Role>,
    /// Whether the account may not sign in.
    pub disabled: Option<bool>,
}

/// What became of a change to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Done: the account as it is now, its tokens ended.
    Done(User),
    /// There is no such account.
    Unknown,
    /// Nothing was changed: no admin who can sign in would be left.
    LastAdmin,
}

/// One login of an account: what its refresh tokens descend from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The family's id.
    pub id: Arc<str>,
    /// Whose it is.
    pub user: Arc<str>,
    /// Only the refresh token of this generation is good.
    pub generation: i64,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The login goes on with the next generation.
    Done(Login, User),
    /// An older token came: the login was ended in the same transaction.
    Reused(Login),
    /// Nobody knows the login, it has ended, or its account may not sign in.
    Ended,
}

/// Ids of logins that were revoked, and ids of users whose tokens were ended, with the version that
/// counts now.
pub type RecentlyRevoked = (Vec<Arc<str>>, Vec<(Arc<str>, i64)>);

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key; no secret.
    pub id: Arc<str>,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// What its holder may do in general.
    pub role: Role,
    /// Which channels its holder has a right to.
    pub grants: Arc<Grants>,
    /// The principal who made it.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// Somebody who may not connect for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// `user:<id>` or `address:<network>`.
    pub subject: String,
    /// Why, for the operator.
    pub reason: Option<String>,
    /// The principal who said so.
    pub created_by: Option<String>,
    /// When it was said.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Where accounts and what belongs to them are kept.
///
/// Every write is on the disk when it returns.
pub trait AccountStore: Send + Sync {
    /// Stores a new account; `false` if the name or id is taken. Names are compared as they are.
    ///
    /// # Errors
    /// [`StoreError`].
    fn create_user(&self, user: &User) -> Result<bool, StoreError>;

    /// The account with this name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn user_named(&self, name: &str) -> Result<Option<User>, StoreError>;

    /// The account with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn user(&self, id: &str) -> Result<Option<User>, StoreError>;

    /// Accounts in the order of their names, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>, StoreError>;

    /// Changes an account, raises its `token_version` and ends all its logins, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    fn change_user(&self, id: &str, change: &UserChange, now: Timestamp) -> Result<Changed, StoreError>;

    /// Whether there is an account with the role `admin` that may sign in and has a password.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_admin(&self) -> Result<bool, StoreError>;

    /// Stores a login of generation 0, ends the oldest of the user's beyond `LOGINS_PER_USER_MAX`, and
    /// forgets logins that ended more than a day ago.
    ///
    /// A change of the account comes before it or behind it, never in between: who looks at the
    /// account's `token_version` afterwards and finds the one that the password was checked against,
    /// knows that any later change ends this login, too.
    ///
    /// # Errors
    /// [`StoreError`].
    fn create_login(&self, login: &Login, now: Timestamp) -> Result<(), StoreError>;

    /// Uses the refresh token of `generation`: the next one is good from now on, until `expires_at`.
    /// An older generation ends the login.
    ///
    /// # Errors
    /// [`StoreError`].
    fn refresh_login(
        &self,
        id: &str,
        generation: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Refreshed, StoreError>;

    /// Ends a login; `false` if it is unknown or has ended.
    ///
    /// # Errors
    /// [`StoreError`].
    fn revoke_login(&self, id: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Logins that were revoked at or after `since`, and users whose tokens were ended at or after
    /// it, with their version: what access tokens issued before must be compared with after a restart.
    ///
    /// # Errors
    /// [`StoreError`].
    fn recently_revoked(&self, since: Timestamp) -> Result<RecentlyRevoked, StoreError>;

    /// Stores an API key; `false` when there are `API_KEYS_MAX` live ones. Forgets keys that ended more
    /// than a day ago.
    ///
    /// # Errors
    /// [`StoreError`].
    fn create_api_key(&self, key: &ApiKey) -> Result<bool, StoreError>;

    /// API keys that are not revoked, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Takes an API key back; `false` if it is unknown or was taken back before.
    ///
    /// # Errors
    /// [`StoreError`].
    fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Blocks somebody; a block of the same subject is replaced. Forgets blocks that have ended.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_block(&self, block: &Block) -> Result<(), StoreError>;

    /// Ends a block; `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_block(&self, subject: &str) -> Result<bool, StoreError>;

    /// Blocks that have not ended, in the order of their subjects.
    ///
    /// # Errors
    /// [`StoreError`].
    fn blocks(&self, now: Timestamp) -> Result<Vec<Block>, StoreError>;
}
