//! A follower's client of `GET /api/v1/ws`.

use std::net::SocketAddr;
use std::time::Instant;

use santral_testkit::http::HttpError;
use santral_testkit::websocket::{Frame, Message, Opcode, WebSocket};
use serde_json::Value;

use super::{Link, Step, Transport, in_short, step_of};
use crate::support::PATIENCE;

/// One text message an event.
pub(super) struct OverWebSocket;

struct OpenWebSocket {
    socket: WebSocket,
    position: Option<String>,
}

impl Transport for OverWebSocket {
    fn name(&self) -> &'static str {
        "WebSocket"
    }

    fn open(&self, address: SocketAddr, after: Option<&str>) -> Result<Box<dyn Link>, String> {
        let resume = after.map(|id| format!("?lastEventId={id}")).unwrap_or_default();
        let path = format!("/api/v1/ws{resume}");
        let socket = WebSocket::open(address, &path, &[], PATIENCE).map_err(|error| in_short(&error))?;
        let mut open = OpenWebSocket { socket, position: None };
        match open.next_event(Instant::now() + PATIENCE).map_err(|error| in_short(&error))? {
            Ok(hello) if hello["event"] == "hello" => {
                open.position = hello["id"].as_str().map(str::to_owned);
                Ok(Box::new(open))
            }
            other => Err(format!("no hello but {other:?}")),
        }
    }
}

impl OpenWebSocket {
    /// The next event; `Err` within `Ok` is the end, and why. Pings are answered.
    fn next_event(&mut self, deadline: Instant) -> Result<Result<Value, String>, HttpError> {
        loop {
            match self.socket.next_message(deadline)? {
                Some(Message::Text(text)) => return Ok(serde_json::from_str(&text).map_err(|error| error.to_string())),
                Some(Message::Ping(payload)) => self.socket.send(&Frame::new(Opcode::PONG, payload), deadline)?,
                Some(Message::Pong(_)) => {}
                Some(Message::Close { code, .. }) => return Ok(Err(format!("close {}", code.unwrap_or_default()))),
                Some(Message::Binary(_)) => return Ok(Err("a binary message".to_owned())),
                None => return Ok(Err("closed".to_owned())),
            }
        }
    }
}

impl Link for OpenWebSocket {
    fn next(&mut self, deadline: Instant) -> Step {
        loop {
            match self.next_event(deadline) {
                Ok(Ok(event)) => {
                    if let Some(id) = event["id"].as_str() {
                        self.position = Some(id.to_owned());
                    }
                    if let Some(step) = step_of(&event) {
                        return step;
                    }
                }
                Ok(Err(why)) => return Step::End(why),
                Err(HttpError::Deadline { .. }) => return Step::Nothing,
                Err(error) => return Step::End(in_short(&error)),
            }
        }
    }

    fn position(&self) -> Option<String> {
        self.position.clone()
    }
}
