//! Names that clients may send: parsed once at the edge, trusted inside.
//!
//! Every name is a validated newtype, so that nothing below the edge holds a bare `String` id.
//! The grammar is the one of docs/protocol.md, section "Names".

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

pub use crate::event_name::EventName;
use crate::limits::{CHANNEL_NAME_BYTES_MAX, SESSION_TOKEN_BYTES_MAX, SESSION_TOKEN_BYTES_MIN};

/// The channel that every session follows unless it opts out.
pub const BROADCAST: &str = "broadcast";

/// Prefix of the channel that belongs to one user.
pub const USER_PREFIX: &str = "user:";

/// What begins every further name of the server's own; no client's name begins with it.
const RESERVED_MARK: char = '$';

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty where a name is needed.
    #[error("is empty")]
    Empty,
    /// Longer than the bound, in bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// Shorter than the bound, in bytes.
    #[error("is shorter than {0} bytes")]
    TooShort(usize),
    /// A character outside the grammar.
    #[error("has a character that is not allowed at byte {0}")]
    BadCharacter(usize),
    /// Belongs to the server.
    #[error("is reserved to the server")]
    Reserved,
    /// A `*` that does not stand alone at the end.
    #[error("has a '*' that is not its last character")]
    StarNotLast,
}

/// A named stream: `[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Reads a channel name that a client sent.
    ///
    /// # Errors
    /// [`NameError`] says which rule of the grammar was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_channel_text(text)?;
        Ok(Self(text.into()))
    }

    /// The channel that every session follows.
    #[must_use]
    pub fn broadcast() -> Self {
        Self(BROADCAST.into())
    }

    /// The channel of one user, `user:<id>`.
    ///
    /// # Errors
    /// [`NameError`] where the id does not fit into a channel name.
    pub fn of_user(user: &str) -> Result<Self, NameError> {
        if user.is_empty() {
            return Err(NameError::Empty);
        }
        Self::parse(&format!("{USER_PREFIX}{user}"))
    }

    /// A name that the server has made of checked parts.
    pub(crate) fn trusted(name: String) -> Self {
        Self(name.into())
    }

    /// Whether the name belongs to the server: nobody may name it in a publish or a subscription, and
    /// no prefix reaches it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED_MARK) || self.is_of_user()
    }

    /// Whether it is the channel that every session of its namespace follows.
    #[must_use]
    pub fn is_for_everyone(&self) -> bool {
        self.room() == BROADCAST
    }

    /// Whether it is the channel of one user, in whatever namespace.
    #[must_use]
    pub fn is_of_user(&self) -> bool {
        self.room().starts_with(USER_PREFIX)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names order and compare like their text, so a map can be searched by prefix.
impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// What a session follows: one channel, or every channel that starts with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// Exactly this channel.
    Channel(ChannelName),
    /// Every channel whose name starts with this text; written with a `*` behind it.
    Prefix(Arc<str>),
}

impl Selector {
    /// Reads `orders.42` or `orders.*` as a client sent it. A lone `*` is every channel.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken; reserved channels are refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let selector = match text.split_once('*') {
            None => Self::Channel(ChannelName::parse(text)?),
            Some((_, rest)) if !rest.is_empty() => return Err(NameError::StarNotLast),
            Some(("", _)) => Self::Prefix("".into()),
            Some((prefix, _)) => {
                check_channel_text(prefix)?;
                Self::Prefix(prefix.into())
            }
        };
        if selector.as_str().starts_with(USER_PREFIX) {
            return Err(NameError::Reserved);
        }
        Ok(selector)
    }

    /// Whether an entry of `channel` concerns a follower of this selector.
    ///
    /// A prefix never reaches into the reserved channels: those are followed by name, by the server.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        match self {
            Self::Channel(name) => name == channel,
            Self::Prefix(prefix) => channel.as_str().starts_with(&**prefix) && !channel.is_reserved(),
        }
    }

    /// The channel name or the bare prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Channel(name) => name.as_str(),
            Self::Prefix(prefix) => prefix,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(name) => formatter.write_str(name.as_str()),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
        }
    }
}

/// One live attach of a client: 22 characters of `[A-Za-z0-9_-]`, 132 bits. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId([u8; Self::LENGTH]);

impl ConnectionId {
    /// Characters of a connection id.
    pub const LENGTH: usize = 22;

    /// Reads a connection id that a client sent.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, Self::LENGTH)?;
        check_characters(text, is_token_byte)?;
        text.as_bytes().try_into().map(Self).map_err(|_| NameError::TooShort(Self::LENGTH))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a connection id is ASCII by construction")
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The secret that names a session: `[A-Za-z0-9_-]{22,64}`, at least 128 bits when drawn at random.
///
/// Whoever knows it may steer the session, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionToken(Arc<str>);

impl SessionToken {
    /// Reads a session token that a client chose.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, SESSION_TOKEN_BYTES_MAX)?;
        check_characters(text, is_token_byte)?;
        if text.len() < SESSION_TOKEN_BYTES_MIN {
            return Err(NameError::TooShort(SESSION_TOKEN_BYTES_MIN));
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, for the session's own client only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionToken(…)")
    }
}

fn check_channel_text(text: &str) -> Result<(), NameError> {
    check_length(text, CHANNEL_NAME_BYTES_MAX)?;
    if !text.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(if text.starts_with(RESERVED_MARK) { NameError::Reserved } else { NameError::BadCharacter(0) });
    }
    check_characters(text, is_channel_byte)
}

pub(crate) fn is_channel_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:@/-".contains(&byte)
}

pub(crate) fn check_length(text: &str, bytes_max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > bytes_max => Err(NameError::TooLong(bytes_max)),
        _ => Ok(()),
    }
}

pub(crate) fn check_characters(text: &str, allowed: impl Fn(u8) -> bool) -> Result<(), NameError> {
    match text.bytes().position(|byte| !allowed(byte)) {
        Some(at) => Err(NameError::BadCharacter(at)),
        None => Ok(()),
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_keep_to_the_grammar() {
        for good in ["a", "0", "orders.42", "user:ada", "a_b-c@d/e:f", &"x".repeat(128)] {
            assert!(ChannelName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "$sys", "a b", "a\n", "a\0", "ä", "a*", "a\u{2028}", &"x".repeat(129)] {
            assert!(ChannelName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_star_stands_only_at_the_end_of_a_selector() {
        assert_eq!(Selector::parse("orders.*"), Ok(Selector::Prefix("orders.".into())));
        assert_eq!(Selector::parse("*"), Ok(Selector::Prefix("".into())));
        assert_eq!(Selector::parse("a*b"), Err(NameError::StarNotLast));
        assert_eq!(Selector::parse("a**"), Err(NameError::StarNotLast));
        assert_eq!(Selector::parse("user:ada"), Err(NameError::Reserved));
        assert_eq!(Selector::parse("user:*"), Err(NameError::Reserved));
    }

    #[test]
    fn a_prefix_does_not_reach_into_reserved_channels() {
        let private = ChannelName::of_user("ada").expect("a valid user id");
        for prefix in ["*", "u*", "user*"] {
            assert!(!Selector::parse(prefix).expect("a valid selector").matches(&private), "{prefix}");
        }
    }

    #[test]
    fn a_session_token_has_at_least_128_bits_and_stays_out_of_debug_output() {
        assert!(SessionToken::parse(&"a".repeat(21)).is_err());
        let token = SessionToken::parse(&"a".repeat(22)).expect("long enough");
        assert!(!format!("{token:?}").contains("aaa"));
    }
}
