//! Accounts as the operator manages them, and how the first operator comes to be.

use std::sync::Arc;

use santral_core::limits::{LISTING_ITEMS, LISTING_ITEMS_MAX};
use santral_schema::access::Role;
use santral_schema::accounts::{Account, AccountChange, AccountList, SignedIn};
use santral_schema::event_log::EventType;
use serde_json::{Map, Value};

use super::Refusal;
use super::accounts::{Accounts, Caller, account};
use crate::auth::Principal;
use crate::auth::account_name::AccountName;
use crate::ports::accounts::UserChange;

impl Accounts {
    /// Accounts in the order of their names, behind `cursor`.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn list_users(&self, cursor: Option<String>, limit: Option<usize>) -> Result<AccountList, Refusal> {
        let limit = limit.unwrap_or(LISTING_ITEMS).clamp(1, LISTING_ITEMS_MAX);
        let mut users = self.stored(move |store| store.users(cursor.as_deref(), limit + 1)).await?;
        let has_more = users.len() > limit;
        users.truncate(limit);
        let cursor = users.last().filter(|_| has_more).map(|last| last.name.clone());
        Ok(AccountList { users: users.iter().map(account).collect(), cursor })
    }

    /// Creates an account of any role.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn add_user(
        &self,
        principal: &Principal,
        name: &str,
        password: String,
        role: Role,
        caller: &Caller,
    ) -> Result<Account, Refusal> {
        let name = AccountName::parse(name).map_err(Refusal::AccountName)?;
        let user = self.create_user(name, password, account_role(role)?).await?;
        if user.role == Role::Admin {
            self.setup.finish();
        }
        let details = details(&[("user", user.id.to_string().into()), ("role", user.role.name().into())]);
        self.tell_of(caller, EventType::Registered, actor(principal), "created an account", details);
        Ok(account(&user))
    }

    /// Changes an account. All its logins end.
    ///
    /// # Errors
    /// [`Refusal::NoUser`], [`Refusal::LastAdmin`] and others.
    pub async fn change_user(
        &self,
        principal: &Principal,
        id: &str,
        change: AccountChange,
        caller: &Caller,
    ) -> Result<Account, Refusal> {
        let AccountChange { role, disabled, password } = change;
        if role.is_none() && disabled.is_none() && password.is_none() {
            return Err(Refusal::Field("name at least one of role, disabled and password"));
        }
        let role = role.map(account_role).transpose()?;
        let id: Arc<str> = id.into();
        let asked = Arc::clone(&id);
        let user = self.stored(move |store| store.user(&asked)).await?.ok_or(Refusal::NoUser)?;
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(&user.name, password).await?),
            None => None,
        };
        let (has_password, has_other) = (password_hash.is_some(), role.is_some() || disabled.is_some());
        let user = self.apply(id, UserChange { password_hash, role, disabled }).await?;
        let details = || {
            details(&[
                ("user", user.id.to_string().into()),
                ("role", user.role.name().into()),
                ("disabled", user.disabled_at.is_some().into()),
            ])
        };
        if has_password {
            self.tell_of(
                caller,
                EventType::PasswordChanged,
                actor(principal),
                "set the password of an account",
                details(),
            );
        }
        if has_other {
            self.tell_of(caller, EventType::AccountChanged, actor(principal), "changed an account", details());
        }
        Ok(account(&user))
    }

    /// Creates the first admin, with the token that was printed at the start, and signs them in.
    ///
    /// # Errors
    /// [`Refusal::SetupClosed`] for another token, or when there is an admin.
    pub async fn set_up(
        &self,
        token: &str,
        name: &str,
        password: String,
        caller: &Caller,
    ) -> Result<SignedIn, Refusal> {
        let _claim = self.setup.claim(token).ok_or(Refusal::SetupClosed)?;
        // One may have been created on the command line meanwhile.
        if self.stored(|store| store.has_admin()).await? {
            self.setup.finish();
            return Err(Refusal::SetupClosed);
        }
        let name = AccountName::parse(name).map_err(Refusal::AccountName)?;
        let user = self.create_user(name, password, Role::Admin).await?;
        self.setup.finish();
        self.tell(caller, EventType::Registered, Some(&user.id), "the first admin was created by the setup link");
        self.begin_login(user, caller).await
    }
}

/// Who did it, for the event log.
pub(super) fn actor(principal: &Principal) -> Option<String> {
    Some(principal.name.to_string()).filter(|name| !name.is_empty())
}

/// Fields of an event.
pub(super) fn details(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A role that somebody who said who they are can have.
pub(super) fn account_role(role: Role) -> Result<Role, Refusal> {
    match role {
        Role::Anonymous => Err(Refusal::Field("the role anonymous is that of nobody")),
        Role::User | Role::Publisher | Role::Viewer | Role::Admin => Ok(role),
    }
}
