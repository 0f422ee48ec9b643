//! What the rooms want done outside.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use santral_schema::video::{CloseReason, LeaveReason, ParticipantRole, RoomStatus};

use super::ids::{ParticipantId, RoomId, TokenHash};
use super::settings::RoomSettings;
use crate::entry::{Publication, Timestamp};
use crate::names::{ConnectionId, SessionToken};
use crate::time::Moment;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For deadlines.
    pub now: Moment,
    /// For people.
    pub at: Timestamp,
}

/// Where a session is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The session.
    pub session: SessionToken,
    /// The connection on which it was last seen.
    pub connection: ConnectionId,
    /// The shard that served it then.
    pub shard: usize,
}

/// Names one batch for one participant, for [`super::Rooms::delivered`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The room.
    pub room: RoomId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// Which life of its line.
    pub generation: u32,
    /// The batch; 0 for a question only.
    pub batch: u64,
}

/// How many seconds ICE servers are good, and what they are.
#[derive(Debug, Clone, PartialEq)]
pub struct IceOffer {
    /// A JSON object: [`santral_schema::ice::IceServers`].
    pub json: Value,
    /// When to offer anew; never, if nothing of it ends.
    pub refresh_in: Option<Duration>,
}

/// Something to do outside.
#[derive(Debug)]
pub enum Effect {
    /// Put these messages into the inbox of the session, in this order, if a link is attached to it; an empty batch
    /// asks whether one is.
    Deliver {
        /// The session.
        to: Place,
        /// Whom to tell how it went; nobody waits for the last words to who has left.
        parcel: Option<Parcel>,
        /// The messages.
        batch: Vec<Arc<Publication>>,
    },
    /// Watch the link of this session from now on, or no longer. Whoever begins to watch says where a link is, if
    /// one is there: it may have come since somebody looked.
    Watch(SessionToken, bool),
    /// Write something down.
    Record(Box<Record>),
    /// Tell whoever is interested.
    Happened(News),
}

/// A row as it is from now on.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Of `video_rooms`.
    Room(RoomRecord),
    /// Of `video_participants`.
    Participant(ParticipantRecord),
    /// Somebody is kept out of a room for good.
    Ban(RoomId, Arc<str>),
}

/// A row of `video_rooms`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomRecord {
    /// Its id.
    pub id: RoomId,
    /// The principal that created it; empty for nobody in particular.
    pub owner: Arc<str>,
    /// What it is set to.
    pub settings: RoomSettings,
    /// Proof of being the host.
    pub host_token: Option<TokenHash>,
    /// Where it stands.
    pub status: RoomStatus,
    /// Its incarnation.
    pub epoch: Arc<str>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its call began.
    pub started_at: Option<Timestamp>,
    /// When it was closed, and why.
    pub closed: Option<(Timestamp, CloseReason)>,
}

/// A row of `video_participants`: somebody who is or was in a room. Who waits in a lobby has none.
#[derive(Debug, Clone, PartialEq)]
pub struct ParticipantRecord {
    /// Its id.
    pub id: ParticipantId,
    /// Its room.
    pub room: RoomId,
    /// On whose behalf; empty for nobody in particular.
    pub principal: Arc<str>,
    /// The user, where there is one.
    pub user: Option<Arc<str>>,
    /// For people.
    pub display_name: Arc<str>,
    /// What it is there for.
    pub role: ParticipantRole,
    /// Its number in the order of admission.
    pub ordinal: u32,
    /// Whether it is the host.
    pub is_host: bool,
    /// When it came in.
    pub joined_at: Timestamp,
    /// When it left, and why.
    pub left: Option<(Timestamp, LeaveReason)>,
    /// What the application says of it.
    pub metadata: Option<Value>,
    /// Proof of who it is.
    pub token: TokenHash,
    /// How its call was.
    pub quality: Option<Arc<str>>,
}

/// Something that happened, for the event log and for other servers.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Where.
    pub room: RoomId,
    /// What.
    pub kind: NewsKind,
    /// To whom.
    pub participant: Option<NewsParticipant>,
}

/// Somebody in the news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewsParticipant {
    /// Its id.
    pub id: ParticipantId,
    /// The user, where there is one.
    pub user: Option<Arc<str>>,
    /// For people.
    pub display_name: Arc<str>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewsKind {
    /// A room was created.
    RoomCreated,
    /// Its call began.
    RoomStarted,
    /// It is over.
    RoomFinished(CloseReason),
    /// Its call is over, and it waits for the next one.
    RoomEmptied,
    /// Its settings were changed.
    RoomChanged,
    /// Somebody came in.
    ParticipantJoined,
    /// Somebody is gone.
    ParticipantLeft(LeaveReason),
    /// Somebody waits to be let in.
    LobbyWaiting,
    /// Somebody else is host.
    HostChanged,
    /// Somebody hears and sees badly.
    QualityPoor,
}

/// What has not been done yet.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) queue: VecDeque<Effect>,
    /// Tokens and sessions whose room changed, for the indexes.
    pub(super) index: Vec<IndexChange>,
    /// Signals that were passed on.
    pub(super) signals: u64,
}

/// A change of what leads to a room.
#[derive(Debug)]
pub(super) enum IndexChange {
    TokenAdded(TokenHash),
    TokenDead(TokenHash, Dead),
    SessionAdded(SessionToken),
    SessionGone(SessionToken),
}

/// Why a token is good no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// Its participant is gone.
    Left(LeaveReason),
    /// There is a newer one.
    Superseded,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.queue.push_back(effect);
    }

    pub(super) fn note(&mut self, change: IndexChange) {
        self.index.push(change);
    }
}
