//! What clients do, what goes wrong on purpose, how it heals, and what must hold at rest.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use santral_core::engineio::CloseReason;
use santral_core::entry::Entry;
use santral_core::names::ConnectionId;
use santral_core::position::{Epoch, Position};
use santral_schema::reason::DisconnectReason;

use crate::client::Transports;
use crate::dialog::Stage;
use crate::facts::Kind;
use crate::host::Mail;
use crate::line::Up;
use crate::oracle::check_nothing_skipped;
use crate::plan::{MILLIS, SECOND};
use crate::requests::Asked;
use crate::server::channel_in;
use crate::world::{Check, Event, World};

impl World {
    /// A client does something.
    pub(crate) fn on_act(&mut self, client: usize) -> Check {
        let pause = self.plan.act_pause;
        self.soon(2 * pause, Event::Act(client));
        let Some(dialog) = self.clients[client].dialog else { return Ok(()) };
        if self.calm || self.dialogs[dialog].is_asleep {
            return Ok(());
        }
        if self.rng.percent(self.plan.cuts) {
            return self.vanish(dialog);
        }
        if self.rng.percent(self.plan.stalls) {
            self.stall(dialog);
        }
        if self.rng.percent(self.plan.dozes) {
            self.dialogs[dialog].dozes_until = self.now + self.rng.below(150 * MILLIS);
        }
        if self.rng.percent(self.plan.sleeps) {
            self.dialogs[dialog].is_asleep = true;
            self.dialogs[dialog].blame.extend([CloseReason::PingTimeout, CloseReason::TransportError]);
            return Ok(());
        }
        if self.rng.percent(40) {
            self.begin_upgrade(dialog);
        }
        if self.rng.percent(self.plan.emits) {
            self.emit(dialog)?;
        }
        if self.rng.percent(self.plan.leaves) {
            return self.leave(dialog);
        }
        if self.rng.percent(self.plan.rude) {
            return self.be_rude(dialog);
        }
        Ok(())
    }

    /// The client reads nothing from its WebSocket for a while.
    fn stall(&mut self, dialog: usize) {
        if let Stage::WebSocket(line) = self.dialogs[dialog].stage {
            self.lines[line].stalled_until = self.now + self.rng.below(2 * SECOND);
            self.dialogs[dialog].blame.push(CloseReason::PingTimeout);
        }
    }

    fn begin_upgrade(&mut self, dialog: usize) {
        let talker = &self.dialogs[dialog];
        if talker.stage != Stage::Polling || self.clients[talker.client].transports != Transports::Both {
            return;
        }
        let line = self.new_line(dialog);
        self.dialogs[dialog].stage = Stage::Connecting(line);
        let way = self.plan.way;
        self.soon(way, Event::Arrive(Asked::Upgrade(dialog, line)));
        if self.rng.percent(5) {
            // One more, which is accepted and closed, or closed with the other.
            let other = self.new_line(dialog);
            self.soon(way, Event::Arrive(Asked::Upgrade(dialog, other)));
        }
    }

    /// Sends events, most of them to be acknowledged.
    fn emit(&mut self, dialog: usize) -> Check {
        let talker = &mut self.dialogs[dialog];
        let joined: Vec<_> = talker.joined.iter().cloned().collect();
        if joined.is_empty() {
            return Ok(());
        }
        let mut packets = Vec::new();
        for _ in 0..1 + self.rng.index(self.plan.flood) {
            talker.events += 1;
            let (number, namespace) = (talker.events, &joined[self.rng.index(joined.len())]);
            let mut head = if namespace == "/" { String::new() } else { format!("{namespace},") };
            if self.rng.percent(70) {
                head.push_str(&number.to_string());
                talker.unacknowledged.push((namespace.clone(), number));
            }
            if self.rng.percent(20) {
                let placeholder = "{\"_placeholder\":true,\"num\":0}";
                packets.push(format!("451-{head}[\"bin\",{{\"n\":{number},\"b\":{placeholder}}}]"));
                packets.push(format!("b{}", STANDARD.encode(number.to_be_bytes())));
                continue;
            }
            let name = self.rng.pick(&["ev", "join", "join", "leave"]);
            let room = self.rng.pick(&["a", "b"]);
            packets.push(format!("42{head}[\"{name}\",{{\"n\":{number},\"room\":\"{room}\"}}]"));
        }
        self.say(dialog, packets)
    }

    /// The client leaves a namespace, or closes the connection in peace.
    fn leave(&mut self, dialog: usize) -> Check {
        let talker = &mut self.dialogs[dialog];
        let client = talker.client;
        match talker.stage {
            Stage::Opening(_) | Stage::Over | Stage::Pausing(_) => Ok(()),
            Stage::Polling | Stage::Connecting(_) | Stage::Probing(_) => {
                if !talker.posts.is_empty() {
                    return Ok(());
                }
                talker.blame.push(CloseReason::TransportClose);
                self.send_post(dialog, "1".to_owned());
                // The next poll is on its way, or will be: it may come before or behind.
                if self.dialogs[dialog].polls.is_empty() {
                    self.send_poll(dialog);
                }
                self.dialogs[dialog].is_asleep = true;
                Ok(())
            }
            Stage::WebSocket(line) if self.rng.percent(50) => {
                talker.blame.extend([CloseReason::TransportClose, CloseReason::TransportError]);
                talker.stage = Stage::Over;
                self.lines[line].is_dead = true;
                let up = if self.rng.percent(50) { Up::Closed } else { Up::Text("1".to_owned()) };
                self.send_on(line, up);
                // What is sent to it still, the kernel of the client refuses.
                self.send_on(line, Up::Dead);
                self.come_back(client);
                Ok(())
            }
            Stage::WebSocket(_) => {
                let Some(namespace) = talker.joined.first().cloned() else { return Ok(()) };
                talker.forget(&namespace);
                talker.asked.remove(&namespace);
                talker.left.insert(namespace.clone());
                self.clients[client].memories.remove(&namespace);
                let name = if namespace == "/" { String::new() } else { format!("{namespace},") };
                self.say(dialog, vec![format!("41{name}")])
            }
        }
    }

    /// Breaks a rule; the connection ends for it.
    fn be_rude(&mut self, dialog: usize) -> Check {
        let talker = &mut self.dialogs[dialog];
        if !matches!(talker.stage, Stage::Polling | Stage::WebSocket(_)) {
            return Ok(());
        }
        talker.is_rude = true;
        let reason = match (self.rng.below(4), talker.is_polling()) {
            (0, true) => {
                self.send_poll(dialog);
                self.send_poll(dialog);
                CloseReason::TransportError
            }
            (1, true) => {
                self.send_post(dialog, "3".to_owned());
                self.send_post(dialog, "3".to_owned());
                CloseReason::TransportError
            }
            (2, _) => {
                self.say(dialog, vec!["2".to_owned()])?;
                CloseReason::TransportError
            }
            _ => {
                let packet = self.rng.pick(&["x", "4", "42[", "42/other,[\"ev\"]", "451-[\"ev\"]"]);
                self.say(dialog, vec![packet.to_owned(), "42[\"behind\"]".to_owned()])?;
                CloseReason::ParseError
            }
        };
        self.dialogs[dialog].blame.extend([reason, CloseReason::PingTimeout]);
        Ok(())
    }

    /// Somebody publishes.
    pub(crate) fn on_publish(&mut self) -> Check {
        let pause = self.plan.publish_pause * if self.calm { 8 } else { 1 };
        if self.quiet {
            return Ok(());
        }
        self.soon(2 * pause, Event::Publish);
        let namespace = self.rng.pick(&["/", "/chat"]);
        let room = self.rng.pick(&["broadcast", "a", "b"]);
        let channel = channel_in(namespace, room);
        let stays: Vec<_> = self.facts.stays.keys().cloned().collect();
        if self.rng.percent(self.plan.direct) && !stays.is_empty() {
            let id = stays[self.rng.index(stays.len())].clone();
            let connection = ConnectionId::parse(&id).expect("our own");
            let host =
                (0..self.hosts.len()).find(|&host| self.hosts[host].shard.find_connection(&connection).is_some());
            if let Some(host) = host {
                let (uid, publication) = self.facts.draw(Kind::Direct, channel, &self.plan, &mut self.rng);
                self.mail(host, Mail::Direct(connection, uid, publication));
            }
            return Ok(());
        }
        let is_volatile = self.rng.percent(self.plan.volatile);
        let kind = if is_volatile { Kind::Volatile } else { Kind::Stored };
        let (uid, publication) = self.facts.draw(kind, channel, &self.plan, &mut self.rng);
        let at = self.timestamp();
        let entry = if is_volatile {
            Arc::new(Entry::volatile(at, publication))
        } else {
            let offset = self.facts.head() + 1;
            let entry = Arc::new(Entry::stored(Position::new(Epoch(1), offset), at, publication));
            self.facts.log.insert(offset, uid);
            self.facts.entries.insert(offset, Arc::clone(&entry));
            entry
        };
        for host in 0..self.hosts.len() {
            self.mail(host, Mail::Message(uid, Arc::clone(&entry)));
        }
        Ok(())
    }

    /// Retention removes what every shard has had.
    pub(crate) fn on_trim(&mut self) -> Check {
        self.soon(SECOND, Event::Trim);
        if self.plan.retained == 0 || self.calm {
            return Ok(());
        }
        let had = self.hosts.iter().map(|host| host.shard.head().offset).min().unwrap_or(0);
        let upto = self.facts.head().saturating_sub(self.plan.retained).min(had).max(self.facts.trimmed_to);
        self.facts.trimmed_to = upto;
        self.facts.entries = self.facts.entries.split_off(&(upto + 1));
        for host in 0..self.hosts.len() {
            if self.rng.percent(50) {
                self.mail(host, Mail::Trimmed(upto));
            }
        }
        Ok(())
    }

    /// The server ends something.
    pub(crate) fn on_trouble(&mut self) -> Check {
        self.check_polls()?;
        self.soon(300 * MILLIS, Event::Trouble);
        // Who sleeps or has said goodbye, gives up one day.
        for client in 0..self.clients.len() {
            if let Some(dialog) = self.clients[client].dialog
                && (self.dialogs[dialog].is_asleep || self.dialogs[dialog].is_rude)
                && (self.calm || self.rng.percent(15))
            {
                self.vanish(dialog)?;
            }
        }
        if self.calm || !self.rng.percent(self.plan.server_ends) {
            return Ok(());
        }
        let host = self.rng.index(self.hosts.len());
        let now = self.moment();
        if self.rng.percent(30) {
            let engines = &self.hosts[host].engines;
            let Some(&index) = engines.get(self.rng.index(engines.len().max(1))) else { return Ok(()) };
            let reason = self.rng.pick(&[CloseReason::ForcedClose, CloseReason::ServerShuttingDown]);
            self.dialogs[index].blame.push(reason);
            if let Some(engine) = self.engines[index].as_mut() {
                engine.close(now, reason);
            }
            return self.settle(index);
        }
        let sessions: Vec<_> = self.hosts[host].by_session.keys().copied().collect();
        if sessions.is_empty() {
            return Ok(());
        }
        let session = sessions[self.rng.index(sessions.len())];
        let reason = self.rng.pick(&[
            DisconnectReason::Kicked,
            DisconnectReason::Blocked,
            DisconnectReason::Draining,
            DisconnectReason::LimitReached,
        ]);
        self.hosts[host].shard.disconnect(now, session, reason);
        self.carry_out_effects(host)?;
        self.wake_soon(host);
        Ok(())
    }

    /// Trouble is over: lines flow, whoever sleeps gives up and comes again.
    pub(crate) fn heal(&mut self) -> Check {
        self.calm = true;
        self.plan.page_entries_max = self.plan.page_entries_max.max(8);
        for line in &mut self.lines {
            (line.stalled_until, line.capacity) = (0, line.capacity.max(20_000));
        }
        for line in 0..self.lines.len() {
            self.soon(MILLIS, Event::LineMoves(line));
        }
        Ok(())
    }

    /// At rest everybody has everything.
    pub(crate) fn check_at_rest(&self) -> Check {
        for (number, client) in self.clients.iter().enumerate() {
            let fail = |what: &str| Err(format!("client {number} at rest: {what}: {client:?}"));
            let Some(dialog) = client.dialog.map(|dialog| &self.dialogs[dialog]) else {
                return fail("it has no connection");
            };
            for &namespace in &client.namespaces {
                let memory = client.memories.get(namespace).filter(|_| dialog.joined.contains(namespace));
                let Some(memory) = memory else {
                    if dialog.asked.contains(namespace) {
                        return fail("it was not told that it has joined");
                    }
                    continue;
                };
                check_nothing_skipped(&self.facts, memory, self.facts.head()).or_else(|error| fail(&error))?;
                let directs = self.facts.stays.get(&memory.id).map_or(0, |stay| stay.directs.len());
                if memory.next_direct < directs && memory.excused_to < directs {
                    return fail("INV-5: direct messages are missing");
                }
            }
            if !dialog.unacknowledged.is_empty() {
                return fail("acknowledgements are missing");
            }
        }
        Ok(())
    }

    /// Every connection ends once, and so does each stay on it (INV-8).
    pub(crate) fn end_everything(&mut self) -> Check {
        let now = self.moment();
        for index in 0..self.engines.len() {
            self.dialogs[index].blame.push(CloseReason::ServerShuttingDown);
            if let Some(engine) = self.engines[index].as_mut() {
                engine.is_busy = false;
                engine.inbox.clear();
                engine.close(now, CloseReason::ServerShuttingDown);
            }
            self.settle(index)?;
            if let Some(engine) = self.engines[index].as_ref().filter(|engine| engine.ended.len() != 1) {
                return Err(format!("connection {index} has {} ends", engine.ended.len()));
            }
        }
        for host in 0..self.hosts.len() {
            self.take_notices(host)?;
            self.carry_out_effects(host)?;
            if !self.hosts[host].by_session.is_empty() {
                return Err("a socket outlives its connection".to_owned());
            }
        }
        let open = self.facts.stays.iter().find(|(_, stay)| stay.attached != stay.ended);
        open.map_or(Ok(()), |(id, stay)| {
            Err(format!("INV-8: socket {id} has not ended as often as it began: {stay:?}"))
        })
    }
}
