//! The link of a session whose client polls: it takes frames while a poll waits for its answer, and nothing
//! in between; then the session keeps its cursor and the link keeps nothing.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use santral_core::json_line;
use santral_core::limits::POLL_ANSWER_BYTES_MAX;
use santral_core::shard::Written;
use santral_core::time::Moment;

use super::StreamSlot;

/// What a poll is answered with: frames, each whole.
pub type PollAnswer = oneshot::Sender<Bytes>;

/// See the module.
pub(crate) struct PollLink {
    held: Option<PollAnswer>,
    batch: BytesMut,
    /// What the client has seen if every answer has arrived; `None` when one has not.
    position: Option<String>,
    /// Until when the next poll must come, unless one is held.
    pub(super) patience_until: Moment,
    _slot: StreamSlot,
}

impl PollLink {
    /// A link whose client has been told a position by somebody else.
    pub(crate) fn new(position: String, patience_until: Moment, slot: StreamSlot) -> Self {
        Self { held: None, batch: BytesMut::new(), position: Some(position), patience_until, _slot: slot }
    }

    /// Whether a client that has seen this has every answer.
    pub(crate) fn is_at(&self, position: &str) -> bool {
        self.position.as_deref() == Some(position)
    }

    /// Holds a poll. One that was held before is answered with nothing.
    pub(crate) fn hold(&mut self, answer: PollAnswer) {
        self.answer();
        self.held = Some(answer);
    }

    /// Whether a poll waits whose client is still there.
    pub(crate) fn is_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.is_closed())
    }

    /// Takes whole frames as long as a poll waits and its answer is not too large.
    pub(crate) fn write(&mut self, frames: &[IoSlice<'_>]) -> Written {
        if !self.is_held() {
            return Written::Partial(0);
        }
        let mut taken = 0;
        for frame in frames {
            if self.batch.len() >= POLL_ANSWER_BYTES_MAX {
                return Written::Partial(taken);
            }
            self.batch.extend_from_slice(frame);
            taken += frame.len();
        }
        Written::All
    }

    /// Answers the poll that waits if there is something to say.
    pub(crate) fn answer_if_due(&mut self) {
        if !self.batch.is_empty() {
            self.answer();
        }
    }

    /// Answers the poll that waits, if there is one.
    pub(crate) fn answer(&mut self) {
        if let Some(held) = self.held.take() {
            if let Some(id) = json_line::last_id(&self.batch) {
                self.position = Some(id.to_owned());
            }
            // A client that is gone comes back with what it has seen, and then goes on from there.
            if held.send(std::mem::take(&mut self.batch).freeze()).is_err() {
                self.position = None;
            }
        }
    }

    /// The last answer.
    pub(crate) fn close(&mut self, farewell: &[u8]) {
        self.batch.extend_from_slice(farewell);
        self.answer();
    }
}
