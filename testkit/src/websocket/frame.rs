//! One WebSocket frame (RFC 6455 section 5): written as the test wants it, read as the standard wants it.
//!
//! Shares nothing with the server's codec.

use std::fmt;
use std::time::Instant;

use crate::http::HttpError;
use crate::http::wire::Wire;
use crate::websocket::{Message, malformed};

/// The four bits that say what a frame is; any value can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// More of the message that was begun.
    pub const CONTINUATION: Self = Self(0);
    /// A text message begins.
    pub const TEXT: Self = Self(1);
    /// A binary message begins.
    pub const BINARY: Self = Self(2);
    /// The sender will send nothing more.
    pub const CLOSE: Self = Self(8);
    /// Asks for a pong with the same bytes.
    pub const PING: Self = Self(9);
    /// Answers a ping, or says "I live".
    pub const PONG: Self = Self(10);

    /// Whether it is a control frame, which may come between the fragments of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & 8 != 0
    }

    fn is_known(self) -> bool {
        matches!(self.0, 0..=2 | 8..=10)
    }
}

/// A frame, valid or not.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is the last of its message.
    pub is_final: bool,
    /// The three reserved bits, as a number from 0 to 7.
    pub reserved: u8,
    /// What it is.
    pub opcode: Opcode,
    /// The masking key; clients must have one, servers must not.
    pub mask: Option<[u8; 4]>,
    /// Said instead of the true length, which makes the frame a lie.
    pub claimed_length: Option<u64>,
    /// The content, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message in one masked frame.
    #[must_use]
    pub fn new(opcode: Opcode, payload: impl Into<Vec<u8>>) -> Self {
        let mask = Some([0x37, 0xFA, 0x21, 0x3D]);
        Self { is_final: true, reserved: 0, opcode, mask, claimed_length: None, payload: payload.into() }
    }

    /// A whole text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Opcode::TEXT, text)
    }

    /// A close with its code and reason.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(Opcode::CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same frame, but more of its message follows.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.is_final = false;
        self
    }

    /// The same frame with reserved bits (4 is RSV1, 2 is RSV2, 1 is RSV3).
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// The same frame without a mask.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    /// The same frame that says another length than it has.
    #[must_use]
    pub fn claiming(mut self, length: u64) -> Self {
        self.claimed_length = Some(length);
        self
    }

    /// The bytes as they go on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.is_final) << 7 | (self.reserved & 7) << 4 | (self.opcode.0 & 15)];
        let length = self.claimed_length.unwrap_or(self.payload.len() as u64);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => bytes.push(mask_bit | short),
            (_, Ok(middle)) => {
                bytes.push(mask_bit | 126);
                bytes.extend(middle.to_be_bytes());
            }
            (_, Err(_)) => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    pub(super) fn judge_as_servers(&self) -> Result<(), HttpError> {
        let is_control = self.opcode.is_control();
        let rules = [
            ("a server does not mask", self.mask.is_none()),
            ("reserved bits are 0", self.reserved == 0),
            ("the opcode is known", self.opcode.is_known()),
            ("a control frame is not fragmented", !is_control || self.is_final),
            ("a control frame has at most 125 bytes", !is_control || self.payload.len() <= 125),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            None => Ok(()),
            Some((rule, _)) => Err(malformed(rule, self)),
        }
    }

    /// What a whole message says.
    pub(super) fn into_message(self) -> Result<Message, HttpError> {
        match self.opcode {
            Opcode::TEXT => {
                let text = std::str::from_utf8(&self.payload).map_err(|_| malformed("text is UTF-8", &self))?;
                Ok(Message::Text(text.to_owned()))
            }
            Opcode::PING => Ok(Message::Ping(self.payload)),
            Opcode::PONG => Ok(Message::Pong(self.payload)),
            Opcode::CLOSE => self.into_close(),
            _ => Ok(Message::Binary(self.payload)),
        }
    }

    fn into_close(self) -> Result<Message, HttpError> {
        let Some((code, reason)) = self.payload.split_first_chunk() else {
            return match self.payload.is_empty() {
                true => Ok(Message::Close { code: None, reason: String::new() }),
                false => Err(malformed("a close has no code or a whole one", &self)),
            };
        };
        let code = u16::from_be_bytes(*code);
        // RFC 6455 section 7.4: 1004 to 1006 and 1015 never go over the wire; 1012 to 1014 are registered.
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(malformed("a close code may be sent", &self));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| malformed("a reason is UTF-8", &self))?;
        Ok(Message::Close { code: Some(code), reason: reason.to_owned() })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.payload[..self.payload.len().min(SHOWN_BYTES)];
        write!(
            formatter,
            "frame(final {}, reserved {}, opcode {}, masked {}, {} bytes: {:?})",
            self.is_final,
            self.reserved,
            self.opcode.0,
            self.mask.is_some(),
            self.payload.len(),
            String::from_utf8_lossy(shown)
        )
    }
}

/// Reads one frame, whoever sent it. Only whole frames are taken from the wire.
pub(super) fn read(wire: &mut Wire, deadline: Instant) -> Result<Option<Frame>, HttpError> {
    let Some(first) = wire.peek(2, deadline)? else { return Ok(None) };
    let (flags, second) = (first[0], first[1]);
    let is_masked = second & 0x80 != 0;
    let extended = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let head_length = 2 + extended + if is_masked { 4 } else { 0 };
    let head = peek_whole(wire, head_length, deadline)?;
    let length = match extended {
        0 => u64::from(second & 0x7F),
        _ => head[2..2 + extended].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    let is_shortest = match extended {
        0 => true,
        2 => length > 125,
        _ => length > 0xFFFF,
    };
    let mut frame = Frame {
        is_final: flags & 0x80 != 0,
        reserved: flags >> 4 & 7,
        opcode: Opcode(flags & 15),
        mask: is_masked
            .then(|| [head[head_length - 4], head[head_length - 3], head[head_length - 2], head[head_length - 1]]),
        claimed_length: None,
        payload: Vec::new(),
    };
    if !is_shortest {
        return Err(malformed("a length is written as short as it can be", &frame));
    }
    if length > FRAME_BYTES_MAX {
        return Err(malformed("a frame of a test has at most 64 MiB", &frame));
    }
    let whole = head_length + usize::try_from(length).unwrap_or(usize::MAX);
    peek_whole(wire, whole, deadline)?;
    frame.payload = wire.take(whole).split_off(head_length);
    let mask = frame.mask.unwrap_or_default();
    frame.payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    Ok(Some(frame))
}

fn peek_whole(wire: &mut Wire, count: usize, deadline: Instant) -> Result<Vec<u8>, HttpError> {
    wire.peek(count, deadline)?.map(<[u8]>::to_vec).ok_or_else(|| wire.truncated())
}

const SHOWN_BYTES: usize = 200;
const FRAME_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455 section 5.7.
    #[test]
    fn the_examples_of_the_standard_come_out() {
        assert_eq!(Frame::text("Hello").encode(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(Frame::text("Hel").unfinished().unmasked().encode(), b"\x01\x03Hel");
        let long = Frame::new(Opcode::BINARY, [7; 256]).unmasked().encode();
        assert_eq!((&long[..4], long.len()), (&b"\x82\x7E\x01\x00"[..], 260));
        let longer = Frame::new(Opcode::BINARY, vec![7; 65_536]).unmasked().encode();
        assert_eq!((&longer[..10], longer.len()), (&b"\x82\x7F\0\0\0\0\0\x01\0\0"[..], 65_546));
    }

    #[test]
    fn a_frame_can_break_each_rule_on_purpose() {
        assert_eq!(Frame::new(Opcode(5), b"").reserved(4).unmasked().encode(), b"\xC5\x00");
        assert_eq!(Frame::text("ab").claiming(200).unmasked().encode(), b"\x81\x7E\x00\xC8ab");
        assert_eq!(Frame::close(1000, "x").unmasked().encode(), b"\x88\x03\x03\xE8x");
    }
}
