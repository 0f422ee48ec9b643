//! Rows of `blocks`: who may not connect for a while.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::upsert::excluded;

use santral_core::entry::Timestamp;

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::schema::blocks;
use super::text::{storable, storable_option};
use crate::ports::accounts::Block;

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = blocks)]
#[diesel(check_for_backend(MultiBackend))]
struct BlockRow {
    subject: String,
    reason: Option<String>,
    created_by: Option<String>,
    created_at: i64,
    expires_at: i64,
}

impl From<BlockRow> for Block {
    fn from(row: BlockRow) -> Self {
        Self {
            subject: row.subject,
            reason: row.reason,
            created_by: row.created_by,
            created_at: Timestamp(row.created_at),
            expires_at: Timestamp(row.expires_at),
        }
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = blocks)]
struct NewBlock<'a> {
    subject: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
    created_by: Option<Cow<'a, str>>,
    created_at: i64,
    expires_at: i64,
}

/// Stores a block in the place of another of the same subject, and forgets those that have ended.
pub(super) fn put(database: &mut Database, block: &Block) -> Result<(), Trouble> {
    diesel::delete(blocks::table.filter(blocks::expires_at.le(block.created_at.0))).execute(database)?;
    let row = NewBlock {
        subject: storable(&block.subject),
        reason: storable_option(block.reason.as_deref()),
        created_by: storable_option(block.created_by.as_deref()),
        created_at: block.created_at.0,
        expires_at: block.expires_at.0,
    };
    let replaced = (
        blocks::reason.eq(excluded(blocks::reason)),
        blocks::created_by.eq(excluded(blocks::created_by)),
        blocks::created_at.eq(excluded(blocks::created_at)),
        blocks::expires_at.eq(excluded(blocks::expires_at)),
    );
    each!(database, connection => diesel::insert_into(blocks::table)
        .values(&row)
        .on_conflict(blocks::subject)
        .do_update()
        .set(replaced)
        .execute(connection))?;
    Ok(())
}

/// Ends a block; `false` if there is none.
pub(super) fn remove(database: &mut Database, subject: &str) -> Result<bool, Trouble> {
    Ok(diesel::delete(blocks::table.find(storable(subject))).execute(database)? > 0)
}

/// Blocks that have not ended, in the order of their subjects.
pub(super) fn list(database: &mut Database, now: Timestamp) -> Result<Vec<Block>, Trouble> {
    let rows: Vec<BlockRow> = blocks::table
        .filter(blocks::expires_at.gt(now.0))
        .order(blocks::subject)
        .select(BlockRow::as_select())
        .load(database)?;
    Ok(rows.into_iter().map(Into::into).collect())
}
