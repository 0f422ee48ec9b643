//! Faults that the simulator plants on purpose, around the engine and never inside it.
//!
//! Each stands for a mistake that a hub or a link could make; the oracle must see it.

/// One planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A WebSocket takes over and what waited for it is forgotten.
    UpgradeForgetsPackets,
    /// The noop that ends a held poll is not sent.
    NoopForgotten,
    /// What cannot be sent now is kept though it is volatile.
    VolatileKept,
    /// Attachments leave in the wrong order.
    AttachmentsSwapped,
    /// A volatile event lacks what keeps its last argument from being taken for an offset.
    VolatileWithoutTail,
    /// A connection that its client closed is forgotten at once.
    TombstoneMissing,
    /// A second poll takes the place of the first.
    SecondPollTolerated,
    /// A second POST is taken beside the first.
    SecondPostTolerated,
    /// A frame that was taken in part is sent again, whole.
    PartialFrameRepeated,
    /// What is left of a binary event is not kept with the socket, so others get between.
    GroupCut,
    /// A client that comes back is resumed before its position.
    ResumedTooEarly,
    /// A client that comes back is resumed behind its position.
    ResumedTooLate,
    /// A client that comes back is told so before it has what it missed.
    JoinedBeforeMissed,
    /// Polls are held after a WebSocket took over.
    PolledAfterUpgrade,
    /// The sessions of a connection that ended are not told.
    SocketsNotEnded,
    /// An acknowledgement is sent twice.
    AcknowledgedTwice,
    /// A link takes frames again and its sessions are not told.
    LostWakeUp,
    /// A client is read though it does not take its answers.
    CongestionIgnored,
    /// Frames are not named after their namespace.
    NamespaceForgotten,
}

impl Bug {
    /// Every fault, with the sentence that a failing test prints.
    pub(crate) const ALL: [(Self, &'static str); 19] = [
        (Self::UpgradeForgetsPackets, "upgrade forgets queued packets"),
        (Self::NoopForgotten, "held poll not ended by a noop"),
        (Self::VolatileKept, "volatile kept for a client that does not poll"),
        (Self::AttachmentsSwapped, "attachments swapped"),
        (Self::VolatileWithoutTail, "volatile text taken for an offset"),
        (Self::TombstoneMissing, "tombstone missing"),
        (Self::SecondPollTolerated, "second poll tolerated"),
        (Self::SecondPostTolerated, "second POST tolerated"),
        (Self::PartialFrameRepeated, "partial frame repeated"),
        (Self::GroupCut, "binary group cut"),
        (Self::ResumedTooEarly, "resumed too early"),
        (Self::ResumedTooLate, "resumed too late"),
        (Self::JoinedBeforeMissed, "joined before what was missed"),
        (Self::PolledAfterUpgrade, "polls held after the upgrade"),
        (Self::SocketsNotEnded, "sessions not told of the end"),
        (Self::AcknowledgedTwice, "acknowledged twice"),
        (Self::LostWakeUp, "lost wake-up"),
        (Self::CongestionIgnored, "congestion ignored"),
        (Self::NamespaceForgotten, "namespace forgotten"),
    ];
}
