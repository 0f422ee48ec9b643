//! Reads what a client sends: frames of RFC 6455, section 5, cut anywhere, into whole messages.
//!
//! Input is taken from the caller's slice, never kept: what is kept is the head of the frame under
//! way and the payload of the message under way, within [`Rules`]. An idle decoder has no buffer.
//! The first broken rule ends the reading; so does a close frame.

use bytes::Bytes;

use crate::limits::WEBSOCKET_CONTROL_BYTES_MAX;
use crate::websocket::encoder::{FINAL, LENGTH_IN_2, LENGTH_IN_8};
use crate::websocket::{Message, Opcode, Violation, close};

/// What is taken from a client. One value serves all connections of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Largest message, in bytes, its fragments together.
    pub message_bytes_max: u32,
    /// Most frames of one message.
    pub fragments_max: u32,
    /// Whether binary messages are taken.
    pub takes_binary: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Payload of the message under way, and behind it that of a control frame within the message.
    buffer: Vec<u8>,
    /// Bytes of the frame's head that have come, and how many.
    head: [u8; HEAD_BYTES_MAX],
    head_length: u8,
    stage: Stage,
    /// The message that further frames go on with.
    message: Option<Kind>,
    /// Bytes of the frame's payload that have not come.
    missing: u32,
    /// Where the frame's payload begins in the buffer.
    frame_start: u32,
    /// Bytes of a text message that are known to be UTF-8.
    checked: u32,
    /// Frames of the message under way.
    fragments: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Head,
    Payload,
    Ended,
}

/// What the message under way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Decoder {
    /// A decoder before the first frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a message is under way that has not come whole; the closing handshake is over otherwise.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        self.message.is_some() || self.head_length > 0
    }

    /// Takes bytes off `input` up to the end of the next message. `None` when the input is used up,
    /// and for good after a close frame or a violation.
    pub fn next(&mut self, input: &mut &[u8], rules: &Rules) -> Option<Result<Message, Violation>> {
        loop {
            let step = match self.stage {
                Stage::Ended => {
                    *input = &[];
                    return None;
                }
                Stage::Head => self.read_head(input, rules).map(|()| None),
                Stage::Payload => self.read_payload(input),
            };
            match step {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) if self.waits_for_input(input) => return None,
                Ok(None) => (),
                Err(violation) => {
                    self.end();
                    return Some(Err(violation));
                }
            }
        }
    }

    /// An empty payload needs no input; everything else does.
    fn waits_for_input(&self, input: &[u8]) -> bool {
        input.is_empty() && !(self.stage == Stage::Payload && self.missing == 0)
    }

    fn read_head(&mut self, input: &mut &[u8], rules: &Rules) -> Result<(), Violation> {
        // The first two bytes say how long the head is, and may already break a rule.
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.head[usize::from(self.head_length)] = byte;
            self.head_length += 1;
            if self.head_length == 2 {
                self.check_first_bytes(rules)?;
            }
            if self.head_length >= 2 && usize::from(self.head_length) == self.head_bytes() {
                return self.begin_payload(rules);
            }
        }
        Ok(())
    }

    fn check_first_bytes(&mut self, rules: &Rules) -> Result<(), Violation> {
        let [first, second, ..] = self.head;
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBit);
        }
        let bits = first & OPCODE;
        let opcode = Opcode::from_bits(bits).ok_or(Violation::ReservedOpcode(bits))?;
        if second & MASKED == 0 {
            return Err(Violation::NotMasked);
        }
        if opcode.is_control() {
            if first & FINAL == 0 {
                return Err(Violation::FragmentedControl);
            }
            if usize::from(second & LENGTH) > WEBSOCKET_CONTROL_BYTES_MAX {
                return Err(Violation::LongControl);
            }
            return Ok(());
        }
        let begins = match opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        let kind = match (begins, self.message) {
            (None, None) => return Err(Violation::StrayContinuation),
            (Some(_), Some(_)) => return Err(Violation::InterruptedMessage),
            (Some(kind), None) | (None, Some(kind)) => kind,
        };
        if kind == Kind::Binary && !rules.takes_binary {
            return Err(Violation::BinaryNotTaken);
        }
        self.message = Some(kind);
        self.fragments += 1;
        if self.fragments > rules.fragments_max {
            return Err(Violation::TooManyFragments(rules.fragments_max));
        }
        Ok(())
    }

    /// The length of this frame's head as its second byte says.
    fn head_bytes(&self) -> usize {
        let length_bytes = match self.head[1] & LENGTH {
            LENGTH_IN_2 => 2,
            LENGTH_IN_8 => 8,
            _ => 0,
        };
        2 + length_bytes + MASK_BYTES
    }

    fn begin_payload(&mut self, rules: &Rules) -> Result<(), Violation> {
        let length = match self.head[1] & LENGTH {
            LENGTH_IN_2 => extended_length(&self.head[2..4], u64::from(LENGTH_IN_2))?,
            LENGTH_IN_8 => extended_length(&self.head[2..10], 1 << 16)?,
            short => u64::from(short),
        };
        self.frame_start = as_u32(self.buffer.len());
        let room = if self.opcode().is_control() {
            WEBSOCKET_CONTROL_BYTES_MAX as u64
        } else {
            u64::from(rules.message_bytes_max.saturating_sub(self.frame_start))
        };
        if length > room {
            return Err(Violation::TooBig(rules.message_bytes_max));
        }
        self.missing = u32::try_from(length).expect("checked against the room, which is one");
        self.stage = Stage::Payload;
        Ok(())
    }

    fn read_payload(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        let taken = input.len().min(self.missing as usize);
        let (payload, rest) = input.split_at(taken);
        *input = rest;
        let begin = self.buffer.len();
        // Whatever length was announced, memory follows what really came.
        self.buffer.extend_from_slice(payload);
        let mask = self.mask();
        unmask(&mut self.buffer[begin..], mask, begin - self.frame_start as usize);
        self.missing -= as_u32(taken);
        if self.missing > 0 {
            self.check_text()?;
            return Ok(None);
        }
        self.stage = Stage::Head;
        let message = self.end_frame();
        self.head_length = 0;
        message
    }

    fn end_frame(&mut self) -> Result<Option<Message>, Violation> {
        let opcode = self.opcode();
        if opcode.is_control() {
            let payload = Bytes::from(self.buffer.split_off(self.frame_start as usize));
            return match opcode {
                Opcode::Ping => Ok(Some(Message::Ping(payload))),
                Opcode::Pong => Ok(Some(Message::Pong(payload))),
                Opcode::Close | Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                    let message = read_close(&payload)?;
                    self.end();
                    Ok(Some(message))
                }
            };
        }
        if self.head[0] & FINAL == 0 {
            self.check_text()?;
            return Ok(None);
        }
        self.checked = 0;
        self.fragments = 0;
        let payload = std::mem::take(&mut self.buffer);
        match self.message.take() {
            Some(Kind::Text) => String::from_utf8(payload).map(Message::Text).map(Some).map_err(|_| Violation::NotUtf8),
            Some(Kind::Binary) | None => Ok(Some(Message::Binary(Bytes::from(payload)))),
        }
    }

    /// Bytes that cannot become UTF-8 any more are refused as they come, not at the message's end.
    /// Each byte is looked at once, the up to three of a character that is cut excepted.
    fn check_text(&mut self) -> Result<(), Violation> {
        if self.message != Some(Kind::Text) || self.opcode().is_control() {
            return Ok(());
        }
        match std::str::from_utf8(&self.buffer[self.checked as usize..]) {
            Ok(_) => self.checked = as_u32(self.buffer.len()),
            Err(error) if error.error_len().is_none() => self.checked += as_u32(error.valid_up_to()),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    fn opcode(&self) -> Opcode {
        Opcode::from_bits(self.head[0] & OPCODE).expect("checked with the frame's first bytes")
    }

    fn mask(&self) -> [u8; MASK_BYTES] {
        let end = self.head_bytes();
        self.head[end - MASK_BYTES..end].try_into().expect("a mask has four bytes")
    }

    fn end(&mut self) {
        *self = Self { stage: Stage::Ended, ..Self::default() };
    }
}

/// A length of more than 7 bits; one that would have fitted into fewer is refused.
fn extended_length(bytes: &[u8], shortest: u64) -> Result<u64, Violation> {
    let length = bytes.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    if length < shortest || length > i64::MAX as u64 { Err(Violation::BadLength) } else { Ok(length) }
}

fn read_close(payload: &[u8]) -> Result<Message, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let is_empty = payload.is_empty();
        return if is_empty {
            Ok(Message::Close { code: None, reason: String::new() })
        } else {
            Err(Violation::BadCloseCode)
        };
    };
    let code = u16::from_be_bytes(*code);
    if !close::may_travel(code) {
        return Err(Violation::BadCloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Message::Close { code: Some(code), reason: reason.to_owned() })
}

/// Eight bytes at a time: a megabyte takes well under a millisecond.
fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES], position_in_frame: usize) {
    let mut mask = mask;
    mask.rotate_left(position_in_frame % MASK_BYTES);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Lengths within the buffer are within the rules, which are 32 bits, plus one control frame.
fn as_u32(length: usize) -> u32 {
    u32::try_from(length).expect("messages are bounded to 32 bits")
}

/// Two bytes, a length in eight, the mask.
const HEAD_BYTES_MAX: usize = 14;
const MASK_BYTES: usize = 4;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0F;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7F;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { message_bytes_max: 1_000, fragments_max: 100, takes_binary: true };

    const TEXT: u8 = 0x81;
    const TEXT_BEGINS: u8 = 0x01;
    const BINARY: u8 = 0x82;
    const BINARY_BEGINS: u8 = 0x02;
    const GOES_ON: u8 = 0x00;
    const ENDS: u8 = 0x80;
    const CLOSE: u8 = 0x88;
    const PING: u8 = 0x89;
    const PONG: u8 = 0x8A;

    /// A masked frame as a client writes it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            middle @ 126..=65_535 => {
                bytes.push(0xFE);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(0xFF);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    type Read = Vec<Result<Message, Violation>>;

    fn read_in_parts(bytes: &[u8], part: usize, rules: &Rules) -> Read {
        let mut decoder = Decoder::new();
        let mut read = Vec::new();
        for mut input in bytes.chunks(part) {
            while let Some(message) = decoder.next(&mut input, rules) {
                read.push(message);
            }
            assert!(input.is_empty());
        }
        read
    }

    /// However the bytes are cut, the same comes out.
    fn read(frames: &[Vec<u8>]) -> Read {
        let bytes = frames.concat();
        let whole = read_in_parts(&bytes, bytes.len(), &RULES);
        for part in [1, 2, 3, 7, 64] {
            assert_eq!(read_in_parts(&bytes, part, &RULES), whole, "in parts of {part}");
        }
        whole
    }

    fn text(text: &str) -> Result<Message, Violation> {
        Ok(Message::Text(text.to_owned()))
    }

    fn broken(frames: &[Vec<u8>]) -> Violation {
        let read = read(frames);
        match read.last() {
            Some(Err(violation)) => *violation,
            other => panic!("no violation but {other:?}"),
        }
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        for length in [0, 1, 125, 126, 1_000] {
            let payload = "x".repeat(length);
            assert_eq!(read(&[frame(TEXT, payload.as_bytes())]), [text(&payload)]);
            let bytes = Bytes::from(payload.clone());
            assert_eq!(read(&[frame(BINARY, payload.as_bytes())]), [Ok(Message::Binary(bytes))]);
        }
        let frames = [frame(TEXT, "ä€😀".as_bytes()), frame(TEXT, b"b")];
        assert_eq!(read(&frames), [text("ä€😀"), text("b")]);
    }

    #[test]
    fn a_long_length_is_read() {
        let rules = Rules { message_bytes_max: 100_000, ..RULES };
        let payload = vec![7; 70_000];
        let bytes = frame(BINARY, &payload);
        assert_eq!(read_in_parts(&bytes, 8_192, &rules), [Ok(Message::Binary(payload.into()))]);
    }

    #[test]
    fn fragments_become_one_message_around_control_frames() {
        let frames = [
            frame(TEXT_BEGINS, b"a"),
            frame(PING, b"are you there"),
            frame(GOES_ON, b""),
            frame(PONG, b""),
            frame(ENDS, b"b"),
            frame(BINARY_BEGINS, b"c"),
            frame(ENDS, b"d"),
        ];
        assert_eq!(
            read(&frames),
            [
                Ok(Message::Ping(Bytes::from_static(b"are you there"))),
                Ok(Message::Pong(Bytes::new())),
                text("ab"),
                Ok(Message::Binary(Bytes::from_static(b"cd"))),
            ]
        );
    }

    #[test]
    fn a_character_may_be_cut_by_fragments_but_not_by_the_end() {
        let smile = "😀".as_bytes();
        let fragments = [
            frame(TEXT_BEGINS, &smile[..1]),
            frame(GOES_ON, &smile[1..2]),
            frame(PING, b"\xff"),
            frame(GOES_ON, &smile[2..3]),
            frame(ENDS, &smile[3..]),
        ];
        assert_eq!(read(&fragments).last(), Some(&text("😀")));
        assert_eq!(broken(&[frame(TEXT, &smile[..3])]), Violation::NotUtf8);
        assert_eq!(broken(&[frame(TEXT_BEGINS, &smile[..3]), frame(ENDS, b"")]), Violation::NotUtf8);
    }

    #[test]
    fn bad_text_is_refused_before_its_message_ends() {
        let mut half = frame(TEXT, b"good \xed\xa0\x80 and the rest that never comes");
        half.truncate(2 + 4 + 8);
        assert_eq!(broken(&[half]), Violation::NotUtf8);
        assert_eq!(broken(&[frame(TEXT_BEGINS, b"\xc0\xaf")]), Violation::NotUtf8);
        assert_eq!(broken(&[frame(TEXT_BEGINS, b"\xf0"), frame(GOES_ON, b"x")]), Violation::NotUtf8);
    }

    #[test]
    fn what_breaks_a_frame_is_told_by_its_first_bytes() {
        for reserved in [0x40, 0x20, 0x10, 0x70] {
            assert_eq!(broken(&[frame(TEXT | reserved, b"x")]), Violation::ReservedBit);
        }
        for opcode in [0x3, 0x7, 0xB, 0xF] {
            assert_eq!(broken(&[vec![0x80 | opcode, 0x80]]), Violation::ReservedOpcode(opcode));
        }
        assert_eq!(broken(&[vec![TEXT, 5]]), Violation::NotMasked);
        assert_eq!(broken(&[vec![PING, 0]]), Violation::NotMasked);
        for control in [CLOSE, PING, PONG] {
            assert_eq!(broken(&[vec![control & !0x80, 0x80]]), Violation::FragmentedControl);
            assert_eq!(broken(&[vec![control, 0x80 | 126]]), Violation::LongControl);
            assert_eq!(broken(&[vec![control, 0x80 | 127]]), Violation::LongControl);
        }
        for violation in [Violation::ReservedBit, Violation::NotMasked, Violation::LongControl] {
            assert_eq!(violation.close_code(), 1002);
        }
    }

    #[test]
    fn lengths_are_minimal_and_positive() {
        let head = |length: &[u8]| [&[BINARY, if length.len() == 2 { 0xFE } else { 0xFF }], length, &[0; 4]].concat();
        assert_eq!(broken(&[head(&[0, 125])]), Violation::BadLength);
        assert_eq!(broken(&[head(&[0, 0, 0, 0, 0, 0, 0xFF, 0xFF])]), Violation::BadLength);
        assert_eq!(broken(&[head(&[0x80, 0, 0, 0, 0, 0, 0, 0])]), Violation::BadLength);
        assert_eq!(broken(&[head(&[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])]), Violation::TooBig(1_000));
    }

    #[test]
    fn continuations_keep_their_order() {
        assert_eq!(broken(&[frame(GOES_ON, b"x")]), Violation::StrayContinuation);
        assert_eq!(broken(&[frame(TEXT, b"x"), frame(ENDS, b"y")]), Violation::StrayContinuation);
        for first in [TEXT, BINARY, TEXT_BEGINS, BINARY_BEGINS] {
            assert_eq!(broken(&[frame(TEXT_BEGINS, b"x"), frame(first, b"y")]), Violation::InterruptedMessage);
        }
    }

    #[test]
    fn a_message_is_bounded_before_its_bytes_come() {
        let announced = &frame(BINARY, &[0; 1_001])[..8];
        assert_eq!(broken(&[announced.to_vec()]), Violation::TooBig(1_000));
        let together = [frame(TEXT_BEGINS, &[b'x'; 999]), frame(PING, b"12345"), frame(ENDS, b"yy")];
        assert_eq!(broken(&together), Violation::TooBig(1_000));
        assert_eq!(Violation::TooBig(1).close_code(), 1009);
        let fits = [frame(TEXT_BEGINS, &[b'x'; 999]), frame(ENDS, b"y")];
        assert_eq!(read(&fits).len(), 1);
    }

    #[test]
    fn a_hundred_thousand_fragments_of_one_byte_stay_small() {
        let rules = Rules { message_bytes_max: 1 << 20, fragments_max: 200_000, takes_binary: true };
        let one = frame(GOES_ON, b"y");
        let mut decoder = Decoder::new();
        assert_eq!(decoder.next(&mut frame(TEXT_BEGINS, b"x").as_slice(), &rules), None);
        for _ in 0..99_999 {
            assert_eq!(decoder.next(&mut one.as_slice(), &rules), None);
        }
        assert!(decoder.buffer.capacity() <= 2 * 100_000, "{} bytes", decoder.buffer.capacity());
        let bounded = Rules { fragments_max: 100_000, ..rules };
        let more = decoder.next(&mut one.as_slice(), &bounded);
        assert_eq!(more, Some(Err(Violation::TooManyFragments(100_000))));
        assert_eq!(decoder.buffer.capacity(), 0);
        // Empty ones count as well.
        let empty = vec![frame(GOES_ON, b""); 100];
        assert_eq!(broken(&[vec![frame(TEXT_BEGINS, b"")], empty].concat()), Violation::TooManyFragments(100));
    }

    #[test]
    fn memory_follows_what_came_not_what_was_announced() {
        let rules = Rules { message_bytes_max: u32::MAX / 2, ..RULES };
        let mut head = frame(BINARY, &[0; 70_000]);
        head[2..10].copy_from_slice(&(1_u64 << 30).to_be_bytes());
        head.truncate(14 + 10);
        let mut decoder = Decoder::new();
        assert_eq!(decoder.next(&mut head.as_slice(), &rules), None);
        assert!(decoder.buffer.capacity() < 100);
    }

    #[test]
    fn a_close_frame_ends_the_reading() {
        let close = |code: u16, reason: &[u8]| frame(CLOSE, &[&code.to_be_bytes(), reason].concat());
        let closed = |code, reason: &str| Ok(Message::Close { code, reason: reason.to_owned() });
        assert_eq!(read(&[frame(CLOSE, b""), frame(TEXT, b"late")]), [closed(None, "")]);
        for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(read(&[close(code, b"bye"), vec![0xFF]]), [closed(Some(code), "bye")]);
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            assert_eq!(broken(&[close(code, b"")]), Violation::BadCloseCode, "{code}");
        }
        assert_eq!(broken(&[frame(CLOSE, b"x")]), Violation::BadCloseCode);
        assert_eq!(broken(&[close(1000, b"\xff")]), Violation::NotUtf8);
        assert_eq!(Violation::NotUtf8.close_code(), 1007);
    }

    #[test]
    fn binary_is_refused_where_only_text_is_taken() {
        let rules = Rules { takes_binary: false, ..RULES };
        let refused = read_in_parts(&frame(BINARY, b"x"), 2, &rules);
        assert_eq!(refused, [Err(Violation::BinaryNotTaken)]);
        assert_eq!(Violation::BinaryNotTaken.close_code(), 1003);
    }

    #[test]
    fn an_idle_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 64, "{} bytes", size_of::<Decoder>());
        let mut decoder = Decoder::new();
        assert!(decoder.next(&mut frame(TEXT, b"x").as_slice(), &RULES).is_some());
        assert_eq!(decoder.buffer.capacity(), 0);
        assert!(!decoder.is_within_message());
        assert_eq!(decoder.next(&mut &frame(TEXT, b"x")[..1], &RULES), None);
        assert!(decoder.is_within_message());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_however_they_are_cut(
            frames in prop::collection::vec((0_u8..=0x8F, prop::collection::vec(any::<u8>(), 0..140)), 1..6),
            part in 1_usize..20,
        ) {
            let bytes = frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect::<Vec<_>>();
            let whole = read_in_parts(&bytes, bytes.len(), &RULES);
            prop_assert_eq!(read_in_parts(&bytes, part, &RULES), whole);
        }
    }
}
