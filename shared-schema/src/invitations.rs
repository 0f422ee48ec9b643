//! Invitations to video rooms: tokens that let somebody in who would not come in otherwise.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::video::{ParticipantRole, Permissions};

/// Body of `POST /api/video/rooms/{id}/invitations`.
#[derive(Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct InvitationRequest {
    /// What the guest is called; else the guest says so.
    pub name: Option<String>,
    /// What the guest is there for; else the guest says so, `moderator` excepted.
    pub role: Option<ParticipantRole>,
    /// Whether it makes the guest the host.
    #[ts(as = "Option<bool>")]
    pub host: bool,
    /// What the guest may do; else what the room says.
    pub permissions: Option<Permissions>,
    /// Seconds for which it is good, 60 to 2,592,000; a day if it is left out.
    pub ttl_sec: Option<u32>,
    /// How many may come in with it, at most 10,000; without limit if it is left out.
    pub max_uses: Option<u32>,
}

/// Answer to `POST /api/video/rooms/{id}/invitations`.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedInvitation {
    /// For `joinToken`; a secret, shown once.
    pub join_token: String,
    /// When it ends, RFC 3339 in UTC.
    pub expires_at: String,
}

/// The token stays out of logs.
impl std::fmt::Debug for CreatedInvitation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CreatedInvitation").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
