//! Reading one page of the log for a set of channels and prefixes.
//!
//! A page must neither walk over a million entries of other channels nor sort them. So the part of
//! the log between `after` and `upto` is cut into windows that grow while little is found, and each
//! window is asked for matching offsets only: by the index on (channel, offset) where the channels
//! are few enough to be named, else by the offsets themselves. The rows are then read by offset, in
//! chunks, until the page is full.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::Bool;

use santral_core::entry::Entry;
use santral_core::names::{Selector, USER_PREFIX};
use santral_core::position::{Epoch, Offset};

use super::channels::{self, NameRange};
use super::database::{Database, MultiBackend};
use super::error::Trouble;
use super::log_state::{self, to_column};
use super::messages::{MessageRow, RowReader};
use super::options::CopiesReader;
use super::schema::messages;
use crate::ports::store::{LogPage, PageQuery};

/// Reads a page; the caller has opened a snapshot.
pub(super) fn load(
    database: &mut Database,
    epoch: Epoch,
    rows: &RowReader,
    query: &PageQuery,
) -> Result<LogPage, Trouble> {
    let state = log_state::load(database)?;
    log_state::check_epoch(epoch, state.epoch)?;
    // What lies behind the head of this snapshot may still be committed.
    let upto = query.upto.min(state.head).max(query.after);
    let mut page = Filling { entries: Vec::new(), bytes: 0, query, epoch, rows, copies: CopiesReader::default() };
    let choice = Choice::of(database, &query.selectors)?;
    let mut reached = query.after.max(state.trimmed_to).min(upto);
    let mut window = query.entries_max.max(1) as Offset * 4;
    while reached < upto && !page.is_full() {
        let end = upto.min(reached.saturating_add(window));
        let room = query.entries_max - page.entries.len();
        let offsets = choice.offsets(database, reached, end, room)?;
        let is_whole = offsets.len() < room;
        reached = match page.fill(database, &offsets)? {
            None if is_whole => end,
            None => offsets.last().map_or(end, |last| last.unsigned_abs()),
            Some(last) => last,
        };
        window = window.saturating_mul(8);
    }
    Ok(LogPage { entries: page.entries, reached, trimmed_to: state.trimmed_to })
}

/// A page that is being filled.
struct Filling<'a> {
    entries: Vec<Arc<Entry>>,
    bytes: usize,
    query: &'a PageQuery,
    epoch: Epoch,
    rows: &'a RowReader,
    copies: CopiesReader,
}

impl Filling<'_> {
    fn is_full(&self) -> bool {
        self.entries.len() >= self.query.entries_max || (!self.entries.is_empty() && self.bytes >= self.query.bytes_max)
    }

    /// Adds the entries at these offsets. Returns the last offset if the page was full before the end.
    fn fill(&mut self, database: &mut Database, offsets: &[i64]) -> Result<Option<Offset>, Trouble> {
        let mut rest = offsets;
        let mut chunk = CHUNK_ROWS_MIN;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(chunk.min(rest.len()));
            for row in load_rows(database, now)? {
                let offset = row.offset.unsigned_abs();
                self.bytes = self.bytes.saturating_add(row.data_bytes());
                let before = self.copies.bytes();
                let entry = self.rows.entry(database, row, self.epoch, &mut self.copies)?;
                self.bytes = self.bytes.saturating_add(self.copies.bytes() - before);
                self.entries.extend(entry);
                if self.is_full() {
                    return Ok(Some(offset));
                }
            }
            rest = later;
            chunk *= 2;
        }
        Ok(None)
    }
}

fn load_rows(database: &mut Database, offsets: &[i64]) -> Result<Vec<MessageRow>, Trouble> {
    Ok(messages::table
        .filter(messages::offset.eq_any(offsets.to_vec()))
        .order(messages::offset)
        .select(MessageRow::as_select())
        .load(database)?)
}

/// Loads the first offsets of a window, filtered or not.
macro_rules! in_window {
    ($window:expr, $database:expr, $($filter:expr)?) => {
        messages::table
            .filter(messages::offset.gt($window.0))
            .filter(messages::offset.le($window.1))
            $(.filter($filter))?
            .order(messages::offset)
            .select(messages::offset)
            .limit($window.2)
            .load($database)?
    };
}
/// How the entries of a query are found.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// All entries.
    Everything,
    /// Entries of these channels, through the index.
    Channels(Vec<String>),
    /// Entries of these channels and ranges of names, by walking over the offsets.
    Walk { channels: Vec<String>, ranges: Vec<NameRange> },
}

impl Choice {
    /// Prefixes with few channels below them become those channels: then the index serves.
    fn of(database: &mut Database, selectors: &[Selector]) -> Result<Self, Trouble> {
        if selectors.is_empty() {
            return Ok(Self::Everything);
        }
        let mut names = Vec::new();
        let mut ranges = Vec::new();
        for selector in selectors {
            match selector {
                Selector::Channel(channel) => names.push(channel.as_str().to_owned()),
                Selector::Prefix(prefix) => ranges.extend(unreserved(prefix)),
            }
        }
        let ranges = NameRange::merged(ranges);
        let mut found = Vec::new();
        for range in &ranges {
            found.extend(channels::names(database, range, EXPANDED_CHANNELS_MAX + 1 - found.len())?);
            if found.len() > EXPANDED_CHANNELS_MAX {
                return Ok(Self::Walk { channels: names, ranges });
            }
        }
        names.append(&mut found);
        names.sort_unstable();
        names.dedup();
        Ok(Self::Channels(names))
    }

    /// The first `count` matching offsets behind `after` and up to `end`.
    fn offsets(&self, database: &mut Database, after: Offset, end: Offset, count: usize) -> Result<Vec<i64>, Trouble> {
        let window = (to_column(after)?, to_column(end)?, i64::try_from(count).unwrap_or(i64::MAX));
        match self {
            Self::Everything => Ok(in_window!(window, database,)),
            Self::Walk { channels, ranges } => {
                let named = messages::channel.eq_any(channels.clone());
                Ok(in_window!(window, database, named.or(in_ranges(ranges))))
            }
            Self::Channels(names) => {
                let mut offsets = Vec::new();
                for names in names.chunks(CHANNELS_PER_QUERY_MAX) {
                    let found: Vec<i64> = in_window!(window, database, messages::channel.eq_any(names.to_vec()));
                    offsets.extend(found);
                }
                offsets.sort_unstable();
                offsets.truncate(count);
                Ok(offsets)
            }
        }
    }
}

type Condition = Box<dyn BoxableExpression<messages::table, MultiBackend, SqlType = Bool>>;

/// Whether a name lies in one of the ranges, which are sorted and apart: a tree of comparisons, so
/// that a thousand ranges cost ten comparisons a row and not two thousand.
fn in_ranges(ranges: &[NameRange]) -> Condition {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    match (left, right) {
        ([], []) => Box::new(messages::channel.ne(messages::channel)),
        ([], [range, ..]) | ([range, ..], []) => {
            let (from, to) = (range.from.clone(), range.to.clone());
            Box::new(messages::channel.ge(from).and(messages::channel.lt(to)))
        }
        (_, [middle, ..]) => {
            let middle = middle.from.clone();
            let below = messages::channel.lt(middle.clone()).and(in_ranges(left));
            Box::new(below.or(messages::channel.ge(middle).and(in_ranges(right))))
        }
    }
}

/// The names below a prefix without the reserved ones: a prefix never reaches those.
fn unreserved(prefix: &str) -> Vec<NameRange> {
    let mut whole = NameRange::below(prefix);
    if prefix.is_empty() {
        // Names in other namespaces begin with a `$`, before all others.
        whole.from = FIRST_NAME.to_owned();
    }
    let reserved = NameRange::below(USER_PREFIX);
    if reserved.from.starts_with(prefix) {
        let before = NameRange { from: whole.from, to: reserved.from };
        let behind = NameRange { from: reserved.to, to: whole.to };
        return vec![before, behind];
    }
    match prefix.starts_with(USER_PREFIX) {
        true => Vec::new(),
        false => vec![whole],
    }
}

/// Stands before every name that a client may say.
const FIRST_NAME: &str = "0";

/// Names in one query. SQLite takes a longer list for costlier than a walk over all offsets.
const CHANNELS_PER_QUERY_MAX: usize = 64;

/// Channels that prefixes are replaced by: one look into the index each.
const EXPANDED_CHANNELS_MAX: usize = 64;

/// Rows in the first chunk: of the largest messages, one fills a page.
const CHUNK_ROWS_MIN: usize = 8;
