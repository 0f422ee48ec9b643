//! What a room is set to.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use santral_schema::video::{HostPolicy, LobbyMode, Permissions, Topology, Visibility};

use crate::entry::Timestamp;

/// What a room is set to; everything in it is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomSettings {
    /// For people.
    pub name: Arc<str>,
    /// The user who is its host.
    pub host_id: Option<Arc<str>>,
    /// Seats.
    pub max_participants: u32,
    /// Hash of its password.
    pub password_hash: Option<Arc<str>>,
    /// Who finds it.
    pub visibility: Visibility,
    /// Who has to wait.
    pub lobby: LobbyMode,
    /// How media travels.
    pub topology: Topology,
    /// What becomes of it without its host.
    pub host_policy: HostPolicy,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// What the application says of it: a JSON object.
    pub metadata: Option<Value>,
    /// All that needs no column of its own.
    pub more: MoreSettings,
}

/// Settings that the database keeps as one JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MoreSettings {
    /// After this it is closed if nobody has ever come.
    pub empty_timeout: Duration,
    /// After this it is closed when everybody has left.
    pub departure_timeout: Duration,
    /// So long a call lasts at most.
    pub max_duration: Option<Duration>,
    /// So long a seat is kept whose line is down.
    pub grace: Duration,
    /// When it opens, in microseconds since the Unix epoch.
    pub not_before: Option<i64>,
    /// Whether it waits for the next call instead of being closed.
    pub persistent: bool,
    /// Whether media must go through a TURN server.
    pub relay_only: bool,
    /// How many send pictures at the same time.
    pub max_video_senders: Option<u32>,
    /// What participants may do unless something else is said of them.
    pub permissions: Permissions,
}

/// A change of settings; what is `None` stays.
#[derive(Debug, Default)]
pub struct SettingsChange {
    /// See [`RoomSettings`].
    pub name: Option<Arc<str>>,
    /// A new password's hash, or none.
    pub password_hash: Option<Option<Arc<str>>>,
    /// See [`RoomSettings`].
    pub visibility: Option<Visibility>,
    /// See [`RoomSettings`].
    pub lobby: Option<LobbyMode>,
    /// See [`RoomSettings`].
    pub host_policy: Option<HostPolicy>,
    /// See [`RoomSettings`].
    pub max_participants: Option<u32>,
    /// See [`RoomSettings`].
    pub metadata: Option<Option<Value>>,
    /// See [`MoreSettings`].
    pub empty_timeout: Option<Duration>,
    /// See [`MoreSettings`].
    pub departure_timeout: Option<Duration>,
    /// See [`MoreSettings`].
    pub grace: Option<Duration>,
    /// See [`MoreSettings`].
    pub permissions: Option<Permissions>,
}

impl RoomSettings {
    /// Takes a change over and returns the names of what is different now.
    pub(super) fn apply(&mut self, change: SettingsChange) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut note = |name: &'static str, is_new: bool| {
            if is_new {
                changed.push(name);
            }
        };
        note("name", put(&mut self.name, change.name));
        note("password", put(&mut self.password_hash, change.password_hash));
        note("visibility", put(&mut self.visibility, change.visibility));
        note("lobby", put(&mut self.lobby, change.lobby));
        note("hostPolicy", put(&mut self.host_policy, change.host_policy));
        note("maxParticipants", put(&mut self.max_participants, change.max_participants));
        note("metadata", put(&mut self.metadata, change.metadata));
        note("emptyTimeoutSec", put(&mut self.more.empty_timeout, change.empty_timeout));
        note("departureTimeoutSec", put(&mut self.more.departure_timeout, change.departure_timeout));
        note("graceSec", put(&mut self.more.grace, change.grace));
        note("permissions", put(&mut self.more.permissions, change.permissions));
        changed
    }
}

/// Whether the place holds something else now.
fn put<T: PartialEq>(place: &mut T, value: Option<T>) -> bool {
    match value {
        Some(value) if value != *place => {
            *place = value;
            true
        }
        Some(_) | None => false,
    }
}
