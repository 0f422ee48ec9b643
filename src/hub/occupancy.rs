//! Which channels somebody has begun or ceased to follow, for whoever wants to know whether they are occupied.
//!
//! The shards only leave the names here; what they mean is looked at later, by asking the shards again. So
//! nothing that is missed makes a count wrong for ever.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use santral_core::limits::OCCUPANCY_CHANNELS_MAX;
use santral_core::names::ChannelName;

/// What was left since the last look.
#[derive(Debug, Default)]
pub struct Touched {
    /// Channels that somebody has begun or ceased to follow.
    pub channels: HashSet<ChannelName>,
    /// Whether there were others, for which there was no room.
    pub is_incomplete: bool,
}

/// See the module. While nobody wants to know, a touch costs a look at a flag.
#[derive(Debug, Default)]
pub struct Occupancy {
    is_watched: AtomicBool,
    touched: Mutex<Touched>,
}

impl Occupancy {
    /// Somebody begins or ceases to look.
    pub fn watch(&self, is_watched: bool) {
        self.is_watched.store(is_watched, Ordering::Release);
        *self.touched.lock() = Touched::default();
    }

    /// Somebody has begun or ceased to follow this channel.
    pub(super) fn touch(&self, channel: &ChannelName) {
        if !self.is_watched.load(Ordering::Acquire) {
            return;
        }
        let mut touched = self.touched.lock();
        if touched.channels.len() < OCCUPANCY_CHANNELS_MAX {
            touched.channels.insert(channel.clone());
        } else if !touched.channels.contains(channel) {
            touched.is_incomplete = true;
        }
    }

    /// Takes what was left.
    #[must_use]
    pub fn take(&self) -> Touched {
        std::mem::take(&mut *self.touched.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(number: usize) -> ChannelName {
        ChannelName::parse(&format!("c{number}")).expect("a name")
    }

    #[test]
    fn touches_are_kept_while_somebody_looks_and_are_bounded() {
        let occupancy = Occupancy::default();
        occupancy.touch(&channel(1));
        assert!(occupancy.take().channels.is_empty(), "nobody looks");
        occupancy.watch(true);
        for number in [1, 2, 1] {
            occupancy.touch(&channel(number));
        }
        let touched = occupancy.take();
        assert_eq!((touched.channels.len(), touched.is_incomplete), (2, false));
        for number in 0..=OCCUPANCY_CHANNELS_MAX {
            occupancy.touch(&channel(number));
        }
        let touched = occupancy.take();
        assert_eq!((touched.channels.len(), touched.is_incomplete), (OCCUPANCY_CHANNELS_MAX, true));
        occupancy.touch(&channel(1));
        occupancy.watch(false);
        assert!(occupancy.take().channels.is_empty(), "what was left is of no use any more");
    }
}
