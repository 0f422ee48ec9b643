//! Rows of `api_keys`.

use std::borrow::Cow;
use std::sync::Arc;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_core::limits::{API_KEYS_MAX, FORGOTTEN_ROWS_MAX};
use santral_schema::access::Role;

use super::database::{Database, LockedTable, MultiBackend};
use super::error::Trouble;
use super::logins::{ended_before, to_limit};
use super::schema::api_keys;
use super::text::{BadRow, BadRows, storable, storable_option};
use crate::ports::accounts::ApiKey;

/// Grants as they stand in a row. A right that is not named is not given; one that this release does
/// not know makes the row void, for it may limit the others.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredGrants {
    subscribe: Vec<String>,
    publish: Vec<String>,
    presence: Vec<String>,
    rooms: Vec<String>,
}

impl StoredGrants {
    fn of(grants: &Grants) -> Self {
        let texts = |patterns: &Patterns| patterns.iter().collect();
        Self {
            subscribe: texts(&grants.subscribe),
            publish: texts(&grants.publish),
            presence: texts(&grants.presence),
            rooms: texts(&grants.rooms),
        }
    }

    fn parse(text: &str) -> Result<Grants, BadRow> {
        // Not from a list, which serde would take for the fields in their order.
        let object: serde_json::Map<_, _> = serde_json::from_str(text).map_err(|_| BadRow::Grants)?;
        let stored: Self = serde_json::from_value(object.into()).map_err(|_| BadRow::Grants)?;
        let patterns = |texts: &[String]| Patterns::parse(texts).map_err(|_| BadRow::Grants);
        Ok(Grants {
            subscribe: patterns(&stored.subscribe)?,
            publish: patterns(&stored.publish)?,
            presence: patterns(&stored.presence)?,
            rooms: patterns(&stored.rooms)?,
        })
    }
}

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
#[diesel(check_for_backend(MultiBackend))]
struct KeyRow {
    id: String,
    name: String,
    secret_hash: Vec<u8>,
    role: String,
    grants_json: String,
    created_by: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl KeyRow {
    fn into_key(self) -> Result<ApiKey, BadRow> {
        Ok(ApiKey {
            secret_hash: self.secret_hash.try_into().map_err(|_| BadRow::Hash)?,
            role: Role::parse(&self.role).ok_or(BadRow::Role)?,
            grants: Arc::new(StoredGrants::parse(&self.grants_json)?),
            id: self.id.into(),
            name: self.name,
            created_by: self.created_by,
            created_at: Timestamp(self.created_at),
            expires_at: self.expires_at.map(Timestamp),
            revoked_at: self.revoked_at.map(Timestamp),
        })
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = api_keys)]
struct NewKey<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    secret_hash: &'a [u8],
    role: &'static str,
    grants_json: String,
    created_by: Option<Cow<'a, str>>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

/// Stores a key, and forgets some that are long over; `false` when there are too many live ones.
pub(super) fn create(database: &mut Database, key: &ApiKey) -> Result<bool, Trouble> {
    database.lock(LockedTable::ApiKeys)?;
    forget_ended(database, key.created_at)?;
    let live: i64 = api_keys::table
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(key.created_at.0)))
        .count()
        .get_result(database)?;
    if live >= to_limit(API_KEYS_MAX) {
        return Ok(false);
    }
    let grants = serde_json::to_string(&StoredGrants::of(&key.grants)).expect("lists of text serialize");
    let row = NewKey {
        id: storable(&key.id),
        name: storable(&key.name),
        secret_hash: &key.secret_hash,
        role: key.role.name(),
        grants_json: grants,
        created_by: storable_option(key.created_by.as_deref()),
        created_at: key.created_at.0,
        expires_at: key.expires_at.map(|at| at.0),
        revoked_at: key.revoked_at.map(|at| at.0),
    };
    diesel::insert_into(api_keys::table).values(&row).execute(database)?;
    Ok(true)
}

/// Keys that are not revoked, oldest first.
pub(super) fn list(database: &mut Database, bad: &BadRows) -> Result<Vec<ApiKey>, Trouble> {
    let rows: Vec<KeyRow> = api_keys::table
        .filter(api_keys::revoked_at.is_null())
        .order((api_keys::created_at, api_keys::id))
        .select(KeyRow::as_select())
        .load(database)?;
    let key = |row: KeyRow| {
        let id = row.id.clone();
        bad.keep("api_keys", &id, row.into_key())
    };
    Ok(rows.into_iter().filter_map(key).collect())
}

/// Takes a key back; `false` if it is unknown or was taken back before.
pub(super) fn revoke(database: &mut Database, id: &str, now: Timestamp) -> Result<bool, Trouble> {
    let count = diesel::update(api_keys::table.find(storable(id)))
        .filter(api_keys::revoked_at.is_null())
        .set(api_keys::revoked_at.eq(now.0))
        .execute(database)?;
    Ok(count > 0)
}

fn forget_ended(database: &mut Database, now: Timestamp) -> Result<(), Trouble> {
    let before = ended_before(now);
    let ended: Vec<String> = api_keys::table
        .filter(api_keys::revoked_at.lt(before).or(api_keys::expires_at.lt(before)))
        .order(api_keys::id)
        .limit(to_limit(FORGOTTEN_ROWS_MAX))
        .select(api_keys::id)
        .load(database)?;
    if !ended.is_empty() {
        diesel::delete(api_keys::table.filter(api_keys::id.eq_any(ended))).execute(database)?;
    }
    Ok(())
}
