//! What a publisher sends comes out of a frame as it went in, as read by a parser that shares no code
//! with the encoder; and that parser takes any bytes, however they are cut.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use santral_core::entry::{Entry, Publication, Sender, Timestamp};
use santral_core::names::{ChannelName, ConnectionId, EventName};
use santral_core::position::Position;
use santral_core::format::Format;
use santral_testkit::sse::{Event, Item, Parser};
use serde_json::Value;
use serde_json::value::RawValue;

/// One message as it may come in. Fields are parted by NUL, which no JSON text has, so that seeds can be
/// written by hand: channel, event, user, connection, position, time, data, and bytes that are nothing at all.
struct Input<'a> {
    channel: &'a str,
    event: Option<&'a str>,
    user: Option<&'a str>,
    connection: Option<&'a str>,
    position: Option<Position>,
    at: Timestamp,
    data: &'a str,
}

fuzz_target!(|bytes: &[u8]| {
    let whole = items(&[bytes]);
    let cut = bytes.first().map_or(0, |&byte| usize::from(byte));
    let (front, rest) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(whole, items(&[front, rest]), "a cut changes nothing");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(input) = input(text) else { return };
    let Some(entry) = entry(&input) else { return };
    check_raw(&entry, &input, cut);
    check_envelope(&entry, &input, cut);
});

fn input(text: &str) -> Option<Input<'_>> {
    let mut fields = text.split('\0');
    let mut next = || fields.next();
    let some = |field: &str| !field.is_empty();
    Some(Input {
        channel: next()?,
        event: next().filter(|field| some(field)),
        user: next().filter(|field| some(field)),
        connection: next().filter(|field| some(field)),
        position: next()?.parse().ok(),
        at: Timestamp(next()?.parse().unwrap_or_default()),
        data: next()?,
    })
}

/// The entry that the server would make of the message; none if it would refuse it.
fn entry(input: &Input<'_>) -> Option<Entry> {
    serde_json::from_str::<&RawValue>(input.data).ok()?;
    let connection = input.connection.map(ConnectionId::parse).transpose().ok()?;
    let publication = Publication {
        event: input.event.map(EventName::parse).transpose().ok()?,
        from: Sender { user: input.user.map(Arc::from), connection },
        ..Publication::new(ChannelName::parse(input.channel).ok()?, input.data)
    };
    Some(match input.position {
        Some(position) => Entry::stored(position, input.at, publication),
        None => Entry::volatile(input.at, publication),
    })
}

fn check_raw(entry: &Entry, input: &Input<'_>, cut: usize) {
    let event = only_event(entry, Format::Raw, cut);
    assert_eq!(event.data, normalized(input.data));
    check_head(&event, entry, input);
}

fn check_envelope(entry: &Entry, input: &Input<'_>, cut: usize) {
    let event = only_event(entry, Format::Envelope, cut);
    check_head(&event, entry, input);
    let envelope: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(&event.data).expect("an envelope is an object");
    let text = |name: &str| envelope.get(name).map(|value| serde_json::from_str::<Value>(value.get()).expect("JSON"));
    assert_eq!(text("channel"), Some(Value::from(input.channel)));
    assert_eq!(text("event"), input.event.map(Value::from));
    assert_eq!(text("id"), entry.position().map(|position| Value::from(position.to_string())));
    // Line breaks between tokens may have become others; within strings JSON escapes them.
    assert_eq!(envelope["data"].get().trim(), normalized(input.data).trim());
}

fn check_head(event: &Event, entry: &Entry, input: &Input<'_>) {
    assert_eq!(event.event_type, input.event.unwrap_or("message"));
    assert_eq!(event.last_event_id, entry.position().map(|position| position.to_string()).unwrap_or_default());
    assert_eq!(event.retry, None);
}

/// The one event that a frame is, read in two parts.
fn only_event(entry: &Entry, format: Format, cut: usize) -> Event {
    let frame = entry.frame(format);
    let (front, rest) = frame.split_at(cut.min(frame.len()));
    match items(&[front, rest]).as_slice() {
        [Item::Event(event)] => event.clone(),
        other => panic!("not one event but {other:?}"),
    }
}

fn items(parts: &[&[u8]]) -> Vec<Item> {
    let mut parser = Parser::new();
    parts.iter().flat_map(|part| parser.feed(part)).collect()
}

/// What a reader of lines sees of line breaks (WHATWG HTML, section 9.2.5).
fn normalized(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
