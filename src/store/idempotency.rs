//! Keys under which a publish may be repeated without effect.

use std::collections::HashMap;

use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::limits::IDEMPOTENCY_KEY_LIFETIME;
use santral_core::position::Offset;

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::log_state::to_column;
use super::schema::idempotency_keys;
use crate::ports::store::IdempotencyKey;

/// What was stored under a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// Fingerprint of the request.
    pub(super) fingerprint: [u8; 32],
    /// The first offset that it got.
    pub(super) first: Offset,
    /// How many publications it were.
    pub(super) count: usize,
}

/// Uses of keys: `(principal, key)` to what was stored under it.
pub(super) type Uses<'a> = HashMap<(&'a str, &'a str), Use>;

/// Finds which of the keys were used, and forgets those uses that are too old to count.
///
/// One query per principal and [`LOOKUP_KEYS_MAX`] keys: servers that publish have one principal
/// for many keys.
pub(super) fn find<'a>(database: &mut Database, keys: &[(&'a IdempotencyKey, Timestamp)]) -> Result<Uses<'a>, Trouble> {
    let mut of_principals: HashMap<&'a str, HashMap<&'a str, Timestamp>> = HashMap::new();
    for (key, at) in keys {
        of_principals.entry(&key.principal).or_default().insert(&key.key, *at);
    }
    let mut uses = Uses::new();
    for (principal, keys) in of_principals {
        let names: Vec<&str> = keys.keys().copied().collect();
        for names in names.chunks(LOOKUP_KEYS_MAX) {
            for row in load(database, principal, names)? {
                let Some((name, at)) = keys.get_key_value(row.key.as_str()) else { continue };
                match row.created_at > expiry(*at) {
                    true => drop(uses.insert((principal, *name), row.into_use())),
                    false => forget(database, principal, name)?,
                }
            }
        }
    }
    Ok(uses)
}

fn load(database: &mut Database, principal: &str, keys: &[&str]) -> Result<Vec<KeyRow>, Trouble> {
    let rows = idempotency_keys::table.filter(idempotency_keys::principal.eq(principal)).select(KeyRow::as_select());
    Ok(match keys {
        // The same text each time, so the statement is prepared once.
        [key] => rows.filter(idempotency_keys::key.eq(key)).load(database)?,
        keys => rows.filter(idempotency_keys::key.eq_any(keys.to_vec())).load(database)?,
    })
}

/// Remembers keys that were used now.
pub(super) fn remember(database: &mut Database, uses: &[(&IdempotencyKey, Use, Timestamp)]) -> Result<(), Trouble> {
    let rows = uses
        .iter()
        .map(|(key, used, at)| {
            Ok(NewKey {
                principal: &key.principal,
                key: &key.key,
                fingerprint: used.fingerprint.to_vec(),
                first_offset: to_column(used.first)?,
                count: i64::try_from(used.count).map_err(|_| Trouble::OffsetsExhausted)?,
                created_at: at.0,
            })
        })
        .collect::<Result<Vec<_>, Trouble>>()?;
    for rows in rows.chunks(INSERT_KEYS_MAX) {
        each!(database, connection => diesel::insert_into(idempotency_keys::table).values(rows).execute(connection))?;
    }
    Ok(())
}

/// Deletes about `count_max` keys that are too old to count; more only where they have the same time.
/// Returns whether there were as many.
pub(super) fn prune(database: &mut Database, now: Timestamp, count_max: usize) -> Result<bool, Trouble> {
    let expired = idempotency_keys::created_at.le(expiry(now));
    let last = i64::try_from(count_max).unwrap_or(i64::MAX).saturating_sub(1);
    let bound: Option<i64> = idempotency_keys::table
        .filter(expired)
        .order(idempotency_keys::created_at)
        .select(idempotency_keys::created_at)
        .offset(last)
        .limit(1)
        .first(database)
        .optional()?;
    let upto = bound.unwrap_or_else(|| expiry(now));
    diesel::delete(idempotency_keys::table.filter(idempotency_keys::created_at.le(upto))).execute(database)?;
    Ok(bound.is_some())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
#[diesel(check_for_backend(MultiBackend))]
struct KeyRow {
    key: String,
    fingerprint: Vec<u8>,
    first_offset: i64,
    count: i64,
    created_at: i64,
}

impl KeyRow {
    fn into_use(self) -> Use {
        Use {
            // A fingerprint of another length was not made by us, and equals none of ours.
            fingerprint: self.fingerprint.try_into().unwrap_or([0; 32]),
            first: self.first_offset.unsigned_abs(),
            count: usize::try_from(self.count).unwrap_or(0),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = idempotency_keys)]
struct NewKey<'a> {
    principal: &'a str,
    key: &'a str,
    fingerprint: Vec<u8>,
    first_offset: i64,
    count: i64,
    created_at: i64,
}

fn forget(database: &mut Database, principal: &str, key: &str) -> Result<(), Trouble> {
    diesel::delete(idempotency_keys::table.find((key, principal))).execute(database)?;
    Ok(())
}

/// Uses up to this time no longer count, in microseconds.
fn expiry(now: Timestamp) -> i64 {
    let lifetime = i64::try_from(IDEMPOTENCY_KEY_LIFETIME.as_micros()).unwrap_or(i64::MAX);
    now.0.saturating_sub(lifetime)
}

/// Keys in one query.
const LOOKUP_KEYS_MAX: usize = 500;

/// Rows in one INSERT of six values each.
const INSERT_KEYS_MAX: usize = 1_000;
