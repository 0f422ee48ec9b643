//! Names of channels that have entries, in byte order, by leaps through the index.
//!
//! A plain `DISTINCT` walks over every entry; a leap costs one look into the index per channel,
//! however many entries it has. Diesel has no recursive queries, so these are literals; the text
//! is the same for both databases (SQLite takes `$1` as a name and numbers it in this order).

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::database::Database;
use super::error::Trouble;

/// Names from `from` on and before `to`, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameRange {
    /// The first name that belongs to it.
    pub(super) from: String,
    /// The first name behind it.
    pub(super) to: String,
}

impl NameRange {
    /// Every valid name that starts with `prefix`. `~` stands behind all characters of a name.
    pub(super) fn below(prefix: &str) -> Self {
        Self { from: prefix.to_owned(), to: format!("{prefix}~") }
    }

    /// The same names in ranges that are sorted and do not touch each other.
    pub(super) fn merged(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.retain(|range| range.from < range.to);
        ranges.sort_unstable_by(|left, right| left.from.cmp(&right.from));
        let mut merged: Vec<Self> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.from <= last.to => last.to = range.to.max(std::mem::take(&mut last.to)),
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// A channel and its newest entry, as the query returns them.
#[derive(Debug, QueryableByName)]
pub(super) struct ChannelRow {
    #[diesel(sql_type = Text)]
    pub(super) channel: String,
    #[diesel(sql_type = BigInt)]
    pub(super) last: i64,
}

/// The first `count` channels of a range.
pub(super) fn names(database: &mut Database, range: &NameRange, count: usize) -> Result<Vec<String>, Trouble> {
    Ok(load(database, range, count)?.into_iter().map(|row| row.channel).collect())
}

/// The first `count` channels of a range, each with its newest entry.
pub(super) fn load(database: &mut Database, range: &NameRange, count: usize) -> Result<Vec<ChannelRow>, Trouble> {
    let limit = i64::try_from(count).unwrap_or(i64::MAX);
    Ok(diesel::sql_query(LEAPS)
        .bind::<Text, _>(&range.from)
        .bind::<Text, _>(&range.to)
        .bind::<BigInt, _>(limit)
        .load(database)?)
}

const LEAPS: &str = "
    WITH RECURSIVE names (channel) AS (
        SELECT min(channel) FROM messages WHERE channel >= $1 AND channel < $2
        UNION ALL
        SELECT (SELECT min(channel) FROM messages WHERE channel > names.channel AND channel < $2)
        FROM names WHERE names.channel IS NOT NULL
    )
    SELECT names.channel AS channel,
        (SELECT max(\"offset\") FROM messages WHERE messages.channel = names.channel) AS last
    FROM names WHERE names.channel IS NOT NULL LIMIT $3";
