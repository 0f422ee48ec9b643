//! What comes of a request, a message or a moment: answers for the edge, and things to do outside.

use bytes::Bytes;

use crate::engineio::CloseReason;

/// Why a request was refused; the HTTP edge knows the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such connection any more: code 1.
    SessionUnknown,
    /// The request does not fit the connection's state: code 3.
    BadRequest,
}

/// What an admitted poll is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollAnswer {
    /// Closed packets, see `payload::answer`.
    Packets(Vec<u8>),
    /// The connection changed while the poll was held.
    Refused(Refusal),
}

/// What to do with a WebSocket that wants to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeVerdict {
    /// Accept it and hand its messages to [`super::Connection::probe`].
    Probe,
    /// Accept it and close it: some clients cannot bear a refusal here.
    AcceptAndClose,
    /// Refuse it.
    Refused(Refusal),
}

/// What to do about a message of the WebSocket that is being probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// Send `PROBE_ANSWER` there.
    Answer,
    /// It is the transport now.
    Upgraded,
    /// Close it; the connection goes on over polling.
    Close,
}

/// What a client's packet means for the protocol above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received<'a> {
    /// Text for it.
    Text(&'a str),
    /// Bytes for it.
    Binary(Bytes),
    /// Nothing.
    Nothing,
}

/// What a connection wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The held poll can be answered: [`super::Connection::take_answer`].
    PollReady,
    /// The transport takes frames of the log again.
    Writable,
    /// The WebSocket shall send [`super::Connection::take_outgoing`].
    Flush,
    /// Close the WebSocket that is being probed.
    CloseCandidate,
    /// Close the WebSocket that is the transport, after what was sent.
    CloseWebSocket,
    /// The connection is over for the protocol above; comes once.
    Ended(CloseReason),
    /// No request can reach it any more.
    Forget,
}
