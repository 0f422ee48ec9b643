//! Names of events: nearly any text, since clients of other protocols name theirs as they like.
//!
//! Some names are words of a protocol itself. Whoever speaks our own protocol cannot publish them at
//! all; where another protocol has no such word, its clients may, and then the name is written with
//! a prefix wherever it could be mistaken for the server's.

use std::fmt;
use std::sync::Arc;

use crate::limits::EVENT_NAME_BYTES_MAX;
use crate::names::{NameError, check_length};

/// Event names that only the server sends on its own streams.
const RESERVED: [&str; 5] = ["hello", "ping", "gap", "bye", "presence"];

/// Prefixes of further event names that only the server sends, whatever the protocol: a client of a call
/// must be able to believe them.
const RESERVED_PREFIXES: [&str; 3] = ["santral:", "video.", "webrtc."];

/// Event names of which a Socket.IO client takes the packet for a broken one and hangs up.
const RESERVED_IN_SOCKET_IO: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// What precedes a name that is a word of the protocol which it is written in.
const FOREIGN_PREFIX: &str = "io:";

/// The `event:` of a message: any text of 1 to 128 bytes without control characters and line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Reads an event name that a publisher of our own protocol sent.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved);
        }
        Self::foreign(text)
    }

    /// Reads an event name from another protocol, or from the log: `hello` and its like are words of
    /// our own streams only, and there they are told apart, see [`EventName::on_stream`].
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn foreign(text: &str) -> Result<Self, NameError> {
        check_length(text, EVENT_NAME_BYTES_MAX)?;
        if let Some((at, _)) = text.char_indices().find(|&(_, character)| breaks_a_line(character)) {
            return Err(NameError::BadCharacter(at));
        }
        if RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// A name of the server's own, which no publisher can use.
    pub(crate) fn of_server(name: &'static str) -> Self {
        debug_assert!(Self::foreign(name) == Err(NameError::Reserved), "{name} could be forged");
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as streams of our own protocol write it: none that the server itself uses.
    #[must_use]
    pub fn on_stream(&self) -> Written<'_> {
        Written::of(&self.0, &RESERVED)
    }

    /// The name as Socket.IO clients are sent it: none at which they would hang up.
    #[must_use]
    pub fn on_socket_io(&self) -> Written<'_> {
        Written::of(&self.0, &RESERVED_IN_SOCKET_IO)
    }
}

/// An event name as one protocol writes it: a prefix, mostly empty, and the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Empty, or what tells the name from a word of the protocol.
    pub prefix: &'static str,
    /// The name.
    pub name: &'a str,
}

impl<'a> Written<'a> {
    fn of(name: &'a str, reserved: &[&str]) -> Self {
        Self { prefix: if reserved.contains(&name) { FOREIGN_PREFIX } else { "" }, name }
    }
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.prefix)?;
        formatter.write_str(self.name)
    }
}

/// Control characters, and all that some reader of lines takes for the end of one.
fn breaks_a_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_on_one_line_is_a_name() {
        for good in ["order.created", "chat message", " ", "güncelleme", "👋", "\"quoted\" \\ {}", &"x".repeat(128)]
        {
            assert_eq!(EventName::parse(good).map(|name| name.as_str().to_owned()), Ok(good.to_owned()), "{good}");
        }
        for bad in ["", "a\n", "\ra", "a\0", "\u{1b}", "a\u{7f}", "\u{85}", "\u{9f}", "\u{2028}", "a\u{2029}b"] {
            assert!(EventName::foreign(bad).is_err(), "{bad:?}");
        }
        assert_eq!(EventName::parse(&"é".repeat(65)), Err(NameError::TooLong(128)));
    }

    #[test]
    fn the_servers_own_names_are_refused_or_told_apart() {
        for reserved in RESERVED {
            assert_eq!(EventName::parse(reserved), Err(NameError::Reserved));
            let foreign = EventName::foreign(reserved).expect("another protocol may use it");
            assert_eq!(foreign.on_stream().to_string(), format!("io:{reserved}"));
            assert_eq!(foreign.on_socket_io().to_string(), reserved);
        }
        for servers in ["santral:x", "video.room.closed", "webrtc.signal"] {
            assert_eq!(EventName::foreign(servers), Err(NameError::Reserved));
        }
        for reserved in RESERVED_IN_SOCKET_IO {
            let name = EventName::parse(reserved).expect("a name like others on our own streams");
            assert_eq!((name.on_stream().to_string(), name.on_socket_io().prefix), (reserved.to_owned(), "io:"));
        }
    }
}
