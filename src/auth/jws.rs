//! Signed tokens in the compact form (RFC 7515, section 7.1): taken apart, and checked by one key.
//!
//! A key has one algorithm. The one that a token names is only compared with it, so no token chooses
//! how it is checked. Nothing of the payload can be read before the signature was found good.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::{DeserializeOwned, Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use santral_core::entry::Timestamp;
use santral_core::limits::{TOKEN_BYTES_MAX, TOKEN_HEADER_BYTES_MAX};

use super::error::AuthError;

/// A key with the one algorithm that it is for.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    /// Compared with the token's `kid`, as text; nothing is ever looked up by it.
    pub(super) id: Option<String>,
    /// The only algorithm.
    pub(super) algorithm: Algorithm,
    /// The key itself.
    pub(super) key: DecodingKey,
}

/// A token whose signature nobody has checked.
pub(super) struct Unverified<'a> {
    header: Header,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// What is read of a header. `jku`, `x5u`, `jwk` and `x5c` are not: keys come from the operator only.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that the receiver must understand; none is understood (RFC 7515, section 4.1.11).
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`AuthError::TooLong`], [`AuthError::Malformed`].
    pub(super) fn parse(token: &'a str) -> Result<Self, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(AuthError::Malformed)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(AuthError::Malformed);
        }
        if header.len() > TOKEN_HEADER_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let header: Header = object(header)?;
        if header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        Ok(Self { header, message, payload, signature })
    }

    /// The media type that the token says it has (RFC 7515, section 4.1.9), in lower case.
    pub(super) fn kind(&self) -> Option<String> {
        let kind = self.header.typ.as_ref()?.to_ascii_lowercase();
        Some(kind.strip_prefix("application/").unwrap_or(&kind).to_owned())
    }

    /// Whether the token may be of this key: a key id, where both have one, must be the same.
    fn may_be_of(&self, key: &VerifyingKey) -> bool {
        let same_id = match (&self.header.kid, &key.id) {
            (Some(named), Some(id)) => named == id,
            (None, _) | (_, None) => true,
        };
        same_id && self.header.alg == name_of(key.algorithm)
    }

    /// The claims, if one of the keys has signed them.
    ///
    /// # Errors
    /// [`AuthError::BadSignature`]; [`AuthError::Malformed`] for signed claims of another shape, with
    /// one of ours given twice among them.
    pub(super) fn verify<'k, T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<T, AuthError> {
        let signed = keys.into_iter().filter(|key| self.may_be_of(key)).any(|key| {
            let verified =
                jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &key.key, key.algorithm);
            verified.unwrap_or(false)
        });
        if !signed {
            return Err(AuthError::BadSignature);
        }
        object(self.payload)
    }
}

/// The name of an algorithm that a key may be for (RFC 7518, section 3.1; RFC 8037, section 3.1).
pub(super) fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        // Of the library's enum, which may grow; no key of ours is ever given one of these.
        _ => "",
    }
}

/// An object of JSON in base64url. serde alone would take an array of the fields' values as well.
fn object<T: DeserializeOwned>(part: &str) -> Result<T, AuthError> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed)?;
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(AuthError::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| AuthError::Malformed)
}

/// Seconds since the Unix epoch, whole or broken (RFC 7519, section 2); 0 to the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct NumericDate(pub(super) i64);

impl NumericDate {
    const MAX: i64 = 253_402_300_799;

    /// The second in which a moment lies.
    pub(super) fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(1_000_000))
    }

    /// The moment.
    pub(super) fn to_timestamp(self) -> Timestamp {
        Timestamp(self.0 * 1_000_000)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = NumericDate;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("seconds since 1970")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
                let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds <= NumericDate::MAX);
                seconds.map(NumericDate).ok_or_else(|| E::custom("a time behind the year 9999"))
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the range is checked; a part of a second is cut off"
                )]
                #[expect(clippy::cast_precision_loss, reason = "the bound is far below 2^53")]
                match (0.0..=NumericDate::MAX as f64).contains(&seconds) {
                    true => Ok(NumericDate(seconds as i64)),
                    false => Err(E::invalid_value(Unexpected::Float(seconds), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}
