//! The WebSocket protocol after its opening handshake (RFC 6455), server side, sans-I/O.
//!
//! No extension is negotiated, so reserved bits stay zero. [`Decoder`] reads what a client sends,
//! [`encoder`] makes the few bytes around what the server sends; payloads are written beside them,
//! not copied. The handshake itself belongs to the edge.

mod close_code;
mod decoder;
pub mod encoder;
mod violation;

pub use close_code::CloseCode;
pub use decoder::{Decoder, Rules};
pub use violation::Violation;

use bytes::Bytes;

/// What a frame is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with the message that an earlier frame began.
    Continuation,
    /// Begins a message of UTF-8 text.
    Text,
    /// Begins a message of bytes.
    Binary,
    /// The first half of the closing handshake, or its answer.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping, or says unasked that the sender lives.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// Reads the four bits; the reserved opcodes are none.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether frames of this kind stand between those of a message and are short and whole (section 5.5).
    #[must_use]
    pub fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
        }
    }
}

/// One whole message or control frame from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, put together from its fragments.
    Text(String),
    /// Bytes, put together from their fragments.
    Binary(Bytes),
    /// To be answered by a pong with the same payload.
    Ping(Bytes),
    /// Answers a ping, or comes unasked.
    Pong(Bytes),
    /// The client closes; nothing after it is read.
    Close {
        /// Its status code; `None` where the frame was empty.
        code: Option<u16>,
        /// Its reason, often empty.
        reason: String,
    },
}

/// Close codes that the server sends (section 7.4.1 and the registry of IANA).
pub mod close {
    use super::CloseCode;

    /// The purpose of the connection is fulfilled.
    pub const NORMAL: u16 = CloseCode::Normal.number();
    /// The server is going away.
    pub const GOING_AWAY: u16 = CloseCode::GoingAway.number();
    /// The client broke the protocol.
    pub const PROTOCOL_ERROR: u16 = CloseCode::ProtocolError.number();
    /// The client sent a kind of message that is not taken.
    pub const UNSUPPORTED_DATA: u16 = CloseCode::UnsupportedData.number();
    /// Text was no UTF-8.
    pub const INVALID_PAYLOAD: u16 = CloseCode::InvalidPayload.number();
    /// The client broke a policy.
    pub const POLICY_VIOLATION: u16 = CloseCode::PolicyViolation.number();
    /// A message was too big.
    pub const MESSAGE_TOO_BIG: u16 = CloseCode::MessageTooBig.number();
    /// The server met what it did not expect.
    pub const INTERNAL_ERROR: u16 = CloseCode::InternalError.number();
    /// Too much to do: come back later.
    pub const TRY_AGAIN_LATER: u16 = CloseCode::TryAgainLater.number();

    /// Whether a close frame may carry this code (section 7.4.2).
    ///
    /// 1004 to 1006 and 1015 never travel; what is below 1000 or between the registered codes and
    /// 3000 means nothing.
    #[must_use]
    pub fn may_travel(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}
