//! Why a connection ends: one table for every transport.

use serde::Serialize;
use ts_rs::TS;

use crate::events::Bye;

/// Why a connection ended. The code is what `bye` and every transport show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectReason {
    /// The client closed its side.
    ClientLeft,
    /// The client could not be reached any more.
    Unreachable,
    /// The server is about to stop.
    Draining,
    /// The same session was attached elsewhere.
    Replaced,
    /// A limit on connections was reached.
    LimitReached,
    /// The client sent more on a one-way stream than it may.
    UnexpectedInput,
    /// The stream was admitted but its connection never took the response.
    NeverOpened,
}

impl DisconnectReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::ClientLeft,
        Self::Unreachable,
        Self::Draining,
        Self::Replaced,
        Self::LimitReached,
        Self::UnexpectedInput,
        Self::NeverOpened,
    ];

    /// Its place in [`DisconnectReason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The code, in the range that WebSocket leaves to applications (RFC 6455, section 7.4.2).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::ClientLeft => 4000,
            Self::Unreachable => 4001,
            Self::Draining => 4002,
            Self::Replaced => 4003,
            Self::LimitReached => 4004,
            Self::UnexpectedInput => 4005,
            Self::NeverOpened => 4006,
        }
    }

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::Unreachable => "unreachable",
            Self::Draining => "draining",
            Self::Replaced => "replaced",
            Self::LimitReached => "limit_reached",
            Self::UnexpectedInput => "unexpected_input",
            Self::NeverOpened => "never_opened",
        }
    }

    /// What happened, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ClientLeft => "The client closed the connection.",
            Self::Unreachable => "The client could not be reached any more.",
            Self::Draining => "The server is stopping. Come back with your last position.",
            Self::Replaced => "The session was attached by another connection.",
            Self::LimitReached => "The server has reached a limit on connections. Try again later.",
            Self::UnexpectedInput => "A stream takes no input after its request.",
            Self::NeverOpened => "The connection never took the response.",
        }
    }

    /// Whether a client that meets this reason should come back.
    #[must_use]
    pub fn should_reconnect(self) -> bool {
        match self {
            Self::ClientLeft | Self::Unreachable | Self::Draining | Self::LimitReached | Self::NeverOpened => true,
            Self::Replaced | Self::UnexpectedInput => false,
        }
    }

    /// The last frame's content; `retry_after_ms` is left out where nobody should come back.
    #[must_use]
    pub fn bye(self, retry_after_ms: u32) -> Bye {
        Bye {
            code: self.code(),
            name: self.name().to_owned(),
            reason: self.text().to_owned(),
            reconnect: self.should_reconnect(),
            retry_after_ms: self.should_reconnect().then_some(retry_after_ms),
        }
    }
}
