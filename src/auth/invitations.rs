//! Invitations to video rooms: signed by the operator's own issuer for its users, or by us for a host.
//!
//! An invitation opens one room and is no login. What tells it from a token that is one: ours have a media
//! type of their own, and those of the issuer name a room.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use santral_core::entry::Timestamp;
use santral_core::limits::ROOM_NAME_CHARACTERS_MAX;
use santral_schema::video::{ParticipantRole, Permissions};

use super::authenticator::Authenticator;
use super::error::AuthError;
use super::issuer::{Audience, subject};
use super::jws::NumericDate;
use super::tokens::{OURSELVES, check_end, check_start, whole_seconds};

/// Media type of our own.
const INVITATION: &str = "inv+jwt";

/// Longest id of an invitation, in bytes.
const ID_BYTES_MAX: usize = 128;

/// What an invitation says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvitationClaims {
    /// The user whom it names.
    pub user: Option<Arc<str>>,
    /// The room.
    pub room: String,
    /// What the guest is called.
    pub name: Option<String>,
    /// What the guest is there for.
    pub role: Option<ParticipantRole>,
    /// What the guest may do.
    pub permissions: Option<Permissions>,
    /// Whether it makes the guest the host.
    pub is_host: bool,
    /// Tells it from others.
    pub id: Option<String>,
    /// How many may come in with it.
    pub uses_max: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireInvitation {
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<ParticipantRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    perm: Option<Permissions>,
    #[serde(default)]
    host: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<NumericDate>,
    exp: Option<NumericDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<u32>,
}

impl WireInvitation {
    /// Checks what the signature does not.
    fn read(self, now: Timestamp) -> Result<InvitationClaims, AuthError> {
        check_end(self.exp, now)?;
        check_start(self.nbf, now)?;
        let is_name = |name: &String| {
            (1..=ROOM_NAME_CHARACTERS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control)
        };
        if self.name.as_ref().is_some_and(|name| !is_name(name)) {
            return Err(AuthError::BadClaim("name"));
        }
        if self.jti.as_ref().is_some_and(|id| id.is_empty() || id.len() > ID_BYTES_MAX) {
            return Err(AuthError::BadClaim("jti"));
        }
        if self.max_uses == Some(0) {
            return Err(AuthError::BadClaim("maxUses"));
        }
        if self.max_uses.is_some() && self.jti.is_none() {
            return Err(AuthError::MissingClaim("jti"));
        }
        Ok(InvitationClaims {
            user: self.sub.as_deref().map(|sub| subject(Some(sub))).transpose()?,
            room: self.room.ok_or(AuthError::MissingClaim("room"))?,
            name: self.name,
            role: self.role,
            permissions: self.perm,
            is_host: self.host,
            id: self.jti,
            uses_max: self.max_uses,
        })
    }
}

impl Authenticator {
    /// Signs an invitation.
    #[must_use]
    pub fn issue_invitation(&self, claims: &InvitationClaims, lifetime: Duration, now: Timestamp) -> String {
        self.tokens.sign(
            INVITATION,
            &WireInvitation {
                iss: Some(OURSELVES.to_owned()),
                aud: Some(Audience::One(OURSELVES.to_owned())),
                sub: claims.user.as_ref().map(ToString::to_string),
                room: Some(claims.room.clone()),
                name: claims.name.clone(),
                role: claims.role,
                perm: claims.permissions,
                host: claims.is_host,
                jti: claims.id.clone(),
                nbf: None,
                exp: Some(NumericDate(NumericDate::of(now).0 + whole_seconds(lifetime))),
                max_uses: claims.uses_max,
            },
        )
    }

    /// Verifies an invitation: one of ours, or one of the issuer.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn verify_invitation(&self, token: &str, now: Timestamp) -> Result<InvitationClaims, AuthError> {
        match (self.tokens.verify::<WireInvitation>(INVITATION, token), self.issuer()) {
            (Ok(claims), _) => {
                let is_for_us = matches!(&claims.aud, Some(Audience::One(named)) if named == OURSELVES);
                if claims.iss.as_deref() != Some(OURSELVES) {
                    return Err(AuthError::WrongIssuer);
                }
                if is_for_us { claims.read(now) } else { Err(AuthError::WrongAudience) }
            }
            (Err(AuthError::BadSignature | AuthError::WrongType), Some(issuer)) => {
                let claims: WireInvitation = issuer.signed(token, now)?;
                issuer.check_party(claims.iss.as_deref(), claims.aud.as_ref())?;
                claims.read(now)
            }
            (Err(error), _) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secrets::TokenKey;
    use crate::auth::tokens::Tokens;
    use crate::auth::{Presented, RoleGrants};
    use crate::config::Secret;

    const NOW: Timestamp = Timestamp(1_764_105_600_000_000);

    fn authenticator(secret: &str) -> Authenticator {
        let folder = std::env::temp_dir();
        let key = TokenKey::open(Some(&Secret::new(secret.to_owned())), &folder).expect("a good secret");
        let none = std::sync::Arc::default();
        Authenticator::new(Tokens::new(&key), None, RoleGrants { anonymous: Arc::clone(&none), user: none })
    }

    fn claims() -> InvitationClaims {
        InvitationClaims {
            room: "meeting-123".to_owned(),
            name: Some("Ada".to_owned()),
            role: Some(ParticipantRole::Moderator),
            id: Some("one".to_owned()),
            uses_max: Some(1),
            ..InvitationClaims::default()
        }
    }

    #[test]
    fn an_invitation_says_what_it_was_given_until_it_ends() {
        let door = authenticator("K7v2Qp9sXw4mZr8tYb3nHc6jLd1fGa5e");
        let token = door.issue_invitation(&claims(), Duration::from_secs(60), NOW);
        assert_eq!(door.verify_invitation(&token, NOW), Ok(claims()));
        let later = Timestamp(NOW.0 + 60_000_000);
        assert_eq!(door.verify_invitation(&token, later), Err(AuthError::Expired));
        let other = authenticator("Tn5wRk8xUe2cVb7mQj4hSz9gPd3yLf6a");
        assert_eq!(other.verify_invitation(&token, NOW), Err(AuthError::BadSignature));
    }

    #[test]
    fn an_invitation_is_no_login() {
        let door = authenticator("K7v2Qp9sXw4mZr8tYb3nHc6jLd1fGa5e");
        let token = door.issue_invitation(&claims(), Duration::from_secs(60), NOW);
        let presented = Presented { bearer: Some(&token), ..Presented::default() };
        assert_eq!(door.authenticate(&presented, NOW).err(), Some(AuthError::WrongType));
    }
}
