//! A store of accounts in memory, for the tests of the use cases.

use std::sync::Arc;

use parking_lot::Mutex;

use santral_core::entry::Timestamp;
use santral_schema::access::Role;

use crate::ports::accounts::{
    AccountStore, ApiKey, Block, Changed, Login, RecentlyRevoked, Refreshed, User, UserChange,
};
use crate::ports::store::StoreError;

#[derive(Default)]
pub(super) struct MemoryStore(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    users: Vec<User>,
    logins: Vec<Login>,
    keys: Vec<ApiKey>,
    changes_before_login: bool,
}

impl MemoryStore {
    /// The account of the next login is changed just before it.
    pub(super) fn change_before_next_login(&self) {
        self.0.lock().changes_before_login = true;
    }

    /// Logins that were not ended.
    pub(super) fn live_logins(&self) -> usize {
        self.0.lock().logins.iter().filter(|login| login.revoked_at.is_none()).count()
    }

    /// Everything that is kept, as text, to be searched for secrets.
    pub(super) fn dump(&self) -> String {
        let tables = self.0.lock();
        format!("{:?} {:?} {:?}", tables.users, tables.logins, tables.keys)
    }
}

impl AccountStore for MemoryStore {
    fn create_user(&self, user: &User) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let is_free = tables.users.iter().all(|other| other.name != user.name && other.id != user.id);
        if is_free {
            tables.users.push(user.clone());
        }
        Ok(is_free)
    }

    fn user_named(&self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(self.0.lock().users.iter().find(|user| user.name == name).cloned())
    }

    fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        Ok(self.0.lock().users.iter().find(|user| &*user.id == id).cloned())
    }

    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>, StoreError> {
        let mut users = self.0.lock().users.clone();
        users.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(users.into_iter().filter(|user| after.is_none_or(|after| *user.name > *after)).take(limit).collect())
    }

    fn change_user(&self, id: &str, change: &UserChange, now: Timestamp) -> Result<Changed, StoreError> {
        let Tables { users, logins, .. } = &mut *self.0.lock();
        let is_admin = |user: &User| user.role == Role::Admin && user.disabled_at.is_none();
        let Some(at) = users.iter().position(|user| &*user.id == id) else { return Ok(Changed::Unknown) };
        let mut user = users[at].clone();
        user.password_hash = change.password_hash.clone().or(user.password_hash);
        user.role = change.role.unwrap_or(user.role);
        user.disabled_at = change.disabled.map_or(user.disabled_at, |disabled| disabled.then_some(now));
        user.token_version += 1;
        let others = users.iter().filter(|other| other.id != user.id).any(is_admin);
        if is_admin(&users[at]) && !is_admin(&user) && !others {
            return Ok(Changed::LastAdmin);
        }
        logins.iter_mut().filter(|login| login.user == user.id).for_each(|login| login.revoked_at = Some(now));
        users[at] = user.clone();
        Ok(Changed::Done(user))
    }

    fn has_admin(&self) -> Result<bool, StoreError> {
        Ok(self.0.lock().users.iter().any(|user| user.role == Role::Admin && user.disabled_at.is_none()))
    }

    fn create_login(&self, login: &Login, now: Timestamp) -> Result<(), StoreError> {
        if std::mem::take(&mut self.0.lock().changes_before_login) {
            self.change_user(&login.user, &UserChange::default(), now)?;
        }
        self.0.lock().logins.push(login.clone());
        Ok(())
    }

    fn refresh_login(
        &self,
        id: &str,
        generation: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        let Tables { users, logins, .. } = &mut *self.0.lock();
        let live = |login: &&mut Login| &*login.id == id && login.revoked_at.is_none() && login.expires_at > now;
        let Some(login) = logins.iter_mut().find(live) else { return Ok(Refreshed::Ended) };
        let user = users.iter().find(|user| user.id == login.user && user.disabled_at.is_none());
        let Some(user) = user else { return Ok(Refreshed::Ended) };
        if login.generation != generation {
            login.revoked_at = Some(now);
            return Ok(Refreshed::Reused(login.clone()));
        }
        login.generation += 1;
        login.expires_at = expires_at;
        Ok(Refreshed::Done(login.clone(), user.clone()))
    }

    fn revoke_login(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let login = tables.logins.iter_mut().find(|login| &*login.id == id && login.revoked_at.is_none());
        Ok(login.map(|login| login.revoked_at = Some(now)).is_some())
    }

    fn recently_revoked(&self, _: Timestamp) -> Result<RecentlyRevoked, StoreError> {
        let tables = self.0.lock();
        let logins = tables.logins.iter().filter(|login| login.revoked_at.is_some());
        let users = tables.users.iter().map(|user| (Arc::clone(&user.id), user.token_version));
        Ok((logins.map(|login| Arc::clone(&login.id)).collect(), users.collect()))
    }

    fn create_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.0.lock().keys.push(key.clone());
        Ok(true)
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.0.lock().keys.iter().filter(|key| key.revoked_at.is_none()).cloned().collect())
    }

    fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let key = tables.keys.iter_mut().find(|key| &*key.id == id && key.revoked_at.is_none());
        Ok(key.map(|key| key.revoked_at = Some(now)).is_some())
    }

    fn put_block(&self, _: &Block) -> Result<(), StoreError> {
        Err(StoreError::Failed)
    }

    fn remove_block(&self, _: &str) -> Result<bool, StoreError> {
        Err(StoreError::Failed)
    }

    fn blocks(&self, _: Timestamp) -> Result<Vec<Block>, StoreError> {
        Err(StoreError::Failed)
    }
}
