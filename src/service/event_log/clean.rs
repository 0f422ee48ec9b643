//! What an event may say: bounded texts without control characters and without secrets.
//!
//! The message, the actor and the details may quote what a client sent. They are shown in terminals,
//! spreadsheets and pages, so nothing in them may act there.

use std::borrow::Cow;

use serde_json::Value;

use santral_core::limits::{
    EVENT_ACTOR_BYTES_MAX, EVENT_DETAILS_BYTES_MAX, EVENT_MESSAGE_BYTES_MAX, EVENT_REQUEST_ID_BYTES_MAX,
};

use crate::ports::event_log::NewEvent;
use crate::telemetry;

/// The event with no more text than the queue may hold. Cheap, for whoever records.
pub(super) fn bounded(mut event: NewEvent) -> NewEvent {
    // Long enough for a secret at the end to be known as one before the final cut.
    cut(&mut event.message, EVENT_MESSAGE_BYTES_MAX * 2);
    for (text, bytes_max) in
        [(&mut event.actor, EVENT_ACTOR_BYTES_MAX * 2), (&mut event.request_id, EVENT_REQUEST_ID_BYTES_MAX)]
    {
        if let Some(text) = text {
            cut(text, bytes_max);
        }
    }
    if event.details_json.as_ref().is_some_and(|text| text.len() > EVENT_DETAILS_BYTES_MAX) {
        event.details_json = Some(TOO_LARGE.to_owned());
    }
    event
}

/// The event as it is stored.
pub(super) fn cleaned(event: NewEvent) -> NewEvent {
    NewEvent {
        message: line(&event.message, EVENT_MESSAGE_BYTES_MAX),
        actor: event.actor.map(|text| line(&text, EVENT_ACTOR_BYTES_MAX)).filter(|text| !text.is_empty()),
        request_id: event.request_id.map(|text| line(&text, EVENT_REQUEST_ID_BYTES_MAX)),
        details_json: event.details_json.as_deref().and_then(details),
        ..event
    }
}

/// One line of text: without secrets, without what a terminal obeys or what turns text around.
fn line(text: &str, bytes_max: usize) -> String {
    let mut line: String = telemetry::without_secrets(&text)
        .chars()
        .map(|letter| if acts(letter) { '\u{fffd}' } else { letter })
        .collect();
    cut(&mut line, bytes_max);
    line
}

/// Control characters, line ends of Unicode, and marks that change the direction of what follows.
fn acts(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A JSON object without secrets; `None` for what is no object.
fn details(text: &str) -> Option<String> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return None };
    let clean = without_secrets(Value::Object(fields)).to_string();
    Some(if clean.len() > EVENT_DETAILS_BYTES_MAX { TOO_LARGE.to_owned() } else { clean })
}

/// JSON nests no deeper than serde_json reads.
fn without_secrets(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(telemetry::without_secrets(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(without_secrets).collect()),
        Value::Object(fields) => {
            let clean = |(name, value): (String, Value)| match telemetry::is_secret_name(&name) {
                true => (name, Value::String("[redacted]".to_owned())),
                false => (name, without_secrets(value)),
            };
            Value::Object(fields.into_iter().map(clean).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Cuts at a character, and says so.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max.saturating_sub(ELLIPSIS.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
}

/// The text in at most so many bytes, cut at a character.
pub(in crate::service) fn shortened(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_owned();
    cut(&mut text, bytes_max);
    Cow::Owned(text)
}

const ELLIPSIS: &str = "…";

/// What stands for details over the bound.
const TOO_LARGE: &str = r#"{"truncated":true}"#;

#[cfg(test)]
mod tests {
    use santral_schema::event_log::EventType;

    use super::super::new_event;
    use super::*;

    fn event(message: &str, details: Option<&str>) -> NewEvent {
        let event = NewEvent {
            actor: Some(message.to_owned()),
            request_id: Some(message.to_owned()),
            details_json: details.map(str::to_owned),
            ..new_event(EventType::Connected, message.to_owned())
        };
        cleaned(bounded(event))
    }

    #[test]
    fn nothing_in_a_text_acts_on_a_terminal() {
        for letter in (0..0xa0).filter_map(char::from_u32).chain("\u{2028}\u{202e}\u{2066}".chars()) {
            let clean = event(&format!("a{letter}b"), None);
            for text in [clean.message, clean.actor.unwrap_or_default(), clean.request_id.unwrap_or_default()] {
                assert_eq!(text.contains(letter), !acts(letter), "{letter:?}");
                assert_eq!(text.chars().count(), 3, "{letter:?}");
            }
        }
        assert_eq!(event("Ğül 👩‍👩‍👧 'ok' \"x\"", None).message, "Ğül 👩‍👩‍👧 'ok' \"x\"");
        assert_eq!(event("", None).actor, None);
    }

    #[test]
    fn texts_are_cut_at_a_character_within_their_bounds() {
        for letter in ["x", "ğ", "👩"] {
            let clean = event(&letter.repeat(100_000), None);
            let (actor, request_id) = (clean.actor.unwrap_or_default(), clean.request_id.unwrap_or_default());
            for (text, bytes_max) in [
                (&clean.message, EVENT_MESSAGE_BYTES_MAX),
                (&actor, EVENT_ACTOR_BYTES_MAX),
                (&request_id, EVENT_REQUEST_ID_BYTES_MAX),
            ] {
                assert!(text.len() <= bytes_max && text.len() > bytes_max - 8, "{}", text.len());
                assert!(text.ends_with(ELLIPSIS));
            }
        }
        assert_eq!(event(&"x".repeat(EVENT_REQUEST_ID_BYTES_MAX), None).request_id.map(|id| id.len()), Some(64));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(EVENT_DETAILS_BYTES_MAX));
        assert_eq!(event("", Some(&long)).details_json.as_deref(), Some(TOO_LARGE));
    }

    #[test]
    fn secrets_go_wherever_they_stand() {
        for message in ["GET /api/events?token=hunter2", "Bearer hunter2hunter2", "postgres://ada:hunter2@db/x"] {
            let clean = event(message, None);
            assert!(!format!("{clean:?}").contains("hunter2"), "{clean:?}");
        }
        let padded = format!("{}?token=hunter2hunter2", "x".repeat(EVENT_MESSAGE_BYTES_MAX - 20));
        assert!(!event(&padded, None).message.contains("hunter"));
        let details =
            r#"{"token":"hunter2","n_token":7,"list":[{"a":"x?ticket=hunter2"}],"password":{"a":"hunter2"},"ok":1}"#;
        let clean = event("", Some(details)).details_json.expect("it was an object");
        let value: Value = serde_json::from_str(&clean).expect("it still is");
        assert!(!clean.contains("hunter2"), "{clean}");
        assert_eq!((&value["ok"], &value["n_token"]), (&Value::from(1), &Value::from("[redacted]")));
    }

    #[test]
    fn details_are_an_object_or_nothing() {
        for text in ["", "1", "[]", "\"x\"", "{", "null", "{\"a\":1}x"] {
            assert_eq!(event("", Some(text)).details_json, None, "{text}");
        }
        assert_eq!(
            event("", Some("{ \"a\": [1, \"\\u0000\"] }")).details_json.as_deref(),
            Some(r#"{"a":[1,"\u0000"]}"#)
        );
    }
}
