//! MessagePack to JSON text, as the packets of emitters need it.
//!
//! Keys keep their order. Bytes become `{"$bytes":"<base64>"}`, which Socket.IO clients get as bytes
//! again; a timestamp becomes what `JSON.stringify` makes of a date, and what JSON cannot say is `null`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use rmpv::ValueRef;
use rmpv::decode::value_ref::read_value_ref_with_max_depth;

use santral_core::limits::JSON_DEPTH_MAX;

/// What an emitter wraps around an argument: its packet, the list of arguments, its options.
const WRAPPING_DEPTH: usize = 8;

/// The same as the decoder counts it: two for each level.
const DECODER_DEPTH: usize = 2 * (JSON_DEPTH_MAX + WRAPPING_DEPTH);

/// The type of an extension that is a timestamp (MessagePack specification, "Timestamp extension type").
const TIMESTAMP: i8 = -1;

/// The bytes are not one value in MessagePack, or nest too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no MessagePack")]
pub struct NoMessagePack;

/// One value as JSON text.
///
/// # Errors
/// [`NoMessagePack`].
pub fn to_json(bytes: &[u8]) -> Result<String, NoMessagePack> {
    let mut rest = bytes;
    let value = read_value_ref_with_max_depth(&mut rest, DECODER_DEPTH).map_err(|_| NoMessagePack)?;
    if !rest.is_empty() {
        return Err(NoMessagePack);
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
    push(&mut text, &value);
    Ok(text)
}

fn push(text: &mut String, value: &ValueRef<'_>) {
    match value {
        ValueRef::Nil => text.push_str("null"),
        ValueRef::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        ValueRef::Integer(number) => write!(text, "{number}").expect("a String takes all text"),
        ValueRef::F32(number) => push_float(text, f64::from(*number)),
        ValueRef::F64(number) => push_float(text, *number),
        ValueRef::String(string) => push_string(text, &String::from_utf8_lossy(string.as_bytes())),
        ValueRef::Binary(bytes) => write!(text, "{{\"$bytes\":\"{}\"}}", STANDARD.encode(bytes)).expect("as above"),
        ValueRef::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                push_comma(text, index);
                push(text, item);
            }
            text.push(']');
        }
        ValueRef::Map(pairs) => push_map(text, pairs),
        ValueRef::Ext(TIMESTAMP, bytes) => push_time(text, bytes),
        ValueRef::Ext(_, _) => text.push_str("null"),
    }
}

fn push_map(text: &mut String, pairs: &[(ValueRef<'_>, ValueRef<'_>)]) {
    text.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        push_comma(text, index);
        match key {
            ValueRef::String(key) => push_string(text, &String::from_utf8_lossy(key.as_bytes())),
            // Keys of other types are what JavaScript would make of them: their text.
            ValueRef::Nil
            | ValueRef::Boolean(_)
            | ValueRef::Integer(_)
            | ValueRef::F32(_)
            | ValueRef::F64(_)
            | ValueRef::Binary(_)
            | ValueRef::Array(_)
            | ValueRef::Map(_)
            | ValueRef::Ext(_, _) => {
                let mut as_json = String::new();
                push(&mut as_json, key);
                push_string(text, &as_json);
            }
        }
        text.push(':');
        push(text, value);
    }
    text.push('}');
}

fn push_comma(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

fn push_string(text: &mut String, string: &str) {
    text.push_str(&serde_json::to_string(string).expect("text serializes"));
}

fn push_float(text: &mut String, number: f64) {
    // JSON has no NaN and no infinity; JavaScript writes null for them, too.
    text.push_str(&serde_json::to_string(&number).unwrap_or_else(|_| "null".to_owned()));
}

fn push_time(text: &mut String, bytes: &[u8]) {
    match time(bytes) {
        Some(time) => push_string(text, &time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => text.push_str("null"),
    }
}

/// The three forms of a timestamp: 32, 64 and 96 bits.
fn time(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanoseconds, seconds) = bytes.split_at(4);
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, u32::from_be_bytes(nanoseconds.try_into().ok()?))
        }
        _ => return None,
    };
    DateTime::from_timestamp(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_json_can_say_of_them() {
        for (bytes, text) in [
            (&b"\xc0"[..], "null"),
            (b"\xc3", "true"),
            (b"\x7f", "127"),
            (b"\xe0", "-32"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18", "3.141592653589793"),
            (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null"),
            (b"\xa5a\"\nb\\", r#""a\"\nb\\""#),
            (b"\xa1\xff", "\"\u{fffd}\""),
            (b"\xc4\x03\x01\x02\x03", r#"{"$bytes":"AQID"}"#),
            (b"\x93\x01\xa1a\x90", r#"[1,"a",[]]"#),
            (b"\x82\xa1b\x01\xa1a\x02", r#"{"b":1,"a":2}"#),
            (b"\x81\x01\x02", r#"{"1":2}"#),
            (b"\xd6\xff\x00\x00\x00\x01", r#""1970-01-01T00:00:01.000Z""#),
            (b"\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01", r#""1970-01-01T00:00:01.000Z""#),
            (b"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", r#""1969-12-31T23:59:59.000Z""#),
            (b"\xd4\x05\x00", "null"),
        ] {
            assert_eq!(to_json(bytes).as_deref(), Ok(text), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_broken_or_endless_is_refused() {
        let deep = [vec![0x91; 100_000], vec![0xc0]].concat();
        for bytes in [&b""[..], b"\xa5ab", b"\x92\x01", b"\x01\x01", b"\xdd\xff\xff\xff\xff", &deep] {
            assert_eq!(to_json(bytes), Err(NoMessagePack), "{:x?}", &bytes[..bytes.len().min(9)]);
        }
        assert!(to_json(&[vec![0x91; JSON_DEPTH_MAX], vec![0xc0]].concat()).is_ok());
    }
}
