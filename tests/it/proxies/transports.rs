//! The ways in which a client listens, each a small client behind one trait.

use std::net::SocketAddr;
use std::time::Instant;

use santral_testkit::http::{HttpError, SseClient};

use crate::support::PATIENCE;

/// A way to listen to a channel.
pub(super) trait Transport: Sync {
    /// As it stands in the matrix.
    fn name(&self) -> &'static str;

    /// Follows the channel behind a position, or from now on; returns when the server says that it does.
    ///
    /// # Errors
    /// Why it did not open, in a few words.
    fn open(&self, address: SocketAddr, channel: &str, after: Option<&str>) -> Result<Box<dyn Link>, String>;
}

/// One open connection, or what stands for it.
pub(super) trait Link {
    /// What comes before the deadline.
    fn next(&mut self, deadline: Instant) -> Step;

    /// What a resume names; `None` before there is anything.
    fn position(&self) -> Option<String>;
}

/// What comes next.
pub(super) enum Step {
    /// A message: its position and its data, as JSON.
    Message(String, String),
    /// Nothing in time.
    Nothing,
    /// The connection is over, and why.
    End(String),
}

/// All of them, in the order of the matrix.
pub(super) const ALL: [&dyn Transport; 1] = [&EventStream];

/// Server-Sent Events.
struct EventStream;

impl Transport for EventStream {
    fn name(&self) -> &'static str {
        "SSE"
    }

    fn open(&self, address: SocketAddr, channel: &str, after: Option<&str>) -> Result<Box<dyn Link>, String> {
        let path = format!("/api/events?channel={channel}&broadcast=0");
        let resume: Vec<_> = after.map(|id| ("Last-Event-ID", id)).into_iter().collect();
        let mut client = SseClient::open(address, &path, &resume, PATIENCE).map_err(|error| in_short(&error))?;
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

/// An error without the whole answer.
fn in_short(error: &HttpError) -> String {
    match error {
        HttpError::NotAStream(answer) => format!("status {}", answer.status),
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}
