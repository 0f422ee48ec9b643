//! Rows of `server_settings` and `settings_history`.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::upsert::excluded;

use santral_core::entry::Timestamp;
use santral_core::limits::SETTING_CHANGES_MAX;

use super::database::{Database, LockedTable, MultiBackend, each};
use super::error::Trouble;
use super::logins::to_limit;
use super::schema::{server_settings, settings_history};
use super::text::{BadRow, BadRows, check_json, storable, storable_option};
use crate::ports::settings::{SettingChange, StoredSetting};

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = server_settings)]
#[diesel(check_for_backend(MultiBackend))]
struct SettingRow {
    key: String,
    value_json: String,
    description: Option<String>,
    updated_by: Option<String>,
    updated_at: i64,
}

impl SettingRow {
    fn into_setting(self) -> Result<StoredSetting, BadRow> {
        check_json(&self.value_json)?;
        Ok(StoredSetting {
            key: self.key,
            value_json: self.value_json,
            description: self.description,
            updated_by: self.updated_by,
            updated_at: Timestamp(self.updated_at),
        })
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = server_settings)]
struct NewSetting<'a> {
    key: Cow<'a, str>,
    value_json: Cow<'a, str>,
    description: Option<Cow<'a, str>>,
    updated_by: Option<Cow<'a, str>>,
    updated_at: i64,
}

/// A row of the history as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = settings_history)]
#[diesel(check_for_backend(MultiBackend))]
struct ChangeRow {
    id: i64,
    key: String,
    old_value_json: Option<String>,
    new_value_json: Option<String>,
    description: Option<String>,
    changed_by: Option<String>,
    changed_at: i64,
}

impl ChangeRow {
    fn into_change(self) -> Result<SettingChange, BadRow> {
        [&self.old_value_json, &self.new_value_json].into_iter().flatten().try_for_each(|text| check_json(text))?;
        Ok(SettingChange {
            id: self.id,
            key: self.key,
            old_value_json: self.old_value_json,
            new_value_json: self.new_value_json,
            description: self.description,
            changed_by: self.changed_by,
            changed_at: Timestamp(self.changed_at),
        })
    }
}

/// A row of the history as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = settings_history)]
struct NewChange<'a> {
    key: Cow<'a, str>,
    old_value_json: Option<String>,
    new_value_json: Option<Cow<'a, str>>,
    description: Option<Cow<'a, str>>,
    changed_by: Option<Cow<'a, str>>,
    changed_at: i64,
}

/// All settings that somebody changed.
pub(super) fn list(database: &mut Database, bad: &BadRows) -> Result<Vec<StoredSetting>, Trouble> {
    let rows: Vec<SettingRow> =
        server_settings::table.order(server_settings::key).select(SettingRow::as_select()).load(database)?;
    let setting = |row: SettingRow| {
        let key = row.key.clone();
        bad.keep("server_settings", &key, row.into_setting())
    };
    Ok(rows.into_iter().filter_map(setting).collect())
}

/// Sets a value and adds to the history.
pub(super) fn put(database: &mut Database, setting: &StoredSetting) -> Result<(), Trouble> {
    database.lock(LockedTable::Settings)?;
    let old_value_json = value_of(database, &setting.key)?;
    let row = NewSetting {
        key: storable(&setting.key),
        value_json: storable(&setting.value_json),
        description: storable_option(setting.description.as_deref()),
        updated_by: storable_option(setting.updated_by.as_deref()),
        updated_at: setting.updated_at.0,
    };
    let replaced = (
        server_settings::value_json.eq(excluded(server_settings::value_json)),
        server_settings::description.eq(excluded(server_settings::description)),
        server_settings::updated_by.eq(excluded(server_settings::updated_by)),
        server_settings::updated_at.eq(excluded(server_settings::updated_at)),
    );
    each!(database, connection => diesel::insert_into(server_settings::table)
        .values(&row)
        .on_conflict(server_settings::key)
        .do_update()
        .set(replaced)
        .execute(connection))?;
    let change = NewChange {
        key: row.key,
        old_value_json,
        new_value_json: Some(row.value_json),
        description: row.description,
        changed_by: row.updated_by,
        changed_at: setting.updated_at.0,
    };
    remember(database, &change)
}

/// Removes a value and adds to the history; `false` if there was none.
pub(super) fn remove(
    database: &mut Database,
    key: &str,
    changed_by: Option<&str>,
    now: Timestamp,
) -> Result<bool, Trouble> {
    database.lock(LockedTable::Settings)?;
    let Some(old) = value_of(database, key)? else {
        return Ok(false);
    };
    diesel::delete(server_settings::table.find(storable(key))).execute(database)?;
    let change = NewChange {
        key: storable(key),
        old_value_json: Some(old),
        new_value_json: None,
        description: None,
        changed_by: storable_option(changed_by),
        changed_at: now.0,
    };
    remember(database, &change)?;
    Ok(true)
}

/// Changes, newest first.
pub(super) fn history(
    database: &mut Database,
    key: Option<&str>,
    before: Option<i64>,
    limit: usize,
    bad: &BadRows,
) -> Result<Vec<SettingChange>, Trouble> {
    let mut before = before.unwrap_or(i64::MAX);
    let mut found = Vec::new();
    // Rows that are no changes are left out, and others take their place.
    while found.len() < limit {
        let rows = changes(database, key, before, to_limit(limit - found.len()))?;
        let Some(last) = rows.last() else {
            break;
        };
        before = last.id;
        let change = |row: ChangeRow| {
            let id = row.id;
            bad.keep("settings_history", &id, row.into_change())
        };
        found.extend(rows.into_iter().filter_map(change));
    }
    Ok(found)
}

fn changes(database: &mut Database, key: Option<&str>, before: i64, limit: i64) -> Result<Vec<ChangeRow>, Trouble> {
    let rows = settings_history::table
        .filter(settings_history::id.lt(before))
        .order(settings_history::id.desc())
        .limit(limit)
        .select(ChangeRow::as_select());
    Ok(match key {
        Some(key) => rows.filter(settings_history::key.eq(storable(key))).load(database)?,
        None => rows.load(database)?,
    })
}

fn value_of(database: &mut Database, key: &str) -> Result<Option<String>, Trouble> {
    let rows = server_settings::table.find(storable(key)).select(server_settings::value_json);
    Ok(rows.first(database).optional()?)
}

/// Adds to the history, and forgets what is in excess.
fn remember(database: &mut Database, change: &NewChange<'_>) -> Result<(), Trouble> {
    let id: i64 = diesel::insert_into(settings_history::table)
        .values(change)
        .returning(settings_history::id)
        .get_result(database)?;
    let kept = i64::try_from(SETTING_CHANGES_MAX).unwrap_or(i64::MAX);
    diesel::delete(settings_history::table.filter(settings_history::id.le(id.saturating_sub(kept))))
        .execute(database)?;
    Ok(())
}
