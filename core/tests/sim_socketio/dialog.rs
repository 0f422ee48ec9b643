//! The client's end of one connection: polls, posts, the upgrade, as the library of the clients does it.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use santral_core::engineio::{CloseReason, Refusal};

use crate::line::Up;
use crate::plan::{MILLIS, Micros};
use crate::reader::{Arrived, Packet, Reader};
use crate::requests::{Asked, HttpRequest};
use crate::world::{Check, Event, World};

/// What a client is answered.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Packets, and when they were sent.
    Packets(String, Micros),
    Taken,
    Refused(Refusal),
    /// A WebSocket was accepted.
    Accepted(usize),
}

/// How a client reaches the server at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The answer to the handshake is not there; on this WebSocket, if any.
    Opening(Option<usize>),
    Polling,
    /// A WebSocket was asked for.
    Connecting(usize),
    /// It was probed.
    Probing(usize),
    /// It may take over once the last poll and POST are answered.
    Pausing(usize),
    WebSocket(usize),
    Over,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Dialog {
    pub(crate) client: usize,
    pub(crate) host: usize,
    pub(crate) stage: Stage,
    pub(crate) polls: Vec<usize>,
    pub(crate) posts: Vec<usize>,
    outbox: Vec<String>,
    reader: Reader,
    /// What came by the WebSocket while the answer of a poll was still to come.
    frames: VecDeque<(u8, Vec<u8>)>,
    pub(crate) asked: BTreeSet<String>,
    pub(crate) joined: BTreeSet<String>,
    /// Namespaces that the client has left: what was on its way from there means nothing to it.
    pub(crate) left: BTreeSet<String>,
    /// Events of sockets that have not heard that they have joined.
    pub(crate) early: Vec<Packet>,
    pub(crate) events: u64,
    /// Namespace and id of events that will be acknowledged, in order.
    pub(crate) unacknowledged: Vec<(String, u64)>,
    /// Those of namespaces that the client has left since.
    pub(crate) unawaited: BTreeSet<u64>,
    /// For what reasons the connection may end.
    pub(crate) blame: Vec<CloseReason>,
    pub(crate) is_rude: bool,
    pub(crate) is_asleep: bool,
    pub(crate) dozes_until: Micros,
}

impl Dialog {
    pub(crate) fn new(client: usize, host: usize) -> Self {
        Self {
            client,
            host,
            stage: Stage::Opening(None),
            polls: Vec::new(),
            posts: Vec::new(),
            outbox: Vec::new(),
            reader: Reader::default(),
            frames: VecDeque::new(),
            asked: BTreeSet::new(),
            joined: BTreeSet::new(),
            left: BTreeSet::new(),
            early: Vec::new(),
            events: 0,
            unacknowledged: Vec::new(),
            unawaited: BTreeSet::new(),
            blame: Vec::new(),
            is_rude: false,
            is_asleep: false,
            dozes_until: 0,
        }
    }

    /// The handshake goes by this WebSocket.
    pub(crate) fn begin_on(&mut self, line: usize) {
        self.stage = Stage::Opening(Some(line));
    }

    /// Leaves a namespace, or was made to.
    pub(crate) fn forget(&mut self, namespace: &str) {
        self.joined.remove(namespace);
        self.early.retain(|event| event.namespace != namespace);
        let gone = self.unacknowledged.extract_if(.., |(other, _)| other == namespace);
        self.unawaited.extend(gone.map(|(_, id)| id));
    }

    /// Whether polls and posts are its transport.
    pub(crate) fn is_polling(&self) -> bool {
        matches!(self.stage, Stage::Polling | Stage::Connecting(_) | Stage::Probing(_))
    }
}

impl World {
    /// Asks for every namespace of the client that was not asked for.
    pub(crate) fn ask_to_join(&mut self, dialog: usize) -> Check {
        let client = &self.clients[self.dialogs[dialog].client];
        let mut packets = Vec::new();
        for &namespace in &client.namespaces {
            if !self.dialogs[dialog].asked.insert(namespace.to_owned()) {
                continue;
            }
            let memory = client.memories.get(namespace).filter(|memory| memory.pid.is_some());
            let auth = match memory {
                Some(memory) if memory.offset.is_some() => {
                    json!({"recover": true, "pid": memory.pid, "offset": memory.offset})
                }
                Some(memory) => json!({"recover": true, "pid": memory.pid}),
                None if client.recover => json!({"recover": true}),
                None => json!({}),
            };
            let name = if namespace == "/" { String::new() } else { format!("{namespace},") };
            packets.push(format!("40{name}{auth}"));
        }
        self.say(dialog, packets)
    }

    /// Sends packets by whatever is the transport.
    pub(crate) fn say(&mut self, dialog: usize, packets: Vec<String>) -> Check {
        let talker = &mut self.dialogs[dialog];
        match talker.stage {
            Stage::Over | Stage::Opening(_) => (),
            _ if talker.is_asleep => (),
            Stage::WebSocket(line) => packets.into_iter().for_each(|packet| self.send_up(line, packet)),
            Stage::Polling | Stage::Connecting(_) | Stage::Probing(_) | Stage::Pausing(_) => {
                talker.outbox.extend(packets);
                self.post_outbox(dialog);
            }
        }
        Ok(())
    }

    fn post_outbox(&mut self, dialog: usize) {
        let talker = &mut self.dialogs[dialog];
        if talker.is_polling() && talker.posts.is_empty() && !talker.outbox.is_empty() {
            let body = std::mem::take(&mut talker.outbox).join("\u{1e}");
            self.send_post(dialog, body);
        }
    }

    pub(crate) fn send_post(&mut self, dialog: usize, body: String) {
        let request = self.new_request(dialog);
        self.dialogs[dialog].posts.push(request);
        let way = self.plan.way;
        self.soon(way, Event::Arrive(Asked::Post(request, body)));
    }

    pub(crate) fn send_poll(&mut self, dialog: usize) {
        let request = self.new_request(dialog);
        self.dialogs[dialog].polls.push(request);
        let way = self.plan.way;
        self.soon(way, Event::Arrive(Asked::Poll(request)));
    }

    fn new_request(&mut self, dialog: usize) -> usize {
        self.requests.push(HttpRequest { dialog, ..HttpRequest::default() });
        self.requests.len() - 1
    }

    /// A message of a WebSocket, behind those before it.
    pub(crate) fn send_up(&mut self, line: usize, packet: String) {
        let up = match packet.strip_prefix('b') {
            Some(base64) => Up::Binary(STANDARD.decode(base64).expect("our own packet")),
            None => Up::Text(packet),
        };
        self.send_on(line, up);
    }

    pub(crate) fn send_on(&mut self, line: usize, up: Up) {
        let delay = self.rng.below(self.plan.way + 1);
        let due = (self.now + delay).max(self.lines[line].sent_at);
        self.lines[line].sent_at = due;
        self.lines[line].sent.push_back(up);
        self.after(due - self.now, Event::LineUp(line));
    }

    pub(crate) fn on_answer(&mut self, dialog: usize, request: usize, reply: Reply) -> Check {
        let talker = &mut self.dialogs[dialog];
        talker.polls.retain(|poll| *poll != request);
        talker.posts.retain(|post| *post != request);
        match (reply, talker.stage) {
            (_, Stage::Over) => return Ok(()),
            // Who polls twice cannot know in which order the answers were sent.
            _ if talker.is_rude => return Ok(()),
            (Reply::Packets(packet, _), Stage::Opening(None)) => {
                if !packet.starts_with("0{\"sid\":") {
                    return Err(format!("no handshake: {packet}"));
                }
                talker.stage = Stage::Polling;
                self.ask_to_join(dialog)?;
            }
            (Reply::Packets(text, at), _) => self.take_polled(dialog, &text, at)?,
            (Reply::Accepted(line), Stage::Connecting(mine)) if line == mine => {
                talker.stage = Stage::Probing(line);
                match self.rng.below(100) {
                    // Something on the way swallows what a WebSocket sends, or breaks it.
                    0..10 if !self.calm => (),
                    10..20 if !self.calm => self.send_on(line, Up::Dead),
                    _ => self.send_up(line, "2probe".to_owned()),
                }
            }
            (Reply::Accepted(_) | Reply::Taken, _) => (),
            // It had polled when the WebSocket took over.
            (Reply::Refused(Refusal::BadRequest), Stage::WebSocket(_)) => (),
            (Reply::Refused(_), _) => return self.vanish(dialog),
        }
        self.post_outbox(dialog);
        self.go_on_polling(dialog);
        self.finish_upgrade(dialog)?;
        self.take_frames(dialog)
    }

    fn take_polled(&mut self, dialog: usize, text: &str, at: Micros) -> Check {
        for packet in text.split('\u{1e}') {
            let arrived = self.dialogs[dialog].reader.polled(packet).map_err(|error| place(dialog, &error))?;
            self.take(dialog, arrived, Some(at))?;
        }
        if self.dialogs[dialog].reader.is_waiting() {
            return Err(place(dialog, "an answer ends between an event and its attachments"));
        }
        Ok(())
    }

    fn take(&mut self, dialog: usize, arrived: Arrived, polled_at: Option<Micros>) -> Check {
        match arrived {
            _ if self.dialogs[dialog].stage == Stage::Over => Ok(()),
            Arrived::Open => match self.dialogs[dialog].stage {
                Stage::Opening(Some(line)) => {
                    self.dialogs[dialog].stage = Stage::WebSocket(line);
                    self.ask_to_join(dialog)
                }
                _ => Err(place(dialog, "a second handshake")),
            },
            Arrived::Close => self.vanish(dialog),
            Arrived::Ping => {
                let delay = self.rng.below(20 * MILLIS);
                self.after(delay, Event::Say(dialog, vec!["3".to_owned()]));
                Ok(())
            }
            Arrived::Noop if polled_at.is_none() => Err(place(dialog, "a noop on a WebSocket")),
            Arrived::Noop | Arrived::Part => Ok(()),
            Arrived::Packet(packet) => {
                self.take_packet(dialog, packet, polled_at).map_err(|error| place(dialog, &error))
            }
        }
    }

    /// Polls again, perhaps after a pause.
    fn go_on_polling(&mut self, dialog: usize) {
        let talker = &self.dialogs[dialog];
        if talker.is_polling() && talker.polls.is_empty() {
            let pause = talker.dozes_until.saturating_sub(self.now);
            let pause = pause + self.rng.below(2 * MILLIS);
            self.after(pause, Event::PollAgain(dialog));
        }
    }

    pub(crate) fn on_poll_again(&mut self, dialog: usize) -> Check {
        let talker = &self.dialogs[dialog];
        if talker.is_polling() && talker.polls.is_empty() && !talker.is_asleep && !talker.is_rude {
            self.send_poll(dialog);
        }
        Ok(())
    }

    /// The WebSocket takes over once nothing is under way elsewhere.
    fn finish_upgrade(&mut self, dialog: usize) -> Check {
        let talker = &mut self.dialogs[dialog];
        let Stage::Pausing(line) = talker.stage else { return Ok(()) };
        if talker.polls.is_empty() && talker.posts.is_empty() {
            self.take_over(dialog, line);
        }
        Ok(())
    }

    fn take_over(&mut self, dialog: usize, line: usize) {
        let talker = &mut self.dialogs[dialog];
        talker.stage = Stage::WebSocket(line);
        let packets = std::mem::take(&mut talker.outbox);
        self.send_up(line, "5".to_owned());
        packets.into_iter().for_each(|packet| self.send_up(line, packet));
    }

    /// The server has answered the probe.
    fn probed(&mut self, dialog: usize, line: usize) -> Check {
        let talker = &mut self.dialogs[dialog];
        talker.stage = Stage::Pausing(line);
        if self.plan.hasty && !self.calm && talker.posts.is_empty() && self.rng.percent(60) {
            // Does not wait for its poll, and may even poll or post behind it.
            let polls_again = talker.polls.is_empty();
            self.take_over(dialog, line);
            if polls_again {
                self.send_poll(dialog);
            }
            if self.rng.percent(20) {
                self.send_post(dialog, "3".to_owned());
            }
        }
        self.finish_upgrade(dialog)
    }

    /// The network moves bytes of a WebSocket to its client.
    pub(crate) fn on_line_moves(&mut self, index: usize) -> Check {
        let (now, dialog) = (self.now, self.lines[index].dialog);
        let most = if self.calm { 1 << 16 } else { self.plan.drain_max };
        let count = usize::try_from(self.rng.between(1, most)).expect("small");
        let line = &mut self.lines[index];
        line.is_moving = false;
        if line.is_dead {
            return Ok(());
        }
        if line.stalled_until > now {
            line.is_moving = true;
            let pause = line.stalled_until - now;
            self.after(pause, Event::LineMoves(index));
            return Ok(());
        }
        line.receive(count);
        if std::mem::take(&mut line.was_full) {
            self.soon(2 * MILLIS, Event::LineReady(index));
        }
        while let Some((first, payload)) = self.lines[index].next_frame() {
            self.take_frame(dialog, index, first, payload)?;
        }
        let line = &self.lines[index];
        if line.kernel.is_empty() && line.is_closed {
            return self.line_ended(dialog, index);
        }
        self.move_line(index);
        Ok(())
    }

    pub(crate) fn move_line(&mut self, index: usize) {
        let line = &mut self.lines[index];
        if !line.is_moving && !line.is_dead && (!line.kernel.is_empty() || line.is_closed) {
            line.is_moving = true;
            self.soon(4 * MILLIS, Event::LineMoves(index));
        }
    }

    fn take_frame(&mut self, dialog: usize, line: usize, first: u8, payload: Vec<u8>) -> Check {
        match (self.dialogs[dialog].stage, first) {
            (_, 0x88) => self.line_ended(dialog, line),
            (Stage::Probing(mine), 0x81) if mine == line && payload == b"3probe" => self.probed(dialog, line),
            (Stage::WebSocket(mine) | Stage::Opening(Some(mine)), 0x81 | 0x82) if mine == line => {
                self.dialogs[dialog].frames.push_back((first, payload));
                self.take_frames(dialog)
            }
            (Stage::Over, _) => Ok(()),
            (stage, _) => Err(place(dialog, &format!("a frame {first:x} on line {line} in {stage:?}"))),
        }
    }

    /// What came by the WebSocket, once the last poll is answered.
    fn take_frames(&mut self, dialog: usize) -> Check {
        while self.dialogs[dialog].polls.is_empty()
            && !self.dialogs[dialog].is_rude
            && let Some((first, payload)) = self.dialogs[dialog].frames.pop_front()
        {
            let reader = &mut self.dialogs[dialog].reader;
            let arrived = match first {
                0x82 => reader.binary(payload),
                _ => String::from_utf8(payload).map_err(|_| "no UTF-8".to_owned()).and_then(|text| reader.text(&text)),
            };
            let arrived = arrived.map_err(|error| place(dialog, &error))?;
            self.take(dialog, arrived, None)?;
        }
        Ok(())
    }

    /// A WebSocket is at its end.
    fn line_ended(&mut self, dialog: usize, line: usize) -> Check {
        self.lines[line].is_dead = true;
        let talker = &mut self.dialogs[dialog];
        match talker.stage {
            Stage::Connecting(mine) | Stage::Probing(mine) if mine == line => {
                talker.stage = Stage::Polling;
                Ok(())
            }
            Stage::Pausing(mine) | Stage::WebSocket(mine) | Stage::Opening(Some(mine)) if mine == line => {
                self.vanish(dialog)
            }
            _ => Ok(()),
        }
    }

    /// The client gives the connection up; the server hears of it late, or never.
    pub(crate) fn vanish(&mut self, dialog: usize) -> Check {
        let talker = &mut self.dialogs[dialog];
        if talker.stage == Stage::Over {
            return Ok(());
        }
        talker.stage = Stage::Over;
        talker.blame.extend([CloseReason::TransportError, CloseReason::PingTimeout, CloseReason::TransportClose]);
        let (client, polls) = (talker.client, std::mem::take(&mut talker.polls));
        let way = 10 * self.plan.way;
        for poll in polls {
            if self.rng.percent(80) {
                self.soon(way, Event::Dropped(poll));
            }
        }
        for line in 0..self.lines.len() {
            if self.lines[line].dialog == dialog && !self.lines[line].is_dead {
                self.lines[line].is_dead = true;
                if self.rng.percent(80) {
                    self.send_on(line, Up::Dead);
                }
            }
        }
        self.come_back(client);
        Ok(())
    }
}

fn place(dialog: usize, error: &str) -> String {
    format!("connection {dialog}: {error}")
}
