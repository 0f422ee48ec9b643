//! A client's Socket.IO packets: what is taken is written as the server would write it, and reads the same.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use santral_core::engineio::Packet as Engine;
use santral_core::engineio::payload;
use santral_core::socketio::encode::{self, Event, Tail};
use santral_core::socketio::{Args, Decoder, Packet};

// Lines are messages: one that begins with `b` is binary.
fuzz_target!(|text: &str| {
    let mut decoder = Decoder::default();
    for line in text.split('\n') {
        let read = match line.strip_prefix('b') {
            Some(bytes) => decoder.binary(Bytes::copy_from_slice(bytes.as_bytes())),
            None => decoder.text(line),
        };
        match read {
            Ok(Some(packet)) => check(packet),
            Ok(None) => assert!(decoder.is_waiting()),
            Err(_) => return,
        }
    }
});

fn check(packet: Packet) {
    let mut text = String::new();
    match &packet {
        Packet::Event { namespace, ack, name, args } => {
            let data = args.as_array();
            let event = Event { namespace, ack: *ack, name, data, spread: true, tail: Tail::Nothing };
            encode::event(&mut text, &event);
        }
        Packet::Ack { namespace, id: Some(id), args } => encode::ack(&mut text, namespace, *id, args),
        Packet::Disconnect { namespace } => encode::disconnect(&mut text, namespace),
        Packet::Connect { .. } | Packet::Ack { id: None, .. } | Packet::Empty { .. } => return,
    }
    assert_eq!(without_style(read(&text)), without_style(packet));
}

/// Space around the values and within the objects that stand for bytes, and escapes in base64, are not kept.
fn without_style(packet: Packet) -> Packet {
    match packet {
        Packet::Event { namespace, ack, name, args } => Packet::Event { namespace, ack, name, args: plain(args) },
        Packet::Ack { namespace, id, args } => Packet::Ack { namespace, id, args: plain(args) },
        other @ (Packet::Connect { .. } | Packet::Disconnect { .. } | Packet::Empty { .. }) => other,
    }
}

fn plain(args: Args) -> Args {
    let text = args.as_array();
    let within = text[1..text.len() - 1].trim_matches([' ', '\t', '\n', '\r']);
    let value = text.contains("$bytes").then(|| serde_json::from_str::<serde_json::Value>(text).ok()).flatten();
    let plain = value.map_or_else(|| format!("[{within}]"), |value| value.to_string());
    Args::parse(&plain).expect("an array")
}

fn read(text: &str) -> Packet {
    let mut decoder = Decoder::default();
    let mut last = None;
    for packet in payload::packets(std::str::from_utf8(payload::answer(text.as_bytes())).expect("text")) {
        assert!(last.is_none(), "nothing follows a whole packet");
        last = match packet.expect("our own packet") {
            Engine::Message(text) => decoder.text(text).expect("our own packet"),
            Engine::Binary(bytes) => decoder.binary(bytes).expect("our own packet"),
            other => panic!("not a message but {other:?}"),
        };
    }
    last.expect("a whole packet")
}
