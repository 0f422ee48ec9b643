//! The frames that a server sends: never masked, never fragmented (RFC 6455, section 5.1).

use std::ops::Deref;

use bytes::Bytes;

use crate::limits::{WEBSOCKET_CLOSE_REASON_BYTES_MAX, WEBSOCKET_CONTROL_BYTES_MAX};
use crate::websocket::Opcode;

/// The 2 to 10 bytes before a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl Header {
    /// The longest header of a server's frame, in bytes.
    pub const BYTES_MAX: usize = 10;
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The header of a whole message or control frame with `payload_bytes` behind it.
#[must_use]
pub fn header(opcode: Opcode, payload_bytes: usize) -> Header {
    debug_assert!(!opcode.is_control() || payload_bytes <= WEBSOCKET_CONTROL_BYTES_MAX);
    let mut bytes = [0; Header::BYTES_MAX];
    bytes[0] = FINAL | opcode.bits();
    let length = if let Ok(short) = u8::try_from(payload_bytes)
        && usize::from(short) <= WEBSOCKET_CONTROL_BYTES_MAX
    {
        bytes[1] = short;
        2
    } else if let Ok(middle) = u16::try_from(payload_bytes) {
        bytes[1] = LENGTH_IN_2;
        bytes[2..4].copy_from_slice(&middle.to_be_bytes());
        4
    } else {
        bytes[1] = LENGTH_IN_8;
        bytes[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        10
    };
    Header { bytes, length }
}

/// A whole frame in one piece, for the short ones; what is shared is written behind [`header`] instead.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let header = header(opcode, payload.len());
    let mut bytes = Vec::with_capacity(header.len() + payload.len());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(payload);
    Bytes::from(bytes)
}

/// A ping; the payload is cut to what a control frame takes.
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, short(payload))
}

/// The answer to a ping with this payload.
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, short(payload))
}

/// A close frame; a reason that is too long is cut between two characters.
#[must_use]
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(WEBSOCKET_CLOSE_REASON_BYTES_MAX)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(Opcode::Close, &payload)
}

fn short(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(WEBSOCKET_CONTROL_BYTES_MAX)]
}

/// The bit that ends a message.
pub(super) const FINAL: u8 = 0x80;

/// The 7 bits of length that say: it stands in the next 2 bytes.
pub(super) const LENGTH_IN_2: u8 = 126;

/// The 7 bits of length that say: it stands in the next 8 bytes.
pub(super) const LENGTH_IN_8: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_its_shortest_form() {
        assert_eq!(*header(Opcode::Text, 0), [0x81, 0]);
        assert_eq!(*header(Opcode::Text, 125), [0x81, 125]);
        assert_eq!(*header(Opcode::Binary, 126), [0x82, 126, 0, 126]);
        assert_eq!(*header(Opcode::Binary, 65_535), [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(*header(Opcode::Text, 65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn control_frames_are_short_and_reasons_are_cut_between_characters() {
        assert_eq!(*close_frame(1000, ""), [0x88, 2, 0x03, 0xE8]);
        assert_eq!(*close_frame(4010, "no"), [0x88, 4, 0x0F, 0xAA, b'n', b'o']);
        // 122 + 2 bytes are one more than fit.
        let long = close_frame(1008, &format!("{}ä", "a".repeat(122)));
        assert_eq!(long.len(), 2 + 2 + 122);
        assert_eq!(long[1], 124);
        assert_eq!(*ping(b"hi"), [0x89, 2, b'h', b'i']);
        assert_eq!(pong(&[0; 200]).len(), 2 + 125);
    }
}
