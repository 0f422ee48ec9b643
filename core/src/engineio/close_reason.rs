//! Why an Engine.IO connection ended, in the words of the reference.

/// A reason, for logs and for the operator's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed, or its WebSocket did.
    TransportClose,
    /// The client vanished or broke the rules of its transport.
    TransportError,
    /// No pong came in time.
    PingTimeout,
    /// A packet could not be read.
    ParseError,
    /// The server closed the connection; its client may come back.
    ForcedClose,
    /// The server ended the client's stay for good.
    ForcedServerClose,
    /// The server is about to stop.
    ServerShuttingDown,
}

impl CloseReason {
    /// The reference's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}
