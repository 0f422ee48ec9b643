//! From what a client presented to on whose behalf it acts.

use std::sync::Arc;

use arc_swap::ArcSwap;

use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_schema::access::Role;

use super::api_keys::{self, KeyRing};
use super::error::AuthError;
use super::issuer::{Issuer, IssuerClaims};
use super::principal::{Credential, Principal};
use super::revocations::Revocations;
use super::tickets::Tickets;
use super::tokens::Tokens;

/// What a client presented, at most one of it.
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    /// Of the header `Authorization: Bearer` (RFC 6750, section 2.1).
    pub bearer: Option<&'a str>,
    /// Of the query parameter `token`.
    pub query_token: Option<&'a str>,
    /// Of the query parameter `ticket`.
    pub ticket: Option<&'a str>,
}

impl Presented<'_> {
    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.bearer.is_none() && self.query_token.is_none() && self.ticket.is_none()
    }
}

/// Channels of those whose credential names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleGrants {
    /// Of who presented nothing.
    pub anonymous: Arc<Grants>,
    /// Of users with an account.
    pub user: Arc<Grants>,
}

/// Tells who somebody is.
pub struct Authenticator {
    /// Our own tokens.
    pub tokens: Tokens,
    /// API keys.
    pub api_keys: KeyRing,
    /// Tickets.
    pub tickets: Tickets,
    /// What was taken back.
    pub revocations: Revocations,
    issuer: Option<Issuer>,
    role_grants: ArcSwap<RoleGrants>,
    viewer: Arc<Grants>,
    all: Arc<Grants>,
}

impl Authenticator {
    /// Knows our own tokens and those of the issuer, if there is one; no API key yet.
    #[must_use]
    pub fn new(tokens: Tokens, issuer: Option<Issuer>, role_grants: RoleGrants) -> Self {
        let viewer = Grants { subscribe: Patterns::all(), presence: Patterns::all(), ..Grants::default() };
        Self {
            tokens,
            api_keys: KeyRing::default(),
            tickets: Tickets::default(),
            revocations: Revocations::default(),
            issuer,
            role_grants: ArcSwap::from_pointee(role_grants),
            viewer: Arc::new(viewer),
            all: Grants::all(),
        }
    }

    /// The operator's own issuer, if there is one.
    pub(super) fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }

    /// Changes the channels of roles for everybody who comes from now on.
    pub fn set_role_grants(&self, role_grants: RoleGrants) {
        self.role_grants.store(Arc::new(role_grants));
    }

    /// The channels that go with a role.
    #[must_use]
    pub fn grants_of(&self, role: Role) -> Arc<Grants> {
        match role {
            Role::Anonymous => Arc::clone(&self.role_grants.load().anonymous),
            Role::User => Arc::clone(&self.role_grants.load().user),
            Role::Viewer => Arc::clone(&self.viewer),
            Role::Publisher | Role::Admin => Arc::clone(&self.all),
        }
    }

    /// On whose behalf a client acts that presented this. Who presented nothing is anonymous.
    ///
    /// # Errors
    /// [`AuthError`]. A credential that is no good never makes anybody anonymous.
    pub fn authenticate(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Principal, AuthError> {
        match (presented.bearer, presented.query_token, presented.ticket) {
            (None, None, None) => Ok(Principal::anonymous(self.grants_of(Role::Anonymous))),
            (Some(token), None, None) | (None, Some(token), None) => self.by_token(token, now),
            (None, None, Some(ticket)) => {
                let principal = self.tickets.redeem(ticket, now)?;
                if self.is_revoked(&principal) { Err(AuthError::Revoked) } else { Ok(principal) }
            }
            _ => Err(AuthError::TwoCredentials),
        }
    }

    /// Whether a principal that was authenticated a while ago has lost its right meanwhile. To be
    /// asked once more where a stream is attached: a revocation may come between the two.
    #[must_use]
    pub fn is_revoked(&self, principal: &Principal) -> bool {
        match (&principal.credential, &principal.user, principal.expires_at) {
            (Credential::Login { family, version }, Some(user), Some(expires_at)) => {
                self.revocations.concern(user, family, *version, expires_at)
            }
            (Credential::ApiKey { id }, _, _) => !self.api_keys.contains(id),
            (Credential::Login { .. } | Credential::None | Credential::Issuer, _, _) => false,
        }
    }

    /// An API key is told by how it begins. Any other token is ours if our key has signed it for
    /// access; if not, the issuer's keys are tried. So nothing that is unverified chooses a key.
    fn by_token(&self, token: &str, now: Timestamp) -> Result<Principal, AuthError> {
        if token.starts_with(api_keys::PREFIX) {
            return self.api_keys.verify(token, now);
        }
        let ours = match self.by_own_token(token, now) {
            Err(AuthError::WrongType) => self.by_subject_token(token, now),
            ours => ours,
        };
        match (&self.issuer, &ours) {
            (Some(issuer), Err(AuthError::BadSignature | AuthError::WrongType)) => self.by_issuer(issuer, token, now),
            _ => ours,
        }
    }

    fn by_own_token(&self, token: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let claims = self.tokens.verify_access(token, now)?;
        if self.revocations.concern(&claims.user, &claims.login, claims.version, claims.expires_at) {
            return Err(AuthError::Revoked);
        }
        Ok(Principal {
            name: format!("user:{}", claims.user).into(),
            user: Some(claims.user),
            role: claims.role,
            grants: self.grants_of(claims.role),
            credential: Credential::Login { family: claims.login, version: claims.version },
            expires_at: Some(claims.expires_at),
        })
    }

    /// A token that the command line has made with our key.
    fn by_subject_token(&self, token: &str, now: Timestamp) -> Result<Principal, AuthError> {
        Ok(self.named_by(self.tokens.verify_for_subject(token, now)?))
    }

    fn by_issuer(&self, issuer: &Issuer, token: &str, now: Timestamp) -> Result<Principal, AuthError> {
        Ok(self.named_by(issuer.verify(token, now)?))
    }

    /// Somebody whom a token names, without an account.
    fn named_by(&self, claims: IssuerClaims) -> Principal {
        Principal {
            name: format!("jwt:{}", claims.user).into(),
            user: Some(claims.user),
            role: claims.role,
            grants: claims.grants.unwrap_or_else(|| self.grants_of(claims.role)),
            credential: Credential::Issuer,
            expires_at: Some(claims.expires_at),
        }
    }
}
