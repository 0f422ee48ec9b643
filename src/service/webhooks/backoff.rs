//! When a delivery that failed is tried again, and when no more.

use std::time::Duration;

use santral_core::entry::Timestamp;
use santral_core::limits::{WEBHOOK_RETRY_FIRST, WEBHOOK_RETRY_MAX, WEBHOOK_TRIES_FOR};

/// What comes after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another try at this time.
    At(Timestamp),
    /// None.
    Never,
}

/// What comes after a try that failed `now`, behind `failed_before` others, of an event of `at`.
///
/// `chance` of 0 to 255 takes up to a quarter from the pause, so that those who failed together do not come back
/// together. An event of the future is of now: a clock was set back.
pub(super) fn next(at: Timestamp, now: Timestamp, failed_before: u32, chance: u8) -> Next {
    if now.0.saturating_sub(at.0) >= micros(WEBHOOK_TRIES_FOR) {
        return Next::Never;
    }
    let pause =
        micros(WEBHOOK_RETRY_FIRST).saturating_mul(1_i64.checked_shl(failed_before.min(32)).unwrap_or(i64::MAX));
    let pause = pause.min(micros(WEBHOOK_RETRY_MAX));
    Next::At(Timestamp(now.0.saturating_add(pause - pause / 4 * i64::from(chance) / 255)))
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000_000);

    fn pause(failed_before: u32, chance: u8) -> Duration {
        let Next::At(at) = next(NOW, NOW, failed_before, chance) else { panic!("it is young") };
        Duration::from_micros(u64::try_from(at.0 - NOW.0).expect("in the future"))
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        let pauses: Vec<_> = (0..14).map(|failed| pause(failed, 0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600]);
        assert_eq!(pause(u32::MAX, 0), WEBHOOK_RETRY_MAX);
    }

    #[test]
    fn chance_takes_at_most_a_quarter() {
        for failed in [0, 5, 40] {
            assert_eq!(pause(failed, 255), pause(failed, 0) * 3 / 4);
            assert!(pause(failed, 128) < pause(failed, 0) && pause(failed, 128) > pause(failed, 255));
        }
    }

    #[test]
    fn tries_go_on_for_a_whole_day() {
        let (mut now, mut failed) = (NOW, 0);
        while let Next::At(at) = next(NOW, now, failed, 255) {
            (now, failed) = (at, failed + 1);
        }
        let tried_for = Duration::from_micros(u64::try_from(now.0 - NOW.0).expect("in the future"));
        assert!(tried_for >= WEBHOOK_TRIES_FOR && tried_for <= WEBHOOK_TRIES_FOR + WEBHOOK_RETRY_MAX);
        assert!((20..60).contains(&failed), "{failed} tries");
        assert!(matches!(next(Timestamp(NOW.0 + 1), NOW, 0, 0), Next::At(_)), "a clock may be set back");
    }
}
