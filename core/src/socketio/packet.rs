//! One packet of a client, whole.

use crate::socketio::{Args, Namespace};

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Asks to join a namespace.
    Connect {
        /// Which.
        namespace: Namespace,
        /// JSON text of the object that came along.
        auth: Option<String>,
    },
    /// Leaves a namespace.
    Disconnect {
        /// Which.
        namespace: Namespace,
    },
    /// Something happened.
    Event {
        /// Where.
        namespace: Namespace,
        /// The id that the client wants acknowledged.
        ack: Option<u64>,
        /// The event's name; not yet held against our grammar.
        name: String,
        /// Its arguments.
        args: Args,
    },
    /// Acknowledges an event of the server.
    Ack {
        /// Where.
        namespace: Namespace,
        /// The id that the server had given; `None` where the client wrote none.
        id: Option<u64>,
        /// What the client answers.
        args: Args,
    },
    /// An event or acknowledgement without a payload: tolerated, and means nothing.
    Empty {
        /// Where.
        namespace: Namespace,
    },
}

/// Why a packet was refused; the whole connection ends with "parse error".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Begins with none of the types.
    #[error("a packet has an unknown type")]
    UnknownType,
    /// A type that only servers send.
    #[error("a CONNECT_ERROR came from a client")]
    NotFromClients,
    /// A binary packet whose number of attachments is missing or not between 1 and 10.
    #[error("a binary packet has a bad number of attachments")]
    BadAttachments,
    /// A namespace too long or with control characters.
    #[error("a namespace is too long or has control characters")]
    BadNamespace,
    /// An id beyond 64 bits.
    #[error("an acknowledgement id is too long")]
    BadAckId,
    /// A payload that is no JSON, or not what this type takes.
    #[error("a packet has a payload that does not fit its type")]
    BadPayload,
    /// An event with a name that belongs to the client library, or that is neither text nor number.
    #[error("an event has a reserved name, or none")]
    BadEventName,
    /// A placeholder of a binary packet that names no attachment, or one that was named before.
    #[error("a placeholder names no attachment of its own")]
    BadPlaceholder,
    /// Values of a binary packet that nest too deep.
    #[error("the payload of a binary packet nests too deep")]
    TooDeep,
    /// Text where an attachment must come.
    #[error("text came between a binary packet and its attachments")]
    TextAmongAttachments,
    /// Bytes that no packet announced.
    #[error("binary data came that no packet announced")]
    StrayAttachment,
}

impl Packet {
    /// The namespace that it is for.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        match self {
            Self::Connect { namespace, .. }
            | Self::Disconnect { namespace }
            | Self::Event { namespace, .. }
            | Self::Ack { namespace, .. }
            | Self::Empty { namespace } => namespace,
        }
    }
}
