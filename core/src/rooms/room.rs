//! One room: its seats, its events in one order, and what the parts of it share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use santral_schema::video::{CloseReason, LeaveReason, ParticipantState, Room as RoomView, RoomStatus};

use super::effect::{Clock, Dead, Effect, Effects, IndexChange, News, NewsKind, Parcel, Record, RoomRecord};
use super::ids::{ParticipantId, RoomId, TokenHash};
use super::outbox::Item;
use super::refusal::RoomRefusal;
use super::seat::{Line, Seat, Visitor};
use super::settings::RoomSettings;
use super::uplink::Bucket;
use crate::entry::{Publication, Timestamp};
use crate::names::EventName;
use crate::time::Moment;

/// Somebody who is kept out.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) subject: Arc<str>,
    /// For good, if there is no end.
    pub(super) until: Option<Moment>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) owner: Arc<str>,
    pub(super) settings: RoomSettings,
    pub(super) host_token: Option<TokenHash>,
    pub(super) epoch: Arc<str>,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    /// Number of the last event.
    pub(super) seq: u64,
    pub(super) next_ordinal: u32,
    /// In the order of admission, those in the lobby in between.
    pub(super) seats: Vec<Seat>,
    pub(super) bars: Vec<Bar>,
    /// How often each invitation was used that may be used so often only.
    pub(super) invitations: BTreeMap<Arc<str>, u32>,
    pub(super) bucket: Bucket,
    /// When it is closed because nobody is there.
    pub(super) empty_until: Option<Moment>,
    /// When its time is over.
    pub(super) ends: Option<Moment>,
    pub(super) is_warned: bool,
    /// What everybody was told last.
    pub(super) advised_for: usize,
    /// The earliest deadline, as it stands in the list of all rooms.
    pub(super) scheduled: Option<Moment>,
    /// Set when it is over, to be taken away.
    pub(super) closed: Option<CloseReason>,
}

/// Who hears of something.
#[derive(Debug, Clone, Copy)]
pub(super) enum Audience<'a> {
    /// Everybody who is in.
    Members,
    /// Everybody who is in but this one.
    Others(&'a ParticipantId),
    /// This one, wherever it is.
    Only(&'a ParticipantId),
    /// The host and moderators.
    Moderators,
}

impl Room {
    pub(super) fn status(&self) -> RoomStatus {
        match (self.closed, self.taken()) {
            (Some(_), _) => RoomStatus::Closed,
            (None, 0) => RoomStatus::Waiting,
            (None, _) => RoomStatus::Active,
        }
    }

    /// Seats that count: reconnecting ones do, the lobby does not.
    pub(super) fn taken(&self) -> usize {
        self.seats.iter().filter(|seat| seat.is_admitted).count()
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken() >= self.settings.max_participants as usize
    }

    /// Whether the room exists for somebody.
    pub(super) fn is_known_to(&self, visitor: &Visitor) -> bool {
        let is_private = self.settings.visibility == santral_schema::video::Visibility::Private;
        self.is_owned_by(visitor)
            || self.seats.iter().any(|seat| visitor.is_named() && seat.is_of(visitor))
            || (visitor.may_enter && !is_private)
    }

    /// The operator, whoever created it, and the user who is its host.
    pub(super) fn is_owned_by(&self, visitor: &Visitor) -> bool {
        let is_owner = visitor.is_named() && visitor.principal == self.owner;
        let is_host = visitor.user.is_some() && visitor.user == self.settings.host_id && visitor.is_named();
        visitor.is_admin || is_owner || is_host
    }

    pub(super) fn find(&self, id: &ParticipantId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.id == *id)
    }

    pub(super) fn find_token(&self, token: &TokenHash) -> Option<usize> {
        self.seats.iter().position(|seat| seat.token == *token)
    }

    pub(super) fn view(&self) -> RoomView {
        let settings = &self.settings;
        let count = |state| self.seats.iter().filter(|seat| seat.state() == state).count();
        let reconnecting = count(ParticipantState::Reconnecting);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        RoomView {
            room_id: self.id.to_string(),
            name: settings.name.to_string(),
            host_id: settings.host_id.as_ref().map(ToString::to_string),
            status: self.status(),
            visibility: settings.visibility,
            locked: settings.password_hash.is_some(),
            lobby: settings.lobby,
            topology: settings.topology,
            host_policy: settings.host_policy,
            max_participants: settings.max_participants,
            participant_count: number(count(ParticipantState::Joined) + reconnecting),
            reconnecting_count: number(reconnecting),
            grace_sec: u32::try_from(settings.more.grace.as_secs()).unwrap_or(u32::MAX),
            relay_only: settings.more.relay_only,
            persistent: settings.more.persistent,
            max_video_senders: settings.more.max_video_senders,
            metadata: settings.metadata.clone(),
            permissions: settings.more.permissions,
            created_at: self.created_at.to_rfc3339(),
            started_at: self.started_at.map(Timestamp::to_rfc3339),
            expires_at: settings.expires_at.map(Timestamp::to_rfc3339),
            closed_at: None,
            epoch: self.epoch.to_string(),
            room_seq: self.seq,
        }
    }

    pub(super) fn record(&self, at: Timestamp) -> Record {
        Record::Room(RoomRecord {
            id: self.id.clone(),
            owner: Arc::clone(&self.owner),
            settings: self.settings.clone(),
            host_token: self.host_token,
            status: self.status(),
            epoch: Arc::clone(&self.epoch),
            created_at: self.created_at,
            started_at: self.started_at,
            closed: self.closed.map(|reason| (at, reason)),
        })
    }

    pub(super) fn happened(&self, out: &mut Effects, kind: NewsKind, seat: Option<&Seat>) {
        let participant = seat.map(Seat::news);
        out.push(Effect::Happened(News { room: self.id.clone(), kind, participant }));
    }

    /// The next event of the room.
    pub(super) fn event(&mut self, name: &'static str, body: Value) -> (u64, Arc<Publication>) {
        self.seq += 1;
        (self.seq, self.numbered(name, self.seq, body))
    }

    pub(super) fn numbered(&self, name: &'static str, seq: u64, body: Value) -> Arc<Publication> {
        let mut object = Map::new();
        object.insert("roomId".to_owned(), self.id.as_str().into());
        object.insert("epoch".to_owned(), (*self.epoch).into());
        object.insert("roomSeq".to_owned(), seq.into());
        if let Value::Object(body) = body {
            object.extend(body);
        }
        self.publication(name, Value::Object(object).to_string())
    }

    pub(super) fn publication(&self, name: &'static str, data: String) -> Arc<Publication> {
        let event = Some(EventName::of_server(name));
        Arc::new(Publication { event, ..Publication::new(self.id.channel(), data) })
    }

    /// Tells somebody something: one event, made once, for all of them.
    pub(super) fn tell(&mut self, audience: Audience<'_>, name: &'static str, body: Value) {
        let (seq, publication) = self.event(name, body);
        for seat in &mut self.seats {
            let hears = match audience {
                Audience::Members => seat.is_admitted,
                Audience::Others(id) => seat.is_admitted && seat.id != *id,
                Audience::Only(id) => seat.id == *id,
                Audience::Moderators => seat.moderates(),
            };
            if hears {
                seat.outbox.push_event(Item::new(seq, Arc::clone(&publication), None));
            }
        }
    }

    /// Sends whatever can be sent.
    pub(super) fn flush(&mut self, out: &mut Effects) {
        for index in 0..self.seats.len() {
            self.flush_seat(index, out, false);
        }
    }

    /// The same for one seat; `probe` asks whether its line is up even if there is nothing to send.
    pub(super) fn flush_seat(&mut self, index: usize, out: &mut Effects, probe: bool) {
        // At once, also while its line is down: whatever comes later builds on how things stood.
        if self.seats[index].outbox.take_loss() {
            let body = self.snapshot_for(index);
            let (seq, publication) = self.event("video.room.resync", body);
            self.seats[index].outbox.push_event(Item::new(seq, publication, None));
        }
        if !self.seats[index].is_up() {
            return;
        }
        let seat = &mut self.seats[index];
        let Line::Up(place) = &seat.line else { return };
        let (number, batch) = match seat.outbox.take_batch() {
            Some(batch) => batch,
            // Of no batch.
            None if probe => (0, Vec::new()),
            None => return,
        };
        let parcel =
            Parcel { room: self.id.clone(), participant: seat.id.clone(), generation: seat.generation, batch: number };
        out.push(Effect::Deliver { to: place.clone(), parcel: Some(parcel), batch });
    }

    fn snapshot_for(&self, index: usize) -> Value {
        let own = &self.seats[index].id;
        serde_json::json!({
            "room": self.view(), "participants": self.others(own), "waiting": self.waiting_for(own),
        })
    }

    /// Who waits, where this one may let them in.
    pub(super) fn waiting_for(&self, own: &ParticipantId) -> Vec<santral_schema::participants::Participant> {
        let moderates = self.seats.iter().any(|seat| seat.id == *own && seat.moderates());
        self.seats.iter().filter(|seat| moderates && !seat.is_admitted).map(Seat::view).collect()
    }

    /// Everybody who is in but this one.
    pub(super) fn others(&self, own: &ParticipantId) -> Vec<santral_schema::participants::Participant> {
        self.seats.iter().filter(|seat| seat.is_admitted && seat.id != *own).map(Seat::view).collect()
    }

    /// Takes somebody's seat away and tells everybody, the one who sat there included. The last words go
    /// behind all that was still to be sent.
    pub(super) fn remove(&mut self, clock: Clock, out: &mut Effects, index: usize, reason: LeaveReason) -> Seat {
        let mut seat = self.seats.remove(index);
        out.note(IndexChange::TokenDead(seat.token, Dead::Left(reason)));
        if let Some(token) = seat.earlier_token {
            out.note(IndexChange::TokenDead(token, Dead::Left(reason)));
        }
        if let Some(session) = seat.session.clone() {
            out.note(IndexChange::SessionGone(session));
        }
        let name = if seat.is_admitted { "video.participant.left" } else { "video.lobby.denied" };
        let body = serde_json::json!({ "participantId": seat.id.as_str(), "reason": reason });
        let (seq, publication) = self.event(name, body);
        let unsent = seat.outbox.drain_unsent();
        if let Line::Up(place) = &seat.line {
            let words = unsent.iter().map(|item| Arc::clone(&item.publication));
            let batch = words.chain([Arc::clone(&publication)]).collect();
            out.push(Effect::Deliver { to: place.clone(), parcel: None, batch });
        }
        let was_in = seat.is_admitted;
        for other in &mut self.seats {
            if (was_in && other.is_admitted) || (!was_in && other.moderates()) {
                other.outbox.push_event(Item::new(seq, Arc::clone(&publication), None));
            }
        }
        if !seat.is_up() {
            // With numbers behind that of the news, so after them.
            self.tell_senders(&seat.id, &unsent);
        }
        if was_in {
            let mut record = seat.record(&self.id);
            record.left = Some((clock.at, reason));
            out.push(Effect::Record(Box::new(Record::Participant(record))));
            self.happened(out, NewsKind::ParticipantLeft(reason), Some(&seat));
        }
        seat
    }

    /// Who the bearer of a participant token is.
    pub(super) fn bearer(&mut self, out: &mut Effects, token: &TokenHash) -> Result<usize, RoomRefusal> {
        let Some(index) = self.find_token(token) else {
            let is_earlier = self.seats.iter().any(|seat| seat.earlier_token == Some(*token));
            return Err(if is_earlier { RoomRefusal::Superseded } else { RoomRefusal::BadToken });
        };
        // Whoever uses the newer token has it.
        if let Some(earlier) = self.seats[index].earlier_token.take() {
            out.note(IndexChange::TokenDead(earlier, Dead::Superseded));
        }
        Ok(index)
    }
}
