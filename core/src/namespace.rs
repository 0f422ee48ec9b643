//! Namespaces: spaces of channels beside the usual one, as Socket.IO has them.
//!
//! The usual one is `/`; its channels have plain names, and all transports see them. A room `r` of
//! another namespace `/chat` is the channel `$/chat#r`. Names that begin with a `$` belong to the
//! server, so no client reaches such a room by its name, and no prefix reaches into it: whoever is to
//! hear of it is put there by name.

use std::fmt;
use std::sync::Arc;

use crate::limits::NAMESPACE_BYTES_MAX;
use crate::names::{ChannelName, NameError, check_characters, check_length, is_channel_byte};

/// What begins the name of a channel in another namespace than `/`.
const MARK: char = '$';

/// What parts namespace and room; neither has it.
const SEPARATOR: char = '#';

/// A namespace: `/`, or `/` with more behind it, `/[A-Za-z0-9_.:@/-]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// Reads a namespace that a client named.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, NAMESPACE_BYTES_MAX)?;
        if !text.starts_with('/') {
            return Err(NameError::BadCharacter(0));
        }
        check_characters(text, is_channel_byte)?;
        Ok(Self(text.into()))
    }

    /// The usual one, `/`.
    #[must_use]
    pub fn main() -> Self {
        Self("/".into())
    }

    /// Whether it is the usual one.
    #[must_use]
    pub fn is_main(&self) -> bool {
        &*self.0 == "/"
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl ChannelName {
    /// The channel of a room in a namespace.
    #[must_use]
    pub fn in_namespace(namespace: &Namespace, room: &Self) -> Self {
        if namespace.is_main() || room.parts().is_some() {
            return room.clone();
        }
        Self::trusted(format!("{MARK}{namespace}{SEPARATOR}{room}"))
    }

    /// Reads a channel's name as the log has it: that of a client, or one in another namespace.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn from_log(text: &str) -> Result<Self, NameError> {
        let Some(rest) = text.strip_prefix(MARK) else { return Self::parse(text) };
        let (namespace, room) = rest.split_once(SEPARATOR).ok_or(NameError::Reserved)?;
        let namespace = Namespace::parse(namespace)?;
        if namespace.is_main() {
            return Err(NameError::Reserved);
        }
        Ok(Self::in_namespace(&namespace, &Self::parse(room)?))
    }

    /// The namespace of the channel.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        self.parts().map_or_else(Namespace::main, |(namespace, _)| Namespace(namespace.into()))
    }

    /// The name of the channel within its namespace.
    #[must_use]
    pub fn room(&self) -> &str {
        self.parts().map_or(self.as_str(), |(_, room)| room)
    }

    /// Whether it is in this namespace.
    #[must_use]
    pub fn is_in(&self, namespace: &Namespace) -> bool {
        self.parts().map_or(namespace.is_main(), |(own, _)| own == namespace.as_str())
    }

    /// Namespace and room, where it is not in the usual namespace.
    fn parts(&self) -> Option<(&str, &str)> {
        self.as_str().strip_prefix(MARK)?.split_once(SEPARATOR)
    }
}

/// A pattern of a grant that speaks of other namespaces, as channels there are named: `/chat#room`
/// becomes `$/chat#room`.
pub(crate) fn marked(pattern: &str) -> String {
    format!("{MARK}{pattern}")
}

/// The other way round.
pub(crate) fn unmarked(name: &str) -> &str {
    name.strip_prefix(MARK).unwrap_or(name)
}

/// Checks the prefix of a pattern that speaks of other namespaces.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), NameError> {
    match prefix.split_once(SEPARATOR) {
        Some((namespace, "")) => Namespace::parse(namespace).map(drop),
        Some((namespace, room)) => {
            Namespace::parse(namespace)?;
            ChannelName::parse(room).map(drop)
        }
        None => Namespace::parse(prefix).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Selector;

    #[test]
    fn a_room_of_another_namespace_has_a_name_that_no_client_can_say() {
        let chat = Namespace::parse("/chat").expect("a namespace");
        let room = ChannelName::parse("room:1").expect("a channel");
        let channel = ChannelName::in_namespace(&chat, &room);
        assert_eq!((channel.as_str(), channel.room(), channel.namespace()), ("$/chat#room:1", "room:1", chat.clone()));
        assert!(channel.is_in(&chat) && !channel.is_in(&Namespace::main()) && channel.is_reserved());
        assert!(ChannelName::parse(channel.as_str()).is_err() && Selector::parse(channel.as_str()).is_err());
        assert_eq!(ChannelName::from_log(channel.as_str()), Ok(channel.clone()));
        for prefix in ["*", "r*"] {
            assert!(!Selector::parse(prefix).expect("a selector").matches(&channel), "{prefix}");
        }
        assert!(Selector::Channel(channel.clone()).matches(&channel));
    }

    #[test]
    fn the_usual_namespace_has_plain_names() {
        let room = ChannelName::parse("room").expect("a channel");
        assert_eq!(ChannelName::in_namespace(&Namespace::main(), &room), room);
        assert_eq!((room.namespace(), room.room(), room.is_in(&Namespace::main())), (Namespace::main(), "room", true));
    }

    #[test]
    fn namespaces_keep_to_the_grammar() {
        for good in ["/", "/chat", "/a/b-c_d.e:f@g", &format!("/{}", "x".repeat(63))] {
            assert!(Namespace::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "chat", "/a b", "/a#b", "/a,b", "/a\0", "/ä", "/*", &format!("/{}", "x".repeat(64))] {
            assert!(Namespace::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["$", "$chat", "$/chat", "$/#a", "$/chat#", "$/chat#a#b", "$/chat#$/b#c", "$#a"] {
            assert!(ChannelName::from_log(bad).is_err(), "{bad:?}");
        }
    }
}
