//! How long a connection may keep the server waiting: for a request, and for room for an answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use santral_core::limits::{ANSWER_BYTES_PER_SECOND_MIN, ANSWER_STALL_MAX, BODY_DEADLINE, REQUEST_HEAD_DEADLINE};

/// Head, body, and the longest answer: a publish whose database hangs.
const REQUEST_DEADLINE: Duration = REQUEST_HEAD_DEADLINE.saturating_add(BODY_DEADLINE).saturating_add(BODY_DEADLINE);

/// How long a request may take from its first byte to the first byte of its answer, and how long
/// the answer may wait for a client that does not read it.
///
/// actix-http times the head of a connection's first request only, and no answer at all: without
/// this, a client could hold a connection for ever with a second head that never ends, or with a
/// window that never opens. The kernel's own timeout does not count while such a peer answers.
#[derive(Default)]
pub(super) struct Patience {
    /// When the first byte came since the last answer.
    asked_at: Option<Instant>,
    /// Until when the client must have read what it holds up.
    stalled_until: Option<Instant>,
    /// Set for the deadline that was first seen; it is moved when it rings, not for each request.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Bytes came in.
    pub(super) fn on_input(&mut self) {
        self.asked_at.get_or_insert_with(Instant::now);
    }

    /// The socket took bytes of an answer. A client that holds it up earns time with each.
    pub(super) fn on_output(&mut self, bytes: usize) {
        self.asked_at = None;
        if let Some(until) = &mut self.stalled_until {
            *until += Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / BYTES_PER_SECOND;
        }
    }

    /// The socket took no bytes of an answer.
    pub(super) fn on_full(&mut self) {
        self.stalled_until.get_or_insert_with(|| Instant::now() + ANSWER_STALL_MAX);
    }

    /// The socket has taken all that there was.
    pub(super) fn on_flushed(&mut self) {
        self.stalled_until = None;
    }

    /// Ready when a deadline has passed; `held_for` is how much longer the answer may be held on purpose.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>, held_for: Duration) -> Poll<()> {
        let answer = self.asked_at.map(|asked_at| asked_at + REQUEST_DEADLINE + held_for);
        let Some(end) = answer.into_iter().chain(self.stalled_until).min() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// The same as [`ANSWER_BYTES_PER_SECOND_MIN`], fit to divide a span.
const BYTES_PER_SECOND: u32 = ANSWER_BYTES_PER_SECOND_MIN;
