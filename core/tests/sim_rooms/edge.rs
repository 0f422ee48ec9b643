//! The thread of the rooms in small: its mail, what it carries out, the database behind it, and its restarts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use santral_core::rooms::{
    Effect, NewRoom, News, NewsKind, ParticipantId, ParticipantRecord, Record, RoomId, RoomRecord, Rooms, Saved,
};

use crate::bugs::Bug;
use crate::facts::{Barred, ROOMS, host_token, room_index};
use crate::hub::ShardMail;
use crate::world::{Check, Event, RoomsMail, ShortIce, World, limits};

/// What is written of rooms, and what will be.
#[derive(Debug, Default)]
pub(crate) struct Database {
    rooms: BTreeMap<RoomId, RoomRecord>,
    people: BTreeMap<ParticipantId, ParticipantRecord>,
    bans: Vec<(RoomId, Arc<str>)>,
    waiting: VecDeque<Record>,
}

impl Database {
    /// Writes what waits, up to so many rows.
    pub(crate) fn write(&mut self, count: usize) {
        for record in self.waiting.drain(..count.min(self.waiting.len())) {
            match record {
                Record::Room(row) => drop(self.rooms.insert(row.id.clone(), row)),
                Record::Participant(row) => drop(self.people.insert(row.id.clone(), row)),
                Record::Ban(room, subject) => self.bans.push((room, subject)),
            }
        }
    }

    fn next_ordinal(&self, room: &RoomId) -> u32 {
        self.people.values().filter(|row| row.room == *room).map(|row| row.ordinal + 1).max().unwrap_or(1)
    }
}

impl World {
    pub(crate) fn on_rooms_mail(&mut self, mail: RoomsMail) -> Check {
        let clock = self.clock();
        match mail {
            RoomsMail::Delivered(parcel, arrived) => self.rooms.delivered(clock, &parcel, arrived),
            RoomsMail::LinkUp(place) => self.rooms.link_up(&place),
            RoomsMail::LinkDown(session, connection, reason) => {
                self.rooms.link_down(clock, &session, connection, reason);
            }
            RoomsMail::Ask(request, place) => return self.serve(*request, place),
        }
        self.after_rooms()
    }

    /// Carries out what the rooms want, and looks at what must hold at any time.
    pub(crate) fn after_rooms(&mut self) -> Check {
        while let Some(effect) = self.rooms.poll_effect() {
            match effect {
                Effect::Deliver { to, parcel, batch } => {
                    self.check_batch(parcel.as_ref(), &batch)?;
                    self.mail_shard(to.shard, ShardMail::Deliver { to, parcel, batch });
                }
                Effect::Watch(session, on) => {
                    for shard in 0..self.plan.shards {
                        self.mail_shard(shard, ShardMail::Watch(session.reveal().to_owned(), on));
                    }
                }
                Effect::Record(record) => self.on_record(*record)?,
                Effect::Happened(news) => self.on_news(&news)?,
            }
        }
        // Every look at everything costs more than all that happens in between.
        if self.step.is_multiple_of(16) {
            self.rooms.audit()?;
        }
        self.arm_timer();
        Ok(())
    }

    fn on_record(&mut self, record: Record) -> Check {
        if let Record::Participant(row) = &record {
            let last = &mut self.facts.last_ordinal[room_index(row.room.as_str())];
            let is_known = row.ordinal <= *last;
            let was_in = self.facts.people.contains_key(row.id.as_str());
            if !is_known {
                *last = row.ordinal;
            } else if !was_in {
                return Err(format!("{} got number {} a second time", row.id, row.ordinal));
            }
            if row.left.is_some() && self.bug == Some(Bug::LeaveUnwritten) {
                return Ok(());
            }
        }
        self.database.waiting.push_back(record);
        self.after(self.plan.write_delay, Event::Written);
        Ok(())
    }

    fn on_news(&mut self, news: &News) -> Check {
        let room = room_index(news.room.as_str());
        let id = news.participant.as_ref().map(|person| person.id.to_string()).unwrap_or_default();
        match news.kind {
            NewsKind::ParticipantJoined => {
                if !self.facts.members[room].insert(id.clone()) {
                    return Err(format!("{id} came in twice"));
                }
                if self.facts.members[room].len() > self.facts.seats[room] {
                    return Err(format!("INV-10: {:?} in {} seats", self.facts.members[room], self.facts.seats[room]));
                }
            }
            NewsKind::ParticipantLeft(reason) => {
                if !self.facts.members[room].remove(&id) {
                    return Err(format!("{id} left twice"));
                }
                self.note_leave(&id, reason);
            }
            NewsKind::HostChanged => self.note("a host leaves and another becomes host"),
            NewsKind::RoomFinished(_) => self.note("a room is closed"),
            NewsKind::RoomCreated
            | NewsKind::RoomStarted
            | NewsKind::RoomEmptied
            | NewsKind::RoomChanged
            | NewsKind::LobbyWaiting
            | NewsKind::QualityPoor => (),
        }
        Ok(())
    }

    /// Makes a room, or makes it anew.
    pub(crate) fn create(&mut self, room: usize) -> Check {
        let id = RoomId::parse(ROOMS[room]).expect("a valid id");
        let epoch = format!("e{}", self.fresh());
        let new = NewRoom {
            first_ordinal: self.facts.last_ordinal[room] + 1,
            id,
            owner: "".into(),
            settings: self.plan.settings(ROOMS[room]),
            host_token: host_token(room),
            epoch: epoch.into(),
        };
        self.facts.seats[room] = usize::try_from(self.plan.seats).expect("a few");
        self.facts.barred.retain(|barred| barred.room != room);
        let id = new.id.clone();
        self.database.bans.retain(|(of, _)| *of != id);
        self.rooms.create(self.clock(), new).map_err(|refusal| format!("a room is not made: {refusal}"))?;
        self.after_rooms()
    }

    /// The server dies and starts again with what was written.
    pub(crate) fn restart(&mut self) -> Check {
        self.note("the server starts anew");
        let waiting = self.database.waiting.len();
        let written = if self.rng.percent(50) { waiting } else { self.rng.index(waiting + 1) };
        self.database.write(written);
        if written < waiting {
            self.note("rows are lost in a restart");
        }
        self.database.waiting.clear();
        self.incarnation += 1;
        self.sessions.clear();
        self.watched.iter_mut().for_each(std::collections::BTreeSet::clear);
        for client in 0..self.clients.len() {
            if self.clients[client].is_linked {
                self.cut(client);
            }
        }
        self.rooms = Rooms::new(limits(), Box::new(ShortIce));
        let bans = std::mem::take(&mut self.database.bans);
        self.facts.barred = bans
            .iter()
            .map(|(room, subject)| Barred {
                room: room_index(room.as_str()),
                principal: subject.to_string(),
                until: None,
            })
            .collect();
        self.database.bans = if self.bug == Some(Bug::BansForgotten) { Vec::new() } else { bans };
        for room in 0..2 {
            self.restore(room)?;
        }
        Ok(())
    }

    fn restore(&mut self, room: usize) -> Check {
        self.facts.members[room].clear();
        let id = RoomId::parse(ROOMS[room]).expect("a valid id");
        let next_ordinal = self.database.next_ordinal(&id);
        self.facts.last_ordinal[room] = next_ordinal - 1;
        let row = self.database.rooms.get(&id).filter(|row| row.closed.is_none()).cloned();
        let in_room = |row: &&ParticipantRecord| row.room == id && row.left.is_none();
        let participants: Vec<_> = self.database.people.values().filter(in_room).cloned().collect();
        for person in self.facts.people.values_mut().filter(|person| person.room == room) {
            person.is_gone = true;
        }
        let Some(row) = row else { return self.after_rooms() };
        for row in &participants {
            self.facts.members[room].insert(row.id.to_string());
            if let Some(person) = self.facts.people.get_mut(row.id.as_str()) {
                person.is_gone = false;
            }
        }
        self.facts.seats[room] = row.settings.max_participants as usize;
        let epoch = if self.bug == Some(Bug::EpochReused) {
            Arc::clone(&row.epoch)
        } else {
            format!("e{}", self.fresh()).into()
        };
        let bans = self.database.bans.iter().filter(|(of, _)| *of == id).map(|(_, subject)| Arc::clone(subject));
        let saved = Saved {
            room: row,
            participants,
            bans: bans.collect(),
            next_ordinal: if self.bug == Some(Bug::OrdinalsReused) { 1 } else { next_ordinal },
        };
        self.rooms.restore(self.clock(), saved, epoch);
        self.after_rooms()
    }
}
