//! Rows of `users`.

use std::borrow::Cow;

use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_schema::access::Role;

use super::database::{Database, LockedTable, MultiBackend, each};
use super::error::Trouble;
use super::logins;
use super::schema::users;
use super::text::{BadRow, BadRows, storable, storable_option};
use crate::ports::accounts::{Changed, User, UserChange};

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
#[diesel(check_for_backend(MultiBackend))]
struct UserRow {
    id: String,
    name: String,
    password_hash: Option<String>,
    role: String,
    token_version: i64,
    disabled_at: Option<i64>,
    created_at: i64,
}

impl UserRow {
    fn into_user(self, bad: &BadRows) -> Option<User> {
        let role = Role::parse(&self.role).ok_or(BadRow::Role);
        let role = bad.keep("users", &self.id, role)?;
        Some(User {
            id: self.id.into(),
            name: self.name,
            password_hash: self.password_hash,
            role,
            token_version: self.token_version,
            disabled_at: self.disabled_at.map(Timestamp),
            created_at: Timestamp(self.created_at),
        })
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = users)]
struct NewUser<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    password_hash: Option<Cow<'a, str>>,
    role: &'static str,
    token_version: i64,
    disabled_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

/// Stores an account; `false` if its name or id is taken.
pub(super) fn create(database: &mut Database, user: &User) -> Result<bool, Trouble> {
    let row = NewUser {
        id: storable(&user.id),
        name: storable(&user.name),
        password_hash: storable_option(user.password_hash.as_deref()),
        role: user.role.name(),
        token_version: user.token_version,
        disabled_at: user.disabled_at.map(|at| at.0),
        created_at: user.created_at.0,
        updated_at: user.created_at.0,
    };
    let insert = diesel::insert_into(users::table).values(&row).on_conflict_do_nothing();
    let count = each!(database, connection => insert.execute(connection))?;
    Ok(count == 1)
}

/// The account with this name.
pub(super) fn named(database: &mut Database, name: &str, bad: &BadRows) -> Result<Option<User>, Trouble> {
    let row: Option<UserRow> =
        users::table.filter(users::name.eq(storable(name))).select(UserRow::as_select()).first(database).optional()?;
    Ok(row.and_then(|row| row.into_user(bad)))
}

/// The account with this id.
pub(super) fn load(database: &mut Database, id: &str, bad: &BadRows) -> Result<Option<User>, Trouble> {
    let row: Option<UserRow> =
        users::table.find(storable(id)).select(UserRow::as_select()).first(database).optional()?;
    Ok(row.and_then(|row| row.into_user(bad)))
}

/// Accounts in the order of their names.
pub(super) fn list(
    database: &mut Database,
    after: Option<&str>,
    limit: usize,
    bad: &BadRows,
) -> Result<Vec<User>, Trouble> {
    let mut behind = storable(after.unwrap_or_default()).into_owned();
    let mut found = Vec::new();
    // Rows that are no accounts are left out, and others take their place.
    while found.len() < limit {
        let count = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        let rows: Vec<UserRow> = users::table
            .filter(users::name.gt(&behind))
            .order(users::name)
            .limit(count)
            .select(UserRow::as_select())
            .load(database)?;
        let Some(last) = rows.last() else {
            break;
        };
        behind.clone_from(&last.name);
        found.extend(rows.into_iter().filter_map(|row| row.into_user(bad)));
    }
    Ok(found)
}

/// Changes an account and ends all its tokens.
pub(super) fn change(
    database: &mut Database,
    id: &str,
    change: &UserChange,
    now: Timestamp,
    bad: &BadRows,
) -> Result<Changed, Trouble> {
    // Else two admins who demote each other at once would both succeed.
    database.lock(LockedTable::Users)?;
    let Some(before) = load(database, id, bad)? else {
        return Ok(Changed::Unknown);
    };
    let after = changed(&before, change, now);
    if is_working_admin(&before) && !is_working_admin(&after) && !has_admin_beside(database, &before.id)? {
        return Ok(Changed::LastAdmin);
    }
    diesel::update(users::table.find(&*before.id))
        .set((
            users::password_hash.eq(storable_option(after.password_hash.as_deref())),
            users::role.eq(after.role.name()),
            users::token_version.eq(after.token_version),
            users::disabled_at.eq(after.disabled_at.map(|at| at.0)),
            users::updated_at.eq(now.0),
        ))
        .execute(database)?;
    logins::revoke_of(database, &before.id, now)?;
    Ok(Changed::Done(after))
}

/// Whether somebody may sign in as admin.
pub(super) fn has_admin(database: &mut Database) -> Result<bool, Trouble> {
    has_admin_beside(database, "")
}

/// Users whose tokens were ended at or after `since`, with the version that counts now.
pub(super) fn recently_changed(
    database: &mut Database,
    since: Timestamp,
) -> Result<Vec<(std::sync::Arc<str>, i64)>, Trouble> {
    let rows: Vec<(String, i64)> = users::table
        .filter(users::updated_at.ge(since.0))
        .filter(users::token_version.gt(0))
        .order(users::updated_at)
        .select((users::id, users::token_version))
        .load(database)?;
    Ok(rows.into_iter().map(|(id, version)| (id.into(), version)).collect())
}

/// Waits for whoever changes this account, and keeps it from changes until the transaction ends.
pub(super) fn hold(database: &mut Database, id: &str) -> Result<(), Trouble> {
    diesel::update(users::table.find(storable(id))).set(users::role.eq(users::role)).execute(database)?;
    Ok(())
}

fn changed(user: &User, change: &UserChange, now: Timestamp) -> User {
    let disabled_at = match change.disabled {
        Some(true) => user.disabled_at.or(Some(now)),
        Some(false) => None,
        None => user.disabled_at,
    };
    User {
        password_hash: change.password_hash.clone().or_else(|| user.password_hash.clone()),
        role: change.role.unwrap_or(user.role),
        token_version: user.token_version.saturating_add(1),
        disabled_at,
        ..user.clone()
    }
}

fn is_working_admin(user: &User) -> bool {
    user.role == Role::Admin && user.disabled_at.is_none() && user.password_hash.is_some()
}

/// The same in SQL, for accounts with another id.
fn has_admin_beside(database: &mut Database, id: &str) -> Result<bool, Trouble> {
    let found: Option<String> = users::table
        .filter(users::role.eq(Role::Admin.name()))
        .filter(users::disabled_at.is_null())
        .filter(users::password_hash.is_not_null())
        .filter(users::id.ne(id))
        .select(users::id)
        .first(database)
        .optional()?;
    Ok(found.is_some())
}
