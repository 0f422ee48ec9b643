//! Checks one client's sequence: 1, 2, 3 … without hole, double or reorder.
//!
//! Each client holds one [`Verifier`] for each publisher. A number that comes too early leaves a
//! hole; when a missing number comes after all, it was reordered and the hole is filled; any
//! other number that comes again is a double.

use std::ops::Range;

/// Holes that one verifier remembers; later ones are still counted, but what fills them counts as
/// a double. A sound run has none, so the bound only keeps a broken run small.
const HOLES_MAX: usize = 64;

/// The state of one sequence.
#[derive(Debug, Default)]
pub struct Verifier {
    received_up_to: u64,
    holes: Vec<Range<u64>>,
}

/// What was found, summed over clients.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Publications that came in their turn.
    pub in_order: u64,
    /// Numbers that never came.
    pub missing: u64,
    /// Numbers that came again.
    pub doubles: u64,
    /// Numbers that came after a later one.
    pub reordered: u64,
    /// Data that no publisher wrote, or `gap` events.
    pub foreign: u64,
    /// Streams that ended although nobody closed them.
    pub ended: u64,
}

impl Tally {
    /// Whether everything came once and in order.
    pub fn is_clean(&self) -> bool {
        let Self { in_order: _, missing, doubles, reordered, foreign, ended } = *self;
        missing + doubles + reordered + foreign + ended == 0
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: Self) {
        self.in_order += other.in_order;
        self.missing += other.missing;
        self.doubles += other.doubles;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.ended += other.ended;
    }

    /// The faults as words, or `clean`.
    pub fn describe(&self) -> String {
        if self.is_clean() {
            return "clean".to_owned();
        }
        format!(
            "{} missing, {} double, {} reordered, {} foreign, {} ended",
            self.missing, self.doubles, self.reordered, self.foreign, self.ended
        )
    }
}

impl Verifier {
    /// Takes the next number of this sequence and adds the finding to `tally`.
    pub fn accept(&mut self, sequence: u64, tally: &mut Tally) {
        if sequence == self.received_up_to + 1 {
            self.received_up_to = sequence;
            tally.in_order += 1;
        } else if sequence > self.received_up_to {
            self.open_hole(sequence, tally);
        } else {
            self.accept_late(sequence, tally);
        }
    }

    /// Declares that numbers up to `last` were published: what has not come is missing.
    pub fn finish(&mut self, last: u64, tally: &mut Tally) {
        if last > self.received_up_to {
            tally.missing += last - self.received_up_to;
            self.received_up_to = last;
        }
    }

    /// Whether all numbers up to `last` have come.
    pub fn is_whole_up_to(&self, last: u64) -> bool {
        self.received_up_to == last && self.holes.is_empty()
    }

    fn open_hole(&mut self, sequence: u64, tally: &mut Tally) {
        tally.missing += sequence - self.received_up_to - 1;
        if self.holes.len() < HOLES_MAX {
            self.holes.push(self.received_up_to + 1..sequence);
        }
        self.received_up_to = sequence;
    }

    fn accept_late(&mut self, sequence: u64, tally: &mut Tally) {
        let Some(index) = self.holes.iter().position(|hole| hole.contains(&sequence)) else {
            tally.doubles += 1;
            return;
        };
        let hole = self.holes.swap_remove(index);
        let parts = [hole.start..sequence, sequence + 1..hole.end];
        self.holes.extend(parts.into_iter().filter(|part| !part.is_empty()));
        tally.missing -= 1;
        tally.reordered += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, Verifier};

    fn verify(sequence: &[u64], last: u64) -> Tally {
        let mut tally = Tally::default();
        let mut verifier = Verifier::default();
        for &number in sequence {
            verifier.accept(number, &mut tally);
        }
        verifier.finish(last, &mut tally);
        tally
    }

    #[test]
    fn a_whole_sequence_is_clean() {
        let tally = verify(&[1, 2, 3, 4], 4);
        assert!(tally.is_clean());
        assert_eq!(tally, Tally { in_order: 4, ..Tally::default() });
    }

    #[test]
    fn a_hole_is_found() {
        let tally = verify(&[1, 2, 5, 6], 6);
        assert_eq!(tally, Tally { in_order: 3, missing: 2, ..Tally::default() });
        assert!(!tally.is_clean());
    }

    #[test]
    fn a_missing_end_and_a_missing_start_are_found() {
        assert_eq!(verify(&[1, 2], 4).missing, 2);
        assert_eq!(verify(&[2, 3], 3).missing, 1);
        assert_eq!(verify(&[], 3).missing, 3);
    }

    #[test]
    fn a_double_is_found() {
        let tally = verify(&[1, 2, 2, 3, 1], 3);
        assert_eq!(tally, Tally { in_order: 3, doubles: 2, ..Tally::default() });
        assert!(!tally.is_clean());
    }

    #[test]
    fn a_reorder_is_found_and_is_neither_a_hole_nor_a_double() {
        let tally = verify(&[1, 3, 2, 4], 4);
        assert_eq!(tally, Tally { in_order: 2, reordered: 1, ..Tally::default() });
        assert!(!tally.is_clean());
        let twice = verify(&[1, 5, 3, 3, 2, 4], 5);
        assert_eq!((twice.reordered, twice.doubles, twice.missing), (3, 1, 0));
    }
}
