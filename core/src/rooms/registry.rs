//! All rooms of a node: which there are, whose tokens lead to them, and which of them is due next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use santral_schema::participants::Participant;
use santral_schema::reason::DisconnectReason;
use santral_schema::video::{CloseReason, LeaveReason, Room as RoomView, RoomStatus, Topology, Visibility};

use super::IceSource;
use super::effect::{Clock, Dead, Effect, Effects, IndexChange, NewsKind, Parcel, Place};
use super::ids::{RoomId, TokenHash};
use super::people::Actor;
use super::refusal::RoomRefusal;
use super::room::Room;
use super::seat::{Seat, Visitor};
use super::settings::{RoomSettings, SettingsChange};
use super::uplink::Bucket;
use crate::entry::Timestamp;
use crate::limits::DEAD_TOKENS_MAX;
use crate::names::{ConnectionId, SessionToken};
use crate::time::Moment;

/// How many rooms there may be, and how large.
#[derive(Debug, Clone, Copy)]
pub struct RoomsLimits {
    /// Rooms in all.
    pub rooms: usize,
    /// Rooms of one principal.
    pub rooms_per_principal: usize,
    /// Seats of one room.
    pub participants: u32,
    /// Seats of a room whose media go from each to each.
    pub mesh: u32,
}

/// A room to be made.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// Its id.
    pub id: RoomId,
    /// Who makes it; empty for nobody in particular.
    pub owner: Arc<str>,
    /// What it is set to.
    pub settings: RoomSettings,
    /// Hash of a host token that was drawn just now.
    pub host_token: TokenHash,
    /// A text that no room has had: its incarnation.
    pub epoch: Arc<str>,
    /// The first number in the order of admission: an earlier room of this id may have used some.
    pub first_ordinal: u32,
}

/// A room that was made, or was there.
#[derive(Debug)]
pub struct Created {
    /// The room.
    pub room: RoomView,
    /// Whether it had been made before by the same request.
    pub already: bool,
}

/// All rooms of a node.
pub struct Rooms {
    limits: RoomsLimits,
    pub(super) ice: Box<dyn IceSource + Send>,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) tokens: BTreeMap<TokenHash, RoomId>,
    /// Rooms in which a session sits, each as often as it sits there.
    pub(super) sessions: BTreeMap<SessionToken, Vec<RoomId>>,
    pub(super) dead: BTreeMap<TokenHash, Dead>,
    pub(super) dead_in_order: VecDeque<TokenHash>,
    pub(super) due: BTreeSet<(Moment, RoomId)>,
    pub(super) effects: Effects,
}

impl Rooms {
    /// No rooms yet.
    #[must_use]
    pub fn new(limits: RoomsLimits, ice: Box<dyn IceSource + Send>) -> Self {
        Self {
            limits,
            ice,
            rooms: BTreeMap::new(),
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            dead: BTreeMap::new(),
            dead_in_order: VecDeque::new(),
            due: BTreeSet::new(),
            effects: Effects::default(),
        }
    }

    /// Changes the bounds; rooms that are there stay as they are.
    pub fn set_limits(&mut self, limits: RoomsLimits) {
        self.limits = limits;
    }

    /// Makes a room. The same request again finds the room that it has made.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn create(&mut self, clock: Clock, new: NewRoom) -> Result<Created, RoomRefusal> {
        if let Some(room) = self.rooms.get(&new.id) {
            let is_same = room.owner == new.owner && room.settings == new.settings;
            return if is_same { Ok(Created { room: room.view(), already: true }) } else { Err(RoomRefusal::Exists) };
        }
        self.check_size(new.settings.max_participants, new.settings.topology)?;
        if self.rooms.len() >= self.limits.rooms {
            return Err(RoomRefusal::TooManyRooms("there are as many rooms as there may be"));
        }
        let of_owner = self.rooms.values().filter(|room| room.owner == new.owner).count();
        if !new.owner.is_empty() && of_owner >= self.limits.rooms_per_principal {
            return Err(RoomRefusal::TooManyRooms("you have as many rooms as you may"));
        }
        let empty_until = (!new.settings.more.persistent).then(|| clock.now + new.settings.more.empty_timeout);
        let room = Room {
            id: new.id.clone(),
            owner: new.owner,
            host_token: Some(new.host_token),
            epoch: new.epoch,
            created_at: clock.at,
            started_at: None,
            seq: 0,
            next_ordinal: new.first_ordinal.max(1),
            seats: Vec::new(),
            bars: Vec::new(),
            invitations: BTreeMap::new(),
            bucket: Bucket::default(),
            empty_until,
            ends: new.settings.expires_at.map(|end| moment_of(clock, end)),
            is_warned: false,
            advised_for: 0,
            scheduled: None,
            closed: None,
            settings: new.settings,
        };
        self.effects.push(Effect::Record(Box::new(room.record(clock.at))));
        room.happened(&mut self.effects, NewsKind::RoomCreated, None);
        let view = room.view();
        self.rooms.insert(new.id.clone(), room);
        self.settle(&new.id);
        Ok(Created { room: view, already: false })
    }

    /// Whether a room could be set so.
    fn check_size(&self, seats: u32, topology: Topology) -> Result<(), RoomRefusal> {
        // No media server is there yet, so whatever the topology, media go from each to each.
        let (Topology::Mesh | Topology::Sfu | Topology::Auto) = topology;
        let limit = self.limits.mesh.min(self.limits.participants);
        if seats > limit { Err(RoomRefusal::ExceedsMesh { limit }) } else { Ok(()) }
    }

    /// The hash that a repeated create has to be compared with, see [`RoomSettings::password_hash`].
    #[must_use]
    pub fn password_hash(&self, id: &RoomId) -> Option<Arc<str>> {
        self.rooms.get(id).and_then(|room| room.settings.password_hash.clone())
    }

    /// What a room is set to, for whoever has to tell one state of it from another.
    #[must_use]
    pub fn settings(&self, id: &RoomId) -> Option<&RoomSettings> {
        self.rooms.get(id).map(|room| &room.settings)
    }

    /// Rooms that somebody may see: all that are theirs, in which they are, or that are public.
    pub fn visible_to<'a>(&'a self, visitor: &'a Visitor) -> impl Iterator<Item = RoomView> + 'a {
        let is_in = |room: &Room| room.seats.iter().any(|seat| visitor.is_named() && seat.is_of(visitor));
        let is_public = |room: &Room| room.settings.visibility == Visibility::Public && visitor.may_enter;
        self.rooms
            .values()
            .filter(move |room| room.is_owned_by(visitor) || is_in(room) || is_public(room))
            .map(Room::view)
    }

    /// One room, with whoever is in it for those who are, its owner and the operator.
    ///
    /// # Errors
    /// [`RoomRefusal::NoRoom`].
    pub fn detail(&mut self, id: &RoomId, actor: &Actor) -> Result<(RoomView, Option<Vec<Participant>>), RoomRefusal> {
        let room = self.room_for(id, actor)?;
        let mut effects = Effects::default();
        let power = room.power_of(&mut effects, actor)?;
        let is_member = match actor {
            Actor::Visitor(visitor) => room.seats.iter().any(|seat| visitor.is_named() && seat.is_of(visitor)),
            Actor::Participant(_) => power.seat.is_some_and(|index| room.seats[index].is_admitted),
            Actor::Host(_) => true,
        };
        let shown = |seat: &&Seat| seat.is_admitted || power.moderates;
        let people = (is_member || power.moderates).then(|| room.seats.iter().filter(shown).map(Seat::view).collect());
        let view = room.view();
        self.effects.index.append(&mut effects.index);
        self.settle(id);
        Ok((view, people))
    }

    /// Changes what a room is set to.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn change(
        &mut self,
        clock: Clock,
        id: &RoomId,
        actor: &Actor,
        change: SettingsChange,
    ) -> Result<RoomView, RoomRefusal> {
        if let Some(seats) = change.max_participants {
            self.check_size(seats, Topology::Mesh)?;
        }
        self.with_room(id, actor, |room, out| {
            room.change_settings(clock, out, actor, change)?;
            Ok(room.view())
        })
    }

    /// Closes a room.
    ///
    /// # Errors
    /// [`RoomRefusal`].
    pub fn close(&mut self, clock: Clock, id: &RoomId, actor: &Actor) -> Result<(), RoomRefusal> {
        self.with_room(id, actor, |room, out| {
            if !room.power_of(out, actor)?.hosts {
                return Err(RoomRefusal::NotAllowed("this is for the host of the room"));
            }
            room.close(clock, out, CloseReason::Closed);
            Ok(())
        })
    }

    /// A batch has arrived in the session's inbox, or there is no link for it.
    pub fn delivered(&mut self, clock: Clock, parcel: &Parcel, arrived: bool) {
        if let Some(room) = self.rooms.get_mut(&parcel.room) {
            room.delivered(clock, &mut self.effects, parcel, arrived);
            self.settle(&parcel.room);
        }
    }

    /// A session has a link again.
    pub fn link_up(&mut self, place: &Place) {
        for id in self.rooms_of(&place.session) {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.link_up(&mut self.effects, place);
                self.settle(&id);
            }
        }
    }

    /// The link of a connection is gone.
    pub fn link_down(
        &mut self,
        clock: Clock,
        session: &SessionToken,
        connection: ConnectionId,
        reason: DisconnectReason,
    ) {
        for id in self.rooms_of(session) {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.link_down(clock, &mut self.effects, session, connection, reason);
                self.settle(&id);
            }
        }
    }

    /// A session has no link, since nobody knows when.
    pub fn link_lost(&mut self, clock: Clock, session: &SessionToken) {
        for id in self.rooms_of(session) {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.link_lost(clock, &mut self.effects, session);
                self.settle(&id);
            }
        }
    }

    /// Every session that sits in a room.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionToken> {
        self.sessions.keys().cloned().collect()
    }

    /// When something is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, clock: Clock) {
        while let Some((due, id)) = self.due.first().cloned()
            && due <= clock.now
        {
            self.due.remove(&(due, id.clone()));
            if let Some(room) = self.rooms.get_mut(&id) {
                room.scheduled = None;
                room.on_time(clock, &mut self.effects, &*self.ice);
                self.settle(&id);
            }
        }
    }

    /// The next thing to do outside. Drain after every input.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.queue.pop_front()
    }

    /// Rooms, seats that are taken, and people who wait.
    #[must_use]
    pub fn census(&self) -> (usize, usize, usize) {
        let taken: usize = self.rooms.values().map(Room::taken).sum();
        let seats: usize = self.rooms.values().map(|room| room.seats.len()).sum();
        (self.rooms.len(), taken, seats - taken)
    }

    /// Signals that were passed on since the start.
    #[must_use]
    pub fn signals_passed_on(&self) -> u64 {
        self.effects.signals
    }

    /// Every room with its seats, for tests that watch over what must hold.
    #[must_use]
    pub fn status(&self, id: &RoomId) -> Option<RoomStatus> {
        self.rooms.get(id).map(Room::status)
    }

    fn rooms_of(&self, session: &SessionToken) -> Vec<RoomId> {
        let mut rooms = self.sessions.get(session).cloned().unwrap_or_default();
        rooms.dedup();
        rooms
    }

    /// The room as an actor knows it: a token leads to its own room only.
    fn room_for(&mut self, id: &RoomId, actor: &Actor) -> Result<&mut Room, RoomRefusal> {
        if let Actor::Participant(token) = actor {
            self.check_token(id, token)?;
        }
        self.rooms.get_mut(id).ok_or(RoomRefusal::NoRoom)
    }

    /// Whoever was its host may know that a room was closed.
    fn no_room(&self, actor: &Actor) -> RoomRefusal {
        match actor {
            Actor::Host(token) => match self.dead.get(token) {
                Some(Dead::Left(LeaveReason::RoomExpired)) => RoomRefusal::Closed(CloseReason::Expired),
                Some(_) => RoomRefusal::Closed(CloseReason::Closed),
                None => RoomRefusal::NoRoom,
            },
            Actor::Participant(_) | Actor::Visitor(_) => RoomRefusal::NoRoom,
        }
    }

    pub(super) fn check_token(&self, id: &RoomId, token: &TokenHash) -> Result<(), RoomRefusal> {
        match self.tokens.get(token) {
            Some(room) if room == id => Ok(()),
            Some(_) => Err(RoomRefusal::WrongRoom),
            None => Err(match self.dead.get(token) {
                Some(Dead::Left(LeaveReason::RoomClosed)) => RoomRefusal::Closed(CloseReason::Closed),
                Some(Dead::Left(LeaveReason::RoomExpired)) => RoomRefusal::Closed(CloseReason::Expired),
                Some(Dead::Left(reason)) => RoomRefusal::Left(*reason),
                Some(Dead::Superseded) => RoomRefusal::Superseded,
                None => RoomRefusal::BadToken,
            }),
        }
    }

    pub(super) fn with_room<T>(
        &mut self,
        id: &RoomId,
        actor: &Actor,
        work: impl FnOnce(&mut Room, &mut Effects) -> Result<T, RoomRefusal>,
    ) -> Result<T, RoomRefusal> {
        if let Actor::Participant(token) = actor {
            self.check_token(id, token)?;
        }
        let Some(room) = self.rooms.get_mut(id) else { return Err(self.no_room(actor)) };
        let done = work(room, &mut self.effects);
        self.settle(id);
        done
    }

    pub(super) fn with_seat<T>(
        &mut self,
        clock: Clock,
        id: &RoomId,
        token: &TokenHash,
        work: impl FnOnce(&mut Room, &mut Effects, usize) -> Result<T, RoomRefusal>,
    ) -> Result<T, RoomRefusal> {
        self.check_token(id, token)?;
        let room = self.rooms.get_mut(id).ok_or(RoomRefusal::NoRoom)?;
        let done = room.bearer(&mut self.effects, token).and_then(|index| {
            room.sign_of_life(clock, &mut self.effects, index);
            work(room, &mut self.effects, index)
        });
        self.settle(id);
        done
    }

    /// Brings indexes and the list of what is due in line with a room that may have changed.
    pub(super) fn settle(&mut self, id: &RoomId) {
        let mut watched = BTreeMap::new();
        for change in std::mem::take(&mut self.effects.index) {
            if let IndexChange::SessionAdded(session) | IndexChange::SessionGone(session) = &change {
                watched.entry(session.clone()).or_insert_with(|| self.sessions.contains_key(session));
            }
            self.index(id, change);
        }
        for (session, was_watched) in watched {
            match (was_watched, self.sessions.contains_key(&session)) {
                // Before anything is sent: a link that ends in between would be nobody's news.
                (false, true) => self.effects.queue.push_front(Effect::Watch(session, true)),
                (true, false) => self.effects.push(Effect::Watch(session, false)),
                (true, true) | (false, false) => (),
            }
        }
        let Some(room) = self.rooms.get_mut(id) else { return };
        let deadline = room.deadline().filter(|_| room.closed.is_none());
        if deadline != room.scheduled {
            if let Some(earlier) = std::mem::replace(&mut room.scheduled, deadline) {
                self.due.remove(&(earlier, id.clone()));
            }
            if let Some(deadline) = deadline {
                self.due.insert((deadline, id.clone()));
            }
        }
        if room.closed.is_some() {
            self.rooms.remove(id);
        }
    }

    fn index(&mut self, id: &RoomId, change: IndexChange) {
        match change {
            IndexChange::TokenAdded(token) => {
                self.tokens.insert(token, id.clone());
            }
            IndexChange::TokenDead(token, dead) => {
                self.tokens.remove(&token);
                if self.dead.insert(token, dead).is_none() {
                    self.dead_in_order.push_back(token);
                }
                if self.dead_in_order.len() > DEAD_TOKENS_MAX
                    && let Some(oldest) = self.dead_in_order.pop_front()
                {
                    self.dead.remove(&oldest);
                }
            }
            IndexChange::SessionAdded(session) => {
                self.sessions.entry(session).or_default().push(id.clone());
            }
            IndexChange::SessionGone(session) => {
                let Some(rooms) = self.sessions.get_mut(&session) else { return };
                if let Some(at) = rooms.iter().position(|room| room == id) {
                    rooms.swap_remove(at);
                }
                if rooms.is_empty() {
                    self.sessions.remove(&session);
                }
            }
        }
    }
}

/// The moment of a time on the wall clock, as the clock stands now. What is past is now.
pub(super) fn moment_of(clock: Clock, time: Timestamp) -> Moment {
    clock.now + Duration::from_micros(u64::try_from(time.0.saturating_sub(clock.at.0)).unwrap_or(0))
}
