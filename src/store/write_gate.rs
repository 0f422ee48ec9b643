//! One writer at a time: SQLite has one, and whoever else wants to write polls its lock.
//!
//! The log's writer and the records queue here instead, so that a publish starts the moment that an
//! account or a batch of events is stored, and not up to a tenth of a second later. A writer of
//! another process still meets SQLite's own lock. PostgreSQL locks rows and needs no gate.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use santral_core::limits::STORAGE_BUSY_TIMEOUT;

use super::error::Trouble;
use super::location::Location;

/// What all who write to one database in this process share.
#[derive(Debug, Clone)]
pub(super) struct WriteGate(Option<Arc<Mutex<()>>>);

/// The right to write, until it is dropped.
pub(super) struct Turn<'a>(Option<MutexGuard<'a, ()>>);

impl WriteGate {
    /// A gate for the database at this place.
    pub(super) fn of(location: &Location) -> Self {
        match location {
            Location::Sqlite(_) => Self(Some(Arc::default())),
            Location::Postgres(_) => Self(None),
        }
    }

    /// Waits for one's turn, no longer than for a foreign lock: somebody may hang in an fsync.
    pub(super) fn enter(&self) -> Result<Turn<'_>, Trouble> {
        let Some(gate) = &self.0 else { return Ok(Turn(None)) };
        gate.try_lock_for(STORAGE_BUSY_TIMEOUT).map(|guard| Turn(Some(guard))).ok_or(Trouble::TurnTimedOut)
    }
}

impl Turn<'_> {
    /// Gives the turn to whoever waits longest, even if the caller wants to write again at once.
    pub(super) fn hand_over(self) {
        if let Some(guard) = self.0 {
            MutexGuard::unlock_fair(guard);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn of_all_who_share_a_gate_one_has_the_turn() {
        let location = Location::parse("sqlite:log.db").expect("a URL");
        let (gate, busy) = (&WriteGate::of(&location), &AtomicBool::new(false));
        thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        let turn = gate.clone();
                        let turn = turn.enter().expect("nobody hangs");
                        assert!(!busy.swap(true, Ordering::SeqCst), "somebody else writes");
                        busy.store(false, Ordering::SeqCst);
                        if number % 2 == 0 {
                            turn.hand_over();
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn nobody_waits_for_ever_for_a_writer_that_hangs() {
        let gate = WriteGate::of(&Location::parse("sqlite:log.db").expect("a URL"));
        let hanging = gate.enter().expect("nobody writes");
        assert!(matches!(gate.enter(), Err(Trouble::TurnTimedOut)));
        drop(hanging);
        assert!(gate.enter().is_ok());
    }

    #[test]
    fn postgres_needs_no_turns() {
        let gate = WriteGate::of(&Location::parse("postgres://ada@db/santral").expect("a URL"));
        let _turn = gate.enter().expect("nobody waits");
        assert!(gate.enter().is_ok());
    }
}
