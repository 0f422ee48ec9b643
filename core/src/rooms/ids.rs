//! What rooms and their participants are called, and what proves who they are.

use std::fmt;
use std::sync::Arc;

use crate::limits::{PARTICIPANT_ID_BYTES_MAX, ROOM_ID_BYTES_MAX};
use crate::names::{ChannelName, NameError, check_length};

/// The id of a room: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// Reads an id that a client sent.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, ROOM_ID_BYTES_MAX)?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if let Some(at) = text.bytes().position(|byte| !is_allowed(byte)) {
            return Err(NameError::BadCharacter(at));
        }
        if !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(NameError::BadCharacter(0));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name by which patterns grant the room.
    #[must_use]
    pub fn as_granted(&self) -> ChannelName {
        ChannelName::trusted(self.0.to_string())
    }

    /// The channel that events of the room name: the server's own, which nobody can follow.
    #[must_use]
    pub(super) fn channel(&self) -> ChannelName {
        ChannelName::trusted(format!("$room/{}", self.0))
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

/// One admission of somebody to one room; never used again. No secret. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(Arc<str>);

impl ParticipantId {
    /// An id that was drawn, or a text that some client takes for one.
    ///
    /// # Errors
    /// [`NameError`] where it cannot be one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, PARTICIPANT_ID_BYTES_MAX)?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match text.bytes().position(|byte| !is_allowed(byte)) {
            Some(at) => Err(NameError::BadCharacter(at)),
            None => Ok(Self(text.into())),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

/// SHA-256 of a participant token or a host token. The token itself never comes into core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TokenHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_grammar() {
        for good in ["meeting-123", "a", "7.b_c", &"x".repeat(64)] {
            assert!(RoomId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".", "a b", "a/b", "ü", "a~", &"x".repeat(65)] {
            assert!(RoomId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ParticipantId::parse("p_V1StGXR8_Z5jdHi6").is_ok());
        assert!(ParticipantId::parse("*").is_err());
    }
}
