//! What a client has said and the server has not taken up yet: bounded, since nothing more is read then.

use std::collections::VecDeque;

use bytes::Bytes;

use santral_core::engineio::Received;
use santral_core::limits::ENGINEIO_INBOX_BYTES_MAX;

/// A message for the protocol above.
#[derive(Debug)]
pub(super) enum Inbound {
    Text(String),
    Binary(Bytes),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: VecDeque<Inbound>,
    bytes: usize,
}

impl Inbox {
    /// Takes what a packet brought.
    pub(super) fn push(&mut self, received: Received<'_>) {
        let message = match received {
            Received::Text(text) => Inbound::Text(text.to_owned()),
            Received::Binary(bytes) => Inbound::Binary(bytes),
            Received::Nothing => return,
        };
        self.bytes += weight(&message);
        self.messages.push_back(message);
    }

    /// The next message.
    pub(super) fn pop(&mut self) -> Option<Inbound> {
        let message = self.messages.pop_front()?;
        self.bytes -= weight(&message);
        if self.messages.is_empty() {
            // A buffer that was needed once is not kept for ever.
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether nothing more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= ENGINEIO_INBOX_BYTES_MAX
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn weight(message: &Inbound) -> usize {
    size_of::<Inbound>()
        + match message {
            Inbound::Text(text) => text.len(),
            Inbound::Binary(bytes) => bytes.len(),
        }
}
