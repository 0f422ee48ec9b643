//! A timer wheel for heartbeats: one slot a tick, no timer per connection, no cost per delivery.

use std::time::Duration;

use crate::limits::WHEEL_TICK;
use crate::session::SessionKey;
use crate::time::Moment;

/// See the module. Each session is in at most one slot; the caller re-arms what it takes out.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<SessionKey>>,
    /// Ticks up to and including this one have been taken.
    tick: u64,
    armed: usize,
}

impl Wheel {
    /// A wheel that reaches `horizon` ahead.
    pub(crate) fn new(now: Moment, horizon: Duration) -> Self {
        let ticks = horizon.as_micros() / WHEEL_TICK.as_micros() + 2;
        let ticks = usize::try_from(ticks).expect("heartbeats are bounded by their setting");
        Self { slots: vec![Vec::new(); ticks], tick: tick_of(now), armed: 0 }
    }

    /// Puts a session into the slot of `due`, or the farthest one that the wheel has.
    pub(crate) fn arm(&mut self, session: SessionKey, due: Moment) {
        let farthest = self.tick + self.slots.len() as u64 - 1;
        let tick = (tick_of(due) + 1).clamp(self.tick + 1, farthest);
        self.slot(tick).push(session);
        self.armed += 1;
    }

    /// Takes the sessions of the next slot that is due at `now`; `None` when none is.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Vec<SessionKey>> {
        while self.tick < tick_of(now) {
            self.tick += 1;
            let tick = self.tick;
            let due = std::mem::take(self.slot(tick));
            if !due.is_empty() {
                self.armed -= due.len();
                return Some(due);
            }
        }
        None
    }

    /// Forgets all sessions.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(Vec::clear);
        self.armed = 0;
    }

    /// When to look again; `None` while nothing is armed.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        (self.armed > 0).then(|| Moment((self.tick + 1) * tick_micros()))
    }

    fn slot(&mut self, tick: u64) -> &mut Vec<SessionKey> {
        let count = self.slots.len() as u64;
        &mut self.slots[usize::try_from(tick % count).expect("below the number of slots")]
    }
}

fn tick_of(moment: Moment) -> u64 {
    moment.0 / tick_micros()
}

fn tick_micros() -> u64 {
    u64::try_from(WHEEL_TICK.as_micros()).expect("a tick is short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn a_session_comes_out_once_and_not_before_its_time() {
        let mut keys: SlotMap<SessionKey, ()> = SlotMap::with_key();
        let key = keys.insert(());
        let mut wheel = Wheel::new(Moment(0), Duration::from_secs(25));
        wheel.arm(key, Moment(25_000_000));
        assert_eq!(wheel.take_due(Moment(24_999_999)), None);
        assert_eq!(wheel.take_due(Moment(25_200_000)), Some(vec![key]));
        assert_eq!(wheel.take_due(Moment(90_000_000)), None);
        assert_eq!(wheel.next_timeout(), None);
    }

    proptest::proptest! {
        #[test]
        fn every_session_comes_out_within_a_tick_of_its_time(
            delays in proptest::collection::vec((0_u64..25_000_000, 0_u64..400_000), 1..40),
        ) {
            let mut keys: SlotMap<SessionKey, ()> = SlotMap::with_key();
            let mut wheel = Wheel::new(Moment(0), Duration::from_secs(25));
            let mut armed: Vec<(SessionKey, u64)> = Vec::new();
            let mut now = 0;
            for (delay, step) in delays {
                let key = keys.insert(());
                wheel.arm(key, Moment(now + delay));
                armed.push((key, now + delay));
                now += step;
                while let Some(due) = wheel.take_due(Moment(now)) {
                    for key in due {
                        let index = armed.iter().position(|&(other, _)| other == key).expect("armed once");
                        let (_, time) = armed.swap_remove(index);
                        assert!(time <= now, "too early");
                    }
                }
                assert!(armed.iter().all(|&(_, time)| time + 2 * tick_micros() > now), "too late");
                assert_eq!(wheel.next_timeout().is_some(), !armed.is_empty());
            }
        }
    }
}
