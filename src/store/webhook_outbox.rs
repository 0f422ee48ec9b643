//! Rows of `webhook_outbox`: deliveries that wait, in lines by address and subject.
//!
//! No row has an earlier `next_attempt_at` than the one before it in its line: so what is due is found by an
//! index, and a line whose receiver is down costs nothing while it waits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::max;
use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::limits::{
    RECORD_PRUNE_ROWS_MAX, WEBHOOK_RETRY_MAX, WEBHOOK_RUN_MAX, WEBHOOK_SCAN_ROWS_MAX, WEBHOOK_SCANS_MAX,
};

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::logins::to_limit;
use super::schema::webhook_outbox;
use super::text::storable;
use crate::ports::webhooks::{NewDelivery, Settled, WaitingDelivery};

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = webhook_outbox)]
#[diesel(check_for_backend(MultiBackend))]
struct DeliveryRow {
    id: i64,
    event_id: String,
    url: String,
    subject: String,
    kind: String,
    body_json: String,
    created_at: i64,
    attempts: i32,
    next_attempt_at: i64,
}

impl From<DeliveryRow> for WaitingDelivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            event_id: row.event_id,
            url: row.url,
            subject: row.subject,
            kind: row.kind,
            body: row.body_json,
            at: Timestamp(row.created_at),
            attempts: u32::try_from(row.attempts).unwrap_or(0),
        }
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = webhook_outbox)]
struct NewRow<'a> {
    event_id: Cow<'a, str>,
    url: Cow<'a, str>,
    subject: Cow<'a, str>,
    kind: &'static str,
    body_json: Cow<'a, str>,
    created_at: i64,
    next_attempt_at: i64,
}

/// Stores deliveries, each at the end of its line. Part of the transaction that is open: what they tell of
/// may be written in the same one.
pub(super) fn append(database: &mut Database, deliveries: &[NewDelivery]) -> Result<(), Trouble> {
    for deliveries in deliveries.chunks(INSERT_ROWS_MAX) {
        let lines = when_lines_are_due(database, deliveries)?;
        let due = |delivery: &NewDelivery| {
            let line = (&*delivery.url, storable(&delivery.subject).into_owned());
            lines.get(&line).map_or(delivery.at.0, |due| delivery.at.0.max(*due))
        };
        let rows: Vec<_> = deliveries
            .iter()
            .map(|delivery| NewRow {
                event_id: storable(&delivery.event_id),
                url: storable(&delivery.url),
                subject: storable(&delivery.subject),
                kind: delivery.kind.name(),
                body_json: storable(&delivery.body),
                created_at: delivery.at.0,
                next_attempt_at: due(delivery),
            })
            .collect();
        each!(database, connection => diesel::insert_into(webhook_outbox::table).values(&rows).execute(connection))?;
    }
    Ok(())
}

/// When the lines are due that the deliveries will join and that have somebody in them.
fn when_lines_are_due<'a>(
    database: &mut Database,
    deliveries: &'a [NewDelivery],
) -> Result<HashMap<(&'a str, String), i64>, Trouble> {
    let mut subjects: HashMap<&str, Vec<String>> = HashMap::new();
    for delivery in deliveries {
        subjects.entry(&delivery.url).or_default().push(storable(&delivery.subject).into_owned());
    }
    let mut lines = HashMap::new();
    for (url, subjects) in subjects {
        let found: Vec<(String, Option<i64>)> = webhook_outbox::table
            .filter(webhook_outbox::url.eq(storable(url)))
            .filter(webhook_outbox::subject.eq_any(subjects))
            .group_by(webhook_outbox::subject)
            .select((webhook_outbox::subject, max(webhook_outbox::next_attempt_at)))
            .load(database)?;
        lines.extend(found.into_iter().filter_map(|(subject, due)| Some(((url, subject), due?))));
    }
    Ok(lines)
}

/// See [`crate::ports::webhooks::Outbox::due`].
pub(super) fn due(
    database: &mut Database,
    url: &str,
    now: Timestamp,
    busy: &[String],
    lines: usize,
) -> Result<Vec<Vec<WaitingDelivery>>, Trouble> {
    let mut passed_over = busy.to_vec();
    let mut found = Vec::new();
    // A long line fills one scan; the next one is without it.
    for _ in 0..WEBHOOK_SCANS_MAX {
        let subjects = subjects_due(database, url, now, &passed_over)?;
        if subjects.is_empty() {
            break;
        }
        for subject in subjects {
            if found.len() == lines {
                return Ok(found);
            }
            if !passed_over.contains(&subject) {
                found.extend(beginning_if_due(database, url, now, &subject)?);
                passed_over.push(subject);
            }
        }
    }
    Ok(found)
}

fn subjects_due(
    database: &mut Database,
    url: &str,
    now: Timestamp,
    passed_over: &[String],
) -> Result<Vec<String>, Trouble> {
    let subjects = webhook_outbox::table
        .filter(webhook_outbox::url.eq(storable(url)))
        .filter(webhook_outbox::next_attempt_at.le(now.0).or(webhook_outbox::next_attempt_at.gt(latest_due(now))))
        .filter(webhook_outbox::subject.ne_all(passed_over.to_vec()))
        .order((webhook_outbox::next_attempt_at, webhook_outbox::id))
        .limit(to_limit(WEBHOOK_SCAN_ROWS_MAX))
        .select(webhook_outbox::subject);
    Ok(subjects.load(database)?)
}

/// `None` when the first of the line is not due: on PostgreSQL another may have been stored at the very moment
/// at which the line was put off.
fn beginning_if_due(
    database: &mut Database,
    url: &str,
    now: Timestamp,
    subject: &str,
) -> Result<Option<Vec<WaitingDelivery>>, Trouble> {
    let rows: Vec<DeliveryRow> = webhook_outbox::table
        .filter(webhook_outbox::url.eq(storable(url)))
        .filter(webhook_outbox::subject.eq(storable(subject)))
        .order(webhook_outbox::id)
        .limit(to_limit(WEBHOOK_RUN_MAX))
        .select(DeliveryRow::as_select())
        .load(database)?;
    let is_due = |row: &DeliveryRow| row.next_attempt_at <= now.0 || row.next_attempt_at > latest_due(now);
    Ok(rows.first().is_some_and(is_due).then(|| rows.into_iter().map(Into::into).collect()))
}

/// A line that seems to be due later was put off by a clock that has been set back since.
fn latest_due(now: Timestamp) -> i64 {
    now.0.saturating_add(2 * i64::try_from(WEBHOOK_RETRY_MAX.as_micros()).unwrap_or(i64::MAX / 2))
}

/// Notes what became of deliveries.
pub(super) fn settle(database: &mut Database, settled: &[Settled]) -> Result<(), Trouble> {
    let over = settled.iter().filter_map(|settled| match settled {
        Settled::Over(id) => Some(*id),
        Settled::Failed { .. } => None,
    });
    let over: Vec<i64> = over.collect();
    for ids in over.chunks(INSERT_ROWS_MAX) {
        diesel::delete(webhook_outbox::table.filter(webhook_outbox::id.eq_any(ids.to_vec()))).execute(database)?;
    }
    for settled in settled {
        let Settled::Failed { delivery, until, error } = settled else { continue };
        let attempts = i32::try_from(delivery.attempts.saturating_add(1)).unwrap_or(i32::MAX);
        diesel::update(webhook_outbox::table.find(delivery.id))
            .set((webhook_outbox::attempts.eq(attempts), webhook_outbox::last_error.eq(storable(error))))
            .execute(database)?;
        let line = webhook_outbox::table
            .filter(webhook_outbox::url.eq(storable(&delivery.url)))
            .filter(webhook_outbox::subject.eq(storable(&delivery.subject)));
        diesel::update(line).set(webhook_outbox::next_attempt_at.eq(until.0)).execute(database)?;
    }
    Ok(())
}

/// Deletes one slice of old deliveries to addresses that are not set any more.
pub(super) fn prune(database: &mut Database, urls: &[Arc<str>], before: Timestamp) -> Result<usize, Trouble> {
    let urls: Vec<String> = urls.iter().map(|url| storable(url).into_owned()).collect();
    let ids: Vec<i64> = webhook_outbox::table
        .filter(webhook_outbox::url.ne_all(urls))
        .filter(webhook_outbox::created_at.lt(before.0))
        .order(webhook_outbox::id)
        .limit(to_limit(RECORD_PRUNE_ROWS_MAX))
        .select(webhook_outbox::id)
        .load(database)?;
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(diesel::delete(webhook_outbox::table.filter(webhook_outbox::id.eq_any(ids))).execute(database)?)
}

/// How many deliveries wait.
pub(super) fn count(database: &mut Database) -> Result<u64, Trouble> {
    let count: i64 = webhook_outbox::table.count().get_result(database)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Rows in one statement: SQLite takes 32,766 parameters.
const INSERT_ROWS_MAX: usize = 500;
