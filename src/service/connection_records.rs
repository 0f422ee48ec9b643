//! The record of who was connected, written behind and never the truth of who is online.
//!
//! On overload starts are dropped first: an end whose start is missing does no harm, a start whose
//! end is missing would stay open until the next start of the server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use santral_core::limits::{CONNECTION_PRUNE_INTERVAL, CONNECTION_QUEUE_MAX, CONNECTION_TEXT_BYTES_MAX};
use santral_schema::reason::DisconnectReason;

use super::event_log::{RecordRetention, now, shortened};
use super::write_behind::{Sink, WriteBehind};
use crate::ports::connections::{ConnectionEnd, ConnectionRecord, ConnectionStart, ConnectionStore};
use crate::ports::store::StoreError;

/// Records connections. Shared by everyone.
pub struct ConnectionRecorder {
    queue: WriteBehind<ConnectionRecord>,
    retention: Arc<Mutex<RecordRetention>>,
}

impl ConnectionRecorder {
    /// Closes what a crashed run of this node left open, and starts the thread that stores. Blocks
    /// for a moment.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(store: Arc<dyn ConnectionStore>, node: &str, retention: RecordRetention) -> io::Result<Arc<Self>> {
        match store.close_stale(node, DisconnectReason::Unreachable.code(), now()) {
            Ok(0) => (),
            Ok(count) => log::info!("{count} connections of an earlier run had no end; they have one now"),
            // The rows stay open until the next start; nobody asks them who is online.
            Err(error) => log::warn!("connections of an earlier run stay open in the record: {error}"),
        }
        let retention = Arc::new(Mutex::new(retention));
        let kept = Arc::clone(&retention);
        let make_sink = |_| ConnectionSink { store, retention: kept };
        let queue = WriteBehind::start("connections", CONNECTION_QUEUE_MAX, CONNECTION_PRUNE_INTERVAL, make_sink)?;
        Ok(Arc::new(Self { queue, retention }))
    }

    /// Records that a connection began. Never blocks.
    pub fn started(&self, start: ConnectionStart) {
        let short = |text: Option<Arc<str>>| text.map(|text| shorten(text, CONNECTION_TEXT_BYTES_MAX));
        let start = ConnectionStart { address: short(start.address), user_agent: short(start.user_agent), ..start };
        self.queue.push_leaving_room(ConnectionRecord::Started(start));
    }

    /// Records that a connection ended. Never blocks.
    pub fn ended(&self, end: ConnectionEnd) {
        self.queue.push(ConnectionRecord::Ended(end));
    }

    /// Starts and ends that were lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Changes what retention keeps; in force within [`CONNECTION_PRUNE_INTERVAL`].
    pub fn set_retention(&self, retention: RecordRetention) {
        *self.retention.lock() = retention;
    }

    /// Takes no more; what waits is still stored.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits after [`Self::close`] until everything is stored; `false` if that takes longer. Blocking.
    pub fn join(&self, within: Duration) -> bool {
        self.queue.join(within)
    }
}

/// A text within its bound; one that is, is shared as before.
fn shorten(text: Arc<str>, bytes_max: usize) -> Arc<str> {
    if text.len() <= bytes_max { text } else { shortened(&text, bytes_max).into() }
}

struct ConnectionSink {
    store: Arc<dyn ConnectionStore>,
    retention: Arc<Mutex<RecordRetention>>,
}

impl Sink for ConnectionSink {
    type Item = ConnectionRecord;

    fn store(&mut self, batch: &[ConnectionRecord]) -> Result<(), StoreError> {
        self.store.record(batch)
    }

    fn has_more_to_say(&self) -> bool {
        false
    }

    fn prune(&mut self) -> Result<bool, StoreError> {
        let retention = *self.retention.lock();
        self.store.prune(retention.oldest_kept(), retention.rows_max)
    }
}

#[cfg(test)]
mod tests {
    use santral_core::entry::Timestamp;
    use santral_core::names::ConnectionId;

    use super::*;

    #[derive(Default)]
    struct Rows {
        records: Mutex<Vec<ConnectionRecord>>,
        stale: Mutex<Vec<String>>,
    }

    impl ConnectionStore for Rows {
        fn record(&self, records: &[ConnectionRecord]) -> Result<(), StoreError> {
            self.records.lock().extend_from_slice(records);
            Ok(())
        }

        fn close_stale(&self, node: &str, _: u16, _: Timestamp) -> Result<usize, StoreError> {
            assert!(self.records.lock().is_empty(), "before anything of this run");
            self.stale.lock().push(node.to_owned());
            Err(StoreError::Busy)
        }

        fn prune(&self, _: Timestamp, _: u64) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    #[test]
    fn what_began_and_ended_is_recorded_in_order() {
        let rows = Arc::<Rows>::default();
        let retention = RecordRetention { rows_max: 10, age_max: Duration::MAX };
        let recorder = ConnectionRecorder::start(Arc::clone(&rows) as _, "here", retention).expect("a thread");
        let id = ConnectionId::parse(&"c".repeat(22)).expect("22 characters");
        recorder.started(ConnectionStart {
            id,
            node: "here".into(),
            user: None,
            transport: "sse",
            address: None,
            user_agent: Some("ğ".repeat(1_000).into()),
            at: Timestamp(1),
        });
        recorder.ended(ConnectionEnd { id, code: 4000, at: Timestamp(2) });
        recorder.close();
        assert!(recorder.join(Duration::from_secs(20)));
        assert_eq!(*rows.stale.lock(), ["here"]);
        let records = rows.records.lock();
        let [ConnectionRecord::Started(start), ConnectionRecord::Ended(_)] = &records[..] else {
            panic!("in order: {records:?}")
        };
        assert!(start.user_agent.as_ref().is_some_and(|text| text.len() <= CONNECTION_TEXT_BYTES_MAX));
    }
}
