//! The clock: tokens end, messages age and receipts are dated by it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::doctor::check::Check;
use crate::doctor::report::Finding;
use crate::ports::survey::Survey;

/// The wall clock beside one that never jumps, from the first check to the last.
pub(super) struct Rhythm {
    wall: SystemTime,
    steady: Instant,
}

impl Rhythm {
    /// Starts to look.
    pub(super) fn start() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }

    /// How far the wall clock has jumped ahead since, in microseconds.
    fn jump_micros(&self) -> i64 {
        let steady = signed(self.steady.elapsed().as_micros());
        micros(SystemTime::now()) - micros(self.wall) - steady
    }
}

/// Whether it is plausible, steady, and agrees with what else tells the time.
pub(super) fn examine(rhythm: &Rhythm, survey: Option<&Survey>) -> Finding {
    let newest = survey.and_then(|survey| survey.newest).map(|newest| newest.0);
    let ahead = survey.and_then(|survey| survey.clock_ahead_micros);
    judge(micros(SystemTime::now()), rhythm.jump_micros(), newest, ahead)
}

/// All times in microseconds since 1970.
fn judge(now: i64, jump: i64, newest: Option<i64>, database_ahead: Option<i64>) -> Finding {
    let set_it = "set the clock and keep it right: chrony, systemd-timesyncd, or the time service of the host";
    if !(YEAR_2025..YEAR_2100).contains(&now) {
        return Finding::fail(Check::Clock, "this machine's clock is in another age", set_it);
    }
    if jump.abs() > SECOND {
        return Finding::warn(Check::Clock, format!("the clock jumped by {} while this ran", seconds(jump)), set_it);
    }
    if let Some(newest) = newest.filter(|newest| *newest > now + SECOND) {
        return Finding::warn(
            Check::Clock,
            format!("the newest message is dated {} from now", seconds(newest - now)),
            "the clock was ahead when it came, or is behind now; retention and token lifetimes go by it",
        );
    }
    if let Some(ahead) = database_ahead.filter(|ahead| ahead.abs() > SECOND) {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        return Finding::warn(
            Check::Clock,
            format!("the database's clock is {} {direction} ours", seconds(ahead)),
            format!("{set_it}, on both machines"),
        );
    }
    let agrees = if database_ahead.is_some() { ", and the database's agrees" } else { "" };
    Finding::ok(Check::Clock, format!("the clock is plausible and steady{agrees}"))
}

/// As people read it, without a sign.
fn seconds(micros: i64) -> String {
    match micros.abs() / SECOND {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since.as_micros()),
        Err(before) => -signed(before.duration().as_micros()),
    }
}

fn signed(micros: u128) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

const SECOND: i64 = 1_000_000;

/// Before this program was written, so no clock is right that says less.
const YEAR_2025: i64 = 1_735_689_600 * SECOND;

/// Beyond this, a clock has lost its battery or its mind.
const YEAR_2100: i64 = 4_102_444_800 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Outcome;

    const NOW: i64 = 1_800_000_000 * SECOND;

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        for (now, jump, newest, ahead, outcome) in [
            (NOW, 0, None, None, Outcome::Ok),
            (NOW, SECOND / 2, Some(NOW - SECOND), Some(-SECOND / 2), Outcome::Ok),
            (0, 0, None, None, Outcome::Fail),
            (YEAR_2100, 0, None, None, Outcome::Fail),
            (NOW, -3 * SECOND, None, None, Outcome::Warn),
            (NOW, 0, Some(NOW + 3_600 * SECOND), None, Outcome::Warn),
            (NOW, 0, None, Some(-2 * SECOND), Outcome::Warn),
        ] {
            let finding = judge(now, jump, newest, ahead);
            assert_eq!(finding.outcome, outcome, "{finding:?}");
        }
    }
}
