//! Requests on their way to a connection, which overtake each other, and what they must be answered.

use santral_core::engineio::{CloseReason, Connection, PollAnswer, Refusal, UpgradeVerdict, open_packet, payload};
use santral_core::limits::{ENGINEIO_ANSWER_BYTES_MAX, ENGINEIO_OUTGOING_BYTES_MAX};
use santral_core::websocket::Opcode;

use crate::bugs::Bug;
use crate::dialog::Reply;
use crate::engine::Engine;
use crate::plan::MILLIS;
use crate::world::{Check, Event, World};

/// What a client asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A connection: with the WebSocket that it begins on, or polled.
    Open(usize, Option<usize>),
    Poll(usize),
    PollGone(usize),
    Post(usize, String),
    PostBody(usize, String),
    Upgrade(usize, usize),
}

/// One poll or POST.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpRequest {
    pub(crate) dialog: usize,
    pub(crate) arrived: Option<u64>,
    /// The edge knows that the client is gone.
    pub(crate) is_dropped: bool,
    pub(crate) is_answered: bool,
}

/// What a poll must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    /// It ends the connection, and so does the one that is held.
    Second,
    Refused(Refusal),
    /// It is the first since the connection ended, and is told so.
    Told(&'static str),
}

impl World {
    pub(crate) fn on_arrive(&mut self, asked: Asked) -> Check {
        match asked {
            Asked::Open(dialog, line) => self.open_engine(dialog, line),
            Asked::Poll(request) => self.poll(request),
            Asked::PollGone(request) => self.poll_gone(request),
            Asked::Post(request, body) => self.begin_post(request, body),
            Asked::PostBody(request, body) => self.post(request, &body),
            Asked::Upgrade(dialog, line) => self.upgrade(dialog, line),
        }
    }

    fn open_engine(&mut self, dialog: usize, line: Option<usize>) -> Check {
        let (now, timing, host) = (self.moment(), self.plan.timing(), self.dialogs[dialog].host);
        let connection = match line {
            Some(_) => Connection::websocket(now, timing),
            None => Connection::polling(now, timing),
        };
        self.engines[dialog] = Some(Engine::new(host, connection, line, now));
        self.hosts[host].engines.push(dialog);
        let packet = open_packet("sid", line.is_none(), &timing, 1_000_000);
        match line {
            Some(line) => {
                self.lines[line].push(Opcode::Text, packet.as_bytes());
                self.on_line_ready(line)?;
            }
            None => self.reply(dialog, usize::MAX, Reply::Packets(packet, self.now)),
        }
        self.settle(dialog)
    }

    /// Sends an answer to a client.
    pub(crate) fn reply(&mut self, dialog: usize, request: usize, reply: Reply) {
        if let Some(request) = self.requests.get_mut(request) {
            request.is_answered = true;
        }
        let way = self.plan.way;
        self.soon(way, Event::Answer(dialog, request, reply));
    }

    /// Lets what is due happen, so that it is known what a request must find.
    fn catch_up(&mut self, dialog: usize) -> Check {
        let now = self.moment();
        if let Some(engine) = self.engines[dialog].as_mut() {
            engine.connection.handle_timeout(now);
        }
        self.settle(dialog)
    }

    fn poll(&mut self, request: usize) -> Check {
        let dialog = self.requests[request].dialog;
        self.requests[request].arrived = Some(self.now);
        self.catch_up(dialog)?;
        let fate = self.fate_of_poll(dialog);
        match fate {
            Fate::Second => self.note("a poll is held while another is"),
            Fate::Refused(Refusal::BadRequest) => self.note("a poll comes behind the upgrade"),
            Fate::Told("1") => self.note("a poll comes behind the end of the server's making"),
            Fate::Told(_) => self.note("a poll comes behind the end of the client's making"),
            Fate::Held | Fate::Refused(Refusal::SessionUnknown) => (),
        }
        let (now, bug) = (self.moment(), self.bug);
        let engine = self.engines[dialog].as_mut().ok_or("a poll before its connection")?;
        let held_before = engine.held_poll;
        if bug == Some(Bug::SecondPollTolerated) && fate == Fate::Second {
            engine.held_poll = Some(request);
            return self.check_second_poll(dialog, held_before);
        }
        if bug == Some(Bug::PolledAfterUpgrade) && fate == Fate::Refused(Refusal::BadRequest) {
            self.reply(dialog, request, Reply::Packets("6".to_owned(), now.0));
            return self.check_fate(dialog, request, fate, Ok(()));
        }
        let admitted = match engine.is_forgotten {
            true => Err(Refusal::SessionUnknown),
            false => engine.connection.poll(now),
        };
        if admitted.is_ok() {
            engine.held_poll = Some(request);
        }
        self.settle(dialog)?;
        match fate {
            Fate::Second => self.check_second_poll(dialog, held_before)?,
            Fate::Held | Fate::Refused(_) | Fate::Told(_) => (),
        }
        if let Err(refusal) = admitted {
            self.reply(dialog, request, Reply::Refused(refusal));
        }
        self.check_fate(dialog, request, fate, admitted)
    }

    fn fate_of_poll(&mut self, dialog: usize) -> Fate {
        let now = self.now;
        let Some(engine) = self.engines[dialog].as_mut() else { return Fate::Refused(Refusal::SessionUnknown) };
        if engine.ended.is_empty() {
            return match engine.held_poll {
                _ if engine.connection.is_websocket() => Fate::Refused(Refusal::BadRequest),
                Some(_) => Fate::Second,
                None => Fate::Held,
            };
        }
        let told = engine.farewell.take().filter(|(_, until)| now < *until);
        told.map_or(Fate::Refused(Refusal::SessionUnknown), |(last, _)| Fate::Told(last))
    }

    fn check_fate(&self, dialog: usize, request: usize, fate: Fate, admitted: Result<(), Refusal>) -> Check {
        let expected = match fate {
            Fate::Held | Fate::Told(_) => Ok(()),
            Fate::Second => Err(Refusal::BadRequest),
            Fate::Refused(refusal) => Err(refusal),
        };
        if admitted != expected {
            return Err(format!("poll {request} of connection {dialog} must be {fate:?} and was {admitted:?}"));
        }
        let HttpRequest { is_answered, is_dropped, .. } = self.requests[request];
        if matches!(fate, Fate::Told(_)) && !is_answered && !is_dropped {
            return Err(format!("poll {request} is held though connection {dialog} has ended"));
        }
        Ok(())
    }

    /// A second poll ends the connection: the first is told at once.
    fn check_second_poll(&self, dialog: usize, first: Option<usize>) -> Check {
        let engine = self.engines[dialog].as_ref().ok_or("no connection")?;
        let is_ended = engine.ended.first().is_some_and(|(reason, _)| *reason == CloseReason::TransportError);
        let is_told = first.is_some_and(|first| self.requests[first].is_answered || self.requests[first].is_dropped);
        if is_ended && is_told && !engine.connection.is_open() {
            return Ok(());
        }
        Err(format!("a second poll did not end connection {dialog}: {:?}", engine.ended))
    }

    /// Answers the held poll, if the machine has an answer for it.
    pub(crate) fn answer_poll(&mut self, dialog: usize) -> Check {
        let (now, bug) = (self.moment(), self.bug);
        let Some(engine) = self.engines[dialog].as_mut() else { return Ok(()) };
        let Some(request) = engine.held_poll else { return Ok(()) };
        let Some(answer) = engine.connection.take_answer(now) else { return Ok(()) };
        engine.held_poll = None;
        if self.requests[request].is_dropped {
            // Whoever asked is gone, and with it what was to be answered.
            engine.connection.fail(now);
            self.note("the answer of a poll finds nobody");
            return Ok(());
        }
        let reply = match answer {
            PollAnswer::Packets(packets) => {
                let most = ENGINEIO_ANSWER_BYTES_MAX + ENGINEIO_OUTGOING_BYTES_MAX + 2 * self.largest_frame + 16 * 1024;
                if packets.len() > most {
                    return Err(format!("an answer of {} bytes, at most {most} may be", packets.len()));
                }
                let text = String::from_utf8(payload::answer(&packets).to_vec());
                let text = text.map_err(|_| "an answer that is no text")?;
                if bug == Some(Bug::NoopForgotten) && text == "6" {
                    return Ok(());
                }
                Reply::Packets(text, now.0)
            }
            PollAnswer::Refused(refusal) => Reply::Refused(refusal),
        };
        self.reply(dialog, request, reply);
        Ok(())
    }

    /// The edge learns that a client is gone: the connection hears of it by mail.
    pub(crate) fn on_dropped(&mut self, request: usize) -> Check {
        let HttpRequest { arrived, is_answered, .. } = self.requests[request];
        if is_answered {
            return Ok(());
        }
        self.requests[request].is_dropped = true;
        if arrived.is_some() {
            let delay = self.plan.mail_delay;
            self.soon(delay, Event::Arrive(Asked::PollGone(request)));
        }
        Ok(())
    }

    fn poll_gone(&mut self, request: usize) -> Check {
        let dialog = self.requests[request].dialog;
        let Some(engine) = self.engines[dialog].as_mut() else { return Ok(()) };
        if engine.held_poll == Some(request) {
            engine.held_poll = None;
            engine.connection.poll_gone();
        }
        self.settle(dialog)
    }

    fn begin_post(&mut self, request: usize, body: String) -> Check {
        let dialog = self.requests[request].dialog;
        self.requests[request].arrived = Some(self.now);
        self.catch_up(dialog)?;
        let (now, bug) = (self.moment(), self.bug);
        let engine = self.engines[dialog].as_mut().ok_or("a POST before its connection")?;
        let expected = match engine.ended.is_empty() {
            false => Err(Refusal::SessionUnknown),
            true if engine.connection.is_websocket() => Err(Refusal::BadRequest),
            true if engine.posting.is_some() => Err(Refusal::BadRequest),
            true => Ok(()),
        };
        let is_second = engine.ended.is_empty() && engine.posting.is_some() && !engine.connection.is_websocket();
        if is_second && bug == Some(Bug::SecondPostTolerated) {
            engine.connection.post_ended();
        }
        let admitted = engine.connection.post(now);
        if admitted.is_ok() {
            engine.posting = Some(request);
        }
        self.settle(dialog)?;
        match expected {
            _ if is_second => self.note("a POST comes while another is under way"),
            Err(Refusal::BadRequest) => self.note("a POST comes behind the upgrade"),
            Err(Refusal::SessionUnknown) | Ok(()) => (),
        }
        if admitted != expected {
            return Err(format!("a POST of connection {dialog} must be {expected:?} and was {admitted:?}"));
        }
        if is_second && self.engines[dialog].as_ref().is_some_and(|engine| engine.connection.is_open()) {
            return Err(format!("a second POST did not end connection {dialog}"));
        }
        match admitted {
            Ok(()) => {
                let way = self.plan.way;
                self.soon(way, Event::Arrive(Asked::PostBody(request, body)));
            }
            Err(refusal) => self.reply(dialog, request, Reply::Refused(refusal)),
        }
        Ok(())
    }

    fn post(&mut self, request: usize, body: &str) -> Check {
        let (now, dialog) = (self.moment(), self.requests[request].dialog);
        let engine = self.engines[dialog].as_mut().ok_or("a POST before its connection")?;
        let mut is_broken = false;
        for packet in payload::packets(body) {
            match engine.connection.receive(now, packet) {
                Ok(received) => engine.push(received),
                Err(_) => is_broken = true,
            }
        }
        if is_broken {
            self.end_post(request, Reply::Refused(Refusal::BadRequest))?;
        } else if engine.inbox.is_empty() && !engine.is_busy {
            self.end_post(request, Reply::Taken)?;
        } else {
            engine.waiting_post = Some(request);
        }
        self.settle(dialog)
    }

    /// A POST is answered; before its client hears of it, the next one may come.
    pub(crate) fn end_post(&mut self, request: usize, reply: Reply) -> Check {
        let dialog = self.requests[request].dialog;
        let engine = self.engines[dialog].as_mut().ok_or("a POST before its connection")?;
        if engine.posting == Some(request) {
            engine.posting = None;
        }
        engine.connection.post_ended();
        self.reply(dialog, request, reply);
        self.settle(dialog)
    }

    fn upgrade(&mut self, dialog: usize, line: usize) -> Check {
        self.catch_up(dialog)?;
        let now = self.moment();
        let engine = self.engines[dialog].as_mut().ok_or("an upgrade before its connection")?;
        let expected = match (engine.ended.is_empty(), engine.candidate) {
            (false, _) => UpgradeVerdict::Refused(Refusal::SessionUnknown),
            (true, None) if !engine.connection.is_websocket() => UpgradeVerdict::Probe,
            (true, _) => UpgradeVerdict::AcceptAndClose,
        };
        let verdict = engine.connection.upgrade(now);
        if verdict != expected {
            return Err(format!("an upgrade of connection {dialog} must be {expected:?} and was {verdict:?}"));
        }
        match verdict {
            UpgradeVerdict::Probe => {
                engine.candidate = Some(line);
                self.reply(dialog, usize::MAX, Reply::Accepted(line));
                self.on_line_ready(line)?;
            }
            UpgradeVerdict::AcceptAndClose => {
                self.note("a WebSocket is one too many");
                self.close_line(line);
            }
            UpgradeVerdict::Refused(_) => {
                self.note("a WebSocket comes behind the end");
                self.close_line(line);
            }
        }
        self.settle(dialog)
    }

    /// Closes a WebSocket from the server's side.
    pub(crate) fn close_line(&mut self, line: usize) {
        self.lines[line].close(1000);
        self.move_line(line);
    }

    /// Polls that have been held for longer than a ping would let them.
    pub(crate) fn check_polls(&self) -> Check {
        let most = self.plan.ping_interval + self.plan.ping_timeout + 100 * MILLIS;
        for (index, request) in self.requests.iter().enumerate() {
            let since = request.arrived.filter(|_| !request.is_answered && !request.is_dropped);
            if since.is_some_and(|since| self.now > since + most) {
                return Err(format!("request {index} of connection {} has no answer", request.dialog));
            }
        }
        Ok(())
    }
}
