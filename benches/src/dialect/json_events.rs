//! Santral's events as JSON objects, as its WebSocket and its long polls carry them.

use super::Found;
use super::stream_parser::find;
use crate::payload::Payload;

const HELLO: &[u8] = br#"{"event":"hello""#;
const PING: &[u8] = br#"{"event":"ping""#;
const MESSAGE: &[u8] = br#"{"event":"message""#;
const DATA: &[u8] = br#""data":"#;

/// What one event is; `None` for those that need no notice.
pub(super) fn finding(event: &[u8], payload: &Payload) -> Option<Found> {
    if event.starts_with(HELLO) {
        return Some(Found::Open);
    }
    if event.starts_with(PING) {
        return None;
    }
    let stamp = event.starts_with(MESSAGE).then(|| data(event)).flatten().and_then(|data| payload.read(data));
    Some(stamp.map_or(Found::Foreign, Found::Publication))
}

/// The data, which is the last field.
fn data(event: &[u8]) -> Option<&[u8]> {
    let start = find(event, DATA)? + DATA.len();
    event[start..].trim_ascii_end().strip_suffix(b"}")
}

/// How long the JSON object at the start of `input` is.
pub(super) fn object_bytes(input: &[u8]) -> Option<usize> {
    let mut depth = 0;
    let mut in_string = false;
    let mut is_escaped = false;
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => (),
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::{finding, object_bytes};
    use crate::dialect::Found;
    use crate::payload::{Payload, Stamp};

    /// A publication as Santral writes it.
    pub(in crate::dialect) fn message(stamp: Stamp) -> Vec<u8> {
        let mut event = br#"{"event":"message","id":"e-1","channel":"bench","at":"2026-11-20","data":"#.to_vec();
        Payload::new(120).write(stamp, &mut event);
        event.push(b'}');
        event
    }

    #[test]
    fn events_are_told_apart() {
        let payload = Payload::new(120);
        let stamp = Stamp { publisher: 0, sequence: 1, sent_ns: 5 };
        assert_eq!(finding(&message(stamp), &payload), Some(Found::Publication(stamp)));
        assert_eq!(finding(br#"{"event":"hello","id":"e-0","data":{}}"#, &payload), Some(Found::Open));
        assert_eq!(finding(br#"{"event":"ping","data":{}}"#, &payload), None);
        assert_eq!(finding(br#"{"event":"gap","data":{}}"#, &payload), Some(Found::Foreign));
        let mut damaged = message(stamp);
        let padding = damaged.len() - 10;
        damaged[padding] ^= 1;
        assert_eq!(finding(&damaged, &payload), Some(Found::Foreign));
        damaged = message(stamp);
        damaged.insert(damaged.len() - 1, b'x');
        assert_eq!(finding(&damaged, &payload), Some(Found::Foreign));
    }

    #[test]
    fn an_object_ends_at_its_own_bracket() {
        assert_eq!(object_bytes(br#"{"a":{"b":"}\"}"}},{}"#), Some(18));
        assert_eq!(object_bytes(br#"{"a":{}"#), None);
    }
}
