//! Rows of `connections`: who was connected.

use std::borrow::Cow;
use std::collections::HashMap;

use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::limits::RECORD_PRUNE_ROWS_MAX;
use santral_core::names::ConnectionId;

use super::database::{Database, each};
use super::error::Trouble;
use super::logins::to_limit;
use super::schema::connections;
use super::text::{storable, storable_option};
use crate::ports::connections::{ConnectionEnd, ConnectionRecord, ConnectionStart};

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = connections)]
#[diesel(treat_none_as_default_value = false)]
struct NewConnection<'a> {
    id: &'a str,
    node: Cow<'a, str>,
    user_id: Option<Cow<'a, str>>,
    transport: &'static str,
    remote_address: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    connected_at: i64,
    disconnected_at: Option<i64>,
    disconnect_code: Option<i32>,
}

impl<'a> NewConnection<'a> {
    fn of(start: &'a ConnectionStart) -> Self {
        Self {
            id: start.id.as_str(),
            node: storable(&start.node),
            user_id: storable_option(start.user.as_deref()),
            transport: start.transport,
            remote_address: storable_option(start.address.as_deref()),
            user_agent: storable_option(start.user_agent.as_deref()),
            connected_at: start.at.0,
            disconnected_at: None,
            disconnect_code: None,
        }
    }
}

/// Records a batch. A connection that begins and ends within it costs one row and no update.
pub(super) fn record(database: &mut Database, records: &[ConnectionRecord]) -> Result<(), Trouble> {
    let mut rows: Vec<NewConnection<'_>> = Vec::new();
    let mut places: HashMap<&ConnectionId, usize> = HashMap::new();
    let mut ends = Vec::new();
    for record in records {
        match record {
            ConnectionRecord::Started(start) => {
                // A second start of an id is no news.
                if let std::collections::hash_map::Entry::Vacant(place) = places.entry(&start.id) {
                    place.insert(rows.len());
                    rows.push(NewConnection::of(start));
                }
            }
            ConnectionRecord::Ended(end) => match places.get(&end.id) {
                Some(&place) => {
                    let row = &mut rows[place];
                    row.disconnected_at = row.disconnected_at.or(Some(end.at.0));
                    row.disconnect_code = row.disconnect_code.or(Some(i32::from(end.code)));
                }
                None => ends.push(end),
            },
        }
    }
    for rows in rows.chunks(INSERT_ROWS_MAX) {
        each!(database, connection => diesel::insert_into(connections::table)
            .values(rows)
            .on_conflict_do_nothing()
            .execute(connection))?;
    }
    ends.into_iter().try_for_each(|end| close(database, end))
}

/// Closes what a crashed run of a node left open.
pub(super) fn close_stale(database: &mut Database, node: &str, code: u16, now: Timestamp) -> Result<usize, Trouble> {
    Ok(diesel::update(connections::table.filter(connections::disconnected_at.is_null()))
        .filter(connections::node.eq(storable(node)))
        .set((connections::disconnected_at.eq(now.0), connections::disconnect_code.eq(i32::from(code))))
        .execute(database)?)
}

/// The time before which connections are in excess of `rows_max`.
pub(super) fn excess_before(database: &mut Database, rows_max: u64) -> Result<Option<Timestamp>, Trouble> {
    let oldest_kept = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let newest_excess: Option<i64> = connections::table
        .order(connections::connected_at.desc())
        .offset(oldest_kept)
        .limit(1)
        .select(connections::connected_at)
        .first(database)
        .optional()?;
    Ok(newest_excess.map(|at| Timestamp(at.saturating_add(1))))
}

/// Deletes one slice of ended connections that began before `before`; whether there may be more.
pub(super) fn prune(database: &mut Database, before: Timestamp) -> Result<bool, Trouble> {
    let ids: Vec<String> = connections::table
        .filter(connections::connected_at.lt(before.0))
        .filter(connections::disconnected_at.is_not_null())
        .order(connections::connected_at)
        .limit(to_limit(RECORD_PRUNE_ROWS_MAX))
        .select(connections::id)
        .load(database)?;
    if ids.is_empty() {
        return Ok(false);
    }
    let is_full = ids.len() == RECORD_PRUNE_ROWS_MAX;
    diesel::delete(connections::table.filter(connections::id.eq_any(ids))).execute(database)?;
    Ok(is_full)
}

fn close(database: &mut Database, end: &ConnectionEnd) -> Result<(), Trouble> {
    diesel::update(connections::table.find(end.id.as_str()))
        .filter(connections::disconnected_at.is_null())
        .set((connections::disconnected_at.eq(end.at.0), connections::disconnect_code.eq(i32::from(end.code))))
        .execute(database)?;
    Ok(())
}

/// Rows in one INSERT of nine values each; SQLite takes 32,766 values, PostgreSQL 65,535.
const INSERT_ROWS_MAX: usize = 1_000;
