//! Public keys of the operator's issuer, as a file holds them: PEM, or a JWK set (RFC 7517).
//!
//! The type of a key says its one algorithm: RSA RS256, EC P-256 ES256, Ed25519 EdDSA, octets HS256.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;

use santral_core::limits::{ISSUER_KEYS_MAX, RSA_KEY_BITS, TOKEN_SECRET_BYTES_MIN};

use super::jws::{VerifyingKey, name_of};

/// Bytes of an uncompressed point of P-256 (SEC 1, section 2.3.3).
const P256_POINT_BYTES: usize = 65;

/// Bytes of an Ed25519 public key (RFC 8032, section 5.1.5).
const ED25519_KEY_BYTES: usize = 32;

/// Why a file of keys is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither of the forms.
    #[error("it is neither one public key in PEM (RSA, EC P-256 or Ed25519) nor a JWK set")]
    Form,
    /// Who can verify must not be able to sign.
    #[error("it holds a private key; give the public one")]
    Private,
    /// Breakable, or needlessly slow.
    #[error("it holds an RSA key of {0} bits; {min} to {max} are taken", min = RSA_KEY_BITS.start(), max = RSA_KEY_BITS.end())]
    RsaSize(usize),
    /// Of another curve, or of none.
    #[error("it holds an EC key that is not of the curve P-256")]
    Curve,
    /// A key whose numbers make no key.
    #[error("it holds a damaged key")]
    Damaged,
    /// A short shared secret.
    #[error("it holds a shared secret of fewer than {TOKEN_SECRET_BYTES_MIN} bytes")]
    ShortSecret,
    /// More than the bound.
    #[error("it holds more than {ISSUER_KEYS_MAX} keys")]
    TooMany,
    /// Nothing that signatures could be verified with.
    #[error("it holds no key for RS256, ES256, EdDSA or HS256 signatures")]
    NoKey,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// Reads a file of keys.
///
/// # Errors
/// [`KeyError`] for the first key that is refused; then none is taken. Keys for other purposes or
/// algorithms are passed over.
pub(super) fn parse(text: &str) -> Result<Vec<VerifyingKey>, KeyError> {
    if !text.trim_start().starts_with('{') {
        return Ok(vec![from_pem(text)?]);
    }
    let set: JwkSet = serde_json::from_str(text).map_err(|_| KeyError::Form)?;
    if set.keys.len() > ISSUER_KEYS_MAX {
        return Err(KeyError::TooMany);
    }
    let keys: Vec<_> = set.keys.into_iter().filter_map(|jwk| from_jwk(jwk).transpose()).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(keys) }
}

/// The key of a shared secret.
pub(super) fn from_secret(id: Option<String>, secret: &[u8]) -> Result<VerifyingKey, KeyError> {
    if secret.len() < TOKEN_SECRET_BYTES_MIN {
        return Err(KeyError::ShortSecret);
    }
    Ok(VerifyingKey { id, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) })
}

fn from_pem(text: &str) -> Result<VerifyingKey, KeyError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    let is_public = text.contains("-----BEGIN PUBLIC KEY-----") || text.contains("-----BEGIN RSA PUBLIC KEY-----");
    if !is_public || text.matches("-----BEGIN ").count() != 1 {
        return Err(KeyError::Form);
    }
    let pem = text.as_bytes();
    // Each of them refuses the types of the others.
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return checked(None, Algorithm::EdDSA, key);
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return checked(None, Algorithm::ES256, key);
    }
    let key = DecodingKey::from_rsa_pem(pem).map_err(|_| KeyError::Form)?;
    checked(None, Algorithm::RS256, key)
}

/// `None` for a key of another purpose or kind (RFC 7517, section 5).
fn from_jwk(jwk: Jwk) -> Result<Option<VerifyingKey>, KeyError> {
    let algorithm = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Algorithm::RS256,
        ("EC", Some("P-256")) => Algorithm::ES256,
        ("OKP", Some("Ed25519")) => Algorithm::EdDSA,
        ("oct", _) => Algorithm::HS256,
        _ => return Ok(None),
    };
    let is_for_signatures = jwk.r#use.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    let agrees = jwk.alg.as_deref().is_none_or(|named| named == name_of(algorithm));
    if !is_for_signatures || !agrees {
        return Ok(None);
    }
    if jwk.d.is_some() {
        return Err(KeyError::Private);
    }
    let field = |field: &Option<String>| field.clone().ok_or(KeyError::Damaged);
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_components(&field(&jwk.n)?, &field(&jwk.e)?),
        Algorithm::ES256 => DecodingKey::from_ec_components(&field(&jwk.x)?, &field(&jwk.y)?),
        Algorithm::EdDSA => DecodingKey::from_ed_components(&field(&jwk.x)?),
        _ => {
            let secret = BASE64_URL_SAFE_NO_PAD.decode(field(&jwk.k)?).map_err(|_| KeyError::Damaged)?;
            return from_secret(jwk.kid, &secret).map(Some);
        }
    };
    checked(jwk.kid, algorithm, key.map_err(|_| KeyError::Damaged)?).map(Some)
}

/// Size and curve, which the library looks at late or never.
fn checked(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Result<VerifyingKey, KeyError> {
    match (algorithm, key.kind()) {
        (Algorithm::RS256, kind) => {
            let bits = rsa_bits(kind)?;
            if !RSA_KEY_BITS.contains(&bits) {
                return Err(KeyError::RsaSize(bits));
            }
        }
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
            // A verifier cannot be made for a point that is not on the curve.
            let is_on_curve = point.len() == P256_POINT_BYTES
                && jsonwebtoken::crypto::verify("AA", b"", &key, Algorithm::ES256).is_ok();
            if !is_on_curve {
                return Err(KeyError::Curve);
            }
        }
        (_, DecodingKeyKind::SecretOrDer(bytes)) if bytes.len() != ED25519_KEY_BYTES => return Err(KeyError::Damaged),
        _ => (),
    }
    Ok(VerifyingKey { id, algorithm, key })
}

fn rsa_bits(kind: &DecodingKeyKind) -> Result<usize, KeyError> {
    let modulus = match kind {
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.clone(),
        DecodingKeyKind::SecretOrDer(der) => {
            let components = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der);
            components.map_err(|_| KeyError::Damaged)?.0
        }
    };
    let leading = modulus.iter().position(|byte| *byte != 0).ok_or(KeyError::Damaged)?;
    Ok((modulus.len() - leading) * 8 - modulus[leading].leading_zeros() as usize)
}
