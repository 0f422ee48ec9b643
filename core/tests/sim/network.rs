//! Links between shards and clients: bounded, slow, cut anywhere, deaf, gone without a word.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use santral_core::session::SessionKey;
use santral_core::shard::{Links, Written};

use crate::bugs::Bug;
use crate::plan::Micros;
use crate::rng::Rng;

/// One connection, seen from the network.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: usize,
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) shard: usize,
    pub(crate) session: SessionKey,
    pub(crate) buffer: VecDeque<u8>,
    pub(crate) capacity: usize,
    /// The shard was told that the link takes no more and waits for `writable`.
    pub(crate) blocked: bool,
    pub(crate) writable_due: bool,
    /// The client is gone; the server may not know yet.
    pub(crate) dead: bool,
    /// The server sent its last byte.
    pub(crate) closed: bool,
    pub(crate) stalled_until: Micros,
    pub(crate) drain_due: bool,
    /// When the stream was last known not to be silent.
    pub(crate) last_write: Micros,
    /// Whether the shard may write to it.
    pub(crate) up: bool,
    /// The session has caught up and the link never refused a byte since.
    pub(crate) settled: bool,
    /// The session waits for a page of the log.
    pub(crate) awaits_page: bool,
    /// Volatile messages that a settled session must be sent.
    pub(crate) expected: Vec<Expected>,
    /// When the right of its client ends.
    pub(crate) expires: Option<Micros>,
}

/// A volatile message on its way to one link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) uid: u64,
    pub(crate) at: Micros,
    /// What had gone through the shard's ring before.
    pub(crate) items: usize,
    pub(crate) weight: usize,
}

impl Link {
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.buffer.len())
    }
}

/// The links of one shard, for the time of one slice.
pub(crate) struct ShardLinks<'a> {
    pub(crate) links: &'a mut [Link],
    pub(crate) by_session: &'a BTreeMap<SessionKey, usize>,
    pub(crate) rng: &'a mut Rng,
    pub(crate) now: Micros,
    pub(crate) bug: Option<Bug>,
    /// Links that got bytes.
    pub(crate) touched: Vec<usize>,
    /// Set when the engine writes where it must not.
    pub(crate) fault: Option<String>,
}

impl Links for ShardLinks<'_> {
    fn write(&mut self, session: SessionKey, frames: &[IoSlice<'_>]) -> Written {
        let Some(&index) = self.by_session.get(&session) else {
            self.fault = Some(format!("a write to {session:?}, which has no link"));
            return Written::Gone;
        };
        let link = &mut self.links[index];
        if !link.up || link.blocked || link.closed {
            self.fault = Some(format!("a write to a link that is not open for it: {link:?}"));
            return Written::Gone;
        }
        if link.expires.is_some_and(|expires| expires <= self.now) {
            self.fault = Some(format!("INV-9: a write beyond the end of the right: {link:?}"));
        }
        let total: usize = frames.iter().map(|frame| frame.len()).sum();
        if total == 0 {
            self.fault = Some("an empty write".to_owned());
        }
        if link.dead && self.rng.percent(30) {
            return Written::Gone;
        }
        let room = link.room();
        let short = self.rng.percent(3);
        let taken = if short { self.rng.index(room.min(total) + 1) } else { room.min(total) };
        let frames = mutate(self.bug, self.rng, frames);
        push(link, &frames, taken);
        self.touched.push(index);
        if taken > 0 {
            link.last_write = self.now;
        }
        if taken == total {
            return Written::All;
        }
        if self.bug == Some(Bug::DroppedRemainder) && taken > 0 && self.rng.percent(20) {
            return Written::All;
        }
        link.blocked = true;
        link.settled = false;
        link.expected.clear();
        Written::Partial(taken)
    }
}

/// The frames in the order in which they leave; only a planted fault changes it.
fn mutate<'a>(bug: Option<Bug>, rng: &mut Rng, frames: &'a [IoSlice<'_>]) -> Vec<&'a [u8]> {
    let mut order: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
    if bug == Some(Bug::CrossChannelReorder) && order.len() > 1 && rng.percent(20) {
        let at = rng.index(order.len() - 1);
        order.swap(at, at + 1);
    }
    order
}

fn push(link: &mut Link, frames: &[&[u8]], taken: usize) {
    let mut left = taken;
    for frame in frames {
        let part = &frame[..frame.len().min(left)];
        left -= part.len();
        if !link.dead {
            link.buffer.extend(part);
        }
        if !part.is_empty() && !link.expected.is_empty() {
            forget_expected(link, part);
        }
    }
}

/// A settled link got a frame: if it is a volatile message that was due, it is on its way.
fn forget_expected(link: &mut Link, frame: &[u8]) {
    if let Some(uid) = std::str::from_utf8(frame).ok().and_then(uid_in) {
        link.expected.retain(|expected| expected.uid != uid);
    }
}

/// The number that every message of the simulator carries.
pub(crate) fn uid_in(text: &str) -> Option<u64> {
    let start = text.find("\"n\":")? + 4;
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    text[start..start + digits].parse().ok()
}
