//! What the server does with a connection: outputs carried out, requests of sockets, ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use santral_core::engineio::{CloseReason, Output};
use santral_core::limits::{ENGINEIO_CLOSING_MAX, ENGINEIO_TOMBSTONE};
use santral_core::names::{ChannelName, Selector};
use santral_core::session::SessionKey;
use santral_core::socketio::{Args, Namespace, Request, encode, frames};
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::dialog::Reply;
use crate::engine::{Engine, named};
use crate::facts::Follow;
use crate::host::Notice;
use crate::world::{Check, Event, World};

/// The channel of a room.
pub(crate) fn channel_in(namespace: &str, room: &str) -> ChannelName {
    let name = if namespace == "/" { room.to_owned() } else { format!("${namespace}#{room}") };
    ChannelName::from_log(&name).expect("a valid name")
}

impl World {
    /// Does what the machine wants done, and what follows from it.
    pub(crate) fn settle(&mut self, index: usize) -> Check {
        while let Some(output) = self.engines[index].as_mut().and_then(|engine| engine.connection.poll_output()) {
            self.carry_output(index, output)?;
        }
        let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
        self.reached.extend(engine.notes.drain(..));
        let (host, bug) = (engine.host, self.bug);
        if std::mem::take(&mut engine.writable) && (bug != Some(Bug::LostWakeUp) || self.rng.percent(80)) {
            let notices = engine.sockets.keys().map(Notice::Writable);
            self.hosts[host].notices.extend(notices);
        }
        if engine.ending.is_some() && !engine.is_busy && engine.inbox.is_empty() {
            self.end_sockets(index);
        }
        let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
        if engine.wants_to_be_heard(bug) {
            engine.is_busy = true;
            self.hosts[host].notices.push_back(Notice::Heard(index));
        }
        engine.check_memory(self.largest_frame)?;
        for line in [engine.websocket, engine.candidate].into_iter().flatten() {
            self.move_line(line);
        }
        self.wake_soon(host);
        Ok(())
    }

    fn carry_output(&mut self, index: usize, output: Output) -> Check {
        let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
        match output {
            Output::PollReady => self.answer_poll(index)?,
            Output::Writable => engine.writable = true,
            Output::Flush => engine.flush(&mut self.lines),
            Output::CloseCandidate => {
                if let Some(line) = engine.candidate.take() {
                    if engine.connection.is_open() {
                        self.note("a WebSocket does not take over in time");
                    }
                    self.close_line(line);
                }
            }
            Output::CloseWebSocket => {
                if let Some(line) = engine.websocket.take() {
                    self.close_line(line);
                }
            }
            Output::Ended(reason) => self.note_end(index, reason)?,
            Output::Forget => engine.is_forgotten = true,
        }
        Ok(())
    }

    /// A connection ends once, and only for what has happened to it.
    fn note_end(&mut self, index: usize, reason: CloseReason) -> Check {
        let now = self.moment();
        let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
        engine.ended.push((reason, now.0));
        engine.ending = Some(reason_of(reason));
        if engine.ended.len() > 1 {
            return Err(format!("connection {index} has ended twice: {:?}", engine.ended));
        }
        self.reached.insert(match reason {
            CloseReason::TransportClose => "a client closes",
            CloseReason::TransportError => "a client is unreachable",
            CloseReason::PingTimeout => "a client sends no pong",
            CloseReason::ParseError => "a client sends what is no packet",
            CloseReason::ForcedClose => "the server closes for now",
            CloseReason::ForcedServerClose => "the server closes for good",
            CloseReason::ServerShuttingDown => "the server stops",
        });
        let blame = &self.dialogs[index].blame;
        if !blame.contains(&reason) {
            return Err(format!("connection {index} ended with {reason:?}, which nothing explains: {blame:?}"));
        }
        if engine.held_poll.is_some() || engine.websocket.is_some() {
            return Ok(());
        }
        engine.farewell = match reason {
            _ if engine.is_closed_here => Some(("1", (now + ENGINEIO_CLOSING_MAX).0)),
            CloseReason::TransportClose => Some(("6", (now + ENGINEIO_TOMBSTONE).0)),
            CloseReason::ForcedClose
            | CloseReason::ForcedServerClose
            | CloseReason::ServerShuttingDown
            | CloseReason::TransportError
            | CloseReason::PingTimeout
            | CloseReason::ParseError => None,
        };
        if self.bug == Some(Bug::TombstoneMissing) && reason == CloseReason::TransportClose {
            engine.is_forgotten = true;
        }
        Ok(())
    }

    fn end_sockets(&mut self, index: usize) {
        let Some(engine) = self.engines[index].as_mut() else { return };
        let Some(reason) = engine.ending.take() else { return };
        if self.bug == Some(Bug::SocketsNotEnded) && self.rng.percent(20) {
            return;
        }
        let sessions: Vec<_> = engine.sockets.keys().collect();
        for session in sessions {
            engine.sockets.removed(session);
            self.hosts[engine.host].notices.push_back(Notice::Down(session, reason));
        }
    }

    /// Fires what is due at the connections of a shard.
    pub(crate) fn fire_engines(&mut self, host: usize) -> Check {
        let now = self.moment();
        for index in self.hosts[host].engines.clone() {
            let Some(engine) = self.engines[index].as_mut() else { continue };
            if engine.next_timeout().is_some_and(|due| due <= now) {
                if engine.is_full() {
                    engine.connection.prove_alive(now);
                }
                engine.connection.handle_timeout(now);
                if engine.connection.is_open() && engine.sockets.is_overdue(now) {
                    self.dialogs[index].blame.push(CloseReason::ForcedClose);
                    engine.close(now, CloseReason::ForcedClose);
                }
                self.settle(index)?;
            }
        }
        let engines = &self.engines;
        self.hosts[host].engines.retain(|&index| engines[index].as_ref().is_some_and(|engine| !engine.is_over()));
        Ok(())
    }

    pub(crate) fn on_line_up(&mut self, line: usize) -> Check {
        let Some(up) = self.lines[line].sent.pop_front() else { return Ok(()) };
        self.lines[line].is_broken |= up == crate::line::Up::Dead;
        self.lines[line].unread.push_back(up);
        self.on_line_ready(line)
    }

    /// The kernel has news of a WebSocket.
    pub(crate) fn on_line_ready(&mut self, line: usize) -> Check {
        let (index, step) = (self.lines[line].dialog, self.step_now());
        let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
        if [engine.websocket, engine.candidate].contains(&Some(line)) {
            engine.ready(&mut self.lines, step);
            self.settle(index)?;
        }
        self.move_line(line);
        Ok(())
    }

    /// Carries out what the client has said, one by one.
    pub(crate) fn serve(&mut self, index: usize) -> Check {
        loop {
            let step = self.step_now();
            let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
            let request = engine.next_request(&mut self.lines, step);
            engine.is_busy = matches!(request, Some(Ok(_)));
            let post = if engine.is_full() { None } else { engine.waiting_post.take() };
            if let Some(post) = post {
                self.end_post(post, Reply::Taken)?;
            }
            match request {
                None => return self.settle(index),
                Some(Err(error)) if !self.dialogs[index].is_rude => {
                    return Err(format!("an honest client broke a rule: {error}"));
                }
                Some(Err(_)) => self.settle(index)?,
                Some(Ok(request)) if self.rng.percent(50) => self.carry(index, request)?,
                Some(Ok(request)) => {
                    let delay = self.plan.mail_delay;
                    self.soon(delay, Event::Carried(index, Box::new(request)));
                    return self.settle(index);
                }
            }
        }
    }

    pub(crate) fn on_carried(&mut self, index: usize, request: Request<SessionKey>) -> Check {
        self.carry(index, request)?;
        self.serve(index)
    }

    fn carry(&mut self, index: usize, request: Request<SessionKey>) -> Check {
        match request {
            Request::Join { namespace, auth } => self.join(index, &namespace, auth.as_deref()),
            Request::JoinTooMany { .. } => Err("no client joins so many namespaces".to_owned()),
            Request::Leave { socket } => {
                let (now, host) = (self.moment(), self.dialogs[index].host);
                self.hosts[host].by_session.remove(&socket);
                self.hosts[host].shard.leave(now, socket);
                self.carry_out_effects(host)
            }
            Request::Event { socket, namespace, ack, name, args } => {
                let number = self.hear(index, &name, &args)?;
                self.act_on(index, socket, &namespace, &name, &args);
                let Some(id) = ack else { return Ok(()) };
                let pad = "x".repeat(if self.plan.flood > 1 { 8_000 } else { 0 });
                let answer = Args::parse(&json!([{"ok": true, "n": number, "pad": pad}]).to_string());
                let answer = answer.ok_or("an array")?;
                let mut packet = String::new();
                encode::ack(&mut packet, &namespace, id.into_number(), &answer);
                if self.bug == Some(Bug::AcknowledgedTwice) {
                    packet = packet.repeat(2);
                }
                let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
                if engine.sockets.namespace_of(socket).is_some() {
                    engine.connection.send(packet.as_bytes());
                }
                self.settle(index)
            }
            Request::Answer { .. } => Err("nobody was asked".to_owned()),
        }
    }

    /// A client's events come in order, whole, and none is missing.
    fn hear(&mut self, index: usize, name: &str, args: &Args) -> Result<u64, String> {
        let engine = self.engines[index].as_mut().ok_or("an event before its connection")?;
        let value: Value = serde_json::from_str(args.as_array()).map_err(|error| error.to_string())?;
        let number = value[0]["n"].as_u64().ok_or("an event without a number")?;
        if number <= engine.heard || (number > engine.heard + 1 && !engine.may_skip) {
            return Err(format!("event {number} of connection {index} came behind event {}", engine.heard));
        }
        if name == "bin" && value[0]["b"] != json!({"$bytes": STANDARD.encode(number.to_be_bytes())}) {
            return Err(format!("event {number} lost its bytes: {value}"));
        }
        engine.heard = number;
        Ok(number)
    }

    fn act_on(&mut self, index: usize, session: SessionKey, namespace: &Namespace, name: &str, args: &Args) {
        let host = self.dialogs[index].host;
        let shard = &mut self.hosts[host].shard;
        let Some(present) = shard.identity(session) else { return };
        let Some(stay) = self.facts.stays.get_mut(present.connection.as_str()) else { return };
        let room = if args.as_array().contains("\"a\"") { "a" } else { "b" };
        let channel = channel_in(namespace.as_str(), room);
        let head = shard.head().offset;
        let mut open = stay.follows.iter_mut().filter(|follow| follow.channel == channel && follow.until.is_none());
        match (name, open.next()) {
            ("join", None) => {
                let subscribed = shard.subscribe(session, vec![Selector::Channel(channel.clone())], false);
                debug_assert!(subscribed.is_ok(), "few channels");
                stay.follows.push(Follow { channel, since: head, until: None });
            }
            ("leave", Some(follow)) => {
                follow.until = Some(head);
                shard.unsubscribe(session, &[Selector::Channel(channel)]);
            }
            _ => (),
        }
    }

    /// A session has ended its connection: its client hears what it should do.
    pub(crate) fn end_socket(&mut self, index: usize, session: SessionKey, reason: DisconnectReason) -> Check {
        let now = self.moment();
        let Some(engine) = self.engines[index].as_mut() else { return Ok(()) };
        let Some(namespace) = engine.sockets.removed(session) else { return Ok(()) };
        engine.may_skip = true;
        let is_last = engine.sockets.keys().next().is_none();
        let comes_back = reason.should_reconnect() || reason == DisconnectReason::Replaced;
        let blame = &mut self.dialogs[index].blame;
        let mut close = |engine: &mut Engine, with: CloseReason| {
            blame.push(with);
            engine.close(now, with);
        };
        if reason == DisconnectReason::Draining {
            close(engine, CloseReason::ServerShuttingDown);
        } else if comes_back && is_last {
            close(engine, CloseReason::ForcedClose);
        } else {
            if !comes_back {
                let kicked = frames::system("kicked", None, &json!({"reason": reason.name()}), false);
                engine.connection.send(&named(&kicked, namespace.as_str()));
            }
            let mut packet = String::new();
            encode::disconnect(&mut packet, &namespace);
            engine.connection.send(packet.as_bytes());
            if reason == DisconnectReason::Blocked {
                close(engine, CloseReason::ForcedServerClose);
            }
        }
        self.settle(index)
    }

    /// A session is not linked here any more.
    pub(crate) fn forget_socket(&mut self, index: usize, session: SessionKey) {
        if let Some(engine) = self.engines[index].as_mut() {
            engine.sockets.removed(session);
        }
    }
}

fn reason_of(reason: CloseReason) -> DisconnectReason {
    match reason {
        CloseReason::TransportClose => DisconnectReason::ClientLeft,
        CloseReason::TransportError | CloseReason::PingTimeout => DisconnectReason::Unreachable,
        CloseReason::ParseError => DisconnectReason::BadInput,
        CloseReason::ForcedClose | CloseReason::ForcedServerClose => DisconnectReason::LimitReached,
        CloseReason::ServerShuttingDown => DisconnectReason::Draining,
    }
}
