//! RFC 6455 as much as the generator needs: whole text frames of the server, masked ones of the client.
//!
//! Fragments and binary frames are findings, since no server under test has a reason to send them here.

use super::carry::Carry;
use super::socketio::SocketIo;
use super::stream_parser::{find, status_of};
use super::{Found, json_events};
use crate::payload::Payload;

const SWITCHING: u16 = 101;
/// A whole text.
pub(crate) const FIN_TEXT: u8 = 0x81;
const FIN_PING: u8 = 0x89;
/// The answer to a ping.
pub(crate) const FIN_PONG: u8 = 0x8a;
const MASKED: u8 = 0x80;
/// A mask need not be random where no proxy is between; the server takes it off all the same.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x96, 0x3c];
const LENGTH_OF_TWO_BYTES: u8 = 126;
/// Longest payload of a frame with a length of one byte.
const SHORT_MAX: usize = 125;

/// A WebSocket and what speaks on it.
#[derive(Debug)]
pub(crate) struct WebSocket {
    is_switched: bool,
    carry: Carry,
    speaker: Speaker,
}

#[derive(Debug)]
enum Speaker {
    JsonEvents,
    SocketIo(SocketIo),
}

/// A frame of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Other,
}

/// The request that opens a WebSocket; the key is the one of the RFC, and nobody looks at its answer.
pub(crate) fn handshake(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

impl WebSocket {
    /// One that carries Santral's events.
    pub(super) fn with_json_events() -> Self {
        Self { is_switched: false, carry: Carry::default(), speaker: Speaker::JsonEvents }
    }

    /// One that carries Engine.IO packets.
    pub(super) fn with_socketio(client: SocketIo) -> Self {
        Self { is_switched: false, carry: Carry::default(), speaker: Speaker::SocketIo(client) }
    }

    /// As [`super::Dialect::feed`].
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        payload: &Payload,
        answer: &mut Vec<u8>,
        on_found: &mut impl FnMut(Found),
    ) {
        let Self { is_switched, carry, speaker } = self;
        let is_bounded = carry.feed(input, |input| {
            let mut at = 0;
            if !*is_switched {
                let Some(end) = find(input, b"\r\n\r\n") else {
                    return 0;
                };
                let status = status_of(input);
                if status != SWITCHING {
                    on_found(Found::Refused(status));
                    return input.len();
                }
                *is_switched = true;
                at = end + 4;
            }
            while let Some((frame, bytes)) = next_frame(&input[at..]) {
                speaker.take(&frame, payload, answer, on_found);
                at += bytes;
            }
            at
        });
        if !is_bounded {
            on_found(Found::Foreign);
        }
    }
}

impl Speaker {
    fn take(&mut self, frame: &Frame<'_>, payload: &Payload, answer: &mut Vec<u8>, on_found: &mut impl FnMut(Found)) {
        match (frame, self) {
            (Frame::Text(event), Self::JsonEvents) => {
                if let Some(found) = json_events::finding(event, payload) {
                    on_found(found);
                }
            }
            (Frame::Text(packet), Self::SocketIo(client)) => {
                client.take(packet, payload, &mut |packet| write(FIN_TEXT, packet, answer), on_found);
            }
            (Frame::Ping(data), _) => write(FIN_PONG, data, answer),
            (Frame::Other, _) => on_found(Found::Foreign),
        }
    }
}

/// The first whole frame, and its length.
pub(crate) fn next_frame(input: &[u8]) -> Option<(Frame<'_>, usize)> {
    let &[first, length, ref rest @ ..] = input else {
        return None;
    };
    let (head_bytes, payload_bytes): (usize, usize) = match length {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap_or(usize::MAX)),
        _ => (2, usize::from(length)),
    };
    let end = head_bytes.checked_add(payload_bytes)?;
    let payload = input.get(head_bytes..end)?;
    let frame = match first {
        FIN_TEXT => Frame::Text(payload),
        FIN_PING => Frame::Ping(payload),
        _ => Frame::Other,
    };
    Some((frame, end))
}

/// Writes a masked frame of up to 64 KiB, all that a client here has to say.
pub(crate) fn write(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
    if payload.len() <= SHORT_MAX {
        out.extend_from_slice(&[first, MASKED | payload.len() as u8]);
    } else {
        out.extend_from_slice(&[first, MASKED | LENGTH_OF_TWO_BYTES]);
        out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
pub(super) mod tests {
    use super::{FIN_PING, FIN_TEXT, Frame, MASK, WebSocket, next_frame, write};
    use crate::dialect::Found;
    use crate::dialect::json_events::tests::message;
    use crate::dialect::socketio::SocketIo;
    use crate::payload::{Payload, Stamp};

    const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n";
    const STAMP: Stamp = Stamp { publisher: 0, sequence: 1, sent_ns: 5 };

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        if payload.len() < 126 {
            frame.push(payload.len() as u8);
        } else {
            frame.push(126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        frame.extend_from_slice(payload);
        frame
    }

    /// Findings and the payloads of the client's frames, unmasked.
    fn talk(mut socket: WebSocket, said: &[u8], piece: usize) -> (Vec<Found>, Vec<Vec<u8>>) {
        let (mut found, mut answer) = (Vec::new(), Vec::new());
        for part in said.chunks(piece) {
            socket.feed(part, &Payload::new(120), &mut answer, &mut |finding| found.push(finding));
        }
        let mut packets = Vec::new();
        let mut rest = &answer[..];
        while let [_, length, body @ ..] = rest {
            let (masked, behind) = body[4..].split_at(usize::from(length & 0x7f));
            packets.push(masked.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
            rest = behind;
        }
        (found, packets)
    }

    #[test]
    fn events_cut_anywhere_are_found_and_pings_answered() {
        let mut said = SWITCH.to_vec();
        said.extend(server_frame(FIN_TEXT, br#"{"event":"hello","data":{}}"#));
        said.extend(server_frame(FIN_PING, b"p"));
        said.extend(server_frame(FIN_TEXT, &message(STAMP)));
        said.extend(server_frame(0x88, b""));
        let expected = vec![Found::Open, Found::Publication(STAMP), Found::Foreign];
        for piece in 1..said.len() {
            let (found, packets) = talk(WebSocket::with_json_events(), &said, piece);
            assert_eq!(found, expected, "pieces of {piece}");
            assert_eq!(packets, [b"p".to_vec()]);
        }
    }

    #[test]
    fn a_socketio_client_connects_joins_and_answers_pings() {
        let mut said = SWITCH.to_vec();
        let mut event = b"42[\"message\",".to_vec();
        Payload::new(120).write(STAMP, &mut event);
        event.push(b']');
        let packets: [&[u8]; 5] = [b"0{\"sid\":\"a\"}", b"40{\"sid\":\"b\"}", b"430[{\"ok\":true}]", b"2", &event];
        for packet in packets {
            said.extend(server_frame(FIN_TEXT, packet));
        }
        let (found, packets) = talk(WebSocket::with_socketio(SocketIo::new(Some("bench"))), &said, 50);
        assert_eq!(found, [Found::Open, Found::Publication(STAMP)]);
        let expected: [&[u8]; 3] = [b"40", b"420[\"join\",\"bench\"]", b"3"];
        assert_eq!(packets, expected);
    }

    #[test]
    fn a_frame_of_any_length_that_is_needed_is_masked() {
        for (length, head) in [(125, vec![0x81, 0xfd]), (126, vec![0x81, 0xfe, 0, 126]), (800, vec![0x81, 0xfe, 3, 32])]
        {
            let (text, mut frame) = (vec![b'x'; length], Vec::new());
            write(FIN_TEXT, &text, &mut frame);
            assert_eq!(frame[..head.len()], head);
            assert_eq!(frame[head.len()..head.len() + 4], MASK);
            let body: Vec<_> = frame[head.len() + 4..].iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m).collect();
            assert_eq!(body, text);
        }
    }

    #[test]
    fn a_refusal_and_a_fragment_are_findings() {
        let (found, _) = talk(WebSocket::with_json_events(), b"HTTP/1.1 426 No\r\n\r\n{}", 100);
        assert_eq!(found, [Found::Refused(426)]);
        assert_eq!(next_frame(&[0x01, 1, b'a']), Some((Frame::Other, 3)));
    }
}
