//! What hosts, moderators and operators do, and what befalls the server.

use santral_core::rooms::{Actor, ParticipantId, PersonChange, RoomRefusal, SettingsChange, Waiting};
use santral_schema::participants::Participant;
use santral_schema::video::{LobbyMode, MediaChange, ParticipantRole, ParticipantState};

use crate::bugs::Bug;
use crate::facts::{Barred, hash, host_token};
use crate::plan::{MILLIS, SECOND};
use crate::requests::room_id;
use crate::world::{Check, Event, World};

/// How long somebody who was kicked is kept out.
const KICK_PAUSE: u64 = 600 * SECOND;

impl World {
    pub(crate) fn on_trouble(&mut self) -> Check {
        if self.calm {
            return Ok(());
        }
        let pause = self.rng.between(100, 500);
        self.after(pause * MILLIS, Event::Trouble);
        let plan = self.plan.clone();
        for room in 0..2 {
            if self.rooms.status(&room_id(room)).is_none() && self.rng.percent(10) {
                self.create(room)?;
            }
        }
        if self.rng.percent(plan.restarts) {
            self.restart()?;
        }
        if self.rng.percent(plan.jumps) {
            self.now += self.rng.between(1, 10) * SECOND;
        }
        if self.rng.percent(plan.hostile) {
            self.attack()?;
        }
        // Without anybody at the door a lobby would keep all out.
        if self.rng.percent(plan.moderation.max(10)) {
            self.moderate()?;
        }
        Ok(())
    }

    /// Everybody in a room, those who wait included.
    pub(crate) fn people(&mut self, room: usize) -> Vec<Participant> {
        let detail = self.rooms.detail(&room_id(room), &Actor::Host(host_token(room)));
        detail.ok().and_then(|(_, people)| people).unwrap_or_default()
    }

    /// Somebody who may steer the room, or may not: who it is, and whether it may moderate and host.
    fn actor(&mut self, room: usize, people: &[Participant]) -> (Actor, Option<String>, bool, bool) {
        let views: Vec<_> = self.clients.iter().filter_map(|client| client.view.as_ref()).collect();
        let views: Vec<_> =
            views.into_iter().filter(|view| view.room == room).map(|view| (view.id.clone(), view.token)).collect();
        if views.is_empty() || self.rng.percent(60) {
            return (Actor::Host(host_token(room)), None, true, true);
        }
        let (id, token) = views[self.rng.index(views.len())].clone();
        let person = people.iter().find(|person| person.participant_id == id && person.ordinal > 0);
        let hosts = person.is_some_and(|person| person.is_host);
        let moderates = hosts || person.is_some_and(|person| person.role == ParticipantRole::Moderator);
        (Actor::Participant(hash(token)), Some(id), moderates, hosts)
    }

    fn moderate(&mut self) -> Check {
        let room = self.rng.index(2);
        let people = self.people(room);
        let (id, clock) = (room_id(room), self.clock());
        let (actor, own, moderates, hosts) = self.actor(room, &people);
        let waiting: Vec<_> = people.iter().filter(|person| person.state == ParticipantState::Lobby).collect();
        if !waiting.is_empty() && self.rng.percent(60) {
            let named = waiting.iter().filter_map(|person| ParticipantId::parse(&person.participant_id).ok());
            let named: Vec<_> = named.collect();
            let one = Waiting::These(vec![named[self.rng.index(named.len())].clone()]);
            let (admit, deny) = match self.rng.index(4) {
                0 => (Waiting::Everybody, one),
                1 => (Waiting::These(Vec::new()), one),
                _more => (Waiting::Everybody, Waiting::These(Vec::new())),
            };
            let decided = self.rooms.decide(clock, &id, &actor, &admit, &deny);
            self.check_power(moderates, decided.as_ref().err())?;
            for denied in decided.map(|decided| decided.denied).unwrap_or_default() {
                self.facts.people.entry(denied.to_string()).and_modify(|person| person.is_gone = true);
            }
            return self.after_rooms();
        }
        if people.is_empty() {
            return Ok(());
        }
        let target = people[self.rng.index(people.len())].clone();
        let person = ParticipantId::parse(&target.participant_id).map_err(|error| error.to_string())?;
        let own = people.iter().find(|person| own.as_ref() == Some(&person.participant_id));
        let is_own = own.is_some_and(|own| {
            let is_same = own.user_id.is_some() && own.user_id == target.user_id;
            is_same || own.participant_id == target.participant_id
        });
        let refused = match self.rng.index(12) {
            0..=2 if !is_own => return self.kick(room, &actor, moderates, &target),
            3 => {
                let refused = self.rooms.transfer_host(&id, &actor, &person).err();
                self.check_power(hosts, refused.as_ref())?;
                if refused.is_none() {
                    self.note("a host is transferred");
                }
                None
            }
            4 => {
                let change = PersonChange { role: Some(ParticipantRole::Moderator), ..PersonChange::default() };
                self.rooms.change_person(clock, &id, &actor, &person, change).err().map(|refusal| (hosts, refusal))
            }
            5 => {
                let mute = MediaChange { audio: Some(self.rng.percent(50)), ..MediaChange::default() };
                let change = PersonChange { mute: Some(mute), ..PersonChange::default() };
                self.rooms.change_person(clock, &id, &actor, &person, change).err().map(|refusal| (moderates, refusal))
            }
            6 if self.rng.percent(20) => self.rooms.close(clock, &id, &actor).err().map(|refusal| (hosts, refusal)),
            _more => return self.change_settings(room, &actor, moderates),
        };
        if let Some((may, refusal)) = refused {
            self.check_power(may, Some(&refusal))?;
        }
        self.after_rooms()
    }

    /// Only who may do something is not refused it.
    fn check_power(&self, may: bool, refusal: Option<&RoomRefusal>) -> Check {
        match refusal {
            None if !may => Err("INV-10: somebody steered a room who may not".to_owned()),
            Some(RoomRefusal::NotAllowed(why)) if may && !why.contains("moderators do not") => {
                Err(format!("somebody may not what they may: {why}"))
            }
            None | Some(_) => Ok(()),
        }
    }

    fn kick(&mut self, room: usize, actor: &Actor, moderates: bool, target: &Participant) -> Check {
        let person = ParticipantId::parse(&target.participant_id).map_err(|error| error.to_string())?;
        let is_ban = self.rng.percent(60);
        if self.bug != Some(Bug::KickForgotten) {
            let refused = self.rooms.kick(self.clock(), &room_id(room), actor, &person, is_ban).err();
            self.check_power(moderates, refused.as_ref())?;
            if refused.is_some() {
                return self.after_rooms();
            }
        }
        self.note(if is_ban { "somebody is banned" } else { "somebody is kicked" });
        self.facts.people.entry(target.participant_id.clone()).and_modify(|person| person.is_gone = true);
        if let Some(user) = &target.user_id {
            let until = (!is_ban).then_some(self.now + KICK_PAUSE);
            self.facts.barred.push(Barred { room, principal: format!("user:{user}"), until });
        }
        self.after_rooms()
    }

    fn change_settings(&mut self, room: usize, actor: &Actor, moderates: bool) -> Check {
        let number = self.fresh();
        let seats = self.rng.between(1, 6);
        let lobby = self.rng.pick(&[LobbyMode::Off, LobbyMode::On, LobbyMode::UntilHost]);
        let which = self.rng.index(3);
        let change = SettingsChange {
            name: Some(format!("room {number}").into()),
            max_participants: (which == 0).then(|| u32::try_from(seats).expect("a few")),
            lobby: (which == 1).then_some(lobby),
            ..SettingsChange::default()
        };
        let changed = self.rooms.change(self.clock(), &room_id(room), actor, change);
        self.check_power(moderates, changed.as_ref().err())?;
        if let Ok(view) = changed {
            self.facts.seats[room] = view.max_participants as usize;
        }
        self.after_rooms()
    }
}
