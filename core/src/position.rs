//! Places in the log, as clients remember them.
//!
//! A position is `(epoch, offset, sub)`, written `<epoch>-<offset>` or `<epoch>-<offset>.<sub>`.
//! Clients treat it as opaque; the server compares it in that order.

use std::fmt;
use std::str::FromStr;

/// The place of a stored entry in the log: 1 for the first, without reuse within an epoch.
pub type Offset = u64;

/// The largest offset that JSON numbers carry exactly, 2^53 - 1 (RFC 8259, section 6).
pub const OFFSET_MAX: Offset = (1 << 53) - 1;

/// The largest `sub` that a position of ours can have: more than any session ever gets, and far
/// enough from the end of the range that what a client claims never overflows a counter.
pub const SUB_MAX: u32 = u32::MAX / 2;

/// The incarnation of the log: changes only when the log itself is replaced.
///
/// Shown as eight lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.len() != 8 || !lower_hex {
            return Err(PositionError);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| PositionError)
    }
}

/// A place in the log and, behind it, in a session's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The last stored entry at this place.
    pub offset: Offset,
    /// The session's last direct message at this place; 0 for a stored entry.
    pub sub: u32,
}

impl Position {
    /// The position of a stored entry.
    #[must_use]
    pub fn new(epoch: Epoch, offset: Offset) -> Self {
        Self { epoch, offset, sub: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub {
            0 => write!(formatter, "{}-{}", self.epoch, self.offset),
            sub => write!(formatter, "{}-{}.{sub}", self.epoch, self.offset),
        }
    }
}

/// The text is no position of any Santral log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position: expected <epoch>-<offset> or <epoch>-<offset>.<sub>")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, place) = text.split_once('-').ok_or(PositionError)?;
        let (offset, sub) = match place.split_once('.') {
            Some((offset, sub)) => (offset, parse_decimal(sub)?),
            None => (place, 0),
        };
        let offset = parse_decimal(offset)?;
        if offset > OFFSET_MAX {
            return Err(PositionError);
        }
        let sub = u32::try_from(sub).map_err(|_| PositionError)?;
        Ok(Self { epoch: epoch.parse()?, offset, sub })
    }
}

/// Decimal digits only: `str::parse` alone would take a leading `+` as well.
fn parse_decimal(text: &str) -> Result<u64, PositionError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PositionError);
    }
    text.parse().map_err(|_| PositionError)
}

/// Where a client wants to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// Behind a position that it has seen.
    Position(Position),
    /// From the oldest entry that is retained.
    Earliest,
    /// From text that is no position: everything may be missing.
    Unknown,
}

impl ResumeFrom {
    /// Reads a `Last-Event-ID`. Never fails: what is not understood is [`ResumeFrom::Unknown`],
    /// because an error status would make a browser give up for good.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "earliest" => Self::Earliest,
            other => other.parse().map_or(Self::Unknown, Self::Position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_survive_the_way_over_the_wire(epoch: u32, offset in 0..=OFFSET_MAX, sub: u32) {
            let position = Position { epoch: Epoch(epoch), offset, sub };
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }

        #[test]
        fn reading_a_position_never_panics(text in ".{0,40}") {
            let _ = ResumeFrom::parse(&text);
        }
    }

    #[test]
    fn what_is_no_position_is_unknown() {
        for text in ["", "7", "-", "0000000g-1", "00000001-", "00000001-+1", "00000001-1.", "00000001-9007199254740992"]
        {
            assert_eq!(ResumeFrom::parse(text), ResumeFrom::Unknown, "{text}");
        }
    }
}
