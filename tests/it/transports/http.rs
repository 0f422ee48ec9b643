//! Server-Sent Events and long polls.

use std::time::Instant;

use santral_testkit::SseClient;
use santral_testkit::http::Request;
use serde_json::Value;

use super::CHANNEL;
use super::subscriber::{Line, SILENCE_MAX, Subscriber};

/// A stream.
pub(crate) struct Sse;

impl Line for Sse {
    fn connect(&mut self, client: &mut Subscriber) {
        let path = format!("/api/events?channel={CHANNEL}&broadcast=0");
        let headers = [("Last-Event-ID", client.behind())];
        let Ok(mut stream) = SseClient::open(client.address, &path, &headers, SILENCE_MAX) else { return };
        while !client.is_done() {
            let Ok(Some(event)) = stream.next_event(Instant::now() + SILENCE_MAX) else { return };
            let data: Value = serde_json::from_str(&event.data).expect("what the server says is JSON");
            let id = Some(event.last_event_id.as_str()).filter(|id| !id.is_empty());
            // An event without an id of its own has that of the one before.
            let is_own = id.is_some_and(|id| id != client.behind());
            client.take(&event.event_type, id.filter(|_| is_own), &data);
        }
    }
}

/// Poll after poll. A broken one is a connection that ended, though the session may live on.
#[derive(Default)]
pub(crate) struct Polls {
    session: Option<String>,
}

impl Line for Polls {
    fn connect(&mut self, client: &mut Subscriber) {
        while !client.is_done() {
            let session = self.session.as_ref().map(|session| format!("&session={session}")).unwrap_or_default();
            let path =
                format!("/api/poll?channel={CHANNEL}&broadcast=0&wait=1&lastEventId={}{session}", client.behind());
            let Ok(answer) = Request::get(&path).send(client.address, SILENCE_MAX) else { return };
            assert_eq!(answer.status, 200, "{answer:?}");
            let batch = answer.json().expect("a batch is JSON");
            self.session = batch["session"].as_str().map(str::to_owned);
            for event in batch["events"].as_array().expect("a batch has events") {
                let name = event["event"].as_str().expect("an event has a name");
                client.take(name, event["id"].as_str(), &event["data"]);
            }
            client.position = Some(batch["position"].as_str().expect("a batch has a position").to_owned());
        }
    }
}
