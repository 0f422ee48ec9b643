//! What is said of one setting, and the ways between its text, its JSON and its row in a table.

use std::time::Duration;

use santral_schema::settings::{SettingKind, SettingValue};
use serde_json::Value;

use super::forms::{Describe, Shape, span_of, span_text};
use super::lists::{items, joined};

/// What is said of one setting.
pub(crate) struct Key {
    /// As in the file; the other spellings follow from it.
    pub(crate) name: &'static str,
    /// When it can be changed.
    pub(crate) reach: Reach,
    /// One line of meaning, then, as further lines, what one should know.
    pub(super) about: &'static [&'static str],
    /// What its values look like.
    pub(super) form: &'static (dyn Describe + Sync),
    /// What holds when nobody says anything.
    pub(super) default: Default,
}

/// When a setting can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By the API, in force at once and kept in the database.
    Live,
    /// By flag, environment or file, at a start.
    Start,
}

impl Key {
    /// Without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("SANTRAL_{}", self.name.to_uppercase())
    }

    /// Whether the flag may stand without a value.
    pub(crate) fn is_switch(&self) -> bool {
        self.form.is_switch()
    }

    /// The meaning in one line, for `-h`.
    pub(crate) fn summary(&self) -> String {
        self.about[0].trim().trim_end_matches('.').to_owned()
    }

    /// The meaning in full.
    pub(crate) fn about(&self) -> String {
        self.about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// Meaning, values and default, for `--help`.
    pub(crate) fn help(&self) -> String {
        format!("{}\n[values: {}; default: {}]", self.about(), self.form.expected(), self.default.described())
    }

    /// What values it takes, for programs.
    pub(super) fn shape(&self) -> Shape {
        self.form.shape()
    }

    /// A valid text as JSON shows it; `None` for a secret, and where nothing is set.
    pub(crate) fn value(&self, text: &str) -> Option<SettingValue> {
        match self.shape().kind {
            SettingKind::Integer => text.parse().ok().map(SettingValue::Integer),
            SettingKind::Boolean => text.parse().ok().map(SettingValue::Boolean),
            SettingKind::Duration => span_of(text).map(|span| SettingValue::Text(span_text(span))),
            SettingKind::List => Some(SettingValue::List(items(text).map(str::to_owned).collect())),
            SettingKind::Choice | SettingKind::String => {
                (!text.is_empty()).then(|| SettingValue::Text(self.form.shown(text)))
            }
            SettingKind::Secret => None,
        }
    }

    /// The text of a JSON value: its own type, or the text itself. `None` for another type.
    pub(crate) fn text_of(&self, value: &Value) -> Option<String> {
        match (self.shape().kind, value) {
            (_, Value::String(text)) => Some(text.clone()),
            (SettingKind::Integer | SettingKind::Duration, Value::Number(number)) => Some(number.to_string()),
            (SettingKind::Boolean | SettingKind::Choice, Value::Bool(value)) => Some(value.to_string()),
            (SettingKind::List, Value::Array(items)) => {
                let text = |item: &Value| item.as_str().map(str::trim).filter(|text| !splits(text)).map(str::to_owned);
                items.iter().map(text).collect::<Option<Vec<_>>>().map(|items| joined(&items))
            }
            (_, _) => None,
        }
    }
}

/// Whether a text cannot be one item of a list.
fn splits(text: &str) -> bool {
    text.is_empty() || text.contains(',')
}

/// What holds when nobody says anything.
pub(super) enum Default {
    /// This text.
    Text(&'static str),
    /// This number, from `limits`.
    Number(u64),
    /// This time span, from `limits`.
    Span(Duration),
    /// Whatever this machine or another setting says.
    Derived {
        /// In words.
        shown: &'static str,
        /// In fact.
        from: fn(&Basis) -> String,
    },
}

impl Default {
    /// The text, which is read like one that was given.
    pub(super) fn text(&self, basis: &Basis) -> String {
        match self {
            Self::Derived { from, .. } => from(basis),
            Self::Text(_) | Self::Number(_) | Self::Span(_) => self.shown(),
        }
    }

    /// The text, or what it depends on.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Derived { shown: text, .. } => (*text).to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Span(span) => span_text(*span),
        }
    }

    /// The same, with a word for nothing.
    pub(super) fn described(&self) -> String {
        let shown = self.shown();
        if shown.is_empty() { NOTHING.to_owned() } else { shown }
    }
}

/// What stands where a value is empty.
pub(super) const NOTHING: &str = "none";

/// What defaults are derived from.
pub(super) struct Basis {
    /// The effective `data_dir`.
    pub(super) data_dir: String,
    /// The limit on open files.
    pub(super) descriptors: u64,
}
