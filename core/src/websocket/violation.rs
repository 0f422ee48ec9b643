//! How a client can break the WebSocket protocol, and what the close frame says about it.

use crate::websocket::close;

/// A rule that a client broke; the connection ends with [`Violation::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame from a client without a mask (section 5.1).
    #[error("a frame is not masked")]
    NotMasked,
    /// A reserved bit without an extension that would use it (section 5.2).
    #[error("a reserved bit is set")]
    ReservedBit,
    /// A reserved opcode (section 5.2).
    #[error("the opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// A ping, pong or close in several frames (section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A ping, pong or close of more than 125 bytes (section 5.5).
    #[error("a control frame is longer than 125 bytes")]
    LongControl,
    /// A length in more bytes than it needs, or with its first bit set (section 5.2).
    #[error("a length is not written in its shortest form")]
    BadLength,
    /// A continuation of nothing (section 5.4).
    #[error("a continuation without a message before it")]
    StrayContinuation,
    /// A new message before the last one was finished (section 5.4).
    #[error("a new message within a fragmented one")]
    InterruptedMessage,
    /// A close frame whose payload is one byte, or whose code must not travel (section 7.4).
    #[error("a close frame has a bad status code")]
    BadCloseCode,
    /// Text, or the reason of a close, that is not UTF-8 (section 8.1).
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A binary message where only text is taken.
    #[error("only text messages are taken here")]
    BinaryNotTaken,
    /// A message beyond the bound.
    #[error("a message is longer than {0} bytes")]
    TooBig(u32),
    /// A message in too many pieces.
    #[error("a message has more than {0} fragments")]
    TooManyFragments(u32),
}

impl Violation {
    /// The status of the close frame that answers it (section 7.4.1). Its text is the reason.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::NotMasked
            | Self::ReservedBit
            | Self::ReservedOpcode(_)
            | Self::FragmentedControl
            | Self::LongControl
            | Self::BadLength
            | Self::StrayContinuation
            | Self::InterruptedMessage
            | Self::BadCloseCode => close::PROTOCOL_ERROR,
            Self::NotUtf8 => close::INVALID_PAYLOAD,
            Self::BinaryNotTaken => close::UNSUPPORTED_DATA,
            Self::TooBig(_) | Self::TooManyFragments(_) => close::MESSAGE_TOO_BIG,
        }
    }
}
