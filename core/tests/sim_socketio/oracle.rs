//! The oracle: every packet that a client is sent, held against what was published.

use serde_json::{Value, json};

use santral_core::position::{Offset, Position};

use crate::client::Memory;
use crate::facts::{Fact, Facts, Kind};
use crate::plan::{MILLIS, Micros};
use crate::reader::Packet;
use crate::world::{Check, World};

/// How long a volatile message may be on its way from its shard to the answer of a poll.
const VOLATILE_MAX: Micros = 60 * MILLIS;

impl World {
    /// A packet of Socket.IO has reached a client.
    pub(crate) fn take_packet(&mut self, dialog: usize, packet: Packet, polled_at: Option<Micros>) -> Check {
        match packet.kind {
            0 => self.take_connect(dialog, &packet),
            1 => self.take_disconnect(dialog, &packet),
            2 => self.take_event(dialog, packet, polled_at),
            3 => self.take_ack(dialog, &packet),
            _ => Err(format!("nobody is refused: {packet:?}")),
        }
    }

    fn take_connect(&mut self, dialog: usize, packet: &Packet) -> Check {
        let talker = &mut self.dialogs[dialog];
        let namespace = &packet.namespace;
        require(talker.asked.contains(namespace), "an answer to a CONNECT that was sent")?;
        require(talker.joined.insert(namespace.clone()), "one answer to a CONNECT")?;
        talker.left.remove(namespace);
        let text = |name: &str| packet.payload[name].as_str().map(str::to_owned);
        let (id, pid) = (text("sid").ok_or("no sid")?, text("pid"));
        let early: Vec<_> = talker.early.extract_if(.., |event| event.namespace == *namespace).collect();
        let client = &mut self.clients[talker.client];
        require(pid.is_some() == client.recover, "a pid for those who can come back")?;
        let stay = self.facts.stays.get(&id).ok_or("an id that nobody has")?;
        if let Some(memory) = client.memories.get_mut(namespace).filter(|memory| pid.is_some() && memory.pid == pid) {
            require(memory.id == id, "the id that the socket had")?;
            for event in early {
                self.take_event(dialog, event, None)?;
            }
            return self.check_missed(dialog, namespace);
        }
        require(early.is_empty(), "no event before the answer to CONNECT")?;
        let memory = Memory { id, pid, complete_to: stay.start, ..Memory::default() };
        client.memories.insert(namespace.clone(), memory);
        Ok(())
    }

    /// What was missed comes before the answer to CONNECT, so that the client takes it for that.
    fn check_missed(&mut self, dialog: usize, namespace: &str) -> Check {
        let memory = &mut self.clients[self.dialogs[dialog].client].memories.get_mut(namespace).ok_or("no socket")?;
        let stay = self.facts.stays.get(&memory.id).ok_or("a socket without a stay")?;
        let has_directs = memory.next_direct.max(memory.excused_to) >= stay.missed_directs;
        // Behind a gap they have moved to where the session goes on.
        let has_directs = has_directs || memory.gap_to > stay.missed_to;
        require(has_directs, "direct messages that were missed come before the answer to CONNECT")?;
        check_nothing_skipped(&self.facts, memory, stay.missed_to)
    }

    fn take_disconnect(&mut self, dialog: usize, packet: &Packet) -> Check {
        let talker = &mut self.dialogs[dialog];
        let namespace = &packet.namespace;
        talker.forget(namespace);
        if talker.left.contains(namespace) {
            return Ok(());
        }
        require(talker.asked.remove(namespace), "a DISCONNECT from where the client was")?;
        self.clients[talker.client].memories.remove(namespace);
        // This client insists.
        self.ask_to_join(dialog)
    }

    fn take_ack(&mut self, dialog: usize, packet: &Packet) -> Check {
        let talker = &mut self.dialogs[dialog];
        if packet.id.is_some_and(|id| talker.unawaited.remove(&id)) {
            return Ok(());
        }
        require(!talker.unacknowledged.is_empty(), "no acknowledgement too many")?;
        let waiting = talker.unacknowledged.remove(0);
        let is_next = waiting.0 == packet.namespace && Some(waiting.1) == packet.id;
        require(is_next, "acknowledgements come in order, each once")?;
        require(packet.payload[0]["ok"] == true && packet.payload[0]["n"] == waiting.1, "the answer to this event")
    }

    fn take_event(&mut self, dialog: usize, packet: Packet, polled_at: Option<Micros>) -> Check {
        let talker = &mut self.dialogs[dialog];
        let host = talker.host;
        if !talker.joined.contains(&packet.namespace) && talker.left.contains(&packet.namespace) {
            return Ok(());
        }
        if !talker.joined.contains(&packet.namespace) {
            let known = self.clients[talker.client].memories.get(&packet.namespace);
            let comes_back = known.is_some_and(|memory| memory.pid.is_some());
            require(talker.asked.contains(&packet.namespace) && comes_back, "an event before its socket")?;
            talker.early.push(packet);
            self.note("events come before the answer to CONNECT");
            return Ok(());
        }
        require(packet.id.is_none(), "an event that nobody must acknowledge")?;
        let client = &mut self.clients[talker.client];
        let recover = client.recover;
        let memory = client.memories.get_mut(&packet.namespace).ok_or("an event for no socket")?;
        let Value::Array(mut args) = packet.payload else { return Err("no array".to_owned()) };
        let offset = args.last().filter(|_| recover).and_then(Value::as_str).map(str::to_owned);
        let name = args.remove(0);
        let name = name.as_str().unwrap_or_default();
        let outcome = if let Some(what) = name.strip_prefix("santral:") {
            if what == "gap" {
                self.reached.insert("a client is told of a gap");
            }
            take_notice(&self.facts, memory, what, &args, recover)
        } else {
            let (uid, fact) = self.facts.find(name).ok_or_else(|| format!("nobody published {name}"))?;
            if let (Some(at), Kind::Volatile) = (polled_at, fact.kind) {
                let taken = fact.taken.get(&host).copied().unwrap_or(Micros::MAX);
                require(at <= taken.saturating_add(VOLATILE_MAX), "a volatile message waits for no poll")?;
            }
            check_content(fact, &mut args, &packet.attachments, recover)
                .and_then(|place| take_message(&self.facts, memory, uid, fact, place, recover))
                .map_err(|error| format!("{error}: {name} {:.200}", format!("{fact:?}")))
        };
        if offset.is_some() {
            memory.offset = offset;
        }
        outcome
    }
}

/// Name, arguments, attachments as they were published. Returns the place that stood behind them.
fn check_content(fact: &Fact, args: &mut Vec<Value>, attachments: &[Vec<u8>], placed: bool) -> Result<Value, String> {
    let mut place = Value::Null;
    if placed && fact.kind != Kind::Volatile {
        place = args.pop().filter(Value::is_string).ok_or("an event without its place")?;
    }
    let is_text = fact.args.last().is_none_or(Value::is_string);
    let mut expected = fact.args.clone();
    if placed && fact.kind == Kind::Volatile && is_text {
        expected.push(Value::Null);
    }
    if *args != expected {
        return Err(format!("arguments changed to {:.100}", json!(args).to_string()));
    }
    require(attachments == fact.attachments, "the attachments that were published, in their order")?;
    Ok(place)
}

fn take_message(facts: &Facts, memory: &mut Memory, uid: u64, fact: &Fact, place: Value, placed: bool) -> Check {
    let stay = facts.stays.get(&memory.id).ok_or("a socket without a stay")?;
    let place: Option<Position> = place.as_str().and_then(|text| text.parse().ok());
    if placed && fact.kind != Kind::Volatile {
        let place = place.ok_or("a place that is none")?;
        require(memory.last.is_none_or(|last| last < place), "places grow")?;
        memory.last = Some(place);
    }
    match fact.kind {
        Kind::Volatile => {
            require(stay.follows.iter().any(|follow| follow.channel == fact.channel), "a channel that is followed")?;
            require(memory.volatile_seen.insert(uid), "a volatile message once")
        }
        Kind::Direct => {
            let index = stay.directs.iter().position(|direct| *direct == uid).ok_or("somebody else's message")?;
            require(index >= memory.next_direct, "INV-5: a direct message once")?;
            require(index == memory.next_direct || index <= memory.excused_to, "INV-5: every direct message")?;
            memory.next_direct = index + 1;
            if let Some(place) = place {
                require(place.sub > 0, "a direct message has a sub-position")?;
                check_nothing_skipped(facts, memory, place.offset)?;
                memory.complete_to = memory.complete_to.max(place.offset);
            }
            Ok(())
        }
        Kind::Stored => {
            let found = facts.log.iter().find(|(_, stored)| **stored == uid);
            let (&offset, _) = found.ok_or("a message that is not in the log")?;
            require(!placed || place.is_some_and(|place| place.offset == offset && place.sub == 0), "its own place")?;
            require(offset > memory.complete_to, "INV-2: an entry once and in order")?;
            require(stay.may_get(fact, offset), "a channel that is followed")?;
            check_nothing_skipped(facts, memory, offset - 1)?;
            memory.complete_to = offset;
            Ok(())
        }
    }
}

/// INV-3: nothing that the client must have lies between what it has and `upto`.
pub(crate) fn check_nothing_skipped(facts: &Facts, memory: &Memory, upto: Offset) -> Check {
    let stay = facts.stays.get(&memory.id).ok_or("a socket without a stay")?;
    let mut skipped = facts.between(memory.complete_to, upto).filter(|(offset, fact)| stay.must_get(fact, *offset));
    match skipped.next() {
        None => Ok(()),
        Some((offset, _)) => Err(format!("INV-3: offset {offset} was skipped on the way to {upto}")),
    }
}

/// An event of the server's own.
fn take_notice(facts: &Facts, memory: &mut Memory, what: &str, args: &[Value], placed: bool) -> Check {
    match what {
        "kicked" => Ok(()),
        "gap" => {
            let resumed = args[0]["resumedFrom"].as_str().and_then(|text| text.parse::<Position>().ok());
            let resumed = resumed.ok_or("a gap that does not say where it ends")?;
            match args[0]["reason"].as_str() {
                Some("retention") => {
                    require(resumed.offset <= facts.trimmed_to, "a gap covers only what is gone")?;
                    memory.complete_to = memory.complete_to.max(resumed.offset);
                    memory.gap_to = resumed.offset;
                    require(placed == args.get(1).is_some_and(Value::is_string), "the place behind the gap")
                }
                Some("inbox") => {
                    memory.excused_to = facts.stays.get(&memory.id).map_or(0, |stay| stay.directs.len());
                    Ok(())
                }
                reason => Err(format!("a gap for {reason:?}")),
            }
        }
        other => Err(format!("a notice santral:{other}")),
    }
}

pub(crate) fn require(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(format!("violated: {what}")) }
}
