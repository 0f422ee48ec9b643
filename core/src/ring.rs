//! The recent part of the log that a shard keeps at hand, over all channels.
//!
//! Each item gets a `seq`, local to the shard and without holes; stored entries also have their
//! offset. One floor holds for every channel: what lies above it is here, what lies below is read
//! from the log. So whether a client can be served from memory is a single comparison.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use santral_schema::events::PresenceChange;

use crate::entry::Entry;
use crate::format::Format;
use crate::position::Offset;

/// Place in a shard's ring; grows by one per item and is never reused.
pub(crate) type Seq = u64;

/// A presence change, and its frames.
#[derive(Debug)]
pub(crate) struct PresenceNews {
    change: PresenceChange,
    frames: [OnceLock<Bytes>; Format::ALL.len()],
}

impl PresenceNews {
    /// News of which no frame was made yet.
    pub(crate) fn new(change: PresenceChange) -> Self {
        Self { change, frames: Default::default() }
    }

    /// The bytes in one format, made at the first call (INV-7).
    fn frame(&self, format: Format) -> &Bytes {
        self.frames[format as usize].get_or_init(|| format.presence(&self.change))
    }

    /// What it costs in memory, roughly, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>() + self.change.channel.len() + self.change.connection.len()
    }
}

/// What a shard passes on.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A message, stored or volatile.
    Message(Arc<Entry>),
    /// Somebody joined or left.
    Presence(Arc<PresenceNews>),
}

impl Item {
    /// Whether the item may be skipped for whoever cannot take it now.
    pub(crate) fn is_volatile(&self) -> bool {
        self.offset().is_none()
    }

    /// The offset of a stored entry.
    pub(crate) fn offset(&self) -> Option<Offset> {
        match self {
            Self::Message(entry) => entry.offset(),
            Self::Presence(_) => None,
        }
    }

    /// The bytes to send.
    pub(crate) fn frame(&self, format: Format) -> &Bytes {
        match self {
            Self::Message(entry) => entry.frame(format),
            Self::Presence(news) => news.frame(format),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Message(entry) => entry.weight(),
            Self::Presence(news) => news.weight(),
        }
    }
}

#[derive(Debug)]
struct Slot {
    item: Item,
    /// The log's head when the item came: its own offset if it is stored.
    head: Offset,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: VecDeque<Slot>,
    first: Seq,
    floor: Offset,
    head: Offset,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
}

impl Ring {
    /// An empty ring at the head of the log.
    pub(crate) fn new(head: Offset, entries_max: usize, bytes_max: usize) -> Self {
        Self { slots: VecDeque::new(), first: 0, floor: head, head, bytes: 0, entries_max, bytes_max }
    }

    /// The last stored offset that went through.
    pub(crate) fn head(&self) -> Offset {
        self.head
    }

    /// Every stored entry above this offset is here.
    pub(crate) fn floor(&self) -> Offset {
        self.floor
    }

    /// The oldest `seq` that is here, or the end when nothing is.
    pub(crate) fn first(&self) -> Seq {
        self.first
    }

    /// The `seq` that the next item will get.
    pub(crate) fn end(&self) -> Seq {
        self.first + self.slots.len() as Seq
    }

    /// The item at `seq`, if it is still here.
    pub(crate) fn get(&self, seq: Seq) -> Option<&Item> {
        self.slot(seq).map(|slot| &slot.item)
    }

    /// The log's head when the item at `seq` came.
    pub(crate) fn head_at(&self, seq: Seq) -> Option<Offset> {
        self.slot(seq).map(|slot| slot.head)
    }

    /// The first `seq` whose item lies behind `offset`. Exact for offsets from the floor on.
    pub(crate) fn seq_behind(&self, offset: Offset) -> Seq {
        self.first + self.slots.partition_point(|slot| slot.head <= offset) as Seq
    }

    /// Adds an item and returns its `seq`.
    ///
    /// # Panics
    /// In debug builds, when a stored entry is not above the head (INV-1).
    pub(crate) fn push(&mut self, item: Item) -> Seq {
        if let Some(offset) = item.offset() {
            debug_assert!(offset > self.head, "INV-1: offset {offset} after {}", self.head);
            self.head = offset;
        }
        self.bytes += item.weight();
        self.slots.push_back(Slot { item, head: self.head });
        self.end() - 1
    }

    /// Takes the oldest item out if the ring is over one of its bounds (INV-12).
    pub(crate) fn pop_excess(&mut self) -> Option<(Seq, Item)> {
        if self.slots.len() <= self.entries_max && self.bytes <= self.bytes_max {
            return None;
        }
        let slot = self.slots.pop_front()?;
        let seq = self.first;
        self.first += 1;
        self.bytes -= slot.item.weight();
        self.floor = self.floor.max(slot.head);
        Some((seq, slot.item))
    }

    fn slot(&self, seq: Seq) -> Option<&Slot> {
        let index = seq.checked_sub(self.first)?;
        self.slots.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use santral_schema::events::PresenceKind;

    /// A presence item with so many bytes of names.
    fn presence(bytes: usize) -> Item {
        let (channel, connection) = ("x".repeat(bytes), String::new());
        let change = PresenceChange { channel, change: PresenceKind::Joined, user: None, connection };
        Item::Presence(Arc::new(PresenceNews::new(change)))
    }

    proptest! {
        #[test]
        fn a_ring_agrees_with_a_list(
            items in proptest::collection::vec((0_u64..3, 1_usize..40), 1..100),
            entries_max in 1_usize..10,
            bytes_max in 1_usize..2_000,
        ) {
            let mut ring = Ring::new(5, entries_max, bytes_max);
            // Head behind each item, and its weight.
            let mut all: Vec<(Offset, usize)> = Vec::new();
            let mut first = 0;
            let mut floor = 5;
            for (advance, weight) in items {
                // A presence item has no offset; moving the head stands for a stored entry.
                ring.head += advance;
                let item = presence(weight);
                let weight = item.weight();
                let seq = ring.push(item);
                prop_assert_eq!(seq, all.len() as Seq);
                all.push((ring.head, weight));
                while let Some((seq, _)) = ring.pop_excess() {
                    prop_assert_eq!(seq, first as Seq);
                    floor = floor.max(all[first].0);
                    first += 1;
                }
                let kept = &all[first..];
                prop_assert!(kept.len() <= entries_max);
                prop_assert!(kept.iter().map(|(_, weight)| weight).sum::<usize>() <= bytes_max);
                prop_assert_eq!((ring.first(), ring.end(), ring.floor()), (first as Seq, all.len() as Seq, floor));
                for offset in floor..=ring.head() {
                    let behind = kept.iter().position(|(head, _)| *head > offset).unwrap_or(kept.len());
                    prop_assert_eq!(ring.seq_behind(offset), (first + behind) as Seq);
                }
                prop_assert!(first == 0 || ring.get(first as Seq - 1).is_none());
                prop_assert_eq!(ring.head_at(seq), all.get(first..).and_then(|kept| kept.last()).map(|(head, _)| *head));
            }
        }
    }
}
