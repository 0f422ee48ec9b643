//! Our own tokens: signed JWTs (RFC 7519), short-lived ones for access and long-lived ones to refresh.
//!
//! A refresh token names its login and a generation; the store says whether that is still the
//! present one. Neither is ever stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};

use santral_core::entry::Timestamp;
use santral_core::limits::{
    ACCESS_TOKEN_LIFETIME, ACCESS_TOKEN_LIFETIME_MAX, REFRESH_TOKEN_LIFETIME, TOKEN_LEEWAY_SECONDS,
};
use santral_schema::access::Role;

use super::error::AuthError;
use super::jws::{NumericDate, Unverified, VerifyingKey};
use super::secrets::TokenKey;
use crate::ports::accounts::{Login, User};

/// Issuer and audience of our own tokens.
pub(super) const OURSELVES: &str = "santral";

/// Media type of an access token (RFC 9068, section 2.1).
const ACCESS: &str = "at+jwt";

/// Media type of a refresh token.
const REFRESH: &str = "rt+jwt";

/// Issues and verifies our own tokens.
pub struct Tokens {
    encoding: EncodingKey,
    verifying: VerifyingKey,
    access_seconds: AtomicI64,
    refresh_seconds: AtomicI64,
}

/// What an access token of ours says, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user's id.
    pub user: Arc<str>,
    /// What the user may do in general.
    pub role: Role,
    /// The user's token version when the token was issued.
    pub version: i64,
    /// The login from which the token descends.
    pub login: Arc<str>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a refresh token says, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshClaims {
    /// The user's id.
    pub user: Arc<str>,
    /// The login.
    pub login: Arc<str>,
    /// Which refresh of the login it is for.
    pub generation: i64,
}

#[derive(Serialize, Deserialize)]
struct WireAccess {
    iss: String,
    aud: String,
    sub: String,
    role: Role,
    ver: i64,
    sid: String,
    iat: i64,
    exp: Option<NumericDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<NumericDate>,
}

#[derive(Serialize, Deserialize)]
struct WireRefresh {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    r#gen: i64,
    exp: Option<NumericDate>,
}

#[derive(Serialize)]
struct WireHeader {
    alg: &'static str,
    typ: &'static str,
}

impl Tokens {
    /// Tokens that are signed with this key.
    #[must_use]
    pub fn new(key: &TokenKey) -> Self {
        let verifying =
            VerifyingKey { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(key.bytes()) };
        Self {
            encoding: EncodingKey::from_secret(key.bytes()),
            verifying,
            access_seconds: AtomicI64::new(whole_seconds(ACCESS_TOKEN_LIFETIME)),
            refresh_seconds: AtomicI64::new(whole_seconds(REFRESH_TOKEN_LIFETIME)),
        }
    }

    /// Changes how long the tokens are good that are issued from now on.
    pub fn set_lifetimes(&self, access: Duration, refresh: Duration) {
        self.access_seconds.store(whole_seconds(access), Ordering::Relaxed);
        self.refresh_seconds.store(whole_seconds(refresh), Ordering::Relaxed);
    }

    /// Seconds for which an access token is good that is issued now.
    #[must_use]
    pub fn access_seconds(&self) -> u64 {
        self.access_seconds.load(Ordering::Relaxed).unsigned_abs()
    }

    /// An access token for a user's login.
    #[must_use]
    pub fn issue_access(&self, user: &User, login: &str, now: Timestamp) -> String {
        self.issue_access_for(Duration::from_secs(self.access_seconds()), user, login, now)
    }

    /// The same for another time; never for a longer one than the bound, since what is revoked is remembered for
    /// [`ACCESS_TOKEN_LIFETIME_MAX`] only.
    #[must_use]
    pub fn issue_access_for(&self, lifetime: Duration, user: &User, login: &str, now: Timestamp) -> String {
        let lifetime = lifetime.min(ACCESS_TOKEN_LIFETIME_MAX);
        let issued = NumericDate::of(now);
        self.sign(
            ACCESS,
            &WireAccess {
                iss: OURSELVES.to_owned(),
                aud: OURSELVES.to_owned(),
                sub: user.id.to_string(),
                role: user.role,
                ver: user.token_version,
                sid: login.to_owned(),
                iat: issued.0,
                exp: Some(NumericDate(issued.0 + whole_seconds(lifetime))),
                nbf: None,
            },
        )
    }

    /// The refresh token of a login's present generation.
    #[must_use]
    pub fn issue_refresh(&self, login: &Login) -> String {
        self.sign(
            REFRESH,
            &WireRefresh {
                iss: OURSELVES.to_owned(),
                aud: OURSELVES.to_owned(),
                sub: login.user.to_string(),
                sid: login.id.to_string(),
                r#gen: login.generation,
                exp: Some(NumericDate::of(login.expires_at)),
            },
        )
    }

    /// When a login ends that is begun or refreshed now.
    #[must_use]
    pub fn login_end(&self, now: Timestamp) -> Timestamp {
        NumericDate(NumericDate::of(now).0 + self.refresh_seconds.load(Ordering::Relaxed)).to_timestamp()
    }

    /// Verifies an access token. Whether it was revoked is another question.
    ///
    /// # Errors
    /// [`AuthError`]; [`AuthError::BadSignature`] or [`AuthError::WrongType`] if it is none of ours.
    pub fn verify_access(&self, token: &str, now: Timestamp) -> Result<AccessClaims, AuthError> {
        let claims: WireAccess = self.verify(ACCESS, token)?;
        check_party(&claims.iss, &claims.aud)?;
        let expires_at = check_end(claims.exp, now)?;
        check_start(claims.nbf, now)?;
        Ok(AccessClaims {
            user: claims.sub.into(),
            role: claims.role,
            version: claims.ver,
            login: claims.sid.into(),
            expires_at,
        })
    }

    /// Verifies a refresh token. Whether its login goes on is the store's to say.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn verify_refresh(&self, token: &str, now: Timestamp) -> Result<RefreshClaims, AuthError> {
        let claims: WireRefresh = self.verify(REFRESH, token)?;
        check_party(&claims.iss, &claims.aud)?;
        check_end(claims.exp, now)?;
        Ok(RefreshClaims { user: claims.sub.into(), login: claims.sid.into(), generation: claims.r#gen })
    }

    pub(super) fn verify<T: serde::de::DeserializeOwned>(&self, kind: &str, token: &str) -> Result<T, AuthError> {
        let token = Unverified::parse(token)?;
        if token.kind().as_deref() != Some(kind) {
            return Err(AuthError::WrongType);
        }
        token.verify([&self.verifying])
    }

    pub(super) fn sign(&self, typ: &'static str, claims: &impl Serialize) -> String {
        let part = |json: Result<Vec<u8>, serde_json::Error>| {
            BASE64_URL_SAFE_NO_PAD.encode(json.expect("strings and numbers always serialize"))
        };
        let header = part(serde_json::to_vec(&WireHeader { alg: "HS256", typ }));
        let message = format!("{header}.{}", part(serde_json::to_vec(claims)));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, Algorithm::HS256);
        format!("{message}.{}", signature.expect("HMAC takes a key of any length"))
    }
}

/// Whether a token's time is over: at `exp` it is (RFC 7519, section 4.1.4), with no grace, since the
/// streams that it opened end at that moment as well.
///
/// # Errors
/// [`AuthError::MissingClaim`], [`AuthError::Expired`].
pub(super) fn check_end(exp: Option<NumericDate>, now: Timestamp) -> Result<Timestamp, AuthError> {
    let end = exp.ok_or(AuthError::MissingClaim("exp"))?.to_timestamp();
    if now >= end { Err(AuthError::Expired) } else { Ok(end) }
}

/// Whether a token's time has come (RFC 7519, section 4.1.5), but for clocks that differ a little.
///
/// # Errors
/// [`AuthError::NotYet`].
pub(super) fn check_start(nbf: Option<NumericDate>, now: Timestamp) -> Result<(), AuthError> {
    let has_come = nbf.is_none_or(|start| start.0 <= NumericDate::of(now).0 + TOKEN_LEEWAY_SECONDS);
    if has_come { Ok(()) } else { Err(AuthError::NotYet) }
}

pub(super) fn check_party(iss: &str, aud: &str) -> Result<(), AuthError> {
    if iss != OURSELVES {
        return Err(AuthError::WrongIssuer);
    }
    if aud != OURSELVES {
        return Err(AuthError::WrongAudience);
    }
    Ok(())
}

pub(super) fn whole_seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
