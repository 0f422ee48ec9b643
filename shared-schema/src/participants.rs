//! Who is in a video room: how they come in, and how they are steered.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::grammar;
use crate::video::{LeaveReason, Media, MediaChange, ParticipantRole, ParticipantState, Permissions, Room, some};

/// What to do when the same person is in the room already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDuplicate {
    /// Take their place; for who is signed in.
    Replace,
    /// Do not join.
    Reject,
    /// Join beside them.
    #[default]
    Allow,
}

/// Body of `POST /api/video/rooms/{id}/join`.
#[derive(Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct JoinRequest {
    /// The room, for commands; over HTTP the path names it, and this must be the same.
    pub room_id: Option<String>,
    /// The session whose stream gets the events, as `hello` named it.
    #[schema(value_type = Option<grammar::SessionToken>)]
    pub session: Option<String>,
    /// Instead: the connection, for who is signed in.
    pub connection_id: Option<String>,
    /// For people; 1 to 120 characters.
    pub display_name: Option<String>,
    /// Of the room.
    pub password: Option<String>,
    /// An invitation: a JWT of the operator's issuer or of Santral.
    pub join_token: Option<String>,
    /// Makes the participant the host.
    pub host_token: Option<String>,
    /// The participant token of a seat that is to be taken again.
    pub resume: Option<String>,
    /// With `resume`: the number of the last event of the room that the client has handled.
    #[ts(type = "number")]
    pub last_room_seq: Option<u64>,
    /// With `lastRoomSeq`: the incarnation of the room in which that was.
    pub epoch: Option<String>,
    /// What to do when the same person is in the room already.
    #[ts(as = "Option<OnDuplicate>")]
    pub on_duplicate: OnDuplicate,
    /// A JSON object of the application; at most 4 KiB.
    #[ts(type = "Record<string, unknown>")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Box<RawValue>>,
    /// Which media it sends.
    #[ts(as = "Option<Media>")]
    pub media: Media,
    /// What it is there for; `moderator` comes from the host only.
    #[ts(as = "Option<ParticipantRole>")]
    pub role: ParticipantRole,
    /// The program that joins.
    pub client: Option<ClientProgram>,
}

/// Secrets stay out of logs.
impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("JoinRequest").field("display_name", &self.display_name).finish_non_exhaustive()
    }
}

/// The program that joins.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct ClientProgram {
    /// Name of the SDK.
    pub sdk: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it can do.
    #[ts(as = "Option<Vec<String>>")]
    pub features: Vec<String>,
}

/// A participant as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Participant {
    /// Its address for signals; never used again.
    pub participant_id: String,
    /// The user, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// For people.
    pub display_name: String,
    /// What it is there for.
    pub role: ParticipantRole,
    /// 1, 2, 3 … in the order of admission; 0 in the lobby. Who has the higher one is polite.
    pub ordinal: u32,
    /// Where it stands.
    pub state: ParticipantState,
    /// Which media it sends.
    pub media: Media,
    /// Which of its media others shall not play.
    pub muted_by_host: Media,
    /// Whether it wants to speak.
    pub hand_raised: bool,
    /// Whether it is the host.
    pub is_host: bool,
    /// What it may do.
    pub permissions: Permissions,
    /// What the application says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, unknown>")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
    /// When it came in, RFC 3339 in UTC; when it knocked, in the lobby.
    pub joined_at: String,
    /// How its call is: `good`, `fair`, `poor`, `lost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
}

/// How a join went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JoinStatus {
    /// In the room.
    Joined,
    /// Waiting to be let in.
    Lobby,
}

/// Answer to a join: 200 with everything, 202 from the lobby with the first three fields.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct JoinAnswer {
    /// How it went.
    pub status: JoinStatus,
    /// Oneself.
    pub participant: Participant,
    /// Proves who one is in this room; a secret, good until one leaves. A resume changes it.
    pub token: String,
    /// Whatever only those see who are in.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
}

/// The token stays out of logs.
impl std::fmt::Debug for JoinAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("JoinAnswer").field("participant", &self.participant).finish_non_exhaustive()
    }
}

/// What whoever is in a room gets to know at the join.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inside {
    /// Whether it was in already.
    pub already: bool,
    /// After a resume: whether events were lost, so that the client must go by this answer.
    pub resync: bool,
    /// The room.
    pub room: Room,
    /// The others. The newcomer offers to each of them.
    pub participants: Vec<Participant>,
    /// Who waits to be let in; for the host and moderators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Participant>>", optional)]
    pub waiting: Vec<Participant>,
    /// Number of the room's last event.
    #[ts(type = "number")]
    pub room_seq: u64,
    /// The room's incarnation.
    pub epoch: String,
    /// Number of the last signal that the server has of this participant.
    #[ts(type = "number")]
    pub last_seq: u64,
    /// ICE servers and until when they are good.
    #[serde(flatten)]
    pub ice: crate::ice::IceServers,
    /// What a request may hold.
    pub limits: SignalLimits,
    /// How much to send.
    pub advice: crate::call_quality::Advice,
}

/// What a request with signals may hold.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalLimits {
    /// Bytes of one signal's data.
    #[ts(type = "number")]
    pub max_signal_bytes: usize,
    /// Signals of one request.
    #[ts(type = "number")]
    pub max_signals: usize,
    /// Bytes of one request.
    #[ts(type = "number")]
    pub max_request_bytes: usize,
}

/// Body of `POST /api/video/rooms/{id}/leave`.
#[derive(Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct LeaveRequest {
    /// The room, for commands; over HTTP the path names it, and this must be the same.
    pub room_id: Option<String>,
    /// The participant token, for `navigator.sendBeacon`, which sends no headers.
    pub token: Option<String>,
    /// `client_leave`, or `page_closed` for a page that may come back within seconds.
    pub reason: Option<LeaveReason>,
}

/// The token stays out of logs.
impl std::fmt::Debug for LeaveRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LeaveRequest").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Body of `PATCH /api/video/rooms/{id}/participants/{participant}`.
#[derive(Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct ParticipantChange {
    /// For people; one's own.
    pub display_name: Option<String>,
    /// What the application says of it, or nothing; one's own.
    #[serde(deserialize_with = "some")]
    #[ts(type = "Record<string, unknown> | null")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Option<Box<RawValue>>>,
    /// Which media it sends; one's own.
    pub media: Option<MediaChange>,
    /// Whether it wants to speak; one's own, and hosts may lower a hand.
    pub hand_raised: Option<bool>,
    /// What it is there for; from the host.
    pub role: Option<ParticipantRole>,
    /// What it may do; from host and moderators.
    pub permissions: Option<Permissions>,
    /// Which of its media others shall not play; from host and moderators.
    pub mute: Option<MediaChange>,
}

/// Body of `POST /api/video/rooms/{id}/lobby`.
#[derive(Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct LobbyDecision {
    /// Who comes in.
    #[ts(as = "Option<Chosen>")]
    pub admit: Option<Chosen>,
    /// Who does not.
    #[ts(as = "Option<Chosen>")]
    pub deny: Option<Chosen>,
}

/// Some of those who wait, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
pub enum Chosen {
    /// `"*"`, or one of them.
    One(String),
    /// These.
    Some(Vec<String>),
}

/// Answer to `POST /api/video/rooms/{id}/lobby`.
#[derive(Debug, Default, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LobbyDecided {
    /// Who is in now.
    pub admitted: Vec<String>,
    /// Who was turned away.
    pub denied: Vec<String>,
    /// Who must wait on, because the room is full.
    pub full: Vec<String>,
}

/// Body of `POST /api/video/rooms/{id}/host`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostTransfer {
    /// Who is host from now on.
    pub participant_id: String,
}
