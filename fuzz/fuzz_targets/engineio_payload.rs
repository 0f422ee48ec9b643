//! A polling body is read in order up to its first bad packet, in time and memory of its length; and what
//! the server sends is cut for a WebSocket into the packets that a poll would show.

#![no_main]

use libfuzzer_sys::fuzz_target;
use santral_core::engineio::Packet;
use santral_core::engineio::payload::{self, Outgoing};

fuzz_target!(|bytes: &[u8]| {
    check_cut(bytes);
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    let read: Vec<_> = payload::packets(body).collect();
    let parts: Vec<_> = body.split('\u{1e}').collect();
    for (packet, part) in read.iter().zip(&parts) {
        assert_eq!(packet, &Packet::parse(part));
    }
    let bad = read.iter().position(Result::is_err);
    assert_eq!(read.len(), bad.map_or(parts.len(), |at| at + 1), "reading stops at the first bad packet");
});

fn check_cut(bytes: &[u8]) {
    let mut rest = bytes;
    let mut cut = Vec::new();
    while let Some(packet) = payload::next_outgoing(&mut rest) {
        cut.push(packet);
    }
    assert!(!rest.contains(&0x1E));
    let mut parts: Vec<_> = bytes.split(|byte| *byte == 0x1E).collect();
    assert_eq!(parts.pop(), Some(rest), "what is not closed stays");
    assert_eq!(parts.len(), cut.len());
    for (part, packet) in parts.iter().zip(&cut) {
        match packet {
            Outgoing::Text(text) => assert_eq!(text, part),
            Outgoing::Binary(bytes) => assert!(part.starts_with(b"b") && bytes.len() < part.len()),
        }
    }
}
