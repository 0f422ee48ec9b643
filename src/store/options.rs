//! What few messages need besides their other columns: one column of JSON, NULL for all others.

use std::sync::Arc;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use santral_core::entry::Publication;
use santral_core::names::{ChannelName, ConnectionId, NameError};
use santral_core::position::Offset;
use santral_core::unless::{Copies, Copy, Unless};

use super::database::Database;
use super::error::Trouble;
use super::log_state::to_column;
use super::schema::messages;

/// See the module. Fields that a later release adds are passed over.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Options {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    spread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<CopyOf>,
    /// Connections that are left out, where it is more than one: one alone has its own column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    except_connections: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    except_channels: Vec<String>,
}

/// The others are the rows around this one. So each row costs the same, however many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CopyOf {
    index: usize,
    count: usize,
}

impl Options {
    /// The column of a message.
    pub(super) fn column_of(publication: &Publication) -> Option<String> {
        let mut options = Self { spread: publication.spread, ..Self::default() };
        if let Some(unless) = publication.unless.as_deref() {
            let copy = unless.copy.as_ref();
            options.copy = copy.map(|copy| CopyOf { index: copy.index, count: copy.copies.count() });
            options.except_channels = unless.channels.iter().map(ToString::to_string).collect();
            if unless.connections.len() > 1 {
                options.except_connections = unless.connections.iter().map(|id| id.as_str().to_owned()).collect();
            }
        }
        let is_plain = options == Self::default();
        (!is_plain).then(|| serde_json::to_string(&options).expect("texts and numbers serialize"))
    }

    /// Puts the column's words, and that of the connection which is left out, into a publication.
    pub(super) fn add_to(
        self,
        publication: &mut Publication,
        connection: Option<String>,
        copies: Option<Copy>,
    ) -> Result<(), NameError> {
        publication.spread = self.spread;
        let connections = connection.into_iter().chain(self.except_connections);
        let connections = connections.map(|id| ConnectionId::parse(&id)).collect::<Result<Arc<[_]>, _>>()?;
        let channels = self.except_channels.iter().map(|name| ChannelName::from_log(name));
        let unless = Unless { copy: copies, connections, channels: channels.collect::<Result<_, _>>()? };
        publication.unless = (unless != Unless::default()).then(|| Arc::new(unless));
        Ok(())
    }
}

/// The message that was read last of those that went to several channels: its rows stand together.
#[derive(Debug, Default)]
pub(super) struct CopiesReader {
    last: Option<(Offset, Arc<Copies>)>,
    bytes: usize,
}

impl CopiesReader {
    /// Which copy the row at `offset` is. Copies before it that retention has removed reached nobody
    /// who reads this one, so they are not missed.
    pub(super) fn copy_at(
        &mut self,
        database: &mut Database,
        offset: Offset,
        options: &Options,
    ) -> Result<Option<Copy>, Trouble> {
        let Some(CopyOf { index, count }) = options.copy.clone() else { return Ok(None) };
        // Somebody may have written anything into the column.
        let Some(first) = offset.checked_sub(index as Offset).filter(|_| index < count) else { return Ok(None) };
        if self.last.as_ref().is_none_or(|(known, _)| *known != first) {
            let copies = load(database, first, count)?;
            self.bytes += copies.names(0..copies.count()).iter().map(|name| name.as_str().len()).sum::<usize>();
            self.last = Some((first, Arc::new(copies)));
        }
        Ok(self.last.as_ref().map(|(_, copies)| Copy { copies: Arc::clone(copies), index }))
    }

    /// Bytes of all names that were read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The channels of the rows from `first` on. A row that is no entry ends what can be told.
fn load(database: &mut Database, first: Offset, count: usize) -> Result<Copies, Trouble> {
    let count = count.min(COPIES_MAX);
    let behind = first.saturating_add(count as Offset);
    let rows: Vec<(i64, String)> = messages::table
        .filter(messages::offset.ge(to_column(first)?))
        .filter(messages::offset.lt(to_column(behind)?))
        .order(messages::offset.desc())
        .select((messages::offset, messages::channel))
        .load(database)?;
    let mut names = Vec::with_capacity(rows.len());
    for ((offset, channel), expected) in rows.into_iter().zip((0..behind).rev()) {
        let Some(name) = ChannelName::from_log(&channel).ok().filter(|_| offset.unsigned_abs() == expected) else {
            break;
        };
        names.push(name);
    }
    names.reverse();
    Ok(Copies::known_from(count - names.len(), names))
}

/// The server writes no more.
const COPIES_MAX: usize = santral_core::limits::BATCH_ITEMS_MAX;
