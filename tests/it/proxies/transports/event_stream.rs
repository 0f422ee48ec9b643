//! A follower's client of `GET /api/events`.

use std::net::SocketAddr;
use std::time::Instant;

use santral_testkit::http::{HttpError, SseClient};

use super::{Link, Step, Transport, in_short};
use crate::support::PATIENCE;

/// Server-Sent Events.
pub(super) struct EventStream;

impl Transport for EventStream {
    fn name(&self) -> &'static str {
        "SSE"
    }

    fn open(&self, address: SocketAddr, after: Option<&str>) -> Result<Box<dyn Link>, String> {
        let resume: Vec<_> = after.map(|id| ("Last-Event-ID", id)).into_iter().collect();
        let mut client =
            SseClient::open(address, "/api/events", &resume, PATIENCE).map_err(|error| in_short(&error))?;
        let hello = client.next_event(Instant::now() + PATIENCE).map_err(|error| in_short(&error))?;
        match hello {
            Some(event) if event.event_type == "hello" => Ok(Box::new(client)),
            other => Err(format!("no hello but {other:?}")),
        }
    }
}

impl Link for SseClient {
    fn next(&mut self, deadline: Instant) -> Step {
        loop {
            match self.next_event(deadline) {
                Ok(Some(event)) if event.event_type == "message" => {
                    return Step::Message(event.last_event_id, event.data);
                }
                Ok(Some(event)) if event.event_type == "ping" => {}
                Ok(Some(event)) if event.event_type == "bye" => return Step::End("bye".to_owned()),
                Ok(Some(event)) => return Step::End(format!("unexpected: {event:?}")),
                Ok(None) => return Step::End("closed".to_owned()),
                Err(HttpError::Deadline { .. }) => return Step::Nothing,
                Err(error) => return Step::End(in_short(&error)),
            }
        }
    }

    fn position(&self) -> Option<String> {
        Some(self.last_event_id().to_owned()).filter(|id| !id.is_empty())
    }
}
