//! Readers of the log: beside the writer, from several threads, each call on one connection.

use std::sync::Arc;

use diesel::prelude::*;

use santral_core::entry::Entry;
use santral_core::names::ChannelName;
use santral_core::position::Epoch;

use super::channels::{self, NameRange};
use super::database::Database;
use super::error::{Reporter, Trouble};
use super::location::Location;
use super::log_state::{self, to_column};
use super::messages::{MessageRow, RowReader};
use super::options::CopiesReader;
use super::page;
use super::pool::Links;
use super::schema::messages;
use crate::ports::store::{ChannelSummary, HistoryQuery, LogPage, LogReader, LogState, PageQuery, StoreError};

/// Reads over a pool of connections.
pub(super) struct Reader {
    links: Links,
    epoch: Epoch,
    rows: RowReader,
    reporter: Reporter,
}

impl Reader {
    /// A reader of the log with this epoch; any other log is an error.
    pub(super) fn new(location: Location, connections: u32, epoch: Epoch) -> Self {
        Self {
            links: Links::new(location, connections),
            epoch,
            rows: RowReader::default(),
            reporter: Reporter::new("reader"),
        }
    }

    fn run<T>(&self, work: impl FnOnce(&mut Database) -> Result<T, Trouble>) -> Result<T, StoreError> {
        match self.try_run(work) {
            Ok(value) => {
                self.reporter.succeeded();
                Ok(value)
            }
            Err(trouble) => Err(self.reporter.failed(&trouble)),
        }
    }

    fn try_run<T>(&self, work: impl FnOnce(&mut Database) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut link = self.links.take()?;
        link.is_broken = true;
        let value = link.database.snapshot(work)?;
        link.is_broken = false;
        Ok(value)
    }

    fn state_of(&self, database: &mut Database) -> Result<LogState, Trouble> {
        let state = log_state::load(database)?;
        log_state::check_epoch(self.epoch, state.epoch)?;
        Ok(state)
    }

    fn load_history(&self, database: &mut Database, query: &HistoryQuery) -> Result<Vec<Arc<Entry>>, Trouble> {
        let mut before = query.before.map_or(Ok(i64::MAX), to_column)?;
        let since = query.since.map_or(Ok(-1), to_column)?;
        let (mut entries, mut copies) = (Vec::new(), CopiesReader::default());
        // Rows that are no entries are left out, and others take their place.
        while entries.len() < query.limit {
            let limit = i64::try_from(query.limit - entries.len()).unwrap_or(i64::MAX);
            let rows: Vec<MessageRow> = messages::table
                .filter(messages::channel.eq(query.channel.as_str()))
                .filter(messages::offset.lt(before))
                .filter(messages::offset.gt(since))
                .order(messages::offset.desc())
                .limit(limit)
                .select(MessageRow::as_select())
                .load(database)?;
            let Some(last) = rows.last() else {
                break;
            };
            before = last.offset;
            for row in rows {
                entries.extend(self.rows.entry(database, row, self.epoch, &mut copies)?);
            }
        }
        Ok(entries)
    }
}

impl LogReader for Reader {
    fn state(&self) -> Result<LogState, StoreError> {
        self.run(|database| self.state_of(database))
    }

    fn page(&self, query: &PageQuery) -> Result<LogPage, StoreError> {
        self.run(|database| page::load(database, self.epoch, &self.rows, query))
    }

    fn history(&self, query: &HistoryQuery) -> Result<(Vec<Arc<Entry>>, LogState), StoreError> {
        self.run(|database| {
            let state = self.state_of(database)?;
            Ok((self.load_history(database, query)?, state))
        })
    }

    fn channels(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<ChannelSummary>, LogState), StoreError> {
        self.run(|database| {
            let state = self.state_of(database)?;
            Ok((load_channels(database, prefix, after, limit)?, state))
        })
    }
}

fn load_channels(
    database: &mut Database,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<ChannelSummary>, Trouble> {
    let mut range = NameRange::below(prefix);
    if let Some(after) = after.filter(|after| *after >= prefix) {
        range.from = successor(after);
    }
    let mut summaries = Vec::new();
    while summaries.len() < limit {
        let rows = channels::load(database, &range, limit - summaries.len())?;
        let Some(last) = rows.last() else {
            break;
        };
        range.from = successor(&last.channel);
        // A name that somebody wrote by hand may be none.
        summaries.extend(rows.into_iter().filter_map(|row| {
            let channel = ChannelName::from_log(&row.channel).ok()?;
            Some(ChannelSummary { channel, last: row.last.unsigned_abs() })
        }));
    }
    Ok(summaries)
}

/// The smallest text behind `name` that PostgreSQL can hold: it takes no NUL, and no name has any
/// character this small.
fn successor(name: &str) -> String {
    format!("{name}\u{1}")
}
