//! Names that accounts sign in with.
//!
//! A name is kept in lower case, so `Ada` and `ada` are one account, and shown as it is kept.

use santral_core::limits::ACCOUNT_NAME_CHARACTERS_MAX;

/// The name of an account: 1 to 64 characters, trimmed, in lower case, nothing that cannot be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName(String);

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    /// Empty, or too long.
    #[error("has to have 1 to {ACCOUNT_NAME_CHARACTERS_MAX} characters")]
    Length,
    /// A character that shows nothing, or that turns the writing around.
    #[error("has a character that cannot be seen")]
    Invisible,
}

impl AccountName {
    /// Reads a name as somebody typed it.
    ///
    /// # Errors
    /// [`AccountNameError`].
    pub fn parse(text: &str) -> Result<Self, AccountNameError> {
        let name = text.trim();
        // Before anything is done with it that takes time or memory.
        if name.is_empty() || name.chars().take(ACCOUNT_NAME_CHARACTERS_MAX + 1).count() > ACCOUNT_NAME_CHARACTERS_MAX {
            return Err(AccountNameError::Length);
        }
        if name.chars().any(is_invisible) {
            return Err(AccountNameError::Invisible);
        }
        let folded = name.to_lowercase();
        // Some characters have a longer lower case.
        match folded.chars().count() <= ACCOUNT_NAME_CHARACTERS_MAX {
            true => Ok(Self(folded)),
            false => Err(AccountNameError::Length),
        }
    }

    /// The name as it is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Controls, separators of lines, and the format characters that hide or turn text (Unicode 16, Cf).
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_kept_in_lower_case() {
        let parse = |text: &str| AccountName::parse(text).map(|name| name.as_str().to_owned());
        assert_eq!(parse(" Ada Lovelace "), Ok("ada lovelace".to_owned()));
        assert_eq!(parse("ÇAĞRI@example.org"), Ok("çağri@example.org".to_owned()));
        assert_eq!(parse(&"x".repeat(64)), Ok("x".repeat(64)));
        for (bad, error) in [
            ("", AccountNameError::Length),
            ("  ", AccountNameError::Length),
            (&"x".repeat(65), AccountNameError::Length),
            (&"İ".repeat(64), AccountNameError::Length),
            ("a\nb", AccountNameError::Invisible),
            ("a\0", AccountNameError::Invisible),
            ("a\u{85}b", AccountNameError::Invisible),
            ("ad\u{200b}a", AccountNameError::Invisible),
            ("\u{202e}ada", AccountNameError::Invisible),
            ("a\u{2028}b", AccountNameError::Invisible),
            ("a\u{a0}b", AccountNameError::Invisible),
        ] {
            assert_eq!(parse(bad), Err(error), "{bad:?}");
        }
    }
}
