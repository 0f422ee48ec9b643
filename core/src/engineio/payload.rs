//! Several packets in one polling body, and the same packets on their way to a WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::engineio::{Packet, PacketError, SEPARATOR};

/// The first packet of a polling body, and the rest of the body if there is more.
///
/// Read one by one: a client that sends faster than it is served is not read further.
///
/// # Errors
/// [`PacketError`] of this packet; nothing behind it is read. An empty body is an empty packet.
pub fn first_packet(body: &str) -> Result<(Packet<'_>, Option<&str>), PacketError> {
    let (first, rest) = match body.split_once(char::from(SEPARATOR)) {
        Some((first, rest)) => (first, Some(rest)),
        None => (body, None),
    };
    Packet::parse(first).map(|packet| (packet, rest))
}

/// The packets of a whole body in order, up to the first bad one.
pub fn packets(body: &str) -> impl Iterator<Item = Result<Packet<'_>, PacketError>> {
    let mut rest = Some(body);
    std::iter::from_fn(move || match first_packet(rest.take()?) {
        Ok((packet, behind)) => {
            rest = behind;
            Some(Ok(packet))
        }
        Err(error) => Some(Err(error)),
    })
}

/// Packets of the server, each closed, as a polling answer shows them: the last one unclosed.
#[must_use]
pub fn answer(closed: &[u8]) -> &[u8] {
    closed.strip_suffix(&[SEPARATOR]).unwrap_or(closed)
}

/// One packet of the server on its way to a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing<'a> {
    /// A text message.
    Text(&'a [u8]),
    /// A binary message.
    Binary(Bytes),
}

/// Cuts the first closed packet off `packets`; `None` where no whole one is left.
///
/// Bytes that the server did not make itself could be no base64: they stay the text that they are.
pub fn next_outgoing<'a>(packets: &mut &'a [u8]) -> Option<Outgoing<'a>> {
    let end = packets.iter().position(|byte| *byte == SEPARATOR)?;
    let packet = &packets[..end];
    *packets = &packets[end + 1..];
    let bytes = packet.strip_prefix(b"b").and_then(|base64| STANDARD.decode(base64).ok());
    Some(bytes.map_or(Outgoing::Text(packet), |bytes| Outgoing::Binary(Bytes::from(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_in_order_up_to_the_first_bad_one() {
        let read: Vec<_> = packets("4a\u{1e}bAQ==\u{1e}3").collect();
        let bytes = Packet::Binary(Bytes::from_static(&[1]));
        assert_eq!(read, [Ok(Packet::Message("a")), Ok(bytes), Ok(Packet::Pong)]);
        let read: Vec<_> = packets("4a\u{1e}x\u{1e}4b").collect();
        assert_eq!(read, [Ok(Packet::Message("a")), Err(PacketError::UnknownType)]);
    }

    #[test]
    fn nothing_between_two_separators_is_no_packet() {
        for body in ["", "\u{1e}", "\u{1e}4a", &"\u{1e}".repeat(100_000)] {
            assert_eq!(packets(body).collect::<Vec<_>>(), [Err(PacketError::Empty)]);
        }
        assert_eq!(packets("4a\u{1e}").last(), Some(Err(PacketError::Empty)));
    }

    #[test]
    fn what_a_poll_shows_is_cut_for_a_websocket() {
        let closed = b"42[\"a\"]\x1ebAQID\x1e2\x1e";
        assert_eq!(answer(closed), b"42[\"a\"]\x1ebAQID\x1e2");
        assert_eq!(answer(b""), b"");
        let mut rest: &[u8] = closed;
        let cut: Vec<_> = std::iter::from_fn(|| next_outgoing(&mut rest)).collect();
        let bytes = Outgoing::Binary(Bytes::from_static(&[1, 2, 3]));
        assert_eq!(cut, [Outgoing::Text(b"42[\"a\"]"), bytes, Outgoing::Text(b"2")]);
        assert_eq!(next_outgoing(&mut b"42[\"unclosed".as_slice()), None);
    }
}
