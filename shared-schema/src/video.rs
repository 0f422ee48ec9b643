//! Video rooms: who meets where, and what they are told of each other.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::grammar;
use crate::participants::Participant;

/// Who finds a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Whoever knows its id and may enter rooms of this name.
    #[default]
    Unlisted,
    /// The same, and lists show it.
    Public,
    /// Only who is invited: to everybody else it does not exist.
    Private,
}

/// Who has to wait before they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LobbyMode {
    /// Nobody.
    #[default]
    Off,
    /// Everybody but the host, until somebody lets them in.
    On,
    /// Everybody until a host is there.
    UntilHost,
}

/// How media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// From each to each.
    #[default]
    Mesh,
    /// Through a media server.
    Sfu,
    /// Whichever the number of participants asks for.
    Auto,
}

/// What becomes of a room whose host leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostPolicy {
    /// The longest-serving moderator becomes host, else the longest-serving participant.
    #[default]
    Transfer,
    /// The room is closed.
    Close,
    /// It goes on without one.
    Keep,
}

/// Where a room stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomStatus {
    /// Nobody is in it.
    Waiting,
    /// Somebody is.
    Active,
    /// It is over.
    Closed,
}

/// Where a participant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParticipantState {
    /// Waits to be let in.
    Lobby,
    /// Is in the room.
    Joined,
    /// Is in the room, and its line is down.
    Reconnecting,
    /// Is gone.
    Left,
}

/// What a participant is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParticipantRole {
    /// To speak and to listen.
    #[default]
    Participant,
    /// The same, and may steer others.
    Moderator,
    /// To listen.
    Viewer,
    /// To record: listens, and everybody sees that it does.
    Recorder,
}

/// Why a participant is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// It said so.
    ClientLeave,
    /// Its page was closed, and nobody came back.
    PageClosed,
    /// Its line was down for longer than the grace.
    Timeout,
    /// Somebody with the right to it sent it away.
    Kicked,
    /// The same, for good.
    Banned,
    /// It was not let in.
    Denied,
    /// Nobody let it in, in time.
    LobbyTimeout,
    /// The same person joined anew.
    Replaced,
    /// Its login was taken back.
    SignedOut,
    /// The room was closed.
    RoomClosed,
    /// The room's time was over.
    RoomExpired,
}

/// Why a room is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Its host or the operator closed it.
    Closed,
    /// Its host left, and its policy says so.
    HostLeft,
    /// Nobody came, or everybody left.
    Empty,
    /// Its time was over.
    Expired,
}

/// Which media somebody sends, or shall not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct Media {
    /// A microphone.
    #[ts(as = "Option<bool>")]
    pub audio: bool,
    /// A camera.
    #[ts(as = "Option<bool>")]
    pub video: bool,
    /// A screen.
    #[ts(as = "Option<bool>")]
    pub screen: bool,
}

/// A change of [`Media`]: what is left out stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct MediaChange {
    /// A microphone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// A camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<bool>,
    /// A screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<bool>,
}

/// What a participant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct Permissions {
    /// Send signals at all: nobody can take part in media without.
    #[ts(as = "Option<bool>")]
    pub signal: bool,
    /// Send signals of the type `custom` to everybody at once.
    #[ts(as = "Option<bool>")]
    pub broadcast: bool,
    /// Send sound.
    #[ts(as = "Option<bool>")]
    pub audio: bool,
    /// Send pictures.
    #[ts(as = "Option<bool>")]
    pub video: bool,
    /// Send a screen.
    #[ts(as = "Option<bool>")]
    pub screen: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self { signal: true, broadcast: true, audio: true, video: true, screen: true }
    }
}

/// Body of `POST /api/video/rooms`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NewRoom {
    /// Its id; drawn by the server if it is left out.
    #[schema(value_type = Option<grammar::RoomId>)]
    pub room_id: Option<String>,
    /// For people; 1 to 120 characters.
    pub name: String,
    /// The user who is its host.
    pub host_id: Option<String>,
    /// Seats; 6 if it is left out.
    pub max_participants: Option<u32>,
    /// Asked of whoever is neither host nor invited.
    pub password: Option<String>,
    /// Who finds it.
    #[serde(default)]
    #[ts(as = "Option<Visibility>")]
    pub visibility: Visibility,
    /// Who has to wait.
    #[serde(default)]
    #[ts(as = "Option<LobbyMode>")]
    pub lobby: LobbyMode,
    /// How media travels.
    #[serde(default)]
    #[ts(as = "Option<Topology>")]
    pub topology: Topology,
    /// What becomes of it without its host.
    #[serde(default)]
    #[ts(as = "Option<HostPolicy>")]
    pub host_policy: HostPolicy,
    /// Seconds after which it is closed if nobody has ever come; 300 if it is left out.
    pub empty_timeout_sec: Option<u32>,
    /// Seconds after which it is closed when everybody has left; 60 if it is left out.
    pub departure_timeout_sec: Option<u32>,
    /// Seconds that a call lasts at most.
    pub max_duration_sec: Option<u32>,
    /// Seconds for which a seat is kept whose line is down; 20 if it is left out.
    pub grace_sec: Option<u32>,
    /// When it opens, RFC 3339.
    pub not_before: Option<String>,
    /// When it ends, RFC 3339.
    pub expires_at: Option<String>,
    /// Whether it waits for the next call instead of being closed.
    #[serde(default)]
    #[ts(as = "Option<bool>")]
    pub persistent: bool,
    /// Whether media must go through a TURN server, so that no participant learns another's address.
    #[serde(default)]
    #[ts(as = "Option<bool>")]
    pub relay_only: bool,
    /// How many send pictures at the same time.
    pub max_video_senders: Option<u32>,
    /// A JSON object of the application; at most 4 KiB.
    #[ts(type = "Record<string, unknown>")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Box<RawValue>>,
    /// What participants may do unless something else is said of them.
    pub permissions: Option<Permissions>,
}

/// The password stays out of logs.
impl std::fmt::Debug for NewRoom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewRoom").field("room_id", &self.room_id).finish_non_exhaustive()
    }
}

/// Answer to `POST /api/video/rooms`.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct CreatedRoom {
    /// The room.
    pub room: Room,
    /// Makes whoever joins with it the host; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_token: Option<String>,
    /// The page on which to join, relative to the server.
    pub join_url: String,
    /// What one should know: `mesh_over_6`.
    pub warnings: Vec<String>,
}

/// The token stays out of logs.
impl std::fmt::Debug for CreatedRoom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CreatedRoom").field("room", &self.room).finish_non_exhaustive()
    }
}

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    pub room_id: String,
    /// For people.
    pub name: String,
    /// The user who is its host; a label only where nobody signs in.
    pub host_id: Option<String>,
    /// Where it stands.
    pub status: RoomStatus,
    /// Who finds it.
    pub visibility: Visibility,
    /// Whether it has a password.
    pub locked: bool,
    /// Who has to wait.
    pub lobby: LobbyMode,
    /// How media travels.
    pub topology: Topology,
    /// What becomes of it without its host.
    pub host_policy: HostPolicy,
    /// Seats.
    pub max_participants: u32,
    /// Seats that are taken.
    pub participant_count: u32,
    /// Of those, whose line is down.
    pub reconnecting_count: u32,
    /// Seconds for which a seat is kept.
    pub grace_sec: u32,
    /// Whether media must go through a TURN server.
    pub relay_only: bool,
    /// Whether it waits for the next call instead of being closed.
    pub persistent: bool,
    /// How many send pictures at the same time.
    pub max_video_senders: Option<u32>,
    /// What the application says of it.
    #[ts(type = "Record<string, unknown> | null")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
    /// What participants may do unless something else is said of them.
    pub permissions: Permissions,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// When its call began.
    pub started_at: Option<String>,
    /// When it ends.
    pub expires_at: Option<String>,
    /// When it was closed.
    pub closed_at: Option<String>,
    /// Its incarnation: changes with a restart of the server.
    pub epoch: String,
    /// Number of its last event.
    #[ts(type = "number")]
    pub room_seq: u64,
}

/// Answer to `GET /api/video/rooms`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct RoomList {
    /// The newest first.
    pub rooms: Vec<Room>,
    /// For the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Answer to `GET /api/video/rooms/{id}`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct RoomDetail {
    /// The room.
    #[serde(flatten)]
    pub room: Room,
    /// Who is in it; only for those who are, its owner and the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<Participant>>,
}

/// Body of `PATCH /api/video/rooms/{id}` (RFC 7396): what is left out stays, `null` takes away.
#[derive(Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct RoomChange {
    /// For people.
    pub name: Option<String>,
    /// A new password, or none.
    #[serde(deserialize_with = "some")]
    #[ts(as = "Option<String>")]
    pub password: Option<Option<String>>,
    /// Who finds it.
    pub visibility: Option<Visibility>,
    /// Who has to wait.
    pub lobby: Option<LobbyMode>,
    /// What becomes of it without its host.
    pub host_policy: Option<HostPolicy>,
    /// Seats; not fewer than are taken.
    pub max_participants: Option<u32>,
    /// See [`NewRoom`].
    pub empty_timeout_sec: Option<u32>,
    /// See [`NewRoom`].
    pub departure_timeout_sec: Option<u32>,
    /// See [`NewRoom`].
    pub grace_sec: Option<u32>,
    /// What the application says of it, or nothing.
    #[serde(deserialize_with = "some")]
    #[ts(type = "Record<string, unknown> | null")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Option<Box<RawValue>>>,
    /// What participants may do from now on.
    pub permissions: Option<Permissions>,
}

/// The password stays out of logs.
impl std::fmt::Debug for RoomChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RoomChange").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Tells a field that is `null` from one that is not there.
pub(crate) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
