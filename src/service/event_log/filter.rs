//! Which events somebody wants to see: what a query says, for the store and for live events alike.

use chrono::DateTime;

use santral_core::entry::Timestamp;
use santral_core::limits::{EVENT_ACTOR_BYTES_MAX, EVENT_SEARCH_BYTES_MAX};
use santral_schema::event_log::{EventLevel, EventType};

use crate::ports::event_log::{EventQuery, NewEvent};
use crate::service::Refusal;

/// A filter as it is written in a query.
#[derive(Debug, Clone, Default)]
pub struct FilterText {
    /// `info`, `warn` or `error`: at least as important as this.
    pub level: Option<String>,
    /// Types; none means all.
    pub kinds: Vec<String>,
    /// The name of a principal.
    pub actor: Option<String>,
    /// Text in the message, the actor or the details.
    pub text: Option<String>,
    /// RFC 3339: not before this.
    pub from: Option<String>,
    /// RFC 3339: before this.
    pub to: Option<String>,
}

/// A filter that was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    level: Option<EventLevel>,
    kinds: Vec<EventType>,
    actor: Option<String>,
    text: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl EventFilter {
    /// Checks a filter.
    ///
    /// # Errors
    /// [`Refusal::EventFilter`] names the part that cannot be.
    pub fn parse(text: FilterText) -> Result<Self, Refusal> {
        let level = |name: String| {
            EventLevel::parse(&name).ok_or_else(|| refused(format!("level {name:?} is none of info, warn, error")))
        };
        let kind = |name: &String| {
            let known = || refused(format!("type {name:?} is none of the types in docs/event-log.md"));
            EventType::parse(name).ok_or_else(known)
        };
        Ok(Self {
            level: text.level.map(level).transpose()?,
            kinds: text.kinds.iter().map(kind).collect::<Result<_, _>>()?,
            actor: bounded("actor", text.actor, EVENT_ACTOR_BYTES_MAX)?,
            text: bounded("q", text.text, EVENT_SEARCH_BYTES_MAX)?,
            from: text.from.map(|text| parse_time("from", &text)).transpose()?,
            to: text.to.map(|text| parse_time("to", &text)).transpose()?,
        })
    }

    /// The query of everything that passes.
    #[must_use]
    pub fn query(&self) -> EventQuery {
        EventQuery {
            level: self.level,
            kinds: self.kinds.clone(),
            actor: self.actor.clone(),
            text: self.text.clone(),
            from: self.from,
            to: self.to,
            ..EventQuery::default()
        }
    }

    /// Whether an event passes: what the store finds and what this lets through is the same.
    #[must_use]
    pub fn passes(&self, event: &NewEvent) -> bool {
        self.level.is_none_or(|level| event.level >= level)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.actor.is_none() || self.actor == event.actor)
            && self.from.is_none_or(|from| event.at >= from)
            && self.to.is_none_or(|to| event.at < to)
            && self.text.as_ref().is_none_or(|text| contains(event, text))
    }
}

/// Reads an id as it stands in an event, a cursor or `Last-Event-ID`.
///
/// # Errors
/// [`Refusal::EventFilter`].
pub fn parse_id(text: &str) -> Result<i64, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|_| is_number);
    id.ok_or_else(|| refused(format!("{text:?} is no id of an event")))
}

/// Reads a time in RFC 3339. A plus sign that a form decoded to a space is taken for what it was.
///
/// # Errors
/// [`Refusal::EventFilter`].
pub(super) fn parse_time(name: &str, text: &str) -> Result<Timestamp, Refusal> {
    let time = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc3339(&text.replace(' ', "+")));
    let time =
        time.map_err(|_| refused(format!("{name} {text:?} is no time in RFC 3339, like 2026-11-30T08:00:00Z")))?;
    Ok(Timestamp(time.timestamp_micros()))
}

fn contains(event: &NewEvent, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let fields = [Some(&event.message), event.actor.as_ref(), event.details_json.as_ref()];
    fields.into_iter().flatten().any(|field| field.to_ascii_lowercase().contains(&text))
}

fn bounded(name: &str, text: Option<String>, bytes_max: usize) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.len() > bytes_max => Err(refused(format!("{name} is longer than {bytes_max} bytes"))),
        // What is empty filters nothing: a form sends it so.
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

fn refused(text: String) -> Refusal {
    Refusal::EventFilter(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_times_are_read_strictly() {
        assert_eq!(parse_id("0").ok(), Some(0));
        assert_eq!(parse_id("9223372036854775807").ok(), Some(i64::MAX));
        for text in ["", "-1", "+1", " 1", "1 ", "9223372036854775808", "x", "1e3", "١"] {
            assert!(parse_id(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_time("from", "1970-01-01T00:00:01.5Z").ok(), Some(Timestamp(1_500_000)));
        assert_eq!(parse_time("from", "1970-01-01T03:00:00 03:00").ok(), Some(Timestamp(0)));
        for text in ["", "1970-01-01", "0", "yesterday", "1970-13-01T00:00:00Z"] {
            assert!(parse_time("from", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let filter = |change: fn(&mut FilterText)| {
            let mut text = FilterText::default();
            change(&mut text);
            EventFilter::parse(text).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(filter(|_| ()), Ok(EventFilter::default()));
        assert_eq!(filter(|text| text.text = Some(String::new())), Ok(EventFilter::default()));
        for (change, name) in [
            ((|text| text.level = Some("WARN".to_owned())) as fn(&mut FilterText), "level"),
            (|text| text.kinds = vec!["account.login".to_owned(), "x".to_owned()], "type"),
            (|text| text.actor = Some("x".repeat(257)), "actor"),
            (|text| text.text = Some("x".repeat(257)), "q is longer"),
            (|text| text.to = Some("now".to_owned()), "to \"now\""),
        ] {
            let refused = filter(change).expect_err(name);
            assert!(refused.contains(name), "{refused}");
        }
    }
}
