//! A follower's client of `/socket.io/`: what `socket.io-client` does, in the three ways in which it can.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use santral_testkit::http::{Exchange, HttpError, Request, Response};
use santral_testkit::websocket::{Message, WebSocket};
use serde_json::{Value, json};

use super::{Link, Step, Transport, in_short, refusal};
use crate::support::PATIENCE;

/// Which transports of Engine.IO the client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketIo {
    /// `transports: ["polling"]`.
    Polling,
    /// `transports: ["websocket"]`.
    WebSocket,
    /// The default: begins by polling, and upgrades where it can.
    Upgrading,
}

/// A socket in the namespace `/`, whose state the server shall keep.
struct Socket {
    address: SocketAddr,
    way: Way,
    /// Packets that came and were not looked at yet.
    packets: VecDeque<String>,
    /// Messages that were read from the history, or came before the answer to CONNECT.
    missed: VecDeque<(String, String)>,
    pid: String,
    offset: Option<String>,
    is_recovered: bool,
}

enum Way {
    Polling { sid: String, held: Option<Exchange> },
    WebSocket(Box<WebSocket>),
}

impl Transport for SocketIo {
    fn name(&self) -> &'static str {
        match self {
            Self::Polling => "Socket.IO, polling",
            Self::WebSocket => "Socket.IO, WebSocket",
            Self::Upgrading => "Socket.IO, both",
        }
    }

    fn open(&self, address: SocketAddr, after: Option<&str>) -> Result<Box<dyn Link>, String> {
        let mut socket = match self {
            Self::WebSocket => Socket::over_websocket(address)?,
            Self::Polling | Self::Upgrading => Socket::by_polling(address)?,
        };
        socket.connect(after)?;
        if *self == Self::Upgrading {
            socket.upgrade()?;
        }
        Ok(Box::new(socket))
    }
}

impl Socket {
    fn new(address: SocketAddr, way: Way) -> Self {
        let (packets, missed) = (VecDeque::new(), VecDeque::new());
        Self { address, way, packets, missed, pid: String::new(), offset: None, is_recovered: true }
    }

    fn by_polling(address: SocketAddr) -> Result<Self, String> {
        let answer = Request::get(POLLING).send(address, PATIENCE).map_err(|error| in_short(&error))?;
        let sid = sid_of(text_of(&answer)?.as_str())?;
        Ok(Self::new(address, Way::Polling { sid, held: None }))
    }

    fn over_websocket(address: SocketAddr) -> Result<Self, String> {
        let websocket = WebSocket::open(address, WEBSOCKET, &[], PATIENCE).map_err(|error| in_short(&error))?;
        let mut socket = Self::new(address, Way::WebSocket(Box::new(websocket)));
        sid_of(&socket.packet(soon())?.ok_or("no handshake")?)?;
        Ok(socket)
    }

    /// Joins the namespace; comes back to a socket where `after` names one.
    fn connect(&mut self, after: Option<&str>) -> Result<(), String> {
        let mut auth: Value = after.and_then(|after| serde_json::from_str(after).ok()).unwrap_or_else(|| json!({}));
        auth["recover"] = json!(true);
        self.send(&format!("40{auth}"))?;
        let answer = loop {
            let packet = self.packet(soon())?.ok_or("no answer to CONNECT")?;
            match packet.strip_prefix("40") {
                Some(answer) => break serde_json::from_str::<Value>(answer).map_err(|error| error.to_string())?,
                None => self.missed.extend(message_of(&packet)),
            }
        };
        answer["pid"].as_str().unwrap_or_default().clone_into(&mut self.pid);
        self.offset = auth["offset"].as_str().map(str::to_owned);
        if after.is_some() && auth["pid"] != answer["pid"] {
            self.is_recovered = false;
            self.read_history()?;
        }
        Ok(())
    }

    /// What an application does whose socket was not recovered.
    fn read_history(&mut self) -> Result<(), String> {
        let Some(since) = &self.offset else { return Ok(()) };
        let path = format!("/api/channels/broadcast/history?since={since}&limit=1000");
        let answer = Request::get(&path).send(self.address, PATIENCE).map_err(|error| in_short(&error))?;
        let page: Value = serde_json::from_str(&text_of(&answer)?).map_err(|error| error.to_string())?;
        let entries = page["entries"].as_array().cloned().unwrap_or_default();
        // The newest come first.
        let entries = entries.iter().rev().map(|entry| {
            let id = entry["id"].as_str().unwrap_or_default().to_owned();
            (id, entry["data"].to_string())
        });
        self.missed.extend(entries);
        Ok(())
    }

    /// From polling to a WebSocket; stays where it is if none opens, as clients do.
    fn upgrade(&mut self) -> Result<(), String> {
        let Way::Polling { sid, held } = &mut self.way else { return Ok(()) };
        let path = format!("{WEBSOCKET}&sid={sid}");
        let Ok(mut websocket) = WebSocket::open(self.address, &path, &[], PATIENCE) else { return Ok(()) };
        let failed = |error: HttpError| in_short(&error);
        if held.is_none() {
            let poll = Request::get(&format!("{POLLING}&sid={sid}"));
            *held = Some(poll.start(self.address, PATIENCE).map_err(failed)?);
        }
        websocket.send_text("2probe", soon()).map_err(failed)?;
        match websocket.next_message(soon()).map_err(failed)? {
            Some(Message::Text(text)) if text == "3probe" => {}
            other => return Err(format!("no answer to the probe but {other:?}")),
        }
        // The server lets go of the poll that it holds, so that nothing is in two ways at once.
        if let Some(held) = held.take() {
            let answer = held.finish(soon()).map_err(failed)?;
            self.packets.extend(text_of(&answer)?.split('\u{1e}').map(str::to_owned));
        }
        websocket.send_text("5", soon()).map_err(failed)?;
        self.way = Way::WebSocket(Box::new(websocket));
        Ok(())
    }

    fn send(&mut self, packet: &str) -> Result<(), String> {
        match &mut self.way {
            Way::WebSocket(websocket) => websocket.send_text(packet, soon()).map_err(|error| in_short(&error)),
            Way::Polling { sid, .. } => {
                let post = Request::post(&format!("{POLLING}&sid={sid}"), packet);
                let post = post.header("Content-Type", "text/plain;charset=UTF-8");
                let answer = post.send(self.address, PATIENCE).map_err(|error| in_short(&error))?;
                text_of(&answer).map(drop)
            }
        }
    }

    /// The next packet that is more than a heartbeat; `None` when there is none in time.
    fn packet(&mut self, deadline: Instant) -> Result<Option<String>, String> {
        loop {
            while let Some(packet) = self.packets.pop_front() {
                match packet.as_str() {
                    "2" => self.send("3")?,
                    "6" => {}
                    "1" => return Err("close".to_owned()),
                    _ => return Ok(Some(packet)),
                }
            }
            if Instant::now() >= deadline || !self.receive(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Takes in what comes before the deadline; false when nothing does.
    fn receive(&mut self, deadline: Instant) -> Result<bool, String> {
        match &mut self.way {
            Way::WebSocket(websocket) => match websocket.next_message(deadline) {
                Ok(Some(Message::Text(text))) => self.packets.push_back(text),
                Ok(Some(Message::Close { code, .. })) => return Err(format!("close {}", code.unwrap_or_default())),
                Ok(Some(other)) => return Err(format!("unexpected: {other:?}")),
                Ok(None) => return Err("closed".to_owned()),
                Err(HttpError::Deadline { .. }) => return Ok(false),
                Err(error) => return Err(in_short(&error)),
            },
            Way::Polling { sid, held } => {
                let failed = |error: HttpError| in_short(&error);
                let mut poll = match held.take() {
                    Some(poll) => poll,
                    None => {
                        Request::get(&format!("{POLLING}&sid={sid}")).start(self.address, PATIENCE).map_err(failed)?
                    }
                };
                let left = deadline.saturating_duration_since(Instant::now());
                if poll.is_held_for(left).map_err(failed)? {
                    *held = Some(poll);
                    return Ok(false);
                }
                let answer = poll.finish(soon()).map_err(failed)?;
                self.packets.extend(text_of(&answer)?.split('\u{1e}').map(str::to_owned));
            }
        }
        Ok(true)
    }

    /// Whether a message is new: what comes live may have been read from the history already.
    fn advance(&mut self, id: &str) -> bool {
        let is_new = self.offset.as_deref().is_none_or(|seen| number_of(id) > number_of(seen));
        if is_new {
            self.offset = Some(id.to_owned());
        }
        is_new
    }
}

impl Link for Socket {
    fn next(&mut self, deadline: Instant) -> Step {
        loop {
            let message = match self.missed.pop_front() {
                Some(missed) => Some(missed),
                None => match self.packet(deadline) {
                    Ok(Some(packet)) if packet.starts_with("41") => return Step::End("disconnected".to_owned()),
                    Ok(Some(packet)) => message_of(&packet),
                    Ok(None) => return Step::Nothing,
                    Err(why) => return Step::End(why),
                },
            };
            if let Some((id, data)) = message.filter(|(id, _)| self.advance(id)) {
                return Step::Message(id, data);
            }
        }
    }

    fn position(&self) -> Option<String> {
        let mut position = json!({ "pid": self.pid });
        if let Some(offset) = &self.offset {
            position["offset"] = json!(offset);
        }
        Some(position.to_string())
    }

    fn is_resumed(&self) -> bool {
        self.is_recovered
    }
}

/// An event named `message`: its offset and its data.
fn message_of(packet: &str) -> Option<(String, String)> {
    let arguments: Vec<Value> = serde_json::from_str(packet.strip_prefix("42")?).ok()?;
    match arguments.as_slice() {
        [name, data, offset] if name == "message" => Some((offset.as_str()?.to_owned(), data.to_string())),
        _ => None,
    }
}

fn sid_of(packet: &str) -> Result<String, String> {
    let handshake = packet.strip_prefix('0').and_then(|json| serde_json::from_str::<Value>(json).ok());
    let sid = handshake.and_then(|handshake| handshake["sid"].as_str().map(str::to_owned));
    sid.ok_or_else(|| format!("no handshake but {packet:?}"))
}

fn text_of(answer: &Response) -> Result<String, String> {
    if answer.status == 200 { Ok(answer.text()) } else { Err(refusal(answer)) }
}

/// The place of an entry in the log, without the epoch.
fn number_of(id: &str) -> u64 {
    let number = id.split_once('-').map_or("", |(_, number)| number);
    number.split('.').next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
