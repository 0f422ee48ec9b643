//! Texts that may be absent: an empty one stands for "not set".

use std::path::PathBuf;

use santral_core::limits::{SECRET_BYTES_MAX, TOKEN_SECRET_BYTES_MIN};
use santral_schema::settings::SettingKind;

use super::forms::{Describe, Form, Shape};
use super::secret::Secret;

/// A value or nothing.
pub(super) struct Optional<F>(pub(super) F);

impl<F: Describe> Describe for Optional<F> {
    fn expected(&self) -> String {
        format!("{}, or nothing", self.0.expected())
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn shown(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { self.0.shown(text) }
    }

    fn quotable(&self) -> bool {
        self.0.quotable()
    }
}

impl<F: Form> Form for Optional<F> {
    type Value = Option<F::Value>;

    fn parse(&self, text: &str) -> Option<Option<F::Value>> {
        if text.is_empty() { Some(None) } else { self.0.parse(text).map(Some) }
    }
}

/// A file.
pub(super) struct FilePath;

impl Describe for FilePath {
    fn expected(&self) -> String {
        "the path of a file".to_owned()
    }
}

impl Form for FilePath {
    type Value = PathBuf;

    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
    }
}

/// One line of text.
pub(super) struct Line;

impl Describe for Line {
    fn expected(&self) -> String {
        format!("1 to {LINE_BYTES_MAX} bytes of text on one line")
    }
}

impl Form for Line {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let fits = (1..=LINE_BYTES_MAX).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
    }
}

/// A key for signatures: random, and known to nobody else.
pub(super) struct SigningSecret;

impl Describe for SigningSecret {
    fn expected(&self) -> String {
        format!(
            "{TOKEN_SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes of random text (openssl rand -hex 32), none that \
             stands in a documentation"
        )
    }

    fn shape(&self) -> Shape {
        Shape::of(SettingKind::Secret)
    }

    fn shown(&self, _: &str) -> String {
        "[redacted]".to_owned()
    }

    fn quotable(&self) -> bool {
        false
    }
}

impl Form for SigningSecret {
    type Value = Secret;

    fn parse(&self, text: &str) -> Option<Secret> {
        let fits = (TOKEN_SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len());
        (fits && looks_random(text)).then(|| Secret::new(text.to_owned()))
    }
}

/// Refuses what people write who mean to replace it later.
fn looks_random(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut bytes = text.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() >= DIFFERENT_BYTES_MIN && !PLACEHOLDERS.iter().any(|word| lower.contains(word))
}

/// Words of examples; a random text of 32 bytes has one of them about once in a hundred million.
const PLACEHOLDERS: [&str; 6] = ["secret", "example", "change", "password", "santral", "0123456789"];

/// Fewer different characters are a pattern: 32 random hexadecimal digits have fewer about once in a
/// hundred thousand.
const DIFFERENT_BYTES_MIN: usize = 8;

/// Issuers are often URLs.
const LINE_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_value_of_what_is_optional() {
        assert_eq!(Optional(Line).parse(""), Some(None));
        assert_eq!(Optional(Line).parse("x"), Some(Some("x".to_owned())));
        assert_eq!(Optional(Line).parse("x\ny"), None);
        assert_eq!(Optional(FilePath).parse("keys/jwks.json"), Some(Some("keys/jwks.json".into())));
    }

    #[test]
    fn a_signing_secret_is_long_and_random() {
        let random = "9f2c4be1a07d5386e4f1b2c3d8a97065";
        assert!(SigningSecret.parse(random).is_some());
        assert!(SigningSecret.parse(&random[1..]).is_none(), "31 bytes");
        for text in [
            "this-is-a-secret-that-should-be-changed",
            "abababababababababababababababababab",
            "change-me-change-me-change-me-change-me",
            "0123456789abcdef0123456789abcdef",
            "your-256-bit-secret-your-256-bit",
        ] {
            assert!(SigningSecret.parse(text).is_none(), "{text}");
        }
        assert_eq!(SigningSecret.shown(random), "[redacted]");
    }
}
