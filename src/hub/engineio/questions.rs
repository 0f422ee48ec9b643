//! Events that ask their receivers for an acknowledgement, on behalf of a server: sent at once to whoever is
//! there, never stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use santral_core::names::{ChannelName, ConnectionId};
use santral_core::shard::SessionView;
use santral_core::socketio::Args;

/// Whom a question is for, and what it says.
#[derive(Debug, Clone)]
pub struct Question {
    /// Names it; no two questions of this server have the same.
    pub id: u64,
    /// For who follows any of these.
    pub channels: Vec<ChannelName>,
    /// For this one besides.
    pub connection: Option<ConnectionId>,
    /// Not for who follows any of these.
    pub except_channels: Vec<ChannelName>,
    /// Not for these.
    pub except_connections: Vec<ConnectionId>,
    /// The event's name.
    pub event: String,
    /// Its data as JSON text.
    pub data: String,
    /// Whether that is the array of its arguments.
    pub spread: bool,
}

impl Question {
    /// Whether it is for this session.
    pub(crate) fn is_for(&self, session: &SessionView<'_>) -> bool {
        let id = session.connection();
        let is_meant = self.connection == Some(id) || self.channels.iter().any(|channel| session.follows(channel));
        is_meant
            && !self.except_connections.contains(&id)
            && !self.except_channels.iter().any(|channel| session.follows(channel))
    }
}

/// The questions of this server whose answers are waited for.
#[derive(Debug, Default)]
pub struct Questions {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, mpsc::Sender<Args>>>,
}

impl Questions {
    /// A new question: its id, and where its answers come, at most so many.
    #[must_use]
    pub fn begin(&self, answers_max: usize) -> (u64, mpsc::Receiver<Args>) {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (answers, coming) = mpsc::channel(answers_max.max(1));
        self.waiting.lock().insert(id, answers);
        (id, coming)
    }

    /// Somebody has answered.
    pub fn answer(&self, id: u64, args: Args) {
        let waiting = self.waiting.lock().get(&id).cloned();
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _ = waiting.try_send(args);
        }
    }

    /// Nobody waits for answers any longer.
    pub fn end(&self, id: u64) {
        self.waiting.lock().remove(&id);
    }
}
