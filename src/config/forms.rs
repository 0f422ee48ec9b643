//! What the text of a setting may look like: one type a shape, with its range and unit.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use santral_schema::settings::{SettingKind, SettingValue};

use super::secret::{Secret, shown_url};

/// How a text becomes a value.
pub(super) trait Form: Describe {
    /// What the text means.
    type Value;

    /// The value, or `None` when the text is not as [`Describe::expected`] says.
    fn parse(&self, text: &str) -> Option<Self::Value>;
}

/// What can be said of a form without knowing its value.
pub(super) trait Describe {
    /// What a text of this form is, with range and unit; continues a sentence.
    fn expected(&self) -> String;

    /// The same for programs.
    fn shape(&self) -> Shape {
        Shape::of(SettingKind::String)
    }

    /// What of a text may be shown.
    fn shown(&self, text: &str) -> String {
        text.to_owned()
    }

    /// Whether a text that is not of this form may be quoted in a complaint.
    fn quotable(&self) -> bool {
        true
    }

    /// Whether the flag may stand without a value, for `true`.
    fn is_switch(&self) -> bool {
        false
    }
}

/// What values a form takes, for programs.
pub(super) struct Shape {
    pub(super) kind: SettingKind,
    pub(super) unit: Option<&'static str>,
    pub(super) min: Option<SettingValue>,
    pub(super) max: Option<SettingValue>,
    pub(super) choices: Vec<String>,
}

impl Shape {
    /// Without range, unit and choices.
    pub(super) fn of(kind: SettingKind) -> Self {
        Self { kind, unit: None, min: None, max: None, choices: Vec::new() }
    }
}

/// IP address and port.
pub(super) struct Address;

impl Describe for Address {
    fn expected(&self) -> String {
        "an IP address with a port, like 127.0.0.1:8080 or [::1]:8080".to_owned()
    }
}

impl Form for Address {
    type Value = SocketAddr;

    fn parse(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

/// A folder.
pub(super) struct Folder;

impl Describe for Folder {
    fn expected(&self) -> String {
        "the path of a folder".to_owned()
    }
}

impl Form for Folder {
    type Value = PathBuf;

    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
    }
}

/// Where the database is; may hold a password.
pub(super) struct DatabaseUrl;

impl Describe for DatabaseUrl {
    fn expected(&self) -> String {
        "sqlite:<path> or postgres://<user>@<host>/<database>".to_owned()
    }

    fn shown(&self, text: &str) -> String {
        shown_url(text)
    }

    fn quotable(&self) -> bool {
        false
    }
}

impl Form for DatabaseUrl {
    type Value = Secret;

    fn parse(&self, text: &str) -> Option<Secret> {
        let known = ["sqlite:", "postgres://", "postgresql://"];
        let is_known = known.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        (is_known && !text.contains('\0')).then(|| Secret::new(text.to_owned()))
    }
}

/// A whole number of something.
pub(super) struct Whole {
    pub(super) min: u64,
    pub(super) max: u64,
    /// In the plural.
    pub(super) unit: &'static str,
}

impl Describe for Whole {
    fn expected(&self) -> String {
        format!("a whole number of {} from {} to {}", self.unit, self.min, self.max)
    }

    fn shape(&self) -> Shape {
        let end = |number| Some(SettingValue::Integer(number));
        Shape { unit: Some(self.unit), min: end(self.min), max: end(self.max), ..Shape::of(SettingKind::Integer) }
    }
}

impl Form for Whole {
    type Value = u64;

    fn parse(&self, text: &str) -> Option<u64> {
        digits(text).filter(|number| (self.min..=self.max).contains(number))
    }
}

/// A whole number of things in memory.
pub(super) struct Count(pub(super) Whole);

impl Describe for Count {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }
}

impl Form for Count {
    type Value = usize;

    fn parse(&self, text: &str) -> Option<usize> {
        self.0.parse(text)?.try_into().ok()
    }
}

/// A whole number that is not zero, for limiters that divide by it. Its range must not hold zero.
pub(super) struct Positive(pub(super) Whole);

impl Describe for Positive {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }
}

impl Form for Positive {
    type Value = NonZeroU32;

    fn parse(&self, text: &str) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0.parse(text)?.try_into().ok()?)
    }
}

/// A time span in whole seconds, or with one of the units s, m, h and d.
pub(super) struct Span {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

impl Describe for Span {
    fn expected(&self) -> String {
        format!("seconds, or a number with ms, s, m, h or d, from {} to {}", span_text(self.min), span_text(self.max))
    }

    fn shape(&self) -> Shape {
        let end = |span| Some(SettingValue::Text(span_text(span)));
        Shape { min: end(self.min), max: end(self.max), ..Shape::of(SettingKind::Duration) }
    }
}

impl Form for Span {
    type Value = Duration;

    fn parse(&self, text: &str) -> Option<Duration> {
        span_of(text).filter(|span| (self.min..=self.max).contains(span))
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T> Describe for Choice<T> {
    fn expected(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
        match &words[..] {
            [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            words => words.concat(),
        }
    }

    fn shape(&self) -> Shape {
        let choices = self.0.iter().map(|(word, _)| (*word).to_owned()).collect();
        Shape { choices, ..Shape::of(SettingKind::Choice) }
    }
}

impl<T: Copy> Form for Choice<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }
}

/// A choice whose flag may stand without a value, for `true`.
pub(super) struct SwitchOr<T: 'static>(pub(super) Choice<T>);

impl<T> Describe for SwitchOr<T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn is_switch(&self) -> bool {
        true
    }
}

impl<T: Copy> Form for SwitchOr<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        self.0.parse(text)
    }
}

/// Yes or no.
pub(super) struct Switch;

impl Describe for Switch {
    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn shape(&self) -> Shape {
        Shape::of(SettingKind::Boolean)
    }

    fn is_switch(&self) -> bool {
        true
    }
}

impl Form for Switch {
    type Value = bool;

    fn parse(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }
}

/// A name that goes into logs, answers and database rows.
pub(super) struct Name;

impl Describe for Name {
    fn expected(&self) -> String {
        format!("1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 . _ -")
    }
}

impl Form for Name {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(allowed)).then(|| text.to_owned())
    }
}

/// Which log records are written: the directives of `env_logger`, without its regular expressions.
///
/// A word alone must be a level: with `env_logger` it could be a target too, and then a
/// misspelt level would silence the log.
pub(super) struct LogFilter;

impl Describe for LogFilter {
    fn expected(&self) -> String {
        "off, error, warn, info, debug or trace, or a list like info,santral=debug".to_owned()
    }
}

impl Form for LogFilter {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let is_level = |word: &str| word.parse::<log::LevelFilter>().is_ok();
        let is_target = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
        };
        let is_directive = |directive: &str| match directive.split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(directive),
        };
        text.split(',').all(is_directive).then(|| text.to_owned())
    }
}

/// Reads a time span, however long it is.
pub(super) fn span_of(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return digits(number).map(Duration::from_millis);
    }
    let unit = SPAN_UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1));
    Some(Duration::from_secs(digits(number)?.checked_mul(seconds)?))
}

/// Whole days, hours, minutes or seconds where that is what it is, else milliseconds.
pub(super) fn span_text(span: Duration) -> String {
    if span.subsec_millis() > 0 {
        return format!("{}ms", span.as_millis());
    }
    let seconds = span.as_secs();
    let fits = |unit: &&(&str, u64)| seconds >= unit.1 && seconds.is_multiple_of(unit.1);
    let (unit, size) = SPAN_UNITS.iter().find(fits).unwrap_or(&("s", 1));
    format!("{}{unit}", seconds / size)
}

/// Digits only: neither sign nor space.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Units of a time span, the longest first.
const SPAN_UNITS: [(&str, u64); 4] = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];

/// A host name's label has at most 63 bytes, and the column of the database is as long.
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_has_an_optional_unit_and_a_range() {
        let form = Span { min: Duration::from_secs(1), max: Duration::from_secs(7 * 86_400) };
        for (text, seconds) in [("25", 25), ("25s", 25), ("10m", 600), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(form.parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "0", "8d", "-1", "+1", " 1", "1.5", "1 h", "1w", "99999999999999999999", "9999999999999d"]
        {
            assert_eq!(form.parse(text), None, "{text}");
        }
        for seconds in [0, 1, 90, 3_600, 604_800] {
            let span = Duration::from_secs(seconds);
            let wide = Span { min: Duration::ZERO, max: Duration::MAX };
            assert_eq!(wide.parse(&span_text(span)), Some(span));
        }
    }

    #[test]
    fn a_number_has_a_range_with_both_ends() {
        let form = Whole { min: 2, max: 5, unit: "things" };
        for (text, value) in [("1", None), ("2", Some(2)), ("5", Some(5)), ("6", None), ("", None), ("x", None)] {
            assert_eq!(form.parse(text), value, "{text}");
        }
        assert_eq!(form.expected(), "a whole number of things from 2 to 5");
    }

    #[test]
    fn a_misspelt_log_level_is_no_target() {
        for text in ["info", "off", "WARN", "warn,santral=debug", "santral::x=trace"] {
            assert!(LogFilter.parse(text).is_some(), "{text}");
        }
        for text in ["", "inof", "info,", "santral", "santral=", "=info", "santral=loud", "info/regex"] {
            assert!(LogFilter.parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_and_urls_are_checked() {
        assert!(Name.parse("node-1.example_x").is_some());
        for text in ["", "a b", "a\n", "é", &"a".repeat(65)] {
            assert!(Name.parse(text).is_none(), "{text}");
        }
        assert!(DatabaseUrl.parse("postgres://db/x").is_some());
        for text in ["", "sqlite:", "postgres://", "mysql://db", "sqlite:a\0b"] {
            assert!(DatabaseUrl.parse(text).is_none(), "{text}");
        }
    }
}
