//! Names and positions from outside: whatever is taken reads the same after it was written, and keeps
//! to its grammar.

#![no_main]

use libfuzzer_sys::fuzz_target;
use santral_core::grants::Patterns;
use santral_core::names::{ChannelName, ConnectionId, EventName, Selector, SessionToken};
use santral_core::position::{Epoch, OFFSET_MAX, Position, ResumeFrom};

fuzz_target!(|text: &str| {
    check_names(text);
    check_selector(text);
    check_position(text);
    // A comma parts patterns in a list of them.
    let parts: Vec<_> = text.split(',').collect();
    if let Ok(patterns) = Patterns::parse(&parts) {
        assert_eq!(patterns.iter().collect::<Vec<_>>(), parts);
    }
});

fn check_names(text: &str) {
    if let Ok(channel) = ChannelName::parse(text) {
        assert_eq!(channel.to_string(), text);
        assert!(is_of(text, 1..=128, b"_.:@/-") && text.as_bytes()[0].is_ascii_alphanumeric());
    }
    if let Ok(event) = EventName::parse(text) {
        assert_eq!(event.as_str(), text);
        assert_eq!(event.on_stream().to_string(), text);
    }
    if let Ok(event) = EventName::foreign(text) {
        assert!((1..=128).contains(&text.len()) && !text.contains(|c: char| c.is_control() || "\u{2028}\u{2029}".contains(c)));
        assert!(EventName::parse(&event.on_stream().to_string()).is_ok(), "no name is a word of the server's");
    }
    if let Ok(connection) = ConnectionId::parse(text) {
        assert_eq!(connection.as_str(), text);
        assert!(is_of(text, 22..=22, b"_-"));
    }
    if let Ok(session) = SessionToken::parse(text) {
        assert_eq!(session.reveal(), text);
        assert!(is_of(text, 22..=64, b"_-"));
        assert!(!format!("{session:?}").contains(text), "a secret is not shown");
    }
    if let Ok(own) = ChannelName::of_user(text) {
        assert!(own.is_reserved() && own.as_str().ends_with(text));
    }
}

fn check_selector(text: &str) {
    let Ok(selector) = Selector::parse(text) else { return };
    let written = selector.to_string();
    assert_eq!(written, text);
    assert_eq!(Selector::parse(&written).as_ref(), Ok(&selector));
    // It follows the channel that it is named like, and never one of the server's own.
    if let Ok(channel) = ChannelName::parse(selector.as_str()) {
        assert!(selector.matches(&channel));
    }
    let own = ChannelName::of_user("ada").expect("a user's channel");
    assert!(!selector.matches(&own));
}

fn check_position(text: &str) {
    if let Ok(epoch) = text.parse::<Epoch>() {
        assert_eq!(epoch.to_string(), text);
    }
    let parsed = text.parse::<Position>();
    if let Ok(position) = parsed {
        assert!(position.offset <= OFFSET_MAX);
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    match ResumeFrom::parse(text) {
        ResumeFrom::Position(position) => assert_eq!(parsed, Ok(position)),
        ResumeFrom::Earliest => assert_eq!(text, "earliest"),
        ResumeFrom::Unknown => (),
    }
}

fn is_of(text: &str, lengths: std::ops::RangeInclusive<usize>, others: &[u8]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}
