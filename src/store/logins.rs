//! Rows of `logins`: one each for the family of refresh tokens that a login begins.

use std::borrow::Cow;
use std::sync::Arc;

use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::limits::{ENDED_KEPT, FORGOTTEN_ROWS_MAX, LOGINS_PER_USER_MAX};

use super::accounts;
use super::database::Database;
use super::error::Trouble;
use super::schema::logins;
use super::text::{BadRows, storable};
use crate::ports::accounts::{Login, Refreshed};

/// A row as it is read.
#[derive(Debug, Queryable)]
struct LoginRow {
    id: String,
    user_id: String,
    generation: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

/// The columns of [`LoginRow`]: what is returned by an update must be named for each database alike.
const COLUMNS: (logins::id, logins::user_id, logins::generation, logins::expires_at, logins::revoked_at) =
    (logins::id, logins::user_id, logins::generation, logins::expires_at, logins::revoked_at);

impl From<LoginRow> for Login {
    fn from(row: LoginRow) -> Self {
        Self {
            id: row.id.into(),
            user: row.user_id.into(),
            generation: row.generation,
            expires_at: Timestamp(row.expires_at),
            revoked_at: row.revoked_at.map(Timestamp),
        }
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = logins)]
struct NewLogin<'a> {
    id: Cow<'a, str>,
    user_id: Cow<'a, str>,
    generation: i64,
    created_at: i64,
    refreshed_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

/// Stores a login, ends the oldest of its user beyond the bound, and forgets some that are long over.
pub(super) fn create(database: &mut Database, login: &Login, now: Timestamp) -> Result<(), Trouble> {
    // A change of the account ends its logins: this one comes before it or behind it.
    accounts::hold(database, &login.user)?;
    let row = NewLogin {
        id: storable(&login.id),
        user_id: storable(&login.user),
        generation: login.generation,
        created_at: now.0,
        refreshed_at: now.0,
        expires_at: login.expires_at.0,
        revoked_at: login.revoked_at.map(|at| at.0),
    };
    diesel::insert_into(logins::table).values(&row).execute(database)?;
    revoke_oldest_of(database, &login.user, now)?;
    forget_ended(database, now)
}

/// Uses the refresh token of a generation.
///
/// Each step is one conditional update, so of two that come at once one finds the row changed.
pub(super) fn refresh(
    database: &mut Database,
    id: &str,
    generation: i64,
    now: Timestamp,
    expires_at: Timestamp,
    bad: &BadRows,
) -> Result<Refreshed, Trouble> {
    let Some(next) = generation.checked_add(1) else {
        return Ok(Refreshed::Ended);
    };
    let refreshed: Option<LoginRow> = diesel::update(logins::table.find(storable(id)))
        .filter(logins::generation.eq(generation))
        .filter(logins::revoked_at.is_null())
        .filter(logins::expires_at.gt(now.0))
        .set((logins::generation.eq(next), logins::refreshed_at.eq(now.0), logins::expires_at.eq(expires_at.0)))
        .returning(COLUMNS)
        .get_result(database)
        .optional()?;
    let Some(login) = refreshed else {
        return refuse_refresh(database, id, generation, now);
    };
    let user = accounts::load(database, &login.user_id, bad)?;
    match user.filter(|user| user.disabled_at.is_none()) {
        Some(user) => Ok(Refreshed::Done(login.into(), user)),
        None => {
            revoke(database, id, now)?;
            Ok(Refreshed::Ended)
        }
    }
}

/// Ends a login of which an older token came.
fn refuse_refresh(database: &mut Database, id: &str, generation: i64, now: Timestamp) -> Result<Refreshed, Trouble> {
    let reused: Option<LoginRow> = diesel::update(logins::table.find(storable(id)))
        .filter(logins::generation.gt(generation))
        .filter(logins::revoked_at.is_null())
        .filter(logins::expires_at.gt(now.0))
        .set(logins::revoked_at.eq(now.0))
        .returning(COLUMNS)
        .get_result(database)
        .optional()?;
    Ok(reused.map_or(Refreshed::Ended, |login| Refreshed::Reused(login.into())))
}

/// Ends a login; `false` if it is unknown or has ended.
pub(super) fn revoke(database: &mut Database, id: &str, now: Timestamp) -> Result<bool, Trouble> {
    let count = diesel::update(logins::table.find(storable(id)))
        .filter(logins::revoked_at.is_null())
        .filter(logins::expires_at.gt(now.0))
        .set(logins::revoked_at.eq(now.0))
        .execute(database)?;
    Ok(count > 0)
}

/// Ends all logins of a user.
pub(super) fn revoke_of(database: &mut Database, user: &str, now: Timestamp) -> Result<(), Trouble> {
    diesel::update(logins::table.filter(logins::user_id.eq(storable(user))))
        .filter(logins::revoked_at.is_null())
        .set(logins::revoked_at.eq(now.0))
        .execute(database)?;
    Ok(())
}

/// Logins that were revoked at or after `since`.
pub(super) fn recently_revoked(database: &mut Database, since: Timestamp) -> Result<Vec<Arc<str>>, Trouble> {
    let ids: Vec<String> = logins::table
        .filter(logins::revoked_at.ge(since.0))
        .order(logins::revoked_at)
        .select(logins::id)
        .load(database)?;
    Ok(ids.into_iter().map(Into::into).collect())
}

fn revoke_oldest_of(database: &mut Database, user: &str, now: Timestamp) -> Result<(), Trouble> {
    let kept = i64::try_from(LOGINS_PER_USER_MAX).unwrap_or(i64::MAX);
    let excess: Vec<String> = logins::table
        .filter(logins::user_id.eq(storable(user)))
        .filter(logins::revoked_at.is_null())
        .filter(logins::expires_at.gt(now.0))
        .order((logins::created_at.desc(), logins::id))
        .offset(kept)
        .limit(to_limit(FORGOTTEN_ROWS_MAX))
        .select(logins::id)
        .load(database)?;
    if !excess.is_empty() {
        diesel::update(logins::table.filter(logins::id.eq_any(excess)))
            .set(logins::revoked_at.eq(now.0))
            .execute(database)?;
    }
    Ok(())
}

fn forget_ended(database: &mut Database, now: Timestamp) -> Result<(), Trouble> {
    let before = ended_before(now);
    let expired: Vec<String> = logins::table
        .filter(logins::expires_at.lt(before))
        .order(logins::expires_at)
        .limit(to_limit(FORGOTTEN_ROWS_MAX))
        .select(logins::id)
        .load(database)?;
    let revoked: Vec<String> = logins::table
        .filter(logins::revoked_at.lt(before))
        .order(logins::revoked_at)
        .limit(to_limit(FORGOTTEN_ROWS_MAX))
        .select(logins::id)
        .load(database)?;
    let ended = [expired, revoked].concat();
    if !ended.is_empty() {
        diesel::delete(logins::table.filter(logins::id.eq_any(ended))).execute(database)?;
    }
    Ok(())
}

/// What ended before this time is forgotten, in microseconds.
pub(super) fn ended_before(now: Timestamp) -> i64 {
    now.0.saturating_sub(i64::try_from(ENDED_KEPT.as_micros()).unwrap_or(i64::MAX))
}

/// A number of rows as SQL takes it.
pub(super) fn to_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
