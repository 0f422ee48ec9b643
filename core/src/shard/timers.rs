//! What happens because time passes: heartbeats, deadlines, grace, drain.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use slotmap::Key;

use santral_schema::reason::DisconnectReason;

use super::Shard;
use crate::limits::{ATTACH_DEADLINE, DETACHED_SESSIONS_MAX, PAGE_READ_RETRY, WHEEL_TICK};
use crate::session::{Phase, SessionKey};
use crate::time::Moment;
use crate::wheel::Wheel;

/// Sessions that wait for a moment. Each list has one fixed delay, so it is sorted by itself.
#[derive(Debug)]
pub(super) struct Timers {
    wheel: Wheel,
    opening: VecDeque<(Moment, SessionKey)>,
    detached: VecDeque<(Moment, SessionKey)>,
    page_retries: VecDeque<(Moment, SessionKey)>,
    /// Ends of rights; these have no common delay.
    expiring: BTreeSet<(Moment, SessionKey)>,
    drain: Option<Drain>,
}

/// The goodbye to all sessions, spread over a window.
#[derive(Debug)]
struct Drain {
    start: Moment,
    window: Duration,
    remaining: Vec<SessionKey>,
    total: usize,
}

impl Timers {
    pub(super) fn new(wheel: Wheel) -> Self {
        Self {
            wheel,
            opening: VecDeque::new(),
            detached: VecDeque::new(),
            page_retries: VecDeque::new(),
            expiring: BTreeSet::new(),
            drain: None,
        }
    }

    /// The session's link must come within [`ATTACH_DEADLINE`].
    pub(super) fn expect_link(&mut self, now: Moment, key: SessionKey) {
        self.opening.push_back((now + ATTACH_DEADLINE, key));
    }

    /// The session's right ends at another moment than before, or with the session.
    pub(super) fn expect_expiry(&mut self, key: SessionKey, before: Option<Moment>, now: Option<Moment>) {
        if let Some(before) = before {
            self.expiring.remove(&(before, key));
        }
        if let Some(now) = now {
            self.expiring.insert((now, key));
        }
    }

    /// A page could not be read; try again after [`PAGE_READ_RETRY`].
    pub(super) fn retry_page(&mut self, now: Moment, key: SessionKey) {
        self.page_retries.push_back((now + PAGE_READ_RETRY, key));
    }
}

impl Drain {
    fn due(&self, now: Moment) -> usize {
        let elapsed = (now - self.start).as_micros();
        let window = self.window.as_micros().max(1);
        let due = (self.total as u128 * elapsed).div_ceil(window);
        usize::try_from(due).unwrap_or(self.total).min(self.total)
    }
}

impl Shard {
    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(due) = self.timers.wheel.take_due(now) {
            for key in due {
                self.heartbeat_due(now, key);
            }
        }
        while let Some(key) = pop_due(&mut self.timers.opening, now) {
            if self.sessions.get(key).is_some_and(|session| session.phase == Phase::Opening) {
                self.link_down(now, key, DisconnectReason::NeverOpened);
            }
        }
        while let Some(key) = pop_due(&mut self.timers.detached, now) {
            self.end_if_detached(key);
        }
        while let Some(key) = pop_due(&mut self.timers.page_retries, now) {
            self.want_page(key);
        }
        while let Some(&(due, key)) = self.timers.expiring.first().filter(|(due, _)| *due <= now) {
            self.timers.expiring.remove(&(due, key));
            self.right_ended(now, key);
        }
        self.continue_drain(now);
    }

    /// When [`Shard::handle_timeout`] or [`Shard::run_slice`] has something to do again.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Moment> {
        let front = |list: &VecDeque<(Moment, SessionKey)>| list.front().map(|&(moment, _)| moment);
        let drain = self.timers.drain.as_ref().filter(|drain| !drain.remaining.is_empty());
        let times = [
            self.timers.wheel.next_timeout(),
            front(&self.timers.opening),
            front(&self.timers.detached),
            front(&self.timers.page_retries),
            self.timers.expiring.first().map(|&(moment, _)| moment),
            drain.map(|drain| drain.start + drain.window * self.drained(drain) / share(drain.total) + WHEEL_TICK),
            self.pass.next_start(),
        ];
        times.into_iter().flatten().min()
    }

    /// Says goodbye to every session, spread over `window`.
    pub fn drain(&mut self, now: Moment, window: Duration) {
        let remaining: Vec<_> = self.sessions.keys().collect();
        let total = remaining.len();
        self.timers.drain = Some(Drain { start: now, window, remaining, total });
        self.continue_drain(now);
    }

    /// Keeps a session whose link is gone for the time of its grace.
    pub(super) fn keep_detached(&mut self, now: Moment, key: SessionKey) {
        self.timers.detached.push_back((now + self.config.grace, key));
        if self.timers.detached.len() > DETACHED_SESSIONS_MAX
            && let Some((_, oldest)) = self.timers.detached.pop_front()
        {
            self.end_if_detached(oldest);
        }
    }

    /// Changes the longest silence, which must be at most [`crate::limits::HEARTBEAT_MAX`].
    ///
    /// A session keeps the promise that its `hello` made: a longer heartbeat is for those that come
    /// from now on, a shorter one for all.
    pub fn set_heartbeat(&mut self, now: Moment, heartbeat: Duration) {
        let before = std::mem::replace(&mut self.config.heartbeat, heartbeat);
        if heartbeat >= before {
            return;
        }
        self.timers.wheel.clear();
        let keys: Vec<_> = self.sessions.keys().collect();
        for key in keys {
            let period_before = self.personal_heartbeat(key);
            let session = &mut self.sessions[key];
            session.heartbeat_ms = session.heartbeat_ms.min(millis(heartbeat));
            if session.armed {
                let promised = session.last_write + period_before;
                let due = promised.min(now + self.personal_heartbeat(key));
                self.timers.wheel.arm(key, due);
            }
        }
    }

    /// Puts a session that was just linked or pinged back into the wheel.
    pub(super) fn arm_heartbeat(&mut self, now: Moment, key: SessionKey) {
        let period = self.personal_heartbeat(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if !session.armed {
            session.armed = true;
            self.timers.wheel.arm(key, now.max(session.last_write) + period);
        }
    }

    fn heartbeat_due(&mut self, now: Moment, key: SessionKey) {
        let period = self.personal_heartbeat(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.armed = false;
        if !session.is_linked() {
            return;
        }
        let silent_until = session.last_write + period;
        if silent_until > now {
            session.armed = true;
            self.timers.wheel.arm(key, silent_until);
            return;
        }
        // A blocked link is not silent, it is deaf: the kernel's timeout looks after it.
        if session.phase != Phase::Blocked {
            session.ping_due = true;
            self.queue_current(key);
        }
        self.arm_heartbeat(now, key);
    }

    /// Between 60 % and 100 % of the heartbeat that a session was told, fixed for it: after a message to everyone
    /// the pings that follow are spread, and no stream is silent for longer than it was told.
    fn personal_heartbeat(&self, key: SessionKey) -> Duration {
        let spread = key.data().as_ffi().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let told = self.sessions.get(key).map_or(0, |session| session.heartbeat_ms);
        let heartbeat = Duration::from_millis(u64::from(told)).saturating_sub(WHEEL_TICK);
        heartbeat.mul_f64(0.6 + 0.4 * (spread as f64 / f64::from(u32::MAX)))
    }

    fn end_if_detached(&mut self, key: SessionKey) {
        if self.sessions.get(key).is_some_and(|session| session.phase == Phase::Detached) {
            self.end_session(key);
        }
    }

    fn continue_drain(&mut self, now: Moment) {
        let Some(drain) = self.timers.drain.as_ref() else {
            return;
        };
        let due = drain.due(now).saturating_sub(drain.total - drain.remaining.len());
        for _ in 0..due {
            let Some(key) = self.timers.drain.as_mut().and_then(|drain| drain.remaining.pop()) else {
                return;
            };
            self.disconnect(now, key, DisconnectReason::Draining);
        }
    }

    fn drained(&self, drain: &Drain) -> u32 {
        share(drain.total - drain.remaining.len())
    }
}

/// A heartbeat as `hello` tells it.
pub(super) fn millis(heartbeat: Duration) -> u32 {
    u32::try_from(heartbeat.as_millis()).unwrap_or(u32::MAX)
}

fn share(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

fn pop_due(list: &mut VecDeque<(Moment, SessionKey)>, now: Moment) -> Option<SessionKey> {
    let &(due, key) = list.front()?;
    (due <= now).then(|| {
        list.pop_front();
        key
    })
}
