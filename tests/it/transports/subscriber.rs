//! A client that comes back with the last position it has seen, whatever its transport.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use santral_testkit::journal::{Journal, Record, content_hash};
use serde_json::Value;

use super::{CHANNEL, END, Phase};

/// A transport: how one connection is opened and read until it ends.
pub(crate) trait Line {
    /// Connects behind the client's position and hands over what comes, until the connection ends or the
    /// client has the last message.
    fn connect(&mut self, client: &mut Subscriber);
}

/// What a client knows, and its journal.
pub(crate) struct Subscriber {
    name: String,
    pub(crate) address: SocketAddr,
    journal: Arc<Journal>,
    phase: Arc<Phase>,
    /// The last position it has seen.
    pub(crate) position: Option<String>,
    pub(crate) has_end: bool,
    /// How long it stays away once, behind its first connections.
    nap: Option<Duration>,
    /// Whether it has slept and heard nothing since.
    is_back_from_nap: bool,
}

impl Subscriber {
    pub(crate) fn new(
        name: String,
        address: SocketAddr,
        journal: Arc<Journal>,
        phase: &Arc<Phase>,
        position: Option<String>,
    ) -> Self {
        Self {
            name,
            address,
            journal,
            phase: Arc::clone(phase),
            position,
            has_end: false,
            nap: None,
            is_back_from_nap: false,
        }
    }

    /// The same client, which stays away once for so long.
    pub(crate) fn napping(mut self, nap: Duration) -> Self {
        self.nap = Some(nap);
        self
    }

    pub(crate) fn run(mut self, line: &mut dyn Line) {
        let mut connections = 0;
        while !self.is_done() {
            let last_event_id = self.position.clone();
            self.write(Record::Attach { client: self.name.clone(), last_event_id, channels: vec![CHANNEL.to_owned()] });
            line.connect(&mut self);
            self.write(Record::Detach { client: self.name.clone() });
            connections += 1;
            let nap = if connections == CONNECTIONS_BEFORE_NAP { self.nap.take() } else { None };
            self.is_back_from_nap |= nap.is_some();
            std::thread::sleep(nap.unwrap_or(PAUSE));
        }
    }

    /// An event by its name: a message, or a word of the server about the connection.
    pub(crate) fn take(&mut self, event: &str, id: Option<&str>, data: &Value) {
        if std::mem::take(&mut self.is_back_from_nap) {
            self.phase.napping.fetch_sub(1, Ordering::AcqRel);
        }
        let client = self.name.clone();
        let owned = |value: &Value| value.as_str().map(str::to_owned);
        match event {
            "hello" => {
                let recovered = data["recovered"].as_bool();
                self.write(Record::Hello { client, id: id.map(str::to_owned), recovered });
            }
            "gap" => {
                let (requested, resumed_from) = (owned(&data["requested"]), owned(&data["resumedFrom"]));
                self.write(Record::Gap { client, requested, resumed_from, reason: owned(&data["reason"]) });
            }
            "ping" | "bye" => (),
            _ => {
                let key = data["key"].as_str().unwrap_or_else(|| panic!("{client}: no message of this test: {data}"));
                self.has_end = key == END;
                self.write(Record::Event {
                    client,
                    id: id.map(str::to_owned),
                    channel: None,
                    key: Some(key.to_owned()),
                    hash: content_hash(data.to_string().as_bytes()),
                });
            }
        }
        if let Some(id) = id {
            self.position = Some(id.to_owned());
        }
    }

    /// Whether it has the last message, or the test is over without.
    pub(crate) fn is_done(&self) -> bool {
        self.has_end || self.phase.is_over()
    }

    /// The position for a transport that always has one.
    pub(crate) fn behind(&self) -> &str {
        self.position.as_deref().expect("it began behind a position")
    }

    fn write(&self, record: Record) {
        self.journal.append(&record).expect("the journal can be written");
    }
}

/// How long a client waits for a sign of life; there is one every second.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Between two connections; shorter than what the server asks for, to make more of them.
const PAUSE: Duration = Duration::from_millis(20);

/// So that there is a session to come back to.
const CONNECTIONS_BEFORE_NAP: u32 = 2;
