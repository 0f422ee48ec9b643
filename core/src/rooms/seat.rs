//! One participant: who it is, where its line ends, and what it may do.

use std::sync::Arc;

use serde_json::Value;

use santral_schema::participants::Participant;
use santral_schema::video::{Media, ParticipantRole, ParticipantState, Permissions};

use super::effect::{NewsParticipant, ParticipantRecord, Place};
use super::ids::{ParticipantId, RoomId, TokenHash};
use super::outbox::Outbox;
use super::uplink::{Bucket, Uplink};
use crate::call_quality::QualityWatch;
use crate::entry::Timestamp;
use crate::names::SessionToken;
use crate::time::Moment;

/// Somebody who wants something of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// On whose behalf; empty for nobody in particular.
    pub principal: Arc<str>,
    /// The user, where there is one.
    pub user: Option<Arc<str>>,
    /// Whether it is the operator.
    pub is_admin: bool,
    /// Whether rooms of this name are granted to it.
    pub may_enter: bool,
    /// Its network, by which guests are kept out; none on this machine.
    pub network: Option<Arc<str>>,
}

impl Visitor {
    /// Whether anybody else can be told from it.
    pub(super) fn is_named(&self) -> bool {
        !self.principal.is_empty()
    }
}

/// Where a participant's line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// At this session.
    Up(Place),
    /// Nowhere; its seat is kept until then.
    Down { until: Moment, absence: Absence },
}

/// Why nobody is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Absence {
    /// Its link is gone.
    Unlinked,
    /// Its page said that it closes.
    PageClosed,
    /// Its link may be there, but its client reports no more.
    Silent(Place),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: ParticipantId,
    pub(super) visitor: Visitor,
    pub(super) token: TokenHash,
    /// The token before the last resume: its answer may have been lost.
    pub(super) earlier_token: Option<TokenHash>,
    /// Which session it is served by, also while its line is down.
    pub(super) session: Option<SessionToken>,
    pub(super) line: Line,
    /// Counts lives of its line and its outbox.
    pub(super) generation: u32,
    /// False in the lobby.
    pub(super) is_admitted: bool,
    pub(super) waits_until: Moment,
    pub(super) ordinal: u32,
    pub(super) is_host: bool,
    /// Whether it can prove to be the host.
    pub(super) proves_host: bool,
    pub(super) display_name: Arc<str>,
    pub(super) role: ParticipantRole,
    pub(super) permissions: Permissions,
    pub(super) media: Media,
    pub(super) muted: Media,
    pub(super) hand_raised: bool,
    pub(super) metadata: Option<Value>,
    pub(super) quality: Option<Arc<str>>,
    pub(super) quality_watch: QualityWatch,
    pub(super) joined_at: Timestamp,
    pub(super) outbox: Outbox,
    pub(super) uplink: Uplink,
    pub(super) bucket: Bucket,
    pub(super) ice_due: Option<Moment>,
    /// Set once it has shown that it reports regularly.
    pub(super) silent_from: Option<Moment>,
}

impl Seat {
    pub(super) fn state(&self) -> ParticipantState {
        match (self.is_admitted, &self.line) {
            (false, _) => ParticipantState::Lobby,
            (true, Line::Up(_)) => ParticipantState::Joined,
            (true, Line::Down { .. }) => ParticipantState::Reconnecting,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.line, Line::Up(_))
    }

    pub(super) fn moderates(&self) -> bool {
        self.is_admitted && (self.is_host || self.role == ParticipantRole::Moderator)
    }

    /// Whether the same person sits here.
    pub(super) fn is_of(&self, visitor: &Visitor) -> bool {
        self.visitor.principal == visitor.principal
    }

    /// As others see it.
    pub(super) fn view(&self) -> Participant {
        Participant {
            participant_id: self.id.to_string(),
            user_id: self.visitor.user.as_ref().map(ToString::to_string),
            display_name: self.display_name.to_string(),
            role: self.role,
            ordinal: self.ordinal,
            state: self.state(),
            media: self.media,
            muted_by_host: self.muted,
            hand_raised: self.hand_raised,
            is_host: self.is_host,
            permissions: self.permissions,
            metadata: self.metadata.clone(),
            joined_at: self.joined_at.to_rfc3339(),
            quality: self.quality.as_ref().map(ToString::to_string),
        }
    }

    pub(super) fn record(&self, room: &RoomId) -> ParticipantRecord {
        ParticipantRecord {
            id: self.id.clone(),
            room: room.clone(),
            principal: Arc::clone(&self.visitor.principal),
            user: self.visitor.user.clone(),
            display_name: Arc::clone(&self.display_name),
            role: self.role,
            ordinal: self.ordinal,
            is_host: self.is_host,
            joined_at: self.joined_at,
            left: None,
            metadata: self.metadata.clone(),
            token: self.token,
            quality: self.quality.clone(),
        }
    }

    pub(super) fn news(&self) -> NewsParticipant {
        NewsParticipant {
            id: self.id.clone(),
            user: self.visitor.user.clone(),
            display_name: Arc::clone(&self.display_name),
        }
    }

    /// When something of it is due, whatever it is.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let down = match self.line {
            Line::Up(_) => None,
            Line::Down { until, .. } => Some(until),
        };
        let waits = (!self.is_admitted).then_some(self.waits_until);
        let silent = self.silent_from.filter(|_| self.is_up());
        let ice = self.ice_due.filter(|_| self.is_up());
        let quality = self.quality_watch.due().filter(|_| self.is_admitted);
        [down, waits, silent, ice, quality, self.uplink.deadline()].into_iter().flatten().min()
    }
}
