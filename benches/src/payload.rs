//! The data of a publication: fixed width JSON that carries what the checks need.
//!
//! `{"s":"<sequence>","t":"<sent, ns>","c":"<publisher>","p":"xxx…"}`. Every field has a
//! fixed place, so the reader compares bytes and parses two numbers, nothing else. The numbers
//! are JSON strings because JSON forbids the leading zeros that fixed width needs. Used by the
//! publishers and by [`crate::dialect`].

/// Bytes of the data of a 128-byte event: `data: `, 120 bytes, two line feeds.
pub const EVENT_PAYLOAD_BYTES: usize = 120;

const SEQUENCE_AT: usize = 6;
const SEQUENCE_DIGITS: usize = 10;
const SENT_AT: usize = SEQUENCE_AT + SEQUENCE_DIGITS + 7;
const SENT_DIGITS: usize = 15;
const PUBLISHER_AT: usize = SENT_AT + SENT_DIGITS + 7;
const PUBLISHER_DIGITS: usize = 4;
const PADDING_AT: usize = PUBLISHER_AT + PUBLISHER_DIGITS + 7;
const END_BYTES: usize = 2;

/// What one publication says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which publisher wrote it, counted from 0.
    pub publisher: u64,
    /// 1, 2, 3 … for each publisher.
    pub sequence: u64,
    /// When it was sent, in nanoseconds of the run's [`crate::clock::Clock`].
    pub sent_ns: u64,
}

/// A payload of one fixed length, as a template to write and to compare with.
#[derive(Debug, Clone)]
pub struct Payload {
    template: Vec<u8>,
}

impl Payload {
    /// A payload of exactly `bytes` bytes, at least 64.
    pub fn new(bytes: usize) -> Self {
        let fixed = PADDING_AT + END_BYTES;
        let padding = bytes.max(64) - fixed;
        let template = format!(r#"{{"s":"{:010}","t":"{:015}","c":"{:04}","p":"{}"}}"#, 0, 0, 0, "x".repeat(padding));
        Self { template: template.into_bytes() }
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.template.len()
    }

    /// Appends the payload for `stamp` to `out`.
    pub fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.template);
        let place = &mut out[start..];
        write_digits(&mut place[SEQUENCE_AT..SEQUENCE_AT + SEQUENCE_DIGITS], stamp.sequence);
        write_digits(&mut place[SENT_AT..SENT_AT + SENT_DIGITS], stamp.sent_ns);
        write_digits(&mut place[PUBLISHER_AT..PUBLISHER_AT + PUBLISHER_DIGITS], stamp.publisher);
    }

    /// Reads a payload back; `None` unless every byte is as [`Payload::write`] puts it.
    pub fn read(&self, bytes: &[u8]) -> Option<Stamp> {
        if bytes.len() != self.template.len() || !self.fixed_bytes_match(bytes) {
            return None;
        }
        Some(Stamp {
            sequence: read_digits(&bytes[SEQUENCE_AT..SEQUENCE_AT + SEQUENCE_DIGITS])?,
            sent_ns: read_digits(&bytes[SENT_AT..SENT_AT + SENT_DIGITS])?,
            publisher: read_digits(&bytes[PUBLISHER_AT..PUBLISHER_AT + PUBLISHER_DIGITS])?,
        })
    }

    fn fixed_bytes_match(&self, bytes: &[u8]) -> bool {
        let same = |from: usize, to: usize| bytes[from..to] == self.template[from..to];
        same(0, SEQUENCE_AT)
            && same(SEQUENCE_AT + SEQUENCE_DIGITS, SENT_AT)
            && same(SENT_AT + SENT_DIGITS, PUBLISHER_AT)
            && same(PUBLISHER_AT + PUBLISHER_DIGITS, self.template.len())
    }
}

fn write_digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn read_digits(bytes: &[u8]) -> Option<u64> {
    let mut value = 0;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{EVENT_PAYLOAD_BYTES, Payload, Stamp};

    const STAMP: Stamp = Stamp { publisher: 63, sequence: 1_234_567, sent_ns: 987_654_321_012 };

    #[test]
    fn a_written_payload_has_its_length_and_reads_back() {
        for bytes in [64, EVENT_PAYLOAD_BYTES, 1_024] {
            let payload = Payload::new(bytes);
            let mut out = Vec::new();
            payload.write(STAMP, &mut out);
            assert_eq!(out.len(), bytes);
            assert_eq!(payload.read(&out), Some(STAMP));
        }
    }

    #[test]
    fn a_payload_with_one_changed_byte_is_refused_or_reads_differently() {
        let payload = Payload::new(EVENT_PAYLOAD_BYTES);
        let mut out = Vec::new();
        payload.write(STAMP, &mut out);
        for at in 0..out.len() {
            let mut changed = out.clone();
            changed[at] ^= 1;
            assert_ne!(payload.read(&changed), Some(STAMP), "byte {at}");
        }
        assert_eq!(payload.read(&out[1..]), None);
    }
}
