//! What somebody may follow, publish, and see the presence of: patterns of channel names.
//!
//! A pattern has the grammar of a [`Selector`]: a name, or a prefix with a star behind it. No pattern
//! reaches into the server's own channels.

use std::sync::{Arc, LazyLock};

use crate::limits::GRANT_PATTERNS_MAX;
use crate::names::{ChannelName, NameError, Selector};

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
            Selector::parse(text).map_err(|error| PatternError::Name(text.to_owned(), error))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is a right to this channel.
    #[must_use]
    pub fn allow(&self, channel: &ChannelName) -> bool {
        self.0.iter().any(|pattern| pattern.matches(channel))
    }

    /// Whether there is a right to every channel that the selector may ever match.
    #[must_use]
    pub fn cover(&self, selector: &Selector) -> bool {
        self.0.iter().any(|pattern| match (pattern, selector) {
            (_, Selector::Channel(channel)) => pattern.matches(channel),
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
        self.0.iter().map(Selector::to_string)
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
