//! What wakes the sender: new deliveries, runs that are over, the end. Whoever puts something in never waits.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::run::Outcome;

/// What was found in the mailbox.
#[derive(Default)]
pub(super) struct Mail {
    /// Runs that are over: as many as were started, so they are bounded.
    pub(super) outcomes: Vec<Outcome>,
    /// The server stops.
    pub(super) is_stopping: bool,
    has_rung: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    rung: Condvar,
}

impl Mailbox {
    /// There is something to send.
    pub(super) fn ring(&self) {
        self.mail.lock().has_rung = true;
        self.rung.notify_one();
    }

    /// A run is over.
    pub(super) fn report(&self, outcome: Outcome) {
        self.mail.lock().outcomes.push(outcome);
        self.rung.notify_one();
    }

    /// Sending ends.
    pub(super) fn stop(&self) {
        self.mail.lock().is_stopping = true;
        self.ring();
    }

    /// Whether sending ends.
    pub(super) fn is_stopping(&self) -> bool {
        self.mail.lock().is_stopping
    }

    /// Waits until there is something, no longer than that, and takes it.
    pub(super) fn take(&self, within: Duration) -> Mail {
        let mut mail = self.mail.lock();
        let is_quiet = |mail: &mut Mail| !mail.has_rung && mail.outcomes.is_empty();
        // Whether the time was up does not matter.
        let _ = self.rung.wait_while_for(&mut mail, is_quiet, within);
        let is_stopping = mail.is_stopping;
        Mail { is_stopping, ..std::mem::replace(&mut *mail, Mail { is_stopping, ..Mail::default() }) }
    }
}
