//! The one row that says where the log stands: its epoch, its head and what retention removed.
//!
//! Decision 0011 explains when a fresh epoch is drawn.

use diesel::prelude::*;

use santral_core::position::{Epoch, OFFSET_MAX, Offset};

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::schema::{log_state, messages};
use super::{postgres, sqlite};
use crate::ports::store::{Durability, LogState};

/// What a writer knows of the log from before it lost its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The epoch that every position of this process has.
    pub(super) epoch: Epoch,
    /// The last offset that was acknowledged.
    pub(super) head: Offset,
}

/// What appending needs to know of the row.
#[derive(Debug)]
pub(super) struct Advanced {
    /// The last offset before the ones that were taken now.
    pub(super) head_before: Offset,
    /// The log's epoch.
    pub(super) epoch: Epoch,
    /// The boot under which entries may be unsynced.
    pub(super) unsynced_boot: Option<String>,
}

/// Reads the row.
pub(super) fn load(database: &mut Database) -> Result<LogState, Trouble> {
    let row: StateRow =
        log_state::table.select(StateRow::as_select()).first(database).optional()?.ok_or(Trouble::NoLog)?;
    row.into_state()
}

/// Takes `count` offsets. The row stays locked until the transaction ends, so that of two writers
/// on one database the one with the smaller offsets commits, and is seen, first (INV-1).
pub(super) fn advance(database: &mut Database, count: usize) -> Result<Advanced, Trouble> {
    let count = i64::try_from(count).map_err(|_| Trouble::OffsetsExhausted)?;
    let row = lock(database, count)?;
    let unsynced_boot = row.unsynced_boot.clone();
    let state = row.into_state()?;
    if state.head > OFFSET_MAX {
        return Err(Trouble::OffsetsExhausted);
    }
    Ok(Advanced { head_before: state.head - count.unsigned_abs(), epoch: state.epoch, unsynced_boot })
}

/// Writes the row as it is. In two steps: SQLite writes nothing for an update that changes nothing,
/// and so would not notice that the disk is full.
pub(super) fn rewrite(database: &mut Database) -> Result<(), Trouble> {
    lock(database, 1)?;
    lock(database, -1)?;
    Ok(())
}

/// Fails when the log is not the one whose positions were given out.
pub(super) fn check_epoch(expected: Epoch, found: Epoch) -> Result<(), Trouble> {
    match expected == found {
        true => Ok(()),
        false => Err(Trouble::OtherLog { expected: expected.to_string(), found: found.to_string() }),
    }
}

/// Moves `trimmed_to` up.
pub(super) fn set_trimmed_to(database: &mut Database, trimmed_to: Offset) -> Result<(), Trouble> {
    diesel::update(log_state::table.find(ROW))
        .set(log_state::trimmed_to.eq(to_column(trimmed_to)?))
        .execute(database)?;
    Ok(())
}

/// Makes the log ready for appends on a fresh connection, and checks that it is the one we know.
///
/// Everything here is synced whatever `durability` says; the connection is at full durability yet.
pub(super) fn prepare(
    database: &mut Database,
    durability: Durability,
    boot: &str,
    known: Option<Known>,
) -> Result<LogState, Trouble> {
    let outcome = database.write(|database| {
        if known.is_none() {
            create_if_missing(database)?;
        }
        let mut row = lock(database, 0)?;
        let verdict = judge(&row, known, boot)?;
        row.head = row.head.max(last_foreign_offset(database)?);
        if verdict == Verdict::EntriesLost || verdict == Verdict::RolledBack {
            row.epoch = draw_epoch().to_string();
        }
        row.unsynced_boot = match durability {
            Durability::Disk => None,
            Durability::Os => Some(boot.to_owned()),
        };
        diesel::update(log_state::table.find(ROW)).set(&row).execute(database)?;
        Ok((verdict, row.into_state()?))
    })?;
    match (outcome, known) {
        ((Verdict::RolledBack, state), Some(known)) => {
            Err(Trouble::RolledBack { expected: known.head, found: state.head })
        }
        ((Verdict::EntriesLost, state), _) => {
            log::warn!("the machine went down while entries were not synced: the log has a new epoch {}", state.epoch);
            Ok(state)
        }
        ((Verdict::Sound | Verdict::RolledBack, state), _) => Ok(state),
    }
}

/// Notes that everything that was acknowledged is synced. The connection is at full durability:
/// the commit of this very transaction syncs what came before it.
pub(super) fn mark_synced(database: &mut Database) -> Result<(), Trouble> {
    database.write(|database| {
        diesel::update(log_state::table.find(ROW))
            .set(log_state::unsynced_boot.eq(None::<String>))
            .execute(database)?;
        Ok(())
    })
}

/// The boot of the machine that keeps unsynced entries in its memory.
pub(super) fn boot(database: &mut Database) -> Result<String, Trouble> {
    match database {
        Database::Sqlite(_) => Ok(sqlite::boot()),
        Database::Postgres(connection) => Ok(postgres::boot(connection)?),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Sound,
    /// The machine went down with unsynced entries: their offsets would be given out again.
    EntriesLost,
    /// What this process acknowledged is gone: somebody restored an older state.
    RolledBack,
}

fn judge(row: &StateRow, known: Option<Known>, boot: &str) -> Result<Verdict, Trouble> {
    let Some(known) = known else {
        let went_down = row.unsynced_boot.as_ref().is_some_and(|then| then != boot);
        return Ok(if went_down { Verdict::EntriesLost } else { Verdict::Sound });
    };
    check_epoch(known.epoch, row.epoch.parse().map_err(|_| Trouble::NoLog)?)?;
    let is_behind = row.head < to_column(known.head)?;
    Ok(if is_behind { Verdict::RolledBack } else { Verdict::Sound })
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = log_state)]
#[diesel(treat_none_as_null = true)]
#[diesel(check_for_backend(MultiBackend))]
struct StateRow {
    id: i32,
    epoch: String,
    head: i64,
    trimmed_to: i64,
    unsynced_boot: Option<String>,
}

impl StateRow {
    fn into_state(self) -> Result<LogState, Trouble> {
        let epoch = self.epoch.parse().map_err(|_| Trouble::NoLog)?;
        Ok(LogState { epoch, head: self.head.unsigned_abs(), trimmed_to: self.trimmed_to.unsigned_abs() })
    }
}

/// Reads the row, with `count` offsets taken, and keeps it from everyone else until the transaction
/// ends. What was read of it without the lock may be old by then.
fn lock(database: &mut Database, count: i64) -> Result<StateRow, Trouble> {
    diesel::update(log_state::table.find(ROW))
        .set(log_state::head.eq(log_state::head + count))
        .returning(log_state::all_columns)
        .get_result(database)
        .optional()?
        .ok_or(Trouble::NoLog)
}

/// Starts a log with a fresh epoch. Of two servers that start at once one does.
fn create_if_missing(database: &mut Database) -> Result<(), Trouble> {
    let row = StateRow { id: ROW, epoch: draw_epoch().to_string(), head: 0, trimmed_to: 0, unsynced_boot: None };
    let insert = diesel::insert_into(log_state::table).values(&row).on_conflict_do_nothing();
    each!(database, connection => insert.execute(connection))?;
    Ok(())
}

/// Somebody may have inserted rows by hand. Their offsets are taken, so the head moves behind them:
/// else every append would fail for ever.
fn last_foreign_offset(database: &mut Database) -> Result<i64, Trouble> {
    let last: Option<i64> = messages::table
        .filter(messages::offset.le(to_column(OFFSET_MAX)?))
        .order(messages::offset.desc())
        .select(messages::offset)
        .first(database)
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// An offset as its column holds it.
pub(super) fn to_column(offset: Offset) -> Result<i64, Trouble> {
    i64::try_from(offset).map_err(|_| Trouble::OffsetsExhausted)
}

/// Thirty-two bits from the operating system's random source by way of a CSPRNG.
fn draw_epoch() -> Epoch {
    let bytes = nanoid::rngs::default(4);
    Epoch(bytes.into_iter().fold(0, |epoch, byte| epoch << 8 | u32::from(byte)))
}

const ROW: i32 = 1;
