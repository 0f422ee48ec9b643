//! A client that comes back with the last position it has seen, until it has the log's end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use santral_testkit::SseClient;
use santral_testkit::journal::{Journal, Record, content_hash};
use santral_testkit::sse::Event;

use super::{CHANNELS, END, Envelope, Phase, key_of};

pub(super) struct Subscriber {
    name: String,
    address: SocketAddr,
    journal: Arc<Journal>,
    phase: Arc<Phase>,
    channels: Vec<String>,
    path: String,
    is_envelope: bool,
    position: Option<String>,
    has_end: bool,
}

impl Subscriber {
    /// Each number is another kind of client: its channels, its format, where it begins.
    pub(super) fn new(number: usize, address: SocketAddr, journal: Arc<Journal>, phase: &Arc<Phase>) -> Self {
        let is_envelope = number.is_multiple_of(2);
        let mut channels: Vec<String> =
            (0..1 + number % 3).map(|step| CHANNELS[(number + step) % 3].to_owned()).collect();
        match number % 4 {
            0 => channels.push("rooms/*".to_owned()),
            1 => channels.extend(["rooms/1", "rooms/3"].map(str::to_owned)),
            _ => (),
        }
        let format = if is_envelope { "envelope" } else { "raw" };
        let path = format!("/api/events?format={format}&channel={}", channels.join(","));
        // Everybody follows it unasked.
        channels.push("broadcast".to_owned());
        let position = (number.is_multiple_of(5)).then(|| "earliest".to_owned());
        let name = format!("s{number}");
        let phase = Arc::clone(phase);
        Self { name, address, journal, phase, channels, path, is_envelope, position, has_end: false }
    }

    pub(super) fn run(mut self) {
        while !self.has_end && !self.phase.is_over() {
            let (client, channels) = (self.name.clone(), self.channels.clone());
            self.write(Record::Attach { client, last_event_id: self.position.clone(), channels });
            self.connect();
            self.write(Record::Detach { client: self.name.clone() });
            std::thread::sleep(PAUSE);
        }
    }

    /// One connection, from its request to its end.
    fn connect(&mut self) {
        let header = self.position.clone().map(|position| ("Last-Event-ID", position));
        let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let Ok(mut stream) = SseClient::open(self.address, &self.path, &headers, SILENCE_MAX) else { return };
        while !self.has_end {
            // A ping comes every second: silence means that nobody is there any more.
            let Ok(Some(event)) = stream.next_event(Instant::now() + SILENCE_MAX) else { return };
            self.take(&event);
            if !stream.last_event_id().is_empty() {
                self.position = Some(stream.last_event_id().to_owned());
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let client = self.name.clone();
        let id = Some(event.last_event_id.clone()).filter(|id| !id.is_empty());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match event.event_type.as_str() {
            "hello" => {
                let hello = json(&event.data);
                self.write(Record::Hello { client, id, recovered: hello["recovered"].as_bool() });
            }
            "gap" => {
                let gap = json(&event.data);
                let (requested, resumed_from) = (text(&gap["requested"]), text(&gap["resumedFrom"]));
                self.write(Record::Gap { client, requested, resumed_from, reason: text(&gap["reason"]) });
            }
            "ping" | "bye" => (),
            _ => self.take_message(event, client, id),
        }
    }

    fn take_message(&mut self, event: &Event, client: String, id: Option<String>) {
        let (channel, data) = if self.is_envelope {
            let envelope: Envelope = serde_json::from_str(&event.data).expect("an envelope is JSON");
            assert_eq!(envelope.id, id, "envelope and frame name one position");
            (Some(envelope.channel), envelope.data.get().to_owned())
        } else {
            (None, event.data.clone())
        };
        let key = key_of(&data);
        self.has_end = key == END;
        self.write(Record::Event { client, id, channel, key: Some(key), hash: content_hash(data.as_bytes()) });
    }

    fn write(&self, record: Record) {
        self.journal.append(&record).expect("the journal can be written");
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("what the server says is JSON")
}

/// How long a client waits for a sign of life.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Between two connections; shorter than what the server asks for, to make more of them.
const PAUSE: Duration = Duration::from_millis(20);
