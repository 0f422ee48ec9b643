//! What has a form: names, metadata, times and spans, as rooms and participants have them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use serde_json::value::RawValue;

use santral_core::entry::Timestamp;
use santral_core::json;
use santral_core::limits::{
    GRACE_SECONDS, JSON_DEPTH_MAX, ROOM_METADATA_BYTES_MAX, ROOM_NAME_CHARACTERS_MAX, ROOM_PASSWORD_CHARACTERS_MAX,
    ROOM_SECONDS_MAX,
};
use santral_core::rooms::RoomId;

use crate::service::Refusal;

/// A name for people, of a room or a participant, without the spaces around it.
pub(super) fn name(text: &str) -> Result<Arc<str>, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > ROOM_NAME_CHARACTERS_MAX {
        return Err(Refusal::Field("a name has 1 to 120 characters"));
    }
    if text.chars().any(is_control) {
        return Err(Refusal::Field("a name has no control characters, line breaks or marks of direction"));
    }
    Ok(text.into())
}

/// What would end a line, or turn the text around it.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The id of a room that is to be made.
pub(super) fn new_room_id(text: Option<&str>) -> Result<RoomId, Refusal> {
    match text {
        Some(text) => RoomId::parse(text).map_err(|error| Refusal::RoomId(text.to_owned(), error)),
        // Letters and digits only: it is read aloud and typed. 71 random bits.
        None => Ok(RoomId::parse(&nanoid::nanoid!(12, &ALPHANUMERIC)).expect("letters and digits are an id")),
    }
}

/// A JSON object of the application.
pub(super) fn metadata(text: Option<&RawValue>) -> Result<Option<Value>, Refusal> {
    let Some(text) = text.map(RawValue::get).filter(|text| *text != "null") else { return Ok(None) };
    if text.len() > ROOM_METADATA_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes: text.len(), bytes_max: ROOM_METADATA_BYTES_MAX });
    }
    if json::nests_deeper_than(text, JSON_DEPTH_MAX) {
        return Err(Refusal::TooDeep);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| Refusal::Field("`metadata` is not JSON"))?;
    if value.is_object() { Ok(Some(value)) } else { Err(Refusal::Field("`metadata` is not a JSON object")) }
}

/// A room's password.
pub(super) fn password(text: Option<String>) -> Result<Option<String>, Refusal> {
    let fits = |text: &String| (1..=ROOM_PASSWORD_CHARACTERS_MAX).contains(&text.chars().count());
    match text {
        Some(text) if !fits(&text) => Err(Refusal::Field("`password` has 1 to 128 characters")),
        text => Ok(text),
    }
}

/// A time of a room's life.
pub(super) fn span(seconds: Option<u32>, default: Duration) -> Result<Duration, Refusal> {
    match seconds {
        Some(seconds) if !(1..=ROOM_SECONDS_MAX).contains(&seconds) => {
            Err(Refusal::Field("times of a room are 1 to 2,592,000 seconds"))
        }
        Some(seconds) => Ok(Duration::from_secs(seconds.into())),
        None => Ok(default),
    }
}

/// For how long a seat is kept.
pub(super) fn grace(seconds: u32) -> Result<Duration, Refusal> {
    match GRACE_SECONDS.contains(&seconds) {
        true => Ok(Duration::from_secs(seconds.into())),
        false => Err(Refusal::Field("`graceSec` is 5 to 120")),
    }
}

/// A moment, RFC 3339.
pub(super) fn moment(text: Option<&str>, complaint: &'static str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let moment = DateTime::parse_from_rfc3339(text).map_err(|_| Refusal::Field(complaint))?;
    // What the database and the wire hold: the years 0 to 9999.
    let is_written_back = moment.to_rfc3339_opts(SecondsFormat::Millis, true).len() <= 29;
    match is_written_back {
        true => Ok(Some(Timestamp(moment.timestamp_micros()))),
        false => Err(Refusal::Field(complaint)),
    }
}

const ALPHANUMERIC: [char; 62] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
    'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J',
    'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_have_no_controls() {
        assert_eq!(name("  Ada Lovelace \n").as_deref(), Ok("Ada Lovelace"));
        assert_eq!(name(&"ğ".repeat(120)).map(|name| name.chars().count()), Ok(120));
        for bad in ["", "   ", "a\nb", "a\u{7}b", "a\u{202e}b", "a\u{2028}b", &"x".repeat(121)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_is_drawn_where_none_is_named() {
        assert_eq!(new_room_id(None).expect("drawn").as_str().len(), 12);
        assert_eq!(new_room_id(Some("meeting-123")).expect("good").as_str(), "meeting-123");
        assert!(new_room_id(Some("-")).is_err());
    }

    #[test]
    fn moments_are_those_that_can_be_written() {
        assert_eq!(moment(Some("1970-01-01T00:00:01Z"), ""), Ok(Some(Timestamp(1_000_000))));
        assert_eq!(moment(Some("2026-01-01T02:00:00+02:00"), ""), moment(Some("2026-01-01T00:00:00Z"), ""));
        for bad in ["", "tomorrow", "2026-01-01", "2026-13-01T00:00:00Z"] {
            assert!(moment(Some(bad), "").is_err(), "{bad}");
        }
    }
}
