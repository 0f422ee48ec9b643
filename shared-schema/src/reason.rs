//! Why a connection ends: one table for every transport.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::events::Bye;

/// Why a connection ended. The code is what `bye` and every transport show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, TS, ToSchema)]
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
    /// The token has expired.
    TokenExpired,
    /// The login or key was taken back: logout, another password or role, a disabled account.
    SignedOut,
    /// The client may no longer follow what it followed.
    RightsChanged,
    /// The operator ended the connection.
    Kicked,
    /// The operator blocked the client for a while.
    Blocked,
    /// The client broke the rules of its transport.
    BadInput,
}

impl DisconnectReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::ClientLeft,
        Self::Unreachable,
        Self::Draining,
        Self::Replaced,
        Self::LimitReached,
        Self::UnexpectedInput,
        Self::NeverOpened,
        Self::TokenExpired,
        Self::SignedOut,
        Self::RightsChanged,
        Self::Kicked,
        Self::Blocked,
        Self::BadInput,
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
            Self::TokenExpired => 4007,
            Self::SignedOut => 4008,
            Self::RightsChanged => 4009,
            Self::Kicked => 4010,
            Self::Blocked => 4011,
            Self::BadInput => 4012,
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
            Self::TokenExpired => "token_expired",
            Self::SignedOut => "signed_out",
            Self::RightsChanged => "rights_changed",
            Self::Kicked => "kicked",
            Self::Blocked => "blocked",
            Self::BadInput => "bad_input",
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
            Self::TokenExpired => "The token has expired. Come back with a fresh one and your last position.",
            Self::SignedOut => "The login or key was taken back. Sign in again.",
            Self::RightsChanged => {
                "What this client may follow has changed. Come back and follow what is still allowed."
            }
            Self::Kicked => "The operator ended the connection.",
            Self::Blocked => "The operator blocked this client for a while.",
            Self::BadInput => "The client broke the rules of its transport.",
        }
    }

    /// What a client should do that meets this reason, for people.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::ClientLeft | Self::NeverOpened => "Nothing; connect again when you like.",
            Self::Unreachable => "Connect again with your last position.",
            Self::Draining => "Connect again after `retryAfterMs` with your last position; another process answers.",
            Self::Replaced => "Nothing: another tab or device of yours has the session now.",
            Self::LimitReached => "Connect again later, each time after a longer pause.",
            Self::UnexpectedInput => "Send commands by POST; this stream goes one way.",
            Self::TokenExpired => "Get a fresh token and connect again with your last position.",
            Self::SignedOut => "Sign in again.",
            Self::RightsChanged => "Connect again, and ask for the channels that are still yours.",
            Self::Kicked | Self::Blocked => "Stay away, and tell the user.",
            Self::BadInput => "Correct the client; the text of the close frame names the rule.",
        }
    }

    /// Whether a client that meets this reason should come back.
    #[must_use]
    pub fn should_reconnect(self) -> bool {
        match self {
            Self::ClientLeft
            | Self::Unreachable
            | Self::Draining
            | Self::LimitReached
            | Self::NeverOpened
            | Self::TokenExpired
            | Self::RightsChanged => true,
            Self::Replaced
            | Self::UnexpectedInput
            | Self::SignedOut
            | Self::Kicked
            | Self::Blocked
            | Self::BadInput => false,
        }
    }

    /// Whether a session that ended its connection for this reason may be resumed with what waits for it.
    #[must_use]
    pub fn may_be_resumed(self) -> bool {
        match self {
            Self::ClientLeft
            | Self::Unreachable
            | Self::Draining
            | Self::Replaced
            | Self::LimitReached
            | Self::UnexpectedInput
            | Self::NeverOpened
            | Self::TokenExpired
            | Self::RightsChanged
            | Self::BadInput => true,
            Self::SignedOut | Self::Kicked | Self::Blocked => false,
        }
    }

    /// The close code of a WebSocket that ends for this reason: a standard one where clients and proxies know
    /// one that says the same (RFC 6455, section 7.4.1), else [`Self::code`].
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::ClientLeft => 1000,
            Self::Draining => 1001,
            Self::BadInput => 1002,
            Self::TokenExpired | Self::SignedOut | Self::RightsChanged | Self::Kicked | Self::Blocked => 1008,
            Self::LimitReached => 1013,
            Self::Unreachable | Self::Replaced | Self::UnexpectedInput | Self::NeverOpened => self.code(),
        }
    }

    /// The reason in a close frame: code and name for programs, words for people; at most 123 bytes.
    #[must_use]
    pub fn close_text(self) -> String {
        format!("{} {}: {}", self.code(), self.name(), self.text())
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
