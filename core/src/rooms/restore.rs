//! How rooms come back after a restart of the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use santral_schema::video::{Media, Permissions};

use super::effect::{Clock, Effect, ParticipantRecord, RoomRecord};
use super::outbox::Outbox;
use super::registry::{Rooms, moment_of};
use super::room::{Bar, Room};
use super::seat::{Absence, Line, Seat, Visitor};
use super::uplink::{Bucket, Uplink};
use crate::call_quality::QualityWatch;
use crate::entry::Timestamp;
use crate::time::Moment;

/// A room as the database had it at a start.
#[derive(Debug)]
pub struct Saved {
    /// The room.
    pub room: RoomRecord,
    /// Who was in it.
    pub participants: Vec<ParticipantRecord>,
    /// Who is kept out of it for good.
    pub bans: Vec<Arc<str>>,
    /// The next number in the order of admission.
    pub next_ordinal: u32,
}

impl Rooms {
    /// Brings a room back after a restart: everybody in it has a fresh grace, so that no call ends.
    pub fn restore(&mut self, clock: Clock, saved: Saved, epoch: Arc<str>) {
        let Saved { room, participants, bans, next_ordinal } = saved;
        let grace = room.settings.more.grace;
        let mut restored = Room {
            id: room.id.clone(),
            owner: room.owner,
            host_token: room.host_token,
            epoch,
            created_at: room.created_at,
            started_at: room.started_at,
            seq: 0,
            next_ordinal,
            seats: participants
                .into_iter()
                .map(|saved| seat_of(saved, clock.now + grace, room.settings.more.permissions))
                .collect(),
            bars: bans.into_iter().map(|subject| Bar { subject, until: None }).collect(),
            invitations: BTreeMap::new(),
            bucket: Bucket::default(),
            empty_until: None,
            ends: room.settings.expires_at.map(|end| moment_of(clock, end)),
            is_warned: false,
            advised_for: 0,
            scheduled: None,
            closed: None,
            settings: room.settings,
        };
        restored.seats.sort_by_key(|seat| seat.ordinal);
        // The rows may have been cut short between those of one change: the last who came is the one it was for.
        let host = restored.seats.iter().rposition(|seat| seat.is_host);
        for (index, seat) in restored.seats.iter_mut().enumerate() {
            seat.is_host = Some(index) == host;
        }
        if let (Some(started), Some(longest)) = (restored.started_at, restored.settings.more.max_duration) {
            let micros = i64::try_from(longest.as_micros()).unwrap_or(i64::MAX);
            let ends = moment_of(clock, Timestamp(started.0.saturating_add(micros)));
            restored.ends = Some(restored.ends.map_or(ends, |earlier| earlier.min(ends)));
        }
        if restored.seats.is_empty() && restored.settings.more.persistent {
            // The row may be from before the last one left.
            restored.started_at = None;
        }
        if restored.seats.is_empty() && !restored.settings.more.persistent {
            let more = &restored.settings.more;
            let wait = if restored.started_at.is_some() { more.departure_timeout } else { more.empty_timeout };
            restored.empty_until = Some(clock.now + wait);
        }
        for seat in &restored.seats {
            self.tokens.insert(seat.token, room.id.clone());
        }
        self.effects.push(Effect::Record(Box::new(restored.record(clock.at))));
        self.rooms.insert(room.id.clone(), restored);
        self.settle(&room.id);
    }
}

/// A seat as it was before the restart, with its line down.
fn seat_of(saved: ParticipantRecord, until: Moment, permissions: Permissions) -> Seat {
    Seat {
        id: saved.id,
        visitor: Visitor {
            principal: saved.principal,
            user: saved.user,
            is_admin: false,
            may_enter: true,
            network: None,
        },
        token: saved.token,
        earlier_token: None,
        session: None,
        line: Line::Down { until, absence: Absence::Unlinked },
        generation: 0,
        is_admitted: true,
        waits_until: until,
        ordinal: saved.ordinal,
        is_host: saved.is_host,
        proves_host: saved.is_host,
        display_name: saved.display_name,
        role: saved.role,
        permissions,
        media: Media::default(),
        muted: Media::default(),
        hand_raised: false,
        metadata: saved.metadata,
        quality: saved.quality,
        quality_watch: QualityWatch::default(),
        joined_at: saved.joined_at,
        // Of another incarnation than any that its client has seen, so that it has to begin anew.
        outbox: Outbox::default(),
        uplink: Uplink::default(),
        bucket: Bucket::default(),
        ice_due: None,
        silent_from: None,
    }
}
