//! Frames that are JSON objects, each on a line of its own: what a WebSocket and a long poll carry.
//!
//! A message is an [`Envelope`](santral_schema::events::Envelope); its `event` is always there, `message`
//! where the publisher gave none. The server's own frames have `event`, `id` where they have a place, and
//! `data`. No line has a line break but at its end.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::Deserialize;

use crate::entry::{Publication, Timestamp};
use crate::position::Position;
use crate::sse::wire_sender;

/// The line that keeps an idle stream alive.
pub const PING: Bytes = Bytes::from_static(b"{\"event\":\"ping\",\"data\":{}}\n");

/// The name of a message without one, as a native EventSource calls it (WHATWG HTML, section 9.2.6).
const NAMELESS: &str = "message";

/// A message.
#[must_use]
pub fn message(position: Option<Position>, at: Timestamp, publication: &Publication) -> Bytes {
    let event = publication.event.as_ref().map(|name| name.on_stream().to_string());
    let mut line = String::with_capacity(publication.data.len() + 192);
    line.push_str("{\"event\":");
    push_json(&mut line, &event.as_deref().unwrap_or(NAMELESS));
    push_id(&mut line, position);
    line.push_str(",\"channel\":");
    push_json(&mut line, &publication.channel.as_str());
    if let Some(from) = wire_sender(&publication.from) {
        line.push_str(",\"from\":");
        push_json(&mut line, &from);
    }
    line.push_str(",\"at\":");
    push_json(&mut line, &at.to_rfc3339());
    line.push_str(",\"data\":");
    push_data(&mut line, &publication.data);
    line.push_str("}\n");
    Bytes::from(line)
}

/// A frame of the server's own.
#[must_use]
pub fn system(event: &str, position: Option<Position>, data: &impl serde::Serialize) -> Bytes {
    let mut line = String::from("{\"event\":");
    push_json(&mut line, &event);
    push_id(&mut line, position);
    line.push_str(",\"data\":");
    push_json(&mut line, data);
    line.push_str("}\n");
    Bytes::from(line)
}

/// The place that the last of these lines gives which gives one: what a client that has them all has seen.
#[must_use]
pub fn last_id(lines: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Place<'a> {
        #[serde(borrow)]
        id: Option<&'a str>,
    }
    let lines = lines.rsplit(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| serde_json::from_slice::<Place<'_>>(line).ok()?.id).next()
}

fn push_id(line: &mut String, position: Option<Position>) {
    if let Some(position) = position {
        write!(line, ",\"id\":\"{position}\"").expect("a String takes all text");
    }
}

/// As the publisher wrote it; a line break can only stand outside of strings (RFC 8259, section 7), where a
/// space says the same.
fn push_data(line: &mut String, data: &str) {
    let mut parts = data.split(['\r', '\n']);
    line.push_str(parts.next().unwrap_or_default());
    for part in parts {
        line.push(' ');
        line.push_str(part);
    }
}

fn push_json(line: &mut String, value: &impl serde::Serialize) {
    line.push_str(&serde_json::to_string(value).expect("wire types have string keys and no failing serializer"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Sender;
    use crate::names::{ChannelName, EventName};
    use crate::position::Epoch;

    fn publication(data: &str) -> Publication {
        Publication::new(ChannelName::parse("orders.1").expect("a valid name"), data)
    }

    #[test]
    fn a_message_is_one_line_whatever_white_space_its_data_has() {
        let line = message(Some(Position::new(Epoch(1), 7)), Timestamp(0), &publication("{\r\n\"a\":\n\"b\\n\"}"));
        let expected = "{\"event\":\"message\",\"id\":\"00000001-7\",\"channel\":\"orders.1\",\
            \"at\":\"1970-01-01T00:00:00.000Z\",\"data\":{  \"a\": \"b\\n\"}}\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn the_last_place_is_found_behind_lines_that_have_none() {
        let first = message(Some(Position::new(Epoch(1), 7)), Timestamp(0), &publication("{\"id\":\"x\"}"));
        let second = message(None, Timestamp(0), &publication("1"));
        let lines = [&first[..], &second[..], &PING[..]].concat();
        assert_eq!(last_id(&lines), Some("00000001-7"));
        assert_eq!(last_id(&PING), None);
    }

    #[test]
    fn a_volatile_message_has_no_id_and_a_known_sender_is_named() {
        let event = EventName::foreign("bye").ok();
        let from = Sender { user: Some("ada".into()), connection: None };
        let line = message(None, Timestamp(0), &Publication { event, from, ..publication("1") });
        let expected = "{\"event\":\"io:bye\",\"channel\":\"orders.1\",\"from\":{\"user\":\"ada\"},\
            \"at\":\"1970-01-01T00:00:00.000Z\",\"data\":1}\n";
        assert_eq!(line, expected);
    }
}
