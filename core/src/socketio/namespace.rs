//! The name of a namespace.

use std::fmt;
use std::sync::Arc;

use crate::limits::NAMESPACE_BYTES_MAX;
use crate::names::NameError;

/// `/`, or `/` and a name. Holds no comma, which ends it on the wire, and no control character.
///
/// The root takes no memory; others are cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Namespace(Option<Arc<str>>);

impl Namespace {
    /// The namespace `/`, whose channels are those of all other transports.
    pub const ROOT: Self = Self(None);

    /// Reads a namespace that a client or the operator wrote.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "/" {
            return Ok(Self::ROOT);
        }
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAMESPACE_BYTES_MAX {
            return Err(NameError::TooLong(NAMESPACE_BYTES_MAX));
        }
        let bad = |(at, letter): (usize, char)| letter.is_control() || letter == ',' || (at == 0 && letter != '/');
        match text.char_indices().find(|found| bad(*found)) {
            Some((at, _)) => Err(NameError::BadCharacter(at)),
            None => Ok(Self(Some(text.into()))),
        }
    }

    /// Whether it is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("/")
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_begin_with_a_slash_and_hold_no_comma_and_no_control_characters() {
        for good in
            ["/", "/chat", "/a/b", "/mit leerzeichen", "/ä", &format!("/{}", "x".repeat(NAMESPACE_BYTES_MAX - 1))]
        {
            assert_eq!(Namespace::parse(good).map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", "chat", "/a,b", "/a\nb", "/\0", "/\u{7f}", "/\u{85}", &"/".repeat(NAMESPACE_BYTES_MAX + 1)] {
            assert!(Namespace::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Namespace::ROOT.is_root() && Namespace::default() == Namespace::ROOT);
    }
}
