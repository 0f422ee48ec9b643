//! What becomes of a room as time passes.

use santral_schema::video::{CloseReason, LeaveReason, LobbyMode};

use super::IceSource;
use super::effect::{Clock, Effects, NewsKind};
use super::refusal::Decided;
use super::registry::moment_of;
use super::room::{Audience, Room};
use super::seat::{Absence, Line, Seat};
use crate::entry::Timestamp;
use crate::limits::EXPIRY_WARNING;
use crate::time::Moment;

impl Room {
    /// When something of it is due.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let ends = self.ends.map(|ends| if self.is_warned { ends } else { before(ends) });
        let of_seats = self.seats.iter().filter_map(Seat::deadline).min();
        [self.empty_until, ends, of_seats].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, clock: Clock, out: &mut Effects, ice: &dyn IceSource) {
        let now = clock.now;
        if self.ends.is_some_and(|ends| ends <= now) {
            return self.close(clock, out, CloseReason::Expired);
        }
        if self.empty_until.is_some_and(|until| until <= now) {
            return self.close(clock, out, CloseReason::Empty);
        }
        if let Some(ends) = self.ends.filter(|ends| !self.is_warned && before(*ends) <= now) {
            self.is_warned = true;
            let left = i64::try_from((ends - now).as_micros()).unwrap_or(i64::MAX);
            let closes_at = Timestamp(clock.at.0.saturating_add(left)).to_rfc3339();
            self.tell(Audience::Members, "video.room.expiring", serde_json::json!({ "closesAt": closes_at }));
        }
        self.end_waits(clock, out);
        if self.closed.is_some() {
            return;
        }
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            if let Line::Up(place) = &seat.line
                && seat.silent_from.is_some_and(|from| from <= now)
            {
                let absence = Absence::Silent(place.clone());
                self.line_down(index, now + self.settings.more.grace, absence);
            }
            if self.seats[index].uplink.deadline().is_some_and(|deadline| deadline <= now) {
                self.give_up_parked(index);
            }
            if let Some(score) = self.seats[index].quality_watch.poll(now).filter(|_| self.seats[index].is_admitted) {
                self.tell_of_quality(out, index, score);
            }
            if self.seats[index].ice_due.is_some_and(|due| due <= now) && self.seats[index].is_up() {
                self.refresh_ice(clock, index, ice);
            }
        }
        self.after_change_of_members(clock, out);
        self.flush(out);
    }

    /// Those whose grace, or whose patience in the lobby, is over.
    fn end_waits(&mut self, clock: Clock, out: &mut Effects) {
        let now = clock.now;
        let over = |seat: &Seat| match seat.line {
            Line::Down { until, absence: Absence::PageClosed } if until <= now => Some(LeaveReason::PageClosed),
            Line::Down { until, .. } if until <= now => Some(LeaveReason::Timeout),
            Line::Down { .. } | Line::Up(_) => {
                (!seat.is_admitted && seat.waits_until <= now).then_some(LeaveReason::LobbyTimeout)
            }
        };
        while let Some((index, reason)) =
            self.seats.iter().enumerate().find_map(|(index, seat)| Some((index, over(seat)?)))
        {
            self.send_away(clock, out, index, reason);
        }
    }

    fn refresh_ice(&mut self, clock: Clock, index: usize, ice: &dyn IceSource) {
        let id = self.seats[index].id.clone();
        let offer = ice.offer(&id, self.settings.more.relay_only, clock.at);
        self.seats[index].ice_due = offer.refresh_in.map(|after| clock.now + after);
        self.tell(Audience::Only(&id), "webrtc.ice-servers", offer.json);
    }

    /// The first one is in: the call begins.
    pub(super) fn begin(&mut self, clock: Clock, out: &mut Effects) {
        self.started_at = Some(clock.at);
        if let Some(longest) = self.settings.more.max_duration {
            let ends = clock.now + longest;
            self.ends = Some(self.ends.map_or(ends, |earlier| earlier.min(ends)));
        }
        out.push(super::Effect::Record(Box::new(self.record(clock.at))));
        self.happened(out, NewsKind::RoomStarted, None);
    }

    /// Whatever follows from people having come or gone.
    pub(super) fn after_change_of_members(&mut self, clock: Clock, out: &mut Effects) {
        if self.closed.is_some() {
            return;
        }
        let has_host = self.seats.iter().any(|seat| seat.is_admitted && seat.is_host);
        let is_open = match self.settings.lobby {
            LobbyMode::Off => true,
            LobbyMode::UntilHost => has_host,
            LobbyMode::On => false,
        };
        if is_open && !self.is_full() {
            self.let_in(clock, out, self.everybody_waiting(), &mut Decided::default());
        }
        let taken = self.taken();
        if taken > 0 {
            self.empty_until = None;
        } else if self.empty_until.is_none() && self.started_at.is_some() {
            self.everybody_left(clock, out);
        }
        self.advise(taken);
    }

    fn everybody_left(&mut self, clock: Clock, out: &mut Effects) {
        if self.settings.more.persistent {
            self.started_at = None;
            self.ends = self.settings.expires_at.map(|end| moment_of(clock, end));
            self.is_warned = false;
            out.push(super::Effect::Record(Box::new(self.record(clock.at))));
            self.happened(out, NewsKind::RoomEmptied, None);
        } else {
            self.empty_until = Some(clock.now + self.settings.more.departure_timeout);
        }
    }

    /// Tells everybody how much to send, when that has changed.
    fn advise(&mut self, taken: usize) {
        if taken == 0 || taken == self.advised_for {
            return;
        }
        let earlier = std::mem::replace(&mut self.advised_for, taken);
        let advice = crate::call_quality::advice(taken);
        if earlier != 0 && crate::call_quality::advice(earlier) != advice {
            let body = serde_json::to_value(advice).unwrap_or_default();
            self.tell(Audience::Members, "video.advice", body);
        }
    }
}

fn before(ends: Moment) -> Moment {
    Moment(ends.0.saturating_sub(u64::try_from(EXPIRY_WARNING.as_micros()).unwrap_or(u64::MAX)))
}
