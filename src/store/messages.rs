//! Rows of `messages`, and what they are in the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::prelude::*;

use santral_core::entry::{Entry, Publication, Sender, Timestamp};
use santral_core::names::{ChannelName, ConnectionId, EventName, NameError};
use santral_core::position::{Epoch, Offset, Position};
use santral_core::unless::Copy;

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::log_state::to_column;
use super::options::{CopiesReader, Options};
use super::schema::messages;

/// A row as it is read. Anybody with access to the database may have written it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
#[diesel(check_for_backend(MultiBackend))]
pub(super) struct MessageRow {
    pub(super) offset: i64,
    channel: String,
    event: Option<String>,
    data: String,
    sender_user: Option<String>,
    sender_connection: Option<String>,
    except_connection: Option<String>,
    created_at: i64,
    options: Option<String>,
}

impl MessageRow {
    /// Bytes of the message.
    pub(super) fn data_bytes(&self) -> usize {
        self.data.len()
    }

    fn options(&self) -> Result<Options, RowError> {
        let options = self.options.as_deref().map(serde_json::from_str).transpose();
        options.map(Option::unwrap_or_default).map_err(|_| RowError::Options)
    }

    fn into_entry(self, epoch: Epoch, options: Options, copy: Option<Copy>) -> Result<Entry, RowError> {
        serde_json::from_str::<serde::de::IgnoredAny>(&self.data).map_err(|_| RowError::Data)?;
        let offset = Offset::try_from(self.offset).map_err(|_| RowError::Offset)?;
        let connection = self.sender_connection.map(|text| ConnectionId::parse(&text)).transpose()?;
        let mut publication = Publication {
            event: self.event.map(|text| EventName::foreign(&text)).transpose()?,
            from: Sender { user: self.sender_user.map(Into::into), connection },
            ..Publication::new(ChannelName::from_log(&self.channel)?, self.data)
        };
        options.add_to(&mut publication, self.except_connection, copy)?;
        Ok(Entry::stored(Position::new(epoch, offset), Timestamp(self.created_at), publication))
    }
}

/// Why a row is no entry.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error("its data is not JSON")]
    Data,
    #[error("its options are none")]
    Options,
    #[error("its offset is negative")]
    Offset,
    #[error("one of its names {0}")]
    Name(#[from] NameError),
}

/// Turns rows into entries and leaves out those that are none: a row that somebody wrote by hand
/// must not end the stream of everyone who reads past it.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    warned_to: AtomicU64,
}

impl RowReader {
    /// The entry in a row; `None` when the row is not one, which is logged the first time.
    pub(super) fn entry(
        &self,
        database: &mut Database,
        row: MessageRow,
        epoch: Epoch,
        copies: &mut CopiesReader,
    ) -> Result<Option<Arc<Entry>>, Trouble> {
        let offset = row.offset.unsigned_abs();
        let entry = match row.options() {
            Ok(options) => {
                let copy = copies.copy_at(database, offset, &options)?;
                row.into_entry(epoch, options, copy)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &entry
            && self.warned_to.fetch_max(offset, Ordering::Relaxed) < offset
        {
            log::warn!("the message at offset {offset} is skipped: {error}");
        }
        Ok(entry.ok().map(Arc::new))
    }
}

/// A row as it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = messages)]
#[diesel(treat_none_as_default_value = false)]
struct NewMessage<'a> {
    offset: i64,
    channel: &'a str,
    event: Option<&'a str>,
    data: &'a str,
    sender_user: Option<&'a str>,
    sender_connection: Option<&'a str>,
    except_connection: Option<&'a str>,
    created_at: i64,
    options: Option<String>,
}

impl<'a> NewMessage<'a> {
    fn of(entry: &'a Entry) -> Result<Self, Trouble> {
        let publication = entry.publication();
        Ok(Self {
            offset: to_column(entry.offset().ok_or(Trouble::OffsetsExhausted)?)?,
            channel: publication.channel.as_str(),
            event: publication.event.as_ref().map(EventName::as_str),
            data: &publication.data,
            sender_user: publication.from.user.as_deref(),
            sender_connection: publication.from.connection.as_ref().map(ConnectionId::as_str),
            except_connection: only_excepted(publication).map(ConnectionId::as_str),
            created_at: entry.at().0,
            options: Options::column_of(publication),
        })
    }
}

fn only_excepted(publication: &Publication) -> Option<&ConnectionId> {
    match publication.unless.as_deref().map(|unless| &*unless.connections) {
        Some([connection]) => Some(connection),
        Some(_) | None => None,
    }
}

/// Inserts entries under the offsets that they have.
pub(super) fn insert<'a>(
    database: &mut Database,
    entries: impl Iterator<Item = &'a Arc<Entry>>,
) -> Result<(), Trouble> {
    let rows = entries.map(|entry| NewMessage::of(entry)).collect::<Result<Vec<_>, _>>()?;
    for rows in rows.chunks(INSERT_ROWS_MAX) {
        each!(database, connection => diesel::insert_into(messages::table).values(rows).execute(connection))?;
    }
    Ok(())
}

/// Rows in one INSERT of nine values each; SQLite takes 32,766 values, PostgreSQL 65,535.
const INSERT_ROWS_MAX: usize = 1_000;
