//! The least parsing of an SSE response that still checks every byte of our data lines.
//!
//! It is no full SSE parser: servers under test send each publication as one `data: ` line of
//! known length. Lines of a chunked transfer coding (Express) stand between frames, never inside
//! one, because the loop there writes whole frames; they match no field and are passed over.

use super::Found;
use super::carry::Carry;
use crate::payload::Payload;

const DATA_FIELD: &[u8] = b"data: ";
const EVENT_FIELD: &[u8] = b"event: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Frames,
}

/// Parses one connection's response, in pieces of any size.
#[derive(Debug)]
pub struct StreamParser {
    phase: Phase,
    carry: Carry,
    in_server_event: bool,
}

impl Default for StreamParser {
    fn default() -> Self {
        Self { phase: Phase::Head, carry: Carry::default(), in_server_event: false }
    }
}

impl StreamParser {
    /// Takes the next bytes and calls `on_found` for each finding.
    pub fn feed(&mut self, input: &[u8], payload: &Payload, on_found: &mut impl FnMut(Found)) {
        let mut carry = std::mem::take(&mut self.carry);
        if !carry.feed(input, |input| self.parse(input, payload, on_found)) {
            on_found(Found::Foreign);
        }
        self.carry = carry;
    }

    fn parse(&mut self, input: &[u8], payload: &Payload, on_found: &mut impl FnMut(Found)) -> usize {
        let mut at = 0;
        if self.phase == Phase::Head {
            let Some(end) = find(input, b"\r\n\r\n") else {
                return 0;
            };
            on_found(match status_of(input) {
                200 => Found::Open,
                status => Found::Refused(status),
            });
            self.phase = Phase::Frames;
            at = end + 4;
        }
        let line_bytes = DATA_FIELD.len() + payload.bytes();
        while at < input.len() {
            let rest = &input[at..];
            let length = match rest.get(line_bytes) {
                Some(b'\n') if rest.starts_with(DATA_FIELD) => line_bytes,
                _ => match rest.iter().position(|&byte| byte == b'\n') {
                    Some(length) => length,
                    None => break,
                },
            };
            self.line(&rest[..length], payload, on_found);
            at += length + 1;
        }
        at
    }

    fn line(&mut self, line: &[u8], payload: &Payload, on_found: &mut impl FnMut(Found)) {
        if let Some(data) = line.strip_prefix(DATA_FIELD) {
            match payload.read(data) {
                Some(stamp) => on_found(Found::Publication(stamp)),
                None if self.in_server_event => {}
                None => on_found(Found::Foreign),
            }
        } else if let Some(event) = line.strip_prefix(EVENT_FIELD) {
            self.in_server_event = true;
            if event == b"gap" {
                on_found(Found::Foreign);
            }
        } else if line.is_empty() {
            self.in_server_event = false;
        }
    }
}

/// The status of a response head, 0 when it is malformed.
pub fn status_of(head: &[u8]) -> u16 {
    let digits = head.get(9..12).unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Where `needle` first stands in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::StreamParser;
    use crate::dialect::Found;
    use crate::payload::{Payload, Stamp};

    fn parse_in_pieces(response: &[u8], piece: usize) -> Vec<Found> {
        let payload = Payload::new(120);
        let mut parser = StreamParser::default();
        let mut found = Vec::new();
        for part in response.chunks(piece) {
            parser.feed(part, &payload, &mut |finding| found.push(finding));
        }
        found
    }

    fn frame(sequence: u64) -> Vec<u8> {
        let mut frame = b"id: e-1\ndata: ".to_vec();
        Payload::new(120).write(Stamp { publisher: 0, sequence, sent_ns: 5 }, &mut frame);
        frame.extend_from_slice(b"\n\n");
        frame
    }

    fn publication(sequence: u64) -> Found {
        Found::Publication(Stamp { publisher: 0, sequence, sent_ns: 5 })
    }

    #[test]
    fn a_response_cut_anywhere_yields_the_same_findings() {
        let mut response = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nretry: 1\nevent: hello\n".to_vec();
        response.extend_from_slice(b"id: e-0\ndata: {\"session\":\"a\"}\n\n: padding\n\n");
        response.extend(frame(1));
        response.extend_from_slice(b"event: ping\ndata: {}\n\n");
        response.extend(frame(2));
        let expected = vec![Found::Open, publication(1), publication(2)];
        for piece in 1..response.len() {
            assert_eq!(parse_in_pieces(&response, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn chunk_lines_between_frames_are_passed_over() {
        let mut response = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        for sequence in 1..=2 {
            response.extend_from_slice(b"88\r\n");
            response.extend(frame(sequence));
            response.extend_from_slice(b"\r\n");
        }
        let expected = vec![Found::Open, publication(1), publication(2)];
        assert_eq!(parse_in_pieces(&response, response.len()), expected);
    }

    #[test]
    fn damaged_data_and_a_gap_are_found() {
        let mut response = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        let mut damaged = frame(1);
        damaged[20] = b'?';
        response.extend(damaged);
        response.extend_from_slice(b"event: gap\ndata: {}\n\n");
        let expected = vec![Found::Open, Found::Foreign, Found::Foreign];
        assert_eq!(parse_in_pieces(&response, 7), expected);
    }
}
