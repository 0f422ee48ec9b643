//! What somebody may follow, publish, and see the presence of: patterns of channel names.
//!
//! A pattern has the grammar of a [`Selector`]: a name, or a prefix with a star behind it. It speaks of
//! the usual namespace; one that begins with a slash speaks of rooms in others, as `/chat#room` or
//! `/chat#*`. A star alone is a right to everything, in every namespace. No pattern reaches the channels
//! of users.

use std::sync::{Arc, LazyLock};

use crate::limits::GRANT_PATTERNS_MAX;
use crate::names::{ChannelName, NameError, Selector};
use crate::namespace;

/// Channels that somebody has a right to. Deny by default: no pattern, no right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns(Vec<Selector>);

/// Why a list of patterns was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// One of them breaks the grammar.
    #[error("pattern {0:?} {1}")]
    Name(String, NameError),
    /// Longer than the bound.
    #[error("there are more than {GRANT_PATTERNS_MAX} patterns")]
    TooMany,
}

impl Patterns {
    /// A right to every channel but the server's own.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![Selector::Prefix("".into())])
    }

    /// Reads patterns as they are written in a token or a setting.
    ///
    /// # Errors
    /// [`PatternError`] for the first that is none, and for too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, PatternError> {
        if texts.len() > GRANT_PATTERNS_MAX {
            return Err(PatternError::TooMany);
        }
        let parse = |text: &T| {
            let text = text.as_ref();
            let parsed = if text.starts_with('/') { parse_elsewhere(text) } else { Selector::parse(text) };
            parsed.map_err(|error| PatternError::Name(text.to_owned(), error))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is a right to this channel.
    #[must_use]
    pub fn allow(&self, channel: &ChannelName) -> bool {
        self.0.iter().any(|pattern| grants(pattern, channel))
    }

    /// Whether there is a right to every channel that the selector may ever match.
    #[must_use]
    pub fn cover(&self, selector: &Selector) -> bool {
        self.0.iter().any(|pattern| match (pattern, selector) {
            (_, Selector::Channel(channel)) => grants(pattern, channel),
            (Selector::Prefix(granted), Selector::Prefix(asked)) => asked.starts_with(&**granted),
            (Selector::Channel(_), Selector::Prefix(_)) => false,
        })
    }

    /// Whether there is no right at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns as they are written.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|pattern| namespace::unmarked(&pattern.to_string()).to_owned())
    }
}

/// Unlike what somebody follows, a pattern may reach into other namespaces.
fn grants(pattern: &Selector, channel: &ChannelName) -> bool {
    match pattern {
        Selector::Channel(name) => name == channel,
        Selector::Prefix(prefix) => channel.as_str().starts_with(&**prefix) && !channel.is_of_user(),
    }
}

/// A pattern that begins with a slash, written as the channels are named that it speaks of.
fn parse_elsewhere(text: &str) -> Result<Selector, NameError> {
    let marked = match text.split_once('*') {
        None => Selector::Channel(ChannelName::from_log(&namespace::marked(text))?),
        Some((_, rest)) if !rest.is_empty() => return Err(NameError::StarNotLast),
        Some((prefix, _)) => {
            namespace::check_prefix(prefix)?;
            Selector::Prefix(namespace::marked(prefix).into())
        }
    };
    match &marked {
        Selector::Channel(channel) if channel.is_of_user() => Err(NameError::Reserved),
        Selector::Channel(_) | Selector::Prefix(_) => Ok(marked),
    }
}

/// Everything that a principal has a right to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Channels to follow and to read the history of.
    pub subscribe: Patterns,
    /// Channels to publish to.
    pub publish: Patterns,
    /// Channels whose followers may be seen.
    pub presence: Patterns,
    /// Video rooms to enter.
    pub rooms: Patterns,
}

impl Grants {
    /// A right to everything: one for all who have it, since on an open server that is every stream.
    #[must_use]
    pub fn all() -> Arc<Self> {
        static ALL: LazyLock<Arc<Grants>> = LazyLock::new(|| {
            let all = Patterns::all();
            Arc::new(Grants { subscribe: all.clone(), publish: all.clone(), presence: all.clone(), rooms: all })
        });
        Arc::clone(&ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::Namespace;

    fn patterns(texts: &[&str]) -> Patterns {
        Patterns::parse(texts).expect("the test's patterns are valid")
    }

    #[test]
    fn a_pattern_covers_what_lies_below_it_and_nothing_else() {
        let granted = patterns(&["orders:*", "news"]);
        for (asked, covered) in [
            ("orders:1", true),
            ("orders:", true),
            ("orders:1*", true),
            ("orders:*", true),
            ("orders*", false),
            ("*", false),
            ("news", true),
            ("news*", false),
            ("newsletter", false),
        ] {
            assert_eq!(granted.cover(&Selector::parse(asked).expect("a selector")), covered, "{asked}");
        }
        assert!(!Patterns::default().cover(&Selector::parse("a").expect("a selector")));
    }

    #[test]
    fn the_servers_own_channels_are_covered_by_nothing() {
        let own = ChannelName::of_user("ada").expect("a user's channel");
        assert!(!Patterns::all().allow(&own));
        assert!(!Patterns::all().cover(&Selector::Channel(own)));
        assert_eq!(Patterns::parse(&["user:*"]), Err(PatternError::Name("user:*".to_owned(), NameError::Reserved)));
    }

    #[test]
    fn a_pattern_speaks_of_other_namespaces_only_when_it_says_so() {
        let room = |namespace: &str, room: &str| {
            let namespace = Namespace::parse(namespace).expect("a namespace");
            ChannelName::in_namespace(&namespace, &ChannelName::parse(room).expect("a channel"))
        };
        let (here, chat) = (room("/", "room"), room("/chat", "room"));
        let (chats, of_user) = (room("/chats", "room"), room("/chat", "user:ada"));
        for (pattern, granted) in [
            ("*", [true, true, true, false]),
            ("room", [true, false, false, false]),
            ("r*", [true, false, false, false]),
            ("/chat#room", [false, true, false, false]),
            ("/chat#*", [false, true, false, false]),
            ("/chat#r*", [false, true, false, false]),
            ("/chat*", [false, true, true, false]),
            ("/*", [false, true, true, false]),
            ("/chat#x*", [false, false, false, false]),
        ] {
            let patterns = patterns(&[pattern]);
            assert_eq!([&here, &chat, &chats, &of_user].map(|name| patterns.allow(name)), granted, "{pattern}");
            assert!(patterns.iter().eq([pattern]));
            let followed = Selector::Channel(chat.clone());
            assert_eq!(patterns.cover(&followed), granted[1], "{pattern}");
        }
        for bad in
            ["/chat", "/chat#", "/#a", "/chat#user:ada", "/chat#a*b", "/chat #a", "/chat#a#b*", "chat#a", "$/chat#a"]
        {
            assert!(Patterns::parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn separators_in_names_join_nothing() {
        let granted = patterns(&["a_b"]);
        for asked in ["a", "a_b_c", "a_", "b", "a.b", "a_b."] {
            assert!(!granted.allow(&ChannelName::parse(asked).expect("a channel")), "{asked}");
        }
    }

    #[test]
    fn more_patterns_than_the_bound_are_refused() {
        let many = vec!["a"; GRANT_PATTERNS_MAX + 1];
        assert_eq!(Patterns::parse(&many), Err(PatternError::TooMany));
        assert!(Patterns::parse(&many[1..]).is_ok());
    }
}
