//! Faults that the simulator plants on purpose, around the rooms and never inside them.
//!
//! Each stands for a mistake that the switchboard, a shard, the edge or the database could make; the oracle
//! must see it. That nobody says that a link is up is none of them: a client asks for its seat at each
//! `hello`, so it is mended before anything comes to rest.

/// One planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A shard says that a batch has arrived though no link is there.
    DeliveryClaimed,
    /// A shard does not say whether a batch has arrived.
    DeliveryUnanswered,
    /// A batch is put into the inbox backwards.
    BatchReversed,
    /// A batch goes to another session of the shard.
    WrongInbox,
    /// Nobody says that a link is down.
    LinkDownUntold,
    /// Sessions are not watched.
    WatchForgotten,
    /// Sessions are watched for ever.
    WatchNeverEnds,
    /// The edge takes one participant's token for another's.
    TokensMixedUp,
    /// The edge says that somebody was kicked and does not do it.
    KickForgotten,
    /// Signals lose their numbers on the way in.
    NumbersForgotten,
    /// A resume names the event behind the last one that the client has.
    ResumedTooFar,
    /// A session that came back empty passes for a whole one.
    LossUntold,
    /// That somebody left is not written down.
    LeaveUnwritten,
    /// A restart forgets who is kept out for good.
    BansForgotten,
    /// A restart gives a room the incarnation that it had.
    EpochReused,
    /// A restart begins to count admissions anew.
    OrdinalsReused,
    /// Nobody looks at the clock.
    TimersForgotten,
}

impl Bug {
    /// Every fault, with the sentence that a failing test prints.
    pub(crate) const ALL: [(Self, &'static str); 17] = [
        (Self::DeliveryClaimed, "delivery claimed"),
        (Self::DeliveryUnanswered, "delivery unanswered"),
        (Self::BatchReversed, "batch reversed"),
        (Self::WrongInbox, "wrong inbox"),
        (Self::LinkDownUntold, "link down untold"),
        (Self::WatchForgotten, "sessions not watched"),
        (Self::WatchNeverEnds, "sessions watched for ever"),
        (Self::TokensMixedUp, "tokens mixed up"),
        (Self::KickForgotten, "kick forgotten"),
        (Self::NumbersForgotten, "numbers of signals forgotten"),
        (Self::ResumedTooFar, "resumed too far"),
        (Self::LossUntold, "loss untold"),
        (Self::LeaveUnwritten, "leave unwritten"),
        (Self::BansForgotten, "bans forgotten"),
        (Self::EpochReused, "epoch reused"),
        (Self::OrdinalsReused, "ordinals reused"),
        (Self::TimersForgotten, "timers forgotten"),
    ];
}
