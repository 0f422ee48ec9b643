//! A session's direct messages: few, bounded, ordered among the entries of the log.
//!
//! A message keeps its place `(offset, sub)` and stays for a while after it was sent, so that a
//! session which comes back with an older position gets it again. `sub` counts over the whole
//! life of the session, so places grow in the order of arrival.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::entry::{Publication, Timestamp};
use crate::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use crate::position::Offset;

/// Place of a direct message: behind all entries up to the offset, in the order of `sub`.
pub(crate) type Place = (Offset, u32);

/// One direct message.
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
    pub(crate) publication: Arc<Publication>,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox {
    messages: VecDeque<Direct>,
    bytes: usize,
    last: Place,
    /// The `sub` of the last message that was sent. Offsets of places may be moved, `sub` stays.
    sent: u32,
    /// The newest message that had to go because of the bounds.
    dropped: Place,
    /// Whether an unsent message had to go since the last [`Inbox::take_loss`].
    lost: bool,
}

impl Inbox {
    /// The inbox of a session that begins at `place`: what came before is beyond its knowledge.
    pub(crate) fn since(place: Place) -> Self {
        Self { dropped: place, last: place, sent: place.1, ..Self::default() }
    }

    /// The inbox of a client whose earlier session is gone, with whatever waited in it: a first
    /// message that is lost, behind the one that the client names.
    pub(crate) fn after_loss(seen: Place) -> Self {
        Self::since((seen.0, seen.1 + 1))
    }

    /// Puts a message behind everything that the session gets up to `head`, and returns its place.
    pub(crate) fn push(&mut self, head: Offset, at: Timestamp, publication: Arc<Publication>) -> Place {
        // A session that came from a shard which is ahead has a last place ahead of this head.
        let place = (head.max(self.last.0), self.last.1 + 1);
        self.last = place;
        self.bytes += publication.data.len();
        self.messages.push_back(Direct { place, at, publication });
        while self.messages.len() > INBOX_MESSAGES_MAX || self.bytes > INBOX_BYTES_MAX {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= oldest.publication.data.len();
            self.dropped = oldest.place;
            self.lost |= oldest.place.1 > self.sent;
        }
        place
    }

    /// Messages that were not sent yet, oldest first.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = &Direct> {
        let start = self.messages.partition_point(|direct| direct.place.1 <= self.sent);
        self.messages.range(start..)
    }

    /// The `sub` of the last message that was sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// Notes that everything up to `place` is on its way.
    pub(crate) fn mark_sent(&mut self, place: Place) {
        self.sent = self.sent.max(place.1);
    }

    /// Forgets what was sent: right where nobody can go back to it.
    pub(crate) fn forget_sent(&mut self) {
        while self.messages.front().is_some_and(|direct| direct.place.1 <= self.sent) {
            let Some(direct) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= direct.publication.data.len();
        }
    }

    /// Goes back to what the client says it has seen; never forward, for what was not sent the
    /// client cannot have seen, whatever it got elsewhere meanwhile. False when messages behind it
    /// are gone, or nobody can tell.
    pub(crate) fn rewind(&mut self, seen: Place) -> bool {
        if seen.1 > self.sent {
            self.renumber_behind(seen);
            return false;
        }
        let behind = self.messages.partition_point(|direct| direct.place <= seen);
        if let Some(first_unseen) = self.messages.get(behind) {
            self.sent = self.sent.min(first_unseen.place.1 - 1);
        }
        let lost = self.take_loss();
        self.dropped <= seen && !lost
    }

    /// The client has seen a message of another inbox, on another node: its numbers say nothing
    /// here, but those to come must lie behind them.
    fn renumber_behind(&mut self, seen: Place) {
        self.forget_sent();
        let sent = seen.1 + 1;
        let shift = sent - self.sent;
        for direct in &mut self.messages {
            direct.place.1 += shift;
        }
        self.last.1 += shift;
        self.sent = sent;
        self.dropped = (seen.0, sent);
        self.lost = false;
    }

    /// The client is told of a loss and goes on behind `offset`. Returns the `sub` of the place
    /// that it has once it knows: behind every place that it could have had before.
    pub(crate) fn loss_told(&mut self, offset: Offset) -> u32 {
        self.dropped.0 = offset;
        self.dropped.1
    }

    /// Moves what was not sent, and what is still to come, between two offsets of the log: not
    /// before the place where the session goes on, nor behind what its shard has.
    pub(crate) fn move_unsent(&mut self, from: Offset, upto: Offset) {
        let upto = upto.max(from);
        for direct in &mut self.messages {
            let lowest = if direct.place.1 > self.sent { from } else { 0 };
            direct.place.0 = direct.place.0.clamp(lowest, upto);
        }
        self.last.0 = self.last.0.clamp(from, upto);
        if self.lost {
            self.dropped.0 = self.dropped.0.clamp(from, upto);
        }
    }

    /// Whether unsent messages had to go since the last call.
    pub(crate) fn take_loss(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ChannelName;

    fn message(data: &str) -> Arc<Publication> {
        let channel = ChannelName::parse("direct").expect("a valid name");
        Arc::new(Publication::new(channel, data))
    }

    #[test]
    fn a_rewound_inbox_sends_what_the_client_has_not_seen() {
        let mut inbox = Inbox::default();
        let first = inbox.push(5, Timestamp(0), message("1"));
        let second = inbox.push(5, Timestamp(0), message("2"));
        inbox.mark_sent(second);
        assert_eq!(inbox.unsent().count(), 0);
        assert!(inbox.rewind(first));
        assert_eq!(inbox.unsent().map(|direct| direct.place).collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn an_inbox_keeps_its_bounds_and_reports_what_it_lost() {
        let mut inbox = Inbox::default();
        for _ in 0..=INBOX_MESSAGES_MAX {
            inbox.push(1, Timestamp(0), message("x"));
        }
        assert_eq!(inbox.unsent().count(), INBOX_MESSAGES_MAX);
        assert!(inbox.take_loss());
        assert!(!inbox.take_loss());
        assert!(!inbox.rewind((0, 0)));
        inbox.push(1, Timestamp(0), message(&"y".repeat(INBOX_BYTES_MAX)));
        assert!(inbox.unsent().count() <= 1);
    }

    #[test]
    fn places_grow_even_when_the_head_seems_to_step_back() {
        let mut inbox = Inbox::default();
        let first = inbox.push(9, Timestamp(0), message("1"));
        let second = inbox.push(7, Timestamp(0), message("2"));
        assert!(second > first);
    }
}
