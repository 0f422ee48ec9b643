//! Socket.IO as its clients speak it: the rules of Engine.IO 4 and Socket.IO 5, one row a rule.
//!
//! Each table runs against Santral and against the reference, npm `socket.io`, so that a row which
//! misunderstands the protocol fails there. Where the two differ on purpose, the row holds both
//! answers and says why.

mod admin;
mod admin_page;
mod admin_ui;
mod admission;
mod bad_input;
mod binary;
mod clauses;
mod clients;
mod connect;
mod events;
mod handshake;
mod heartbeat;
mod packets;
mod polling;
mod races;
mod recovery;
mod target;
mod upgrade;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};

use target::{Kind, Target};

/// One rule, what is done to see it, and what is then seen.
pub(crate) struct Case {
    /// The rule in words.
    pub(crate) name: &'static str,
    /// Plays it and tells what came, as [`wire`] writes it.
    pub(crate) play: fn(&Target) -> String,
    pub(crate) seen: Seen,
}

/// What a server shows.
pub(crate) enum Seen {
    Same(&'static str),
    Differs { santral: &'static str, reference: &'static str, because: &'static str },
}

impl Seen {
    fn of(&self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Same(seen), _) => seen,
            (Self::Differs { santral, .. }, Kind::Santral) => santral,
            (Self::Differs { reference, .. }, Kind::Reference) => reference,
        }
    }
}

/// Plays all rows and fails with all that are not as the table says.
pub(crate) fn judge(target: &Target, cases: &[Case]) {
    let mut wrong = Vec::new();
    for Case { name, play, seen } in cases {
        let expected = seen.of(target.kind());
        let played = catch_unwind(AssertUnwindSafe(|| play(target)));
        let Ok(played) = played else {
            wrong.push(format!("{name}\n  expected  {expected}\n  but it panicked, see above"));
            continue;
        };
        if played != expected {
            let reason = match seen {
                Seen::Same(_) => String::new(),
                Seen::Differs { because, .. } => format!("\n  (differs because {because})"),
            };
            wrong.push(format!("{name}\n  expected  {expected}\n  but saw   {played}{reason}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rules do not hold for {:?}:\n\n{}",
        wrong.len(),
        cases.len(),
        target.kind(),
        wrong.join("\n\n")
    );
    // Whatever was played, the next client is served.
    wire::Socket::fresh(target);
    assert!(!target.output().contains("panicked"), "{}", target.output());
}
