//! Text on its way into and out of a row.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use santral_core::limits::BAD_ROWS_REMEMBERED_MAX;

/// The text as both databases can hold it: PostgreSQL takes no NUL, and SQLite's functions end there.
/// U+FFFD stands in its place, in what is stored and in what is looked for alike.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// [`storable`] for what may be absent.
pub(super) fn storable_option(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(storable)
}

/// Rows that are not what they should be, because somebody wrote them by hand. They are passed over,
/// and each is told once.
#[derive(Debug, Default)]
pub(super) struct BadRows {
    told: Mutex<HashSet<String>>,
}

impl BadRows {
    /// The value of a row, or `None` with a line in the log.
    pub(super) fn keep<T, E: Display>(&self, table: &str, key: &dyn Display, row: Result<T, E>) -> Option<T> {
        match row {
            Ok(value) => Some(value),
            Err(error) => {
                let name = format!("{table} {key}");
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.len() < BAD_ROWS_REMEMBERED_MAX && !told.contains(&name) {
                    log::warn!("the row {key:?} of {table} is skipped: {error}", key = key.to_string());
                    told.insert(name);
                }
                None
            }
        }
    }
}

/// Why a row is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRow {
    #[error("its role is none of ours")]
    Role,
    #[error("its grants are none")]
    Grants,
    #[error("its hash has another length")]
    Hash,
    #[error("its level is none of ours")]
    Level,
    #[error("its type is none of ours")]
    Kind,
    #[error("it holds text that should be JSON and is not")]
    Json,
}

/// Fails for what is not JSON.
pub(super) fn check_json(text: &str) -> Result<(), BadRow> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|_| BadRow::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_replaced_and_all_else_stays() {
        assert_eq!(storable("a\0b\0"), "a\u{fffd}b\u{fffd}");
        for text in ["", "' \" \\ % _ \u{1} \u{10ffff}"] {
            assert!(matches!(storable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn no_more_bad_rows_are_remembered_than_the_bound() {
        let rows = BadRows::default();
        for number in 0..BAD_ROWS_REMEMBERED_MAX + 10 {
            assert_eq!(rows.keep::<(), _>("t", &number, Err(BadRow::Json)), None);
        }
        assert_eq!(rows.told.lock().expect("nobody panics").len(), BAD_ROWS_REMEMBERED_MAX);
    }
}
