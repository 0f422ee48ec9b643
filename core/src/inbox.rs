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
    sent: Place,
    /// The newest message that had to go because of the bounds.
    dropped: Place,
    /// Whether an unsent message had to go since the last [`Inbox::take_loss`].
    lost: bool,
}

impl Inbox {
    /// The inbox of a session that begins at `head`: what came before is beyond its knowledge.
    pub(crate) fn since(head: Offset) -> Self {
        Self { dropped: (head, 0), last: (head, 0), sent: (head, 0), ..Self::default() }
    }

    /// Puts a message behind everything that the session gets up to `head`, and returns its place.
    pub(crate) fn push(&mut self, head: Offset, at: Timestamp, publication: Arc<Publication>) -> Place {
        // After a move from another shard, that shard's head may have been ahead of this one's.
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
            self.lost |= oldest.place > self.sent;
        }
        place
    }

    /// Messages that were not sent yet, oldest first.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = &Direct> {
        let start = self.messages.partition_point(|direct| direct.place <= self.sent);
        self.messages.range(start..)
    }

    /// The place of the last message that was sent.
    pub(crate) fn sent(&self) -> Place {
        self.sent
    }

    /// Notes that everything up to `place` is on its way.
    pub(crate) fn mark_sent(&mut self, place: Place) {
        self.sent = self.sent.max(place);
    }

    /// Forgets what was sent: right for a session that cannot come back.
    pub(crate) fn forget_sent(&mut self) {
        while self.messages.front().is_some_and(|direct| direct.place <= self.sent) {
            let Some(direct) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= direct.publication.data.len();
        }
    }

    /// Goes back to what the client says it has seen. False when messages behind it are gone.
    pub(crate) fn rewind(&mut self, seen: Place) -> bool {
        self.sent = seen;
        self.lost = false;
        self.dropped <= seen
    }

    /// Whether unsent messages had to go since the last call.
    pub(crate) fn take_loss(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Sender;
    use crate::names::ChannelName;

    fn message(data: &str) -> Arc<Publication> {
        let channel = ChannelName::parse("direct").expect("a valid name");
        Arc::new(Publication { channel, event: None, data: data.into(), from: Sender::default(), except: None })
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
