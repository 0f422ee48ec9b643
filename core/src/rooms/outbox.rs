//! What a participant is to be told: in order, bounded, and kept for a while after it was sent.
//!
//! One batch is on its way at a time, so that whatever a shard could not take keeps its place before
//! all that came later. What was sent stays until it is old, since a client that comes back on another
//! session may ask for it again.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::entry::Publication;
use crate::limits::{
    DELIVERY_BATCH_MAX, ROOM_BUFFER_BYTES_MAX, ROOM_BUFFER_EVENTS_MAX, ROOM_REPLAY_EVENTS_MAX, ROOM_REPLAY_WINDOW,
};
use crate::time::Moment;

use super::audit::require;
use super::ids::ParticipantId;

/// What is known of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) from: ParticipantId,
    pub(super) seq: Option<u64>,
    pub(super) negotiation: Option<Arc<str>>,
    pub(super) is_offer: bool,
    /// A candidate is worth nothing once the same peer has begun another negotiation.
    pub(super) is_candidate: bool,
}

/// One thing to tell.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) room_seq: u64,
    pub(super) publication: Arc<Publication>,
    /// Set for signals.
    pub(super) mark: Option<Mark>,
    /// Says that what comes next was sent before, perhaps.
    announces: bool,
    sent_at: Moment,
}

impl Item {
    pub(super) fn new(room_seq: u64, publication: Arc<Publication>, mark: Option<Mark>) -> Self {
        Self { room_seq, publication, mark, announces: false, sent_at: Moment::default() }
    }

    fn bytes(&self) -> usize {
        self.publication.data.len()
    }
}

/// There is no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    /// Items that were sent, at the front.
    sent: usize,
    /// Items behind them that are on their way.
    in_flight: usize,
    /// Number of the last batch.
    batch: u64,
    bytes: usize,
    /// The room's number of the last item that is gone from the front.
    dropped_upto: u64,
    /// Whether something that was never sent is gone.
    lost: bool,
}

impl Outbox {
    /// Nothing before this event of the room concerns its owner.
    pub(super) fn since(room_seq: u64) -> Self {
        Self { dropped_upto: room_seq, ..Self::default() }
    }

    /// Puts a signal at the end, if there is room or room can be made.
    pub(super) fn push_signal(&mut self, item: Item) -> Result<(), Overflow> {
        self.drop_sent_beyond(item.bytes());
        if !self.has_room_for(item.bytes()) {
            self.drop_superseded_candidates();
        }
        if !self.has_room_for(item.bytes()) {
            return Err(Overflow);
        }
        self.push(item);
        Ok(())
    }

    /// Puts an event of the room at the end. Where there is no room, all that waits is given up: its
    /// owner must be told how things stand instead.
    pub(super) fn push_event(&mut self, item: Item) {
        self.drop_sent_beyond(item.bytes());
        if !self.has_room_for(item.bytes()) {
            self.drop_superseded_candidates();
        }
        if self.has_room_for(item.bytes()) {
            self.push(item);
        } else {
            self.give_up(item.room_seq);
        }
    }

    /// Forgets everything up to an event of the room; what is on its way is on its way.
    pub(super) fn give_up(&mut self, room_seq: u64) {
        *self = Self { dropped_upto: room_seq, lost: true, batch: self.batch + 1, ..Self::default() };
    }

    /// Starts anew behind an event of the room: the owner knows how things stood then.
    pub(super) fn restart(&mut self, room_seq: u64) {
        *self = Self { batch: self.batch + 1, ..Self::since(room_seq) };
    }

    /// Whether something was given up, and nobody has been told. Asking tells.
    pub(super) fn take_loss(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// The next batch, unless one is on its way or there is nothing.
    pub(super) fn take_batch(&mut self) -> Option<(u64, Vec<Arc<Publication>>)> {
        let unsent = self.items.len() - self.sent;
        if self.in_flight > 0 || unsent == 0 {
            return None;
        }
        self.in_flight = unsent.min(DELIVERY_BATCH_MAX);
        self.batch += 1;
        let batch = self.items.range(self.sent..self.sent + self.in_flight);
        Some((self.batch, batch.map(|item| Arc::clone(&item.publication)).collect()))
    }

    /// What was never sent, for who leaves.
    pub(super) fn drain_unsent(&mut self) -> Vec<Item> {
        self.items.split_off(self.sent + self.in_flight).into()
    }

    /// A batch has arrived, or has not. One from before a rewind is of no interest any more.
    pub(super) fn settle(&mut self, now: Moment, batch: u64, arrived: bool) {
        if batch != self.batch {
            return;
        }
        let count = std::mem::take(&mut self.in_flight);
        if !arrived {
            return;
        }
        for item in self.items.range_mut(self.sent..self.sent + count) {
            item.sent_at = now;
        }
        self.sent += count;
        while self.sent > 0
            && (self.sent > ROOM_REPLAY_EVENTS_MAX
                || self.items.front().is_some_and(|item| now - item.sent_at > ROOM_REPLAY_WINDOW))
        {
            self.pop_front();
        }
    }

    /// The client has everything up to the event of this announcement. True when everything behind it is
    /// still there and will be sent (again), behind the announcement; false changes nothing.
    pub(super) fn rewind(&mut self, announcement: Item) -> bool {
        let (seen, bytes) = (announcement.room_seq, announcement.bytes());
        if seen < self.dropped_upto || !self.has_room_for(bytes) {
            return false;
        }
        self.items.retain(|item| !item.announces);
        let behind = self.items.partition_point(|item| item.room_seq <= seen);
        self.items.insert(behind, Item { announces: true, ..announcement });
        self.bytes = self.items.iter().map(Item::bytes).sum();
        (self.sent, self.in_flight) = (behind, 0);
        self.batch += 1;
        true
    }

    /// See [`super::Rooms::audit`].
    pub(super) fn audit(&self) -> Result<(), String> {
        require(self.items.len() <= ROOM_BUFFER_EVENTS_MAX, "events that wait are bounded")?;
        require(self.bytes <= ROOM_BUFFER_BYTES_MAX, "bytes that wait are bounded")?;
        require(self.bytes == self.items.iter().map(Item::bytes).sum::<usize>(), "bytes are counted")?;
        require(self.sent + self.in_flight <= self.items.len(), "what was sent is there")?;
        let follows = |next: &Item, one: u64| one < next.room_seq || (next.announces && one == next.room_seq);
        require(self.items.iter().is_sorted_by(|one, next| follows(next, one.room_seq)), "events are in order")
    }

    fn push(&mut self, item: Item) {
        if self.lost {
            // What is told instead of all that was lost will tell of this too.
            self.dropped_upto = item.room_seq;
            return;
        }
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.items.len() < ROOM_BUFFER_EVENTS_MAX && self.bytes + bytes <= ROOM_BUFFER_BYTES_MAX
    }

    fn drop_sent_beyond(&mut self, bytes: usize) {
        while self.sent > 0 && !self.has_room_for(bytes) {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.bytes -= item.bytes();
            self.sent = self.sent.saturating_sub(1);
            self.dropped_upto = self.dropped_upto.max(item.room_seq);
        }
    }

    /// Candidates help nobody whose sender has begun another negotiation since.
    fn drop_superseded_candidates(&mut self) {
        let behind = self.sent + self.in_flight;
        let mut latest: Vec<(ParticipantId, Option<Arc<str>>)> = Vec::new();
        let mut superseded = Vec::new();
        for (index, item) in self.items.iter().enumerate().skip(behind).rev() {
            let Some(mark) = &item.mark else { continue };
            match latest.iter().find(|(from, _)| *from == mark.from) {
                // An answer belongs to the negotiation of the other side, and a `custom` to none.
                None if !mark.is_offer => (),
                None => latest.push((mark.from.clone(), mark.negotiation.clone())),
                Some((_, negotiation)) if mark.is_candidate && *negotiation != mark.negotiation => {
                    superseded.push(index);
                }
                Some(_) => (),
            }
        }
        for index in superseded {
            if let Some(item) = self.items.remove(index) {
                self.bytes -= item.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ROOM_BUFFER_EVENTS_MAX;
    use crate::names::ChannelName;

    fn item(room_seq: u64, negotiation: Option<&str>) -> Item {
        let mark = negotiation.map(|id| Mark {
            from: ParticipantId::parse("p_a").expect("valid"),
            seq: None,
            negotiation: Some(id.into()),
            is_offer: id == "offer",
            is_candidate: id != "offer",
        });
        Item::new(room_seq, Arc::new(Publication::new(ChannelName::broadcast(), "{}")), mark)
    }

    #[test]
    fn what_could_not_be_sent_keeps_its_place() {
        let mut outbox = Outbox::default();
        outbox.push_event(item(1, None));
        assert_eq!(outbox.take_batch().map(|(number, batch)| (number, batch.len())), Some((1, 1)));
        outbox.push_event(item(2, None));
        assert_eq!(outbox.take_batch(), None, "one batch at a time");
        outbox.settle(Moment(1), 1, false);
        assert_eq!(outbox.take_batch().map(|(number, batch)| (number, batch.len())), Some((2, 2)));
    }

    #[test]
    fn a_client_that_comes_back_gets_what_it_has_not_seen() {
        let mut outbox = Outbox::since(10);
        for seq in 11..=14 {
            outbox.push_event(item(seq, None));
        }
        outbox.take_batch();
        outbox.settle(Moment(1), 1, true);
        assert!(outbox.rewind(item(12, None)));
        assert_eq!(outbox.take_batch().map(|(_, batch)| batch.len()), Some(3), "with what announces them");
        assert!(!outbox.rewind(item(9, None)), "what came before is beyond its knowledge");
    }

    #[test]
    fn candidates_of_an_earlier_negotiation_go_first() {
        let mut outbox = Outbox::default();
        let negotiation = |seq| match seq {
            0..100 => "old",
            100 => "offer",
            _later => "new",
        };
        for seq in 0..ROOM_BUFFER_EVENTS_MAX as u64 {
            assert_eq!(outbox.push_signal(item(seq, Some(negotiation(seq)))), Ok(()));
        }
        assert_eq!(outbox.push_signal(item(600, Some("new"))), Ok(()));
        assert_eq!(outbox.items.len(), ROOM_BUFFER_EVENTS_MAX - 100 + 1);
        for seq in 601..700 {
            assert_eq!(outbox.push_signal(item(seq, Some("new"))), Ok(()));
        }
        assert_eq!(outbox.push_signal(item(700, Some("other"))), Err(Overflow), "no offer, so nothing is superseded");
        assert!(!outbox.take_loss());
        outbox.push_event(item(701, None));
        assert!(outbox.take_loss(), "an event that nobody can refuse");
        assert!(outbox.items.is_empty());
    }
}
