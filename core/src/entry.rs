//! What is published, and what becomes of it in the log.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::format::Format;
use crate::names::{ChannelName, ConnectionId, EventName};
use crate::position::{Offset, Position};
use crate::unless::Unless;

/// Wall-clock time in microseconds since the Unix epoch, UTC.
///
/// Both databases keep microseconds, so a time survives the way through the store unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// RFC 3339 in UTC with milliseconds, as every JSON answer shows it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_micros(self.0)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
            .to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// What the server itself knows of a publisher; never what the publisher says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// The user that published, where there are users.
    pub user: Option<Arc<str>>,
    /// The connection that published, when it was a session's own uplink.
    pub connection: Option<ConnectionId>,
}

impl Sender {
    /// Whether nothing is known, so that `from` is left out.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.user.is_none() && self.connection.is_none()
    }
}

/// A message that somebody wants delivered, checked and not yet stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where it goes.
    pub channel: ChannelName,
    /// The SSE `event:` field; `None` arrives as the type `message`.
    pub event: Option<EventName>,
    /// JSON text, within the bounds of size and depth, as the publisher wrote it.
    pub data: Arc<str>,
    /// Whether the data is an array of what was published as several arguments of one event, which
    /// protocols that know such a thing give to their clients one by one.
    pub spread: bool,
    /// Who published.
    pub from: Sender,
    /// Who is left out, if anybody. One look at it is all that a usual message costs.
    pub unless: Option<Arc<Unless>>,
}

impl Publication {
    /// A message to everyone who follows the channel.
    #[must_use]
    pub fn new(channel: ChannelName, data: impl Into<Arc<str>>) -> Self {
        Self { channel, event: None, data: data.into(), spread: false, from: Sender::default(), unless: None }
    }
}

/// One item that shards deliver: a row of `messages`, or a volatile message on its way through.
///
/// Shared by all shards and receivers; the bytes for each wire format are made once (INV-7).
#[derive(Debug)]
pub struct Entry {
    position: Option<Position>,
    at: Timestamp,
    publication: Publication,
    raw: OnceLock<Bytes>,
    envelope: OnceLock<Bytes>,
    json: OnceLock<Bytes>,
    socketio: OnceLock<Bytes>,
    socketio_placed: OnceLock<Bytes>,
}

impl Entry {
    /// An entry of the log.
    #[must_use]
    pub fn stored(position: Position, at: Timestamp, publication: Publication) -> Self {
        Self::new(Some(position), at, publication)
    }

    /// A message that is never stored and has no position.
    #[must_use]
    pub fn volatile(at: Timestamp, publication: Publication) -> Self {
        Self::new(None, at, publication)
    }

    fn new(position: Option<Position>, at: Timestamp, publication: Publication) -> Self {
        Self {
            position,
            at,
            publication,
            raw: OnceLock::new(),
            envelope: OnceLock::new(),
            json: OnceLock::new(),
            socketio: OnceLock::new(),
            socketio_placed: OnceLock::new(),
        }
    }

    /// Its place in the log; `None` for a volatile message.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Its offset in the log; `None` for a volatile message.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.position.map(|position| position.offset)
    }

    /// When the server accepted it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What was published.
    #[must_use]
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// The bytes of its frame in one format, made at the first call.
    #[must_use]
    pub fn frame(&self, format: Format) -> &Bytes {
        let frame = match format {
            Format::Raw => &self.raw,
            Format::Envelope => &self.envelope,
            Format::Json => &self.json,
            Format::SocketIo => &self.socketio,
            Format::SocketIoPlaced => &self.socketio_placed,
        };
        frame.get_or_init(|| format.message(self.position, self.at, &self.publication))
    }

    /// What the entry costs in memory, roughly, in bytes: the text, its frames and the structure.
    #[must_use]
    pub fn weight(&self) -> usize {
        2 * self.publication.data.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Epoch;

    /// INV-7: a frame is encoded once per entry and format.
    #[test]
    fn all_receivers_share_the_bytes_of_a_frame() {
        let publication = Publication::new(ChannelName::broadcast(), "1");
        let entry = Entry::stored(Position::new(Epoch(7), 1), Timestamp(0), publication);
        for format in Format::ALL {
            assert_eq!(entry.frame(format).as_ptr(), entry.frame(format).as_ptr());
        }
        assert_ne!(entry.frame(Format::Raw), entry.frame(Format::Envelope));
    }
}
