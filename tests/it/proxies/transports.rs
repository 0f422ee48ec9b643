//! The ways in which a client listens to what is for everyone, each a small client behind one trait.

mod event_stream;
mod poll;
mod socketio;
mod websocket;

use std::net::SocketAddr;
use std::time::Instant;

use santral_testkit::http::{HttpError, Response};
use serde_json::Value;

use event_stream::EventStream;
use poll::LongPoll;
use socketio::SocketIo;
use websocket::OverWebSocket;

/// A way to listen to the channel `broadcast`.
pub(super) trait Transport: Sync {
    /// As it stands in the matrix.
    fn name(&self) -> &'static str;

    /// Goes on behind a position of this transport, or begins now; returns when the server says that it does.
    ///
    /// # Errors
    /// Why it did not open, in a few words.
    fn open(&self, address: SocketAddr, after: Option<&str>) -> Result<Box<dyn Link>, String>;
}

/// One open connection, or what stands for it.
pub(super) trait Link {
    /// What comes before the deadline.
    fn next(&mut self, deadline: Instant) -> Step;

    /// What a resume names, behind what was handed out; `None` before there is anything.
    fn position(&self) -> Option<String>;

    /// Whether the server itself goes on where the client was; else it has told the client so, which has read
    /// what it missed from the history.
    fn is_resumed(&self) -> bool {
        true
    }
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
pub(super) const ALL: [&dyn Transport; 6] =
    [&EventStream, &OverWebSocket, &LongPoll, &SocketIo::Polling, &SocketIo::WebSocket, &SocketIo::Upgrading];

/// What an event as JSON means to a follower; `None` for one that says nothing.
fn step_of(event: &Value) -> Option<Step> {
    match event["event"].as_str().unwrap_or_default() {
        "message" => {
            let id = event["id"].as_str().unwrap_or_default().to_owned();
            Some(Step::Message(id, event["data"].to_string()))
        }
        "ping" | "hello" => None,
        "bye" => Some(Step::End("bye".to_owned())),
        _ => Some(Step::End(format!("unexpected: {event}"))),
    }
}

/// An error without the whole answer.
fn in_short(error: &HttpError) -> String {
    match error {
        HttpError::NotAStream(answer) | HttpError::NotUpgraded(answer) => refusal(answer),
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// The status, and what Santral's own answer says of a header that got lost.
fn refusal(answer: &Response) -> String {
    let is_stripped = answer.status == 426 && answer.text().contains("Upgrade");
    let why = if is_stripped { ", `Upgrade` is taken out" } else { "" };
    format!("status {}{why}", answer.status)
}
