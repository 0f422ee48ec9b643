//! Faults that the simulator plants on purpose, around the engine and never inside it.
//!
//! Each stands for a mistake that a hub, a store or a link could make; the oracle must see it.

use std::sync::Arc;

use santral_core::entry::Publication;

/// One planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The writer answers publishers before the log has synced.
    AcknowledgeBeforeSync,
    /// Entries reach the shards before the log has synced.
    DeliverBeforeSync,
    /// After a crash the log gives out offsets that it gave out before.
    OffsetReuse,
    /// A page of the log begins one entry too late.
    ReplayOffByOne,
    /// A page that was cut short says that it is complete.
    PageReachesTooFar,
    /// Replay and live overlap: a client is resumed from before its position.
    ReplayOverlapsLive,
    /// A page does not say what retention removed.
    TrimmingUntold,
    /// The gaps behind `hello` are not sent.
    GapNotSent,
    /// Frames of different channels leave in the wrong order.
    CrossChannelReorder,
    /// The link has room again and nobody tells the shard.
    LostWakeUp,
    /// The rest of a frame that was cut is forgotten by the link.
    DroppedRemainder,
    /// A read of the log is answered with what an earlier read for somebody else found.
    StalePageAccepted,
    /// `hello` names a position that the shard has not reached.
    HelloTooHigh,
    /// A resumed inbox starts one message too late.
    InboxNotRewound,
    /// A session is taken over without what it left behind, and nobody says so.
    LegacyLost,
    /// The store forgets idempotency keys.
    KeysForgotten,
    /// A node does not read what the bus lost.
    HoleNotRepaired,
    /// A connection in `except` is ignored.
    ExceptIgnored,
    /// A channel in `except` is ignored.
    ExceptedChannelIgnored,
    /// Whoever follows two channels of a message gets it twice.
    CopiesIgnored,
    /// A volatile message is handed to a shard twice.
    VolatileTwice,
    /// A position of a replaced log is taken for one of the present log.
    EpochIgnored,
    /// Timers are looked at much too late.
    TimersLate,
    /// A takeover resumes where the client stood at its attach before.
    DoubleDeliveryAtTakeover,
    /// Drain forgets some of the sessions.
    DrainForgets,
    /// A session is not told when the right of its client ends.
    RightIgnored,
}

impl Bug {
    /// Every fault, with the sentence that a failing test prints.
    pub(crate) const ALL: [(Self, &'static str); 26] = [
        (Self::AcknowledgeBeforeSync, "acknowledge before sync"),
        (Self::DeliverBeforeSync, "delivery before sync"),
        (Self::OffsetReuse, "offset reuse after a crash"),
        (Self::ReplayOffByOne, "replay off by one"),
        (Self::PageReachesTooFar, "short page taken for a whole one"),
        (Self::ReplayOverlapsLive, "overlap of replay and live"),
        (Self::TrimmingUntold, "missing gap while replaying"),
        (Self::GapNotSent, "missing gap at resume"),
        (Self::CrossChannelReorder, "cross-channel reorder"),
        (Self::LostWakeUp, "lost wake-up after writable"),
        (Self::DroppedRemainder, "dropped remainder of a frame"),
        (Self::StalePageAccepted, "stale page accepted"),
        (Self::HelloTooHigh, "hello id too high"),
        (Self::InboxNotRewound, "inbox not rewound"),
        (Self::LegacyLost, "legacy lost at takeover"),
        (Self::KeysForgotten, "idempotency keys forgotten"),
        (Self::HoleNotRepaired, "hole of the bus not repaired"),
        (Self::ExceptIgnored, "except ignored"),
        (Self::ExceptedChannelIgnored, "except of a channel ignored"),
        (Self::CopiesIgnored, "message to two channels doubled"),
        (Self::VolatileTwice, "volatile message doubled"),
        (Self::EpochIgnored, "epoch ignored"),
        (Self::TimersLate, "heartbeats late"),
        (Self::DoubleDeliveryAtTakeover, "double delivery at takeover"),
        (Self::DrainForgets, "drain forgets a session"),
        (Self::RightIgnored, "right that never ends"),
    ];

    /// The message as a shard gets it, which forgets whom it leaves out.
    pub(crate) fn strip(self, publication: &Publication) -> Publication {
        let mut stripped = publication.clone();
        if let Some(unless) = stripped.unless.as_mut().map(Arc::make_mut) {
            if self == Self::ExceptIgnored {
                unless.connections = [].into();
            }
            if self == Self::ExceptedChannelIgnored {
                unless.channels = [].into();
            }
            if self == Self::CopiesIgnored {
                unless.copy = None;
            }
        }
        stripped
    }
}
