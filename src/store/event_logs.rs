//! Rows of `event_logs`. Their id is their order: a clock may go back.

use std::borrow::Cow;

use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::limits::RECORD_PRUNE_ROWS_MAX;
use santral_schema::event_log::{EventLevel, EventType};

use super::database::{Database, LockedTable, MultiBackend, each};
use super::error::Trouble;
use super::event_query;
use super::logins::to_limit;
use super::schema::event_logs;
use super::text::{BadRow, BadRows, check_json, storable, storable_option};
use crate::ports::event_log::{EventQuery, NewEvent, StoredEvent};

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = event_logs)]
#[diesel(check_for_backend(MultiBackend))]
struct EventRow {
    id: i64,
    created_at: i64,
    level: String,
    kind: String,
    actor: Option<String>,
    message: String,
    details_json: Option<String>,
    request_id: Option<String>,
}

impl EventRow {
    fn into_event(self) -> Result<StoredEvent, BadRow> {
        self.details_json.as_deref().map_or(Ok(()), check_json)?;
        let event = NewEvent {
            at: Timestamp(self.created_at),
            level: EventLevel::parse(&self.level).ok_or(BadRow::Level)?,
            kind: EventType::parse(&self.kind).ok_or(BadRow::Kind)?,
            actor: self.actor,
            message: self.message,
            details_json: self.details_json,
            request_id: self.request_id,
        };
        Ok(StoredEvent { id: self.id, event })
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = event_logs)]
#[diesel(treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: i64,
    level: &'static str,
    kind: &'static str,
    actor: Option<Cow<'a, str>>,
    message: Cow<'a, str>,
    details_json: Option<Cow<'a, str>>,
    request_id: Option<Cow<'a, str>>,
}

impl<'a> NewRow<'a> {
    fn of(event: &'a NewEvent) -> Self {
        Self {
            created_at: event.at.0,
            level: event.level.name(),
            kind: event.kind.name(),
            actor: storable_option(event.actor.as_deref()),
            message: storable(&event.message),
            details_json: storable_option(event.details_json.as_deref()),
            request_id: storable_option(event.request_id.as_deref()),
        }
    }
}

/// Stores events in order and returns their ids.
pub(super) fn append(database: &mut Database, events: &[NewEvent]) -> Result<Vec<i64>, Trouble> {
    database.lock(LockedTable::EventLogs)?;
    let rows: Vec<_> = events.iter().map(NewRow::of).collect();
    let mut ids = Vec::with_capacity(rows.len());
    for rows in rows.chunks(INSERT_ROWS_MAX) {
        let of_chunk: Vec<i64> = each!(database, connection => diesel::insert_into(event_logs::table)
            .values(rows)
            .returning(event_logs::id)
            .get_results(connection))?;
        ids.extend(of_chunk);
    }
    // They are given out in the order of the rows, but may be returned in any.
    ids.sort_unstable();
    Ok(ids)
}

/// Reads events.
pub(super) fn read(database: &mut Database, query: &EventQuery, bad: &BadRows) -> Result<Vec<StoredEvent>, Trouble> {
    let mut query = query.clone();
    let limit = query.limit;
    let mut found = Vec::new();
    // Rows that are no events are left out, and others take their place.
    while found.len() < limit {
        query.limit = limit - found.len();
        let ids = event_query::ids(database, &query)?;
        let Some(last) = ids.last() else {
            break;
        };
        match query.oldest_first {
            true => query.after = Some(*last),
            false => query.before = Some(*last),
        }
        let is_last = ids.len() < query.limit;
        for ids in ids.chunks(LOOKUP_ROWS_MAX) {
            found.extend(load(database, ids, bad)?);
        }
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// Events by their ids, in the order of the ids.
fn load(database: &mut Database, ids: &[i64], bad: &BadRows) -> Result<Vec<StoredEvent>, Trouble> {
    let rows = event_logs::table.filter(event_logs::id.eq_any(ids.to_vec())).select(EventRow::as_select());
    let rows: Vec<EventRow> = match ids {
        [first, .., last] if first > last => rows.order(event_logs::id.desc()).load(database)?,
        _ => rows.order(event_logs::id).load(database)?,
    };
    let event = |row: EventRow| {
        let id = row.id;
        bad.keep("event_logs", &id, row.into_event())
    };
    Ok(rows.into_iter().filter_map(event).collect())
}

/// How many events are older than `before`.
pub(super) fn count_before(database: &mut Database, before: Timestamp) -> Result<usize, Trouble> {
    let count: i64 = event_logs::table.filter(event_logs::created_at.lt(before.0)).count().get_result(database)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Deletes one slice of events that are older than `before` and have a smaller id than `below`;
/// whether there may be more.
pub(super) fn prune_by_age(database: &mut Database, before: Timestamp, below: i64) -> Result<bool, Trouble> {
    let ids: Vec<i64> = event_logs::table
        .filter(event_logs::created_at.lt(before.0))
        .filter(event_logs::id.lt(below))
        .order(event_logs::created_at)
        .limit(to_limit(RECORD_PRUNE_ROWS_MAX))
        .select(event_logs::id)
        .load(database)?;
    if ids.is_empty() {
        return Ok(false);
    }
    let is_full = ids.len() == RECORD_PRUNE_ROWS_MAX;
    diesel::delete(event_logs::table.filter(event_logs::id.eq_any(ids))).execute(database)?;
    Ok(is_full)
}

/// The last id that is in excess of `rows_max`.
pub(super) fn last_excess(database: &mut Database, rows_max: u64) -> Result<Option<i64>, Trouble> {
    let newest: Option<i64> =
        event_logs::table.order(event_logs::id.desc()).select(event_logs::id).first(database).optional()?;
    let oldest: Option<i64> =
        event_logs::table.order(event_logs::id).select(event_logs::id).first(database).optional()?;
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    // There are no more rows than ids. Only then is it worth counting.
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return Ok(None) };
    if newest.saturating_sub(oldest) < rows_max {
        return Ok(None);
    }
    Ok(event_logs::table
        .order(event_logs::id.desc())
        .offset(rows_max)
        .limit(1)
        .select(event_logs::id)
        .first(database)
        .optional()?)
}

/// Deletes one slice of events up to an id; whether there may be more.
pub(super) fn prune_upto(database: &mut Database, upto: i64) -> Result<bool, Trouble> {
    let end: Option<i64> = event_logs::table
        .filter(event_logs::id.le(upto))
        .order(event_logs::id)
        .offset(to_limit(RECORD_PRUNE_ROWS_MAX) - 1)
        .limit(1)
        .select(event_logs::id)
        .first(database)
        .optional()?;
    diesel::delete(event_logs::table.filter(event_logs::id.le(end.unwrap_or(upto)))).execute(database)?;
    Ok(end.is_some_and(|end| end < upto))
}

/// Rows in one INSERT of seven values each; SQLite takes 32,766 values, PostgreSQL 65,535.
const INSERT_ROWS_MAX: usize = 1_000;

/// Rows that are looked up by their ids at once.
const LOOKUP_ROWS_MAX: usize = 1_000;
