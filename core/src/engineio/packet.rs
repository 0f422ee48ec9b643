//! One packet as a client sends it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Only a server opens; ignored.
    Open,
    /// The client closes the session.
    Close,
    /// Legal only as a probe on a WebSocket that is about to take over.
    Ping(&'a str),
    /// Answers the server's ping.
    Pong,
    /// Text for the protocol above.
    Message(&'a str),
    /// Bytes for the protocol above.
    Binary(Bytes),
    /// The WebSocket that was probed takes over.
    Upgrade,
    /// Nothing.
    Noop,
}

/// Why a packet was refused; the session ends with "parse error".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Nothing where a packet should be.
    #[error("a packet is empty")]
    Empty,
    /// Begins with none of the types.
    #[error("a packet has an unknown type")]
    UnknownType,
    /// Binary data that is not padded base64 in the standard alphabet.
    #[error("binary data is not base64")]
    NotBase64,
    /// A ping: since version 4 it is the server that sends them.
    #[error("clients send no pings")]
    WrongWay,
}

impl<'a> Packet<'a> {
    /// Reads the text of one packet.
    ///
    /// # Errors
    /// [`PacketError`] says what is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, PacketError> {
        let mut characters = text.chars();
        let first = characters.next().ok_or(PacketError::Empty)?;
        let rest = characters.as_str();
        match first {
            '0' => Ok(Self::Open),
            '1' => Ok(Self::Close),
            '2' => Ok(Self::Ping(rest)),
            '3' => Ok(Self::Pong),
            '4' => Ok(Self::Message(rest)),
            '5' => Ok(Self::Upgrade),
            '6' => Ok(Self::Noop),
            'b' => match STANDARD.decode(rest) {
                Ok(bytes) => Ok(Self::Binary(Bytes::from(bytes))),
                Err(_) => Err(PacketError::NotBase64),
            },
            _ => Err(PacketError::UnknownType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_a_digit_and_bytes_have_none() {
        for (text, packet) in [
            ("0{}", Packet::Open),
            ("1", Packet::Close),
            ("2probe", Packet::Ping("probe")),
            ("3", Packet::Pong),
            ("4hä", Packet::Message("hä")),
            ("4", Packet::Message("")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("bAQID", Packet::Binary(Bytes::from_static(&[1, 2, 3]))),
            ("b", Packet::Binary(Bytes::new())),
        ] {
            assert_eq!(Packet::parse(text), Ok(packet), "{text}");
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        assert_eq!(Packet::parse(""), Err(PacketError::Empty));
        for text in ["7", "x", "ä", "-1", " 4", "\u{1e}"] {
            assert_eq!(Packet::parse(text), Err(PacketError::UnknownType), "{text}");
        }
        for text in ["bA", "bAQI", "bAQ-_", "bAQID\n", "b=", "bAR=="] {
            assert_eq!(Packet::parse(text), Err(PacketError::NotBase64), "{text}");
        }
    }
}
