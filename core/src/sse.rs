//! Server-Sent Events frames (WHATWG HTML, section 9.2), made of checked parts only.
//!
//! No function here takes a field that could hold a line break except `data`, which is split.
//! That is the whole defence against injected fields, so keep it that way.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::value::RawValue;

use santral_schema::events::{Bye, Envelope, From, Gap, Hello, PresenceChange};

use crate::entry::{Entry, Publication, Sender, Timestamp};
use crate::limits::PADDING_BYTES;
use crate::position::Position;

/// The frame that keeps an idle stream alive: a named event, because comments never reach JavaScript.
pub const PING: Bytes = Bytes::from_static(b"event: ping\ndata: {}\n\n");

/// The frame of a message in the raw format.
#[must_use]
pub fn raw_frame(position: Option<Position>, publication: &Publication) -> Bytes {
    frame(position, event_of(publication).as_deref(), &publication.data)
}

/// The frame of a message in the envelope format.
#[must_use]
pub fn envelope_frame(position: Option<Position>, at: Timestamp, publication: &Publication) -> Bytes {
    frame(position, event_of(publication).as_deref(), &to_json(&wire_envelope(position, at, publication)))
}

/// An entry as clients see it outside of a stream.
#[must_use]
pub fn envelope(entry: &Entry) -> Envelope {
    wire_envelope(entry.position(), entry.at(), entry.publication())
}

fn wire_envelope(position: Option<Position>, at: Timestamp, publication: &Publication) -> Envelope {
    Envelope {
        channel: publication.channel.to_string(),
        event: event_of(publication),
        id: position.map(|position| position.to_string()),
        from: wire_sender(&publication.from),
        at: at.to_rfc3339(),
        data: RawValue::from_string(publication.data.to_string()).expect("publications hold checked JSON text"),
    }
}

/// The name of the event as our own streams write it.
fn event_of(publication: &Publication) -> Option<String> {
    publication.event.as_ref().map(|name| name.on_stream().to_string())
}

/// The sender as clients see it; `None` when nothing is known.
#[must_use]
pub fn wire_sender(sender: &Sender) -> Option<From> {
    (!sender.is_unknown()).then(|| From {
        user: sender.user.as_deref().map(str::to_owned),
        connection: sender.connection.map(|id| id.as_str().to_owned()),
    })
}

/// The first frame of a stream. Its id is the place where the stream goes on, so that a client
/// which loses the line before its first message can still resume; without one, the client keeps
/// the position that it came with.
#[must_use]
pub fn hello_frame(id: Option<Position>, retry_ms: u32, hello: &Hello) -> Bytes {
    let mut text = format!("retry: {retry_ms}\n");
    push_frame(&mut text, id, Some("hello"), &to_json(hello));
    Bytes::from(text)
}

/// A comment of [`PADDING_BYTES`], for scanners that hold a stream's start until more arrives.
#[must_use]
pub fn padding() -> Bytes {
    Bytes::from(format!(":{}\n\n", " ".repeat(PADDING_BYTES - 3)))
}

/// What a client missed, and where it goes on; the id is the place where it goes on.
#[must_use]
pub fn gap_frame(resumed_from: Option<Position>, gap: &Gap) -> Bytes {
    frame(resumed_from, Some("gap"), &to_json(gap))
}

/// Somebody joined or left a channel. Has no position: presence is read anew after a reconnect.
#[must_use]
pub fn presence_frame(change: &PresenceChange) -> Bytes {
    frame(None, Some("presence"), &to_json(change))
}

/// The last frame of a stream.
#[must_use]
pub fn bye_frame(bye: &Bye) -> Bytes {
    frame(None, Some("bye"), &to_json(bye))
}

fn frame(position: Option<Position>, event: Option<&str>, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + 64);
    push_frame(&mut text, position, event, data);
    Bytes::from(text)
}

fn push_frame(text: &mut String, position: Option<Position>, event: Option<&str>, data: &str) {
    if let Some(position) = position {
        writeln!(text, "id: {position}").expect("a String takes all text");
    }
    if let Some(event) = event {
        debug_assert!(!event.contains(['\r', '\n']), "event names are checked at publish");
        text.push_str("event: ");
        text.push_str(event);
        text.push('\n');
    }
    for line in lines(data) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
}

/// Splits at CR LF, CR and LF, as the parser on the other side does (WHATWG HTML, section 9.2.5).
fn lines(data: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.bytes().position(|byte| byte == b'\r' || byte == b'\n') else {
            rest = None;
            return Some(text);
        };
        let broken_by = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + broken_by..]);
        Some(&text[..end])
    })
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("wire types have string keys and no failing serializer")
}
