//! What rooms hear of the lines of their participants.

use santral_schema::reason::DisconnectReason;
use santral_schema::video::LeaveReason;

use super::effect::{Clock, Effects, Parcel, Place};
use super::room::Room;
use super::seat::{Absence, Line};
use crate::limits::SIGN_OF_LIFE;
use crate::names::{ConnectionId, SessionToken};
use crate::time::Moment;

impl Room {
    /// A batch has arrived in the session's inbox, or there is no link for it.
    pub(super) fn delivered(&mut self, clock: Clock, out: &mut Effects, parcel: &Parcel, arrived: bool) {
        let Some(index) = self.find(&parcel.participant) else { return };
        let seat = &mut self.seats[index];
        seat.outbox.settle(clock.now, parcel.batch, arrived);
        // Where its line ends elsewhere by now, the batch goes there.
        if !arrived && seat.generation == parcel.generation {
            self.line_down(index, clock.now + self.settings.more.grace, Absence::Unlinked);
        }
        self.flush(out);
    }

    /// A session has a link again.
    pub(super) fn link_up(&mut self, out: &mut Effects, place: &Place) {
        for index in 0..self.seats.len() {
            let seat = &mut self.seats[index];
            if seat.session.as_ref() != Some(&place.session) || seat.line == Line::Up(place.clone()) {
                continue;
            }
            let was_down = !seat.is_up();
            (seat.line, seat.silent_from) = (Line::Up(place.clone()), None);
            seat.generation += 1;
            if was_down {
                self.tell_of_update(index, &["state"], false);
            }
        }
        self.flush(out);
    }

    /// The link of a connection is gone.
    pub(super) fn link_down(
        &mut self,
        clock: Clock,
        out: &mut Effects,
        session: &SessionToken,
        connection: ConnectionId,
        reason: DisconnectReason,
    ) {
        let is_its = |line: &Line| match line {
            Line::Up(place) | Line::Down { absence: Absence::Silent(place), .. } => place.connection == connection,
            Line::Down { absence: Absence::Unlinked | Absence::PageClosed, .. } => false,
        };
        while let Some(index) =
            self.seats.iter().position(|seat| seat.session.as_ref() == Some(session) && is_its(&seat.line))
        {
            match reason_to_leave(reason) {
                Some(reason) => self.send_away(clock, out, index, reason),
                None => self.line_down(index, clock.now + self.settings.more.grace, Absence::Unlinked),
            }
        }
        self.after_change_of_members(clock, out);
        self.flush(out);
    }

    /// A session has no link.
    pub(super) fn link_lost(&mut self, clock: Clock, out: &mut Effects, session: &SessionToken) {
        for index in 0..self.seats.len() {
            if self.seats[index].session.as_ref() == Some(session) && self.seats[index].is_up() {
                self.line_down(index, clock.now + self.settings.more.grace, Absence::Unlinked);
            }
        }
        self.flush(out);
    }

    /// Something came from whoever sits there. One that was silent is back, if its link still is.
    pub(super) fn sign_of_life(&mut self, clock: Clock, out: &mut Effects, index: usize) {
        let seat = &mut self.seats[index];
        if let Line::Down { absence: Absence::Silent(place), .. } = &seat.line {
            (seat.line, seat.silent_from) = (Line::Up(place.clone()), Some(clock.now));
            seat.generation += 1;
            self.tell_of_update(index, &["state"], false);
            self.flush_probing(index, out);
        }
        if let Some(silent_from) = &mut self.seats[index].silent_from {
            *silent_from = clock.now + SIGN_OF_LIFE;
        }
    }

    /// Keeps a seat whose line is down for a while. Others must not end their media: it may still flow.
    pub(super) fn line_down(&mut self, index: usize, until: Moment, absence: Absence) {
        let seat = &mut self.seats[index];
        let was_up = seat.is_up();
        let until = match seat.line {
            Line::Down { until: earlier, .. } => until.min(earlier),
            Line::Up(_) => until,
        };
        (seat.line, seat.silent_from) = (Line::Down { until, absence }, None);
        seat.generation += 1;
        if was_up {
            self.tell_of_update(index, &["state"], true);
        }
    }
}

/// Whether the end of a connection ends its part in a call as well: where somebody's right has ended.
fn reason_to_leave(reason: DisconnectReason) -> Option<LeaveReason> {
    match reason {
        DisconnectReason::Kicked | DisconnectReason::Blocked => Some(LeaveReason::Kicked),
        DisconnectReason::SignedOut | DisconnectReason::RightsChanged => Some(LeaveReason::SignedOut),
        _whatever_passes => None,
    }
}
