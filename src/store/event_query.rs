//! Which events a query means: their ids, by an index that has the order of ids.
//!
//! A filter by type or level would make the database collect and sort all that it lets through, a
//! million rows for a page of a hundred. So each type, or each level, is asked for its first ids
//! alone, and the answers are merged. What else is filtered is decided row by row.

use diesel::define_sql_function;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use santral_schema::event_log::EventLevel;

use super::database::{Database, MultiBackend};
use super::error::Trouble;
use super::logins::to_limit;
use super::schema::event_logs;
use super::text::storable;
use crate::ports::event_log::EventQuery;

type Condition = Box<dyn BoxableExpression<event_logs::table, MultiBackend, SqlType = Nullable<Bool>>>;

define_sql_function! {
    /// ASCII letters become small ones, since the columns have the collation "C" in PostgreSQL.
    fn lower(text: Nullable<Text>) -> Nullable<Text>;
}

/// One look into an index.
#[derive(Debug, Clone, Copy)]
enum Look {
    All,
    Level(&'static str),
    Kind(&'static str),
}

/// The first ids of the query, in its order.
pub(super) fn ids(database: &mut Database, query: &EventQuery) -> Result<Vec<i64>, Trouble> {
    let looks = looks(query);
    let mut ids = Vec::new();
    for look in looks {
        ids.extend(ids_of(database, query, look)?);
    }
    match query.oldest_first {
        true => ids.sort_unstable(),
        false => ids.sort_unstable_by(|left, right| right.cmp(left)),
    }
    ids.dedup();
    ids.truncate(query.limit);
    Ok(ids)
}

fn looks(query: &EventQuery) -> Vec<Look> {
    if !query.kinds.is_empty() {
        let mut names: Vec<_> = query.kinds.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        return names.into_iter().map(Look::Kind).collect();
    }
    match query.level {
        // The index by actor serves better than the one by level.
        Some(level) if query.actor.is_none() => levels(level).into_iter().map(Look::Level).collect(),
        Some(_) | None => vec![Look::All],
    }
}

/// Names of the levels that matter at least as much; none for all of them.
fn levels(least: EventLevel) -> Vec<&'static str> {
    let all = [EventLevel::Info, EventLevel::Warn, EventLevel::Error];
    all.into_iter().filter(|level| *level >= least).map(EventLevel::name).collect()
}

fn ids_of(database: &mut Database, query: &EventQuery, look: Look) -> Result<Vec<i64>, Trouble> {
    let text = query.text.as_deref().map(|text| match database {
        Database::Sqlite(_) => contains_in_sqlite(text),
        Database::Postgres(_) => contains_in_postgres(text),
    });
    let rows =
        event_logs::table.filter(condition(query, look, text)).select(event_logs::id).limit(to_limit(query.limit));
    Ok(match query.oldest_first {
        true => rows.order(event_logs::id).load(database)?,
        false => rows.order(event_logs::id.desc()).load(database)?,
    })
}

fn condition(query: &EventQuery, look: Look, text: Option<Condition>) -> Condition {
    let (after, before) = (query.after.unwrap_or(i64::MIN), query.before.unwrap_or(i64::MAX));
    let mut all: Condition = Box::new(event_logs::id.gt(after).and(event_logs::id.lt(before)).nullable());
    let mut narrow = |condition: Condition| {
        let others = std::mem::replace(&mut all, Box::new(event_logs::id.gt(after).nullable()));
        all = Box::new(others.and(condition));
    };
    match look {
        Look::All => (),
        Look::Level(name) => narrow(Box::new(event_logs::level.eq(name).nullable())),
        Look::Kind(name) => narrow(Box::new(event_logs::kind.eq(name).nullable())),
    }
    if let (Some(level), Look::All | Look::Kind(_)) = (query.level, look) {
        narrow(Box::new(event_logs::level.eq_any(levels(level)).nullable()));
    }
    if let Some(actor) = &query.actor {
        narrow(Box::new(event_logs::actor.eq(storable(actor).into_owned())));
    }
    if let Some(from) = query.from {
        narrow(Box::new(event_logs::created_at.ge(from.0).nullable()));
    }
    if let Some(to) = query.to {
        narrow(Box::new(event_logs::created_at.lt(to.0).nullable()));
    }
    if let Some(text) = text {
        narrow(text);
    }
    all
}

fn contains_in_postgres(text: &str) -> Condition {
    let pattern = pattern(text);
    let message = lower(event_logs::message.nullable()).like(pattern.clone()).escape('\\');
    let actor = lower(event_logs::actor).like(pattern.clone()).escape('\\');
    let details = lower(event_logs::details_json).like(pattern).escape('\\');
    Box::new(message.or(actor).or(details))
}

/// LIKE of SQLite takes small and capital ASCII letters for the same (sqlite.org/lang_expr.html), and
/// `lower` would take twice as long as the comparison.
fn contains_in_sqlite(text: &str) -> Condition {
    let pattern = pattern(text);
    let message = event_logs::message.nullable().like(pattern.clone()).escape('\\');
    let actor = event_logs::actor.like(pattern.clone()).escape('\\');
    let details = event_logs::details_json.like(pattern).escape('\\');
    Box::new(message.or(actor).or(details))
}

/// What LIKE takes for "has this text in it": its own signs are taken for themselves.
pub(super) fn pattern(text: &str) -> String {
    let text = storable(text).to_ascii_lowercase();
    let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signs_of_like_are_taken_for_themselves() {
        assert_eq!(pattern(r"100%_\Ğa\0"), r"%100\%\_\\Ğa\\0%");
        assert_eq!(pattern("A\0"), "%a\u{fffd}%");
    }
}
