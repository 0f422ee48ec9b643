//! Properties of what clients see: any JSON data survives its way through SSE frames, as read by a
//! parser that shares no code with the engine.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use santral_core::entry::{Entry, Publication, Sender, Timestamp};
use santral_core::format::Format;
use santral_core::names::{ChannelName, ConnectionId, EventName, NameError, Selector, SessionToken};
use santral_core::position::{Epoch, Position};
use santral_schema::grammar;
use santral_testkit::sse::{Event, Item, Parser};
use serde_json::value::RawValue;

fn entry(data: &str, event: Option<&str>) -> Entry {
    let publication = Publication {
        event: event.map(|name| EventName::parse(name).expect("a valid name")),
        from: Sender { user: Some(Arc::from("ada\u{85}\u{2028}\r\n")), connection: None },
        ..Publication::new(ChannelName::parse("orders.42").expect("a valid name"), data)
    };
    Entry::stored(Position::new(Epoch(1), 7), Timestamp(0), publication)
}

/// Parses a frame cut in two; exactly one event must come out.
fn parse(frame: &Bytes, cut: usize) -> Event {
    let mut parser = Parser::new();
    let (front, rest) = frame.split_at(cut % (frame.len() + 1));
    let mut items = parser.feed(front);
    items.extend(parser.feed(rest));
    match items.pop() {
        Some(Item::Event(event)) if items.is_empty() => event,
        other => panic!("not one event but {items:?} and {other:?}"),
    }
}

/// What a reader of lines sees of line breaks (WHATWG HTML, section 9.2.5).
fn normalized(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Line breaks and spaces that JSON allows between tokens.
fn space() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just("\r\n"), Just("\n"), Just("\r"), Just(" "), Just("\t")], 0..4)
        .prop_map(|parts| parts.concat())
}

/// JSON text with awkward characters in its strings and line breaks between its tokens.
fn json() -> impl Strategy<Value = String> {
    let awkward = "[\u{0}-\u{20}\u{7f}-\u{9f}\u{2028}\u{2029}\u{feff}:a-c\"\\\\]{0,12}";
    (awkward, ".{0,20}", space(), space(), space()).prop_map(|(left, right, before, middle, after)| {
        let quote = |text: &str| serde_json::to_string(text).expect("text is JSON");
        format!("{before}{{{middle}{}{after}:{before}{}{middle}}}{after}", quote(&left), quote(&right))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn raw_data_arrives_as_it_was_published(data in json(), cut: usize) {
        let event = parse(entry(&data, Some("order.created")).frame(Format::Raw), cut);
        prop_assert_eq!(event.data, normalized(&data));
        prop_assert_eq!(event.event_type, "order.created");
        prop_assert_eq!(event.last_event_id, "00000001-7");
    }

    #[test]
    fn an_envelope_holds_the_data_as_it_was_published(data in json(), cut: usize) {
        let event = parse(entry(&data, None).frame(Format::Envelope), cut);
        let envelope: std::collections::BTreeMap<String, &RawValue> =
            serde_json::from_str(&event.data).expect("an envelope is JSON");
        let published: serde_json::Value = serde_json::from_str(&data).expect("made as JSON");
        let arrived: serde_json::Value = serde_json::from_str(envelope["data"].get()).expect("a part of JSON");
        prop_assert_eq!(arrived, published);
        prop_assert_eq!(envelope["id"].get(), "\"00000001-7\"");
        prop_assert_eq!(event.event_type, "message");
    }
}

/// Text of a grammar as the description of the API has it; the generator anchors by itself.
fn described(pattern: &str) -> impl Strategy<Value = String> {
    let bare = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).expect("a pattern is anchored");
    proptest::string::string_regex(bare).expect("a pattern is a regular expression")
}

/// Whether the grammar was kept to; what belongs to the server is written like everything else.
fn keeps<T>(parsed: Result<T, NameError>) -> bool {
    matches!(parsed, Ok(_) | Err(NameError::Reserved))
}

proptest! {
    #[test]
    fn names_that_the_description_of_the_api_allows_are_taken(
        channel in described(grammar::ChannelName::PATTERN),
        selector in described(grammar::Selector::PATTERN),
        event in described(grammar::EventName::PATTERN),
        connection in described(grammar::ConnectionId::PATTERN),
        session in described(grammar::SessionToken::PATTERN),
        user in described(grammar::UserId::PATTERN),
    ) {
        prop_assert!(ChannelName::parse(&channel).is_ok(), "{}", channel);
        prop_assert!(keeps(Selector::parse(&selector)), "{}", selector);
        // The pattern counts characters, the server bytes.
        prop_assert!(event.len() > 128 || keeps(EventName::parse(&event)), "{}", event);
        prop_assert!(ConnectionId::parse(&connection).is_ok(), "{}", connection);
        prop_assert!(SessionToken::parse(&session).is_ok(), "{}", session);
        prop_assert!(ChannelName::of_user(&user).is_ok(), "{}", user);
    }
}

#[test]
fn every_control_character_survives_inside_a_string() {
    for code in (0..0xA0).chain([0x2028, 0x2029, 0xFEFF, 0xFFFD, 0x1F600]) {
        let character = char::from_u32(code).expect("a scalar value");
        let data = serde_json::to_string(&format!("a{character}b")).expect("text is JSON");
        let event = parse(entry(&data, None).frame(Format::Raw), 9);
        assert_eq!(event.data, normalized(&data), "U+{code:04X}");
    }
}

/// INV-7: one encoding per format, whoever asks.
#[test]
fn a_frame_is_encoded_once_per_format() {
    let entry = entry("{}", None);
    for format in [Format::Raw, Format::Envelope] {
        assert_eq!(entry.frame(format).as_ptr(), entry.frame(format).as_ptr());
    }
}
