//! Invitations that a host gives out.

use std::time::Duration;

use santral_core::entry::Timestamp;
use santral_core::limits::{INVITATION_SECONDS, INVITATION_SECONDS_DEFAULT, INVITATION_USES};
use santral_schema::invitations::{CreatedInvitation, InvitationRequest};

use super::{Guest, VideoRooms, form, known};
use crate::auth::invitations::InvitationClaims;
use crate::hub::Hub;
use crate::service::Refusal;

impl VideoRooms {
    /// Signs an invitation to a room, on behalf of its host.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn invite(
        &self,
        guest: &Guest<'_>,
        room: &str,
        request: InvitationRequest,
    ) -> Result<CreatedInvitation, Refusal> {
        let id = known(room)?;
        let actor = guest.actor(&id);
        let name = request.name.as_deref().map(form::name).transpose()?;
        let seconds = request.ttl_sec.unwrap_or(INVITATION_SECONDS_DEFAULT);
        if !INVITATION_SECONDS.contains(&seconds) {
            return Err(Refusal::Field("`ttlSec` is 60 to 2,592,000"));
        }
        if request.max_uses.is_some_and(|uses| !INVITATION_USES.contains(&uses)) {
            return Err(Refusal::Field("`maxUses` is 1 to 10,000"));
        }
        let claims = InvitationClaims {
            room: id.to_string(),
            name: name.map(|name| name.to_string()),
            role: request.role,
            permissions: request.permissions,
            is_host: request.host,
            id: Some(nanoid::nanoid!()),
            uses_max: request.max_uses,
            user: None,
        };
        self.ask(move |rooms, _| rooms.check_host(&id, &actor)).await?;
        let now = Hub::wall_clock();
        // In the form of a JWT a moment is a whole second.
        let ends = now.0.div_euclid(MICROS) + i64::from(seconds);
        let join_token =
            self.accounts.authenticator.issue_invitation(&claims, Duration::from_secs(seconds.into()), now);
        Ok(CreatedInvitation { join_token, expires_at: Timestamp(ends * MICROS).to_rfc3339() })
    }
}

const MICROS: i64 = 1_000_000;
