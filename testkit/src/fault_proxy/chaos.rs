//! Random scripts of faults, a pure function of a seed and a connection's number.

use std::time::Duration;

use crate::fault_proxy::{Cut, Direction, Fault};
use crate::random::SplitMix64;

/// Bounds of the random faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chaos {
    /// The same seed gives the nth connection the same script.
    pub seed: u64,
    /// A fault begins, and what can be healed ends, before this much time has passed.
    pub time_max: Duration,
    /// A truncation happens before this many bytes.
    pub bytes_max: u64,
    /// Whether connections may become half-open, which only heartbeats can find out.
    pub half_open: bool,
}

/// One fault of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How long after the step before, or after the connection's begin.
    pub after: Duration,
    /// What is set then.
    pub fault: Fault,
}

impl Chaos {
    /// The script of the nth connection, counted from 0. It always ends the connection, unless
    /// it makes it half-open.
    #[must_use]
    pub fn script(&self, connection: u64) -> Vec<Step> {
        let mut random = SplitMix64::of_stream(self.seed, connection);
        let first = random.duration_below(self.time_max);
        let last = random.duration_below(self.time_max);
        let cut = if random.one_in(2) { Cut::Reset } else { Cut::Close };
        let direction = match random.below(3) {
            0 => Direction::ToServer,
            1 => Direction::ToClient,
            _ => Direction::Both,
        };
        let kinds = if self.half_open { 6 } else { 5 };
        let fault = match random.below(kinds) {
            0 => {
                return vec![Step { after: first, fault: Fault::Cut(cut) }];
            }
            1 => {
                let after = random.below(self.bytes_max);
                let fault = Fault::Truncate { direction, after, cut };
                // A quiet connection never gets that far, so time ends it too.
                let end = Step { after: first + last, fault: Fault::Cut(cut) };
                return vec![Step { after: Duration::ZERO, fault }, end];
            }
            2 => Fault::Stall(direction),
            3 => {
                let bytes = 1 + usize::try_from(random.below(64)).unwrap_or(0);
                let every = Duration::from_millis(1 + random.below(10));
                Fault::SlowBytes { direction, bytes, every }
            }
            4 => Fault::Delay { direction, by: random.duration_below(self.time_max / 4) },
            _ => {
                return vec![Step { after: first, fault: Fault::HalfOpen }];
            }
        };
        vec![Step { after: first, fault }, Step { after: last, fault: Fault::Cut(cut) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAOS: Chaos = Chaos { seed: 5, time_max: Duration::from_secs(1), bytes_max: 1_000, half_open: true };

    #[test]
    fn a_script_depends_on_seed_and_number_alone() {
        let scripts = |chaos: Chaos| (0..100).map(|number| chaos.script(number)).collect::<Vec<_>>();
        assert_eq!(scripts(CHAOS), scripts(CHAOS));
        assert_ne!(scripts(CHAOS), scripts(Chaos { seed: 6, ..CHAOS }));
    }

    #[test]
    fn every_kind_comes_up_and_every_script_ends_its_connection() {
        let scripts: Vec<_> = (0..200).map(|number| CHAOS.script(number)).collect();
        let mut kinds: Vec<_> = scripts.iter().map(|steps| std::mem::discriminant(&steps[0].fault)).collect();
        kinds.dedup();
        let mut distinct = Vec::new();
        for kind in kinds {
            if !distinct.contains(&kind) {
                distinct.push(kind);
            }
        }
        assert_eq!(distinct.len(), 6);
        for steps in scripts {
            let last = steps.last().map(|step| step.fault);
            assert!(matches!(last, Some(Fault::Cut(_) | Fault::HalfOpen)), "{steps:?}");
        }
        let calm = Chaos { half_open: false, ..CHAOS };
        let has_half_open = |number| calm.script(number).iter().any(|step| step.fault == Fault::HalfOpen);
        assert!(!(0..200).any(has_half_open));
    }
}
