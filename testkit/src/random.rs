//! A tiny seeded random source, so that a failing run can be repeated from its seed alone.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
///
/// Good enough to choose faults and sectors; not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A source that gives the same numbers for the same seed on every machine.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A source of its own for each `stream` of one seed, whatever the order they are made in.
    #[must_use]
    pub fn of_stream(seed: u64, stream: u64) -> Self {
        let mut mixer = Self::new(seed);
        let mixed = mixer.next_u64() ^ Self::new(stream).next_u64().rotate_left(32);
        Self::new(mixed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of the remainder is far too small to matter to a test.
        self.next_u64().checked_rem(end).unwrap_or(0)
    }

    /// True once in `count` times; never when `count` is 0.
    pub fn one_in(&mut self, count: u64) -> bool {
        count > 0 && self.below(count) == 0
    }

    /// A duration up to, not including, `end`, in steps of a microsecond.
    pub fn duration_below(&mut self, end: Duration) -> Duration {
        let micros = u64::try_from(end.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_of_seed_1234567_comes_out() {
        let mut random = SplitMix64::new(1_234_567);
        let numbers = [(); 3].map(|()| random.next_u64());
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn streams_differ_and_empty_ranges_are_harmless() {
        let first = |stream| SplitMix64::of_stream(7, stream).next_u64();
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
        let mut random = SplitMix64::new(0);
        assert_eq!(random.below(0), 0);
        assert!(!random.one_in(0));
        assert!(random.one_in(1));
        assert_eq!(random.duration_below(Duration::ZERO), Duration::ZERO);
    }
}
