//! Socket.IO by hand, over either transport of it, with connection state recovery.

use std::time::Instant;

use santral_testkit::http::Request;
use santral_testkit::websocket::{Message, WebSocket};
use serde_json::{Value, json};

use super::subscriber::{Line, SILENCE_MAX, Subscriber};
use super::{CHANNEL, offset};

/// What a client of Socket.IO remembers between two connections.
pub(crate) struct SocketIo {
    transport: &'static str,
    pid: Option<String>,
    /// Whether an event came since the CONNECT with that pid, so that there is an offset to show.
    has_offset: bool,
    /// Whether the room was joined under that pid.
    is_joined: bool,
    /// Events that came before the join was acknowledged.
    early: Vec<String>,
}

/// One Engine.IO session.
enum Engine {
    WebSocket(WebSocket),
    /// The path of the session.
    Polling(String),
}

/// The connection is over.
struct Over;

impl SocketIo {
    pub(crate) fn new(transport: &'static str) -> Self {
        Self { transport, pid: None, has_offset: false, is_joined: false, early: Vec::new() }
    }

    fn run(&mut self, client: &mut Subscriber) -> Result<(), Over> {
        let mut engine = Engine::open(self.transport, client)?;
        let mut auth = json!({ "recover": true });
        if let Some(pid) = &self.pid {
            auth["pid"] = json!(pid);
            if self.has_offset {
                auth["offset"] = json!(client.position);
            }
        }
        engine.say(client, &format!("40{auth}"))?;
        while !client.is_done() {
            for packet in engine.hear(client)? {
                if packet == "2" {
                    engine.say(client, "3")?;
                } else if let Some(connect) = packet.strip_prefix("40") {
                    self.connected(connect);
                    if !self.is_joined {
                        let join = json!(["join", CHANNEL]);
                        engine.say(client, &format!("421{join}"))?;
                    }
                } else if let Some(ack) = packet.strip_prefix("431") {
                    self.joined(client, ack);
                } else if let Some(event) = packet.strip_prefix("42") {
                    match self.is_joined {
                        true => self.take(client, event),
                        false => self.early.push(event.to_owned()),
                    }
                } else {
                    return Err(Over);
                }
            }
        }
        Ok(())
    }

    /// Another pid than before is another socket: nothing of the old one is left.
    fn connected(&mut self, connect: &str) {
        let connect: Value = serde_json::from_str(connect).expect("CONNECT carries JSON");
        let pid = connect["pid"].as_str().expect("recovery was asked for").to_owned();
        if self.pid.as_ref() != Some(&pid) {
            *self = Self { pid: Some(pid), ..Self::new(self.transport) };
        }
    }

    /// From here on the room is heard. Who was in it before has lost what came in between, and knows it by
    /// the new socket.
    fn joined(&mut self, client: &mut Subscriber, ack: &str) {
        let ack: Value = serde_json::from_str(ack).expect("an ack carries JSON");
        assert_eq!(ack[0]["ok"], true, "{ack}");
        self.is_joined = true;
        let last = ack[0]["last_id"].as_str().expect("a join tells the room's last position").to_owned();
        // A join whose ack was lost may have let events in already.
        let early = std::mem::take(&mut self.early);
        let first = early.first().and_then(|event| offset_of(event)).map(|first| before(&first));
        let begin = first.filter(|first| offset(first) < offset(&last)).unwrap_or(last);
        if let Some(position) = client.position.clone() {
            client.take("gap", Some(&begin), &json!({ "requested": position, "resumedFrom": begin }));
        } else {
            client.take("hello", Some(&begin), &json!({}));
        }
        for event in early {
            self.take(client, &event);
        }
    }

    fn take(&mut self, client: &mut Subscriber, event: &str) {
        let arguments: Vec<Value> = serde_json::from_str(event).expect("an event carries an array");
        match arguments.as_slice() {
            [name, data, offset] => {
                let name = name.as_str().expect("an event has a name");
                client.take(name.trim_start_matches("santral:"), offset.as_str(), data);
                self.has_offset = true;
            }
            [name, data] => client.take(name.as_str().unwrap_or_default().trim_start_matches("santral:"), None, data),
            other => panic!("no event of this test: {other:?}"),
        }
    }
}

/// The position behind an event's arguments.
fn offset_of(event: &str) -> Option<String> {
    let arguments: Vec<Value> = serde_json::from_str(event).ok()?;
    arguments.last()?.as_str().map(str::to_owned)
}

/// The position right before this one.
fn before(position: &str) -> String {
    let (epoch, _) = position.split_once('-').expect("a position has an epoch");
    format!("{epoch}-{}", offset(position) - 1)
}

impl Line for SocketIo {
    fn connect(&mut self, client: &mut Subscriber) {
        // How it ends makes no difference: the next connection goes on.
        let _ = self.run(client);
    }
}

impl Engine {
    fn open(transport: &str, client: &Subscriber) -> Result<Self, Over> {
        let path = format!("/socket.io/?EIO=4&transport={transport}");
        if transport == "websocket" {
            let mut socket = WebSocket::open(client.address, &path, &[], SILENCE_MAX).map_err(|_| Over)?;
            return match socket.next_message(Instant::now() + SILENCE_MAX) {
                Ok(Some(Message::Text(opening))) if opening.starts_with('0') => Ok(Self::WebSocket(socket)),
                Ok(Some(other)) => panic!("no handshake: {other:?}"),
                Ok(None) | Err(_) => Err(Over),
            };
        }
        let answer = Request::get(&path).send(client.address, SILENCE_MAX).map_err(|_| Over)?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let opening: Value = serde_json::from_str(&answer.text()[1..]).expect("a handshake carries JSON");
        Ok(Self::Polling(format!("{path}&sid={}", opening["sid"].as_str().expect("a sid is text"))))
    }

    fn say(&mut self, client: &Subscriber, packet: &str) -> Result<(), Over> {
        match self {
            Self::WebSocket(socket) => socket.send_text(packet, Instant::now() + SILENCE_MAX).map_err(|_| Over),
            Self::Polling(path) => match Request::post(path, packet).send(client.address, SILENCE_MAX) {
                Ok(answer) if answer.status == 200 => Ok(()),
                // The session has ended meanwhile, as it does for whoever vanishes during a poll.
                Ok(answer) if answer.status == 400 => Err(Over),
                Ok(answer) => panic!("{answer:?}"),
                Err(_) => Err(Over),
            },
        }
    }

    /// The next packets.
    fn hear(&mut self, client: &Subscriber) -> Result<Vec<String>, Over> {
        match self {
            Self::WebSocket(socket) => match socket.next_message(Instant::now() + SILENCE_MAX) {
                Ok(Some(Message::Text(text))) => Ok(vec![text]),
                Ok(_) | Err(_) => Err(Over),
            },
            Self::Polling(path) => match Request::get(path).send(client.address, SILENCE_MAX) {
                Ok(answer) if answer.status == 200 => Ok(answer.text().split('\x1E').map(str::to_owned).collect()),
                Ok(answer) if answer.status == 400 => Err(Over),
                Ok(answer) => panic!("{answer:?}"),
                Err(_) => Err(Over),
            },
        }
    }
}
