//! The plain WebSocket.

use std::time::Instant;

use santral_testkit::websocket::{Frame, Message, Opcode, WebSocket};
use serde_json::Value;

use super::CHANNEL;
use super::subscriber::{Line, SILENCE_MAX, Subscriber};

/// `GET /api/v1/ws`.
pub(crate) struct Plain;

impl Line for Plain {
    fn connect(&mut self, client: &mut Subscriber) {
        let path = format!("/api/v1/ws?channel={CHANNEL}&broadcast=0&lastEventId={}", client.behind());
        let Ok(mut socket) = WebSocket::open(client.address, &path, &[], SILENCE_MAX) else { return };
        while !client.is_done() {
            match socket.next_message(Instant::now() + SILENCE_MAX) {
                Ok(Some(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("what the server says is JSON");
                    let event = message["event"].as_str().expect("a message has a name");
                    client.take(event, message["id"].as_str(), &message["data"]);
                }
                Ok(Some(Message::Ping(payload))) => {
                    // What cannot be answered any more ends with the next read.
                    let _ = socket.send(&Frame::new(Opcode::PONG, payload), Instant::now() + SILENCE_MAX);
                }
                Ok(Some(Message::Binary(_) | Message::Pong(_))) => {}
                Ok(Some(Message::Close { .. }) | None) | Err(_) => return,
            }
        }
    }
}
