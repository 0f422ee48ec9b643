//! The close codes of WebSockets that have a meaning for everyone: RFC 6455, section 7.4.1, and IANA's registry.

macro_rules! close_codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $number:literal, $meaning:literal, $advice:literal;)+) => {
        /// A close code of a standard that this server sends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CloseCode {
            $($(#[doc = $doc])+ $code,)+
        }

        impl CloseCode {
            /// Every code, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$code => $number,)+ }
            }

            /// What happened, for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)+ }
            }

            /// What a client should do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$code => $advice,)+ }
            }
        }
    };
}

close_codes! {
    /// The client closed.
    Normal = 1000, "The client closed the connection.", "Nothing.";
    /// The server is about to stop.
    GoingAway = 1001, "The server is stopping.", "Connect again with your last position.";
    /// The client broke the protocol.
    ProtocolError = 1002, "A frame broke the rules of RFC 6455.", "Correct the client; the reason names the rule.";
    /// A kind of message that is not taken.
    UnsupportedData = 1003, "A binary message, where only text is taken.", "Send JSON as text messages.";
    /// Text that is no UTF-8.
    InvalidPayload = 1007, "A text message was no UTF-8.", "Correct the client.";
    /// A policy.
    PolicyViolation = 1008, "A bad or expired token, a kick, a block, a refused request: the reason says which.", "Do what the reason says; do not just come back.";
    /// A message that is too big.
    MessageTooBig = 1009, "A message was larger than the server takes, or in too many fragments.", "Send less at once.";
    /// Something went wrong in the server.
    InternalError = 1011, "The server could not do what it should.", "Connect again later; the server's log knows more.";
    /// The server is full.
    TryAgainLater = 1013, "A limit was reached.", "Connect again later, each time after a longer pause.";
}
