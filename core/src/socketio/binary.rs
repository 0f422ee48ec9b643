//! Bytes within JSON: `{"$bytes":"<base64>"}` in the log, placeholders and attachments on the wire.
//!
//! Only the objects that stand for bytes are touched; the text around them stays as it was written.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits::{JSON_DEPTH_MAX, SOCKETIO_ATTACHMENTS_MAX};
use crate::socketio::PacketError;

/// Puts the attachments of a client's packet where its placeholders stand. `text` is checked JSON.
///
/// Each attachment is used at most once, as every encoder does: the result is never much longer than
/// what was sent.
///
/// # Errors
/// A placeholder names no attachment of its own, or the text nests too deep.
pub fn attach(text: &str, attachments: &[Bytes]) -> Result<String, PacketError> {
    let mut unused: Vec<Option<&Bytes>> = attachments.iter().map(Some).collect();
    rewrite(text, PLACEHOLDER_KEY, |object| {
        let placeholder: Placeholder<'_> = serde_json::from_str(object).map_err(|_| PacketError::BadPlaceholder)?;
        if placeholder.marker.is_none_or(|marker| marker.get() != "true") {
            return Ok(None);
        }
        let place = placeholder.num.and_then(|num| num.get().parse::<usize>().ok());
        let attachment = place.and_then(|place| unused.get_mut(place)?.take());
        let bytes = attachment.ok_or(PacketError::BadPlaceholder)?;
        Ok(Some(format!("{{{BYTES_KEY}:\"{}\"}}", STANDARD.encode(bytes))))
    })
}

/// JSON text whose bytes were taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached<'a> {
    /// The text, with placeholders.
    pub text: String,
    /// The bytes in the order of their placeholders, as base64.
    pub attachments: Vec<Cow<'a, str>>,
}

/// Takes the bytes out of JSON text. `None` where it holds none; more than a packet takes stay in the text.
///
/// So do all where the text has the key of a placeholder: receivers would take it for one, and end the
/// connection over it.
#[must_use]
pub fn detach(text: &str) -> Option<Detached<'_>> {
    // Most messages hold none: one search tells.
    if !text.contains(BYTES_KEY) || names_a_placeholder(text) {
        return None;
    }
    let mut attachments = Vec::new();
    let text = rewrite(text, BYTES_KEY, |object| {
        let Ok(InLog { bytes }) = serde_json::from_str::<InLog<'_>>(object) else { return Ok(None) };
        if attachments.len() == SOCKETIO_ATTACHMENTS_MAX || STANDARD.decode(bytes.as_bytes()).is_err() {
            return Ok(None);
        }
        let placeholder = format!("{{{PLACEHOLDER_KEY}:true,\"num\":{}}}", attachments.len());
        attachments.push(bytes);
        Ok(Some(placeholder))
    });
    let text = text.ok()?;
    (!attachments.is_empty()).then_some(Detached { text, attachments })
}

/// Replaces the objects with the key `marker` (JSON text, quotes included) for which `replace` gives a text.
///
/// One pass over checked JSON. An inner object is offered before the one around it, whose replacement wins.
fn rewrite<'a>(
    text: &'a str,
    marker: &str,
    mut replace: impl FnMut(&'a str) -> Result<Option<String>, PacketError>,
) -> Result<String, PacketError> {
    let bytes = text.as_bytes();
    let mut open: Vec<OpenObject> = Vec::new();
    let mut replaced: Vec<(Range<usize>, String)> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let mut next = at + 1;
        match byte {
            b'"' => {
                next = string_end(bytes, at);
                if let Some(object) = open.last_mut() {
                    object.is_marked |= &text[at..next] == marker;
                }
            }
            // Each level may be looked at once more, so their number bounds the work.
            b'{' if open.len() == JSON_DEPTH_MAX => return Err(PacketError::TooDeep),
            b'{' => open.push(OpenObject { start: at, is_marked: false }),
            b'}' => {
                let Some(object) = open.pop().filter(|object| object.is_marked) else {
                    at = next;
                    continue;
                };
                if let Some(replacement) = replace(&text[object.start..next])? {
                    while replaced.last().is_some_and(|(inner, _)| inner.start > object.start) {
                        replaced.pop();
                    }
                    replaced.push((object.start..next, replacement));
                }
            }
            _ => (),
        }
        at = next;
    }
    Ok(put_together(text, &replaced))
}

/// Whether a string reads `_placeholder`, with or without escapes.
fn names_a_placeholder(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(start) = text[at..].find('"').map(|found| at + found) {
        at = string_end(bytes, start);
        let string = &text[start..at];
        let is_escaped = string.contains('\\');
        if string == PLACEHOLDER_KEY
            || is_escaped && serde_json::from_str::<String>(string).is_ok_and(|string| string == "_placeholder")
        {
            return true;
        }
    }
    false
}

struct OpenObject {
    start: usize,
    is_marked: bool,
}

/// The place behind the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

fn put_together(text: &str, replaced: &[(Range<usize>, String)]) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, replacement) in replaced {
        whole.push_str(&text[copied..range.start]);
        whole.push_str(replacement);
        copied = range.end;
    }
    whole.push_str(&text[copied..]);
    whole
}

/// Other keys beside these change nothing, as for the reference.
#[derive(Deserialize)]
struct Placeholder<'a> {
    #[serde(rename = "_placeholder", borrow, default)]
    marker: Option<&'a RawValue>,
    #[serde(borrow, default)]
    num: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InLog<'a> {
    #[serde(rename = "$bytes", borrow)]
    bytes: Cow<'a, str>,
}

const PLACEHOLDER_KEY: &str = "\"_placeholder\"";
const BYTES_KEY: &str = "\"$bytes\"";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(parts: &[&'static [u8]]) -> Vec<Bytes> {
        parts.iter().copied().map(Bytes::from_static).collect()
    }

    #[test]
    fn placeholders_become_bytes_and_the_rest_stays_as_written() {
        let sent =
            r#"["a", {"_placeholder":true,"num":1} ,{"x": [{"num":0,"_placeholder": true}], "_placeholder":false}]"#;
        let log = r#"["a", {"$bytes":"Ag=="} ,{"x": [{"$bytes":"AQ=="}], "_placeholder":false}]"#;
        assert_eq!(attach(sent, &bytes(&[&[1], &[2]])).as_deref(), Ok(log));
    }

    #[test]
    fn a_placeholder_names_an_attachment_of_its_own() {
        for object in [
            r#"{"_placeholder":true,"num":1}"#,
            r#"{"_placeholder":true,"num":-1}"#,
            r#"{"_placeholder":true,"num":0.5}"#,
            r#"{"_placeholder":true,"num":"0"}"#,
            r#"{"_placeholder":true}"#,
            r#"{"_placeholder":true,"num":0,"num":0}"#,
            r#"[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
        ] {
            assert_eq!(attach(object, &bytes(&[b"x"])), Err(PacketError::BadPlaceholder), "{object}");
        }
        for data in [r#"{"_placeholder":1,"num":7}"#, r#"{"a":["_placeholder"]}"#, r#"["_placeholder\"",{}]"#] {
            assert_eq!(attach(data, &[]).as_deref(), Ok(data));
        }
        let outer = r#"{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":1}}"#;
        assert_eq!(attach(outer, &bytes(&[b"", b""])).as_deref(), Ok(r#"{"$bytes":""}"#));
    }

    #[test]
    fn deep_nesting_is_refused_where_it_would_cost() {
        let deep = |levels: usize| format!("{}1{}", r#"{"_placeholder":"#.repeat(levels), "}".repeat(levels));
        assert!(attach(&deep(JSON_DEPTH_MAX), &[]).is_ok());
        assert_eq!(attach(&deep(JSON_DEPTH_MAX + 1), &[]), Err(PacketError::TooDeep));
    }

    #[test]
    fn at_most_ten_leave_the_text_in_its_order() {
        let one = r#"{"$bytes":"AQ=="}"#;
        let found = detach(r#"{"a":{"$bytes":"AQ=="},"b":{ "$bytes" : "+\/8=" }}"#).expect("bytes");
        assert_eq!(found.text, r#"{"a":{"_placeholder":true,"num":0},"b":{"_placeholder":true,"num":1}}"#);
        assert_eq!(found.attachments, ["AQ==", "+/8="]);
        let eleven = format!("[{}]", [one; 11].join(","));
        let found = detach(&eleven).expect("bytes");
        assert_eq!(found.attachments.len(), 10);
        assert!(found.text.ends_with(&format!(r#"{{"_placeholder":true,"num":9}},{one}]"#)));
    }

    #[test]
    fn what_only_looks_like_bytes_stays() {
        for text in [
            r#"{"$bytes":"not base64"}"#,
            r#"{"$bytes":"AQ=="," x":1}"#,
            r#"{"$bytes":1}"#,
            r#""$bytes""#,
            r#"["$bytes",{"a":"$bytes"}]"#,
            "1",
        ] {
            assert_eq!(detach(text), None, "{text}");
        }
    }

    /// A sender could end the connections of others otherwise.
    #[test]
    fn nothing_is_detached_beside_the_key_of_a_placeholder() {
        for key in ["_placeholder", "\\u005fplaceholder", "_pl\\u0061ceholder"] {
            let text = format!(r#"[{{"$bytes":"AQ=="}},{{"{key}":true,"num":7}}]"#);
            assert_eq!(detach(&text), None, "{text}");
        }
        assert!(detach(r#"[{"$bytes":"AQ=="},"\"_placeholder\"","\u00e4"]"#).is_some());
    }

    proptest! {
        #[test]
        fn bytes_come_back_as_they_went(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..=10)) {
            let objects: Vec<_> =
                parts.iter().map(|part| format!(r#"{{"k":[{{"$bytes":"{}"}}]}}"#, STANDARD.encode(part))).collect();
            let log = format!("[{}]", objects.join(" , "));
            let detached = detach(&log).expect("bytes");
            let attachments: Vec<_> =
                detached.attachments.iter().map(|text| Bytes::from(STANDARD.decode(text.as_bytes()).expect("base64"))).collect();
            prop_assert_eq!(&attachments, &parts.into_iter().map(Bytes::from).collect::<Vec<_>>());
            prop_assert_eq!(attach(&detached.text, &attachments), Ok(log));
        }
    }
}
