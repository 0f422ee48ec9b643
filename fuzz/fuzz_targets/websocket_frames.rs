//! Any bytes as WebSocket frames: read alike however they are cut, within the bounds, text as it came; and
//! nothing after the end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use santral_core::websocket::{Decoder, Message, Rules, Violation};

const RULES: Rules = Rules { message_bytes_max: 300, fragments_max: 8, takes_binary: true };

// The first byte says how the rest is cut, and whether a mask is set where one is missing: without that
// hardly an input would come far.
fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let frames = if first & 1 == 0 { rest.to_vec() } else { masked(rest) };
    let whole = read(&frames, frames.len().max(1));
    assert_eq!(read(&frames, usize::from(first >> 1).max(1)), whole, "a cut changes nothing");
    let count = whole.len();
    for (place, message) in whole.iter().enumerate() {
        match message {
            Ok(Message::Text(text)) => assert!(text.len() <= 300),
            Ok(Message::Binary(bytes)) => assert!(bytes.len() <= 300),
            Ok(Message::Ping(bytes) | Message::Pong(bytes)) => assert!(bytes.len() <= 125),
            Ok(Message::Close { reason, .. }) => assert!(reason.len() <= 123 && place + 1 == count),
            Err(violation) => {
                assert!([1002, 1003, 1007, 1009].contains(&violation.close_code()) && place + 1 == count);
            }
        }
    }
});

fn read(mut bytes: &[u8], part: usize) -> Vec<Result<Message, Violation>> {
    let mut decoder = Decoder::new();
    let mut read = Vec::new();
    while !bytes.is_empty() {
        let (mut input, rest) = bytes.split_at(part.min(bytes.len()));
        while let Some(message) = decoder.next(&mut input, &RULES) {
            read.push(message);
        }
        assert!(input.is_empty());
        bytes = rest;
    }
    read
}

/// Sets the bit of the mask in each head, as far as the lengths lead from one to the next.
fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(second) = bytes.get_mut(at + 1) {
        *second |= 0x80;
        let short = usize::from(*second & 0x7F);
        let long = |count: usize| {
            bytes
                .get(at + 2..at + 2 + count)
                .map(|length| length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)))
        };
        let (head, length) = match short {
            126 => (8, long(2)),
            127 => (14, long(8)),
            short => (6, Some(short)),
        };
        let next = length.and_then(|length| at.checked_add(head)?.checked_add(length));
        let Some(next) = next.filter(|next| *next < bytes.len()) else { break };
        at = next;
    }
    bytes
}
