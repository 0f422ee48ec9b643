//! Tokens of the operator's own issuer: JWTs that say who somebody is and which channels are theirs.
//!
//! The file of keys is read again when it has changed; a broken one leaves the old keys in force.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_core::limits::{KEY_FILE_BYTES_MAX, KEY_FILE_CHECK_INTERVAL, TOKEN_SUBJECT_BYTES_MAX};
use santral_core::names::ChannelName;
use santral_schema::access::Role;

use super::error::AuthError;
use super::issuer_keys::{self, KeyError};
use super::jws::{NumericDate, Unverified, VerifyingKey};
use super::secrets::{self, WeakSecret};
use super::tokens::{check_end, check_start};
use crate::config::Secret;

/// Types of tokens that are taken: unnamed, plain, and access tokens by RFC 9068.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// Which tokens of somebody else are accepted.
#[derive(Debug, Clone, Default)]
pub struct IssuerOptions {
    /// A secret that the issuer shares with us, for HS256.
    pub secret: Option<Secret>,
    /// A public key in PEM, or a JWK set.
    pub key_file: Option<PathBuf>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
}

/// Why no token of the issuer could be verified.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The secret.
    #[error("the issuer's secret is refused: {0}")]
    Secret(WeakSecret),
    /// The file cannot be read.
    #[error("the issuer's key file {}: {error}", .path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file holds no good keys.
    #[error("the issuer's key file {} is refused: {error}", .path.display())]
    Keys {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
}

/// What a token of the issuer says, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerClaims {
    /// Whom it names.
    pub user: Arc<str>,
    /// What they may do in general.
    pub role: Role,
    /// Their channels; `None` when the token names none, so that the role decides.
    pub grants: Option<Arc<Grants>>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The operator's issuer.
pub struct Issuer {
    secret: Option<VerifyingKey>,
    file: Option<KeyFile>,
    issuer: Option<String>,
    audience: Option<String>,
}

struct KeyFile {
    path: PathBuf,
    keys: ArcSwap<Vec<VerifyingKey>>,
    seen: Mutex<Option<Fingerprint>>,
    /// Microseconds since the Unix epoch.
    looked_at: AtomicI64,
}

/// Tells one state of a file from another: device, inode, size, seconds and nanoseconds of its time.
type Fingerprint = (u64, u64, u64, i64, i64);

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iss: Option<String>,
    aud: Option<Audience>,
    role: Option<String>,
    subscribe: Option<Vec<String>>,
    publish: Option<Vec<String>>,
    presence: Option<Vec<String>>,
    rooms: Option<Vec<String>>,
    /// Of invitations, see `auth/invitations.rs`.
    room: Option<serde::de::IgnoredAny>,
}

/// Whom a token is for (RFC 7519, section 4.1.3): one, or several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Issuer {
    /// The issuer that the options describe; `None` when they name no key at all.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn open(options: &IssuerOptions) -> Result<Option<Self>, IssuerError> {
        let secret = options.secret.as_ref().map(Secret::reveal).map(shared_key).transpose()?;
        let file = options.key_file.as_deref().map(KeyFile::open).transpose()?;
        if secret.is_none() && file.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { secret, file, issuer: options.issuer.clone(), audience: options.audience.clone() }))
    }

    /// Verifies a token of the issuer.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<IssuerClaims, AuthError> {
        let claims: Claims = self.signed(token, now)?;
        let expires_at = check_end(claims.exp, now)?;
        check_start(claims.nbf, now)?;
        self.check_party(claims.iss.as_deref(), claims.aud.as_ref())?;
        // Whoever was invited to a room has not signed in.
        if claims.room.is_some() {
            return Err(AuthError::WrongType);
        }
        Ok(IssuerClaims {
            user: subject(claims.sub.as_deref())?,
            role: role(claims.role.as_deref())?,
            grants: claims.grants()?,
            expires_at,
        })
    }

    /// What a token of the issuer claims; nothing of it is judged.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(super) fn signed<T: DeserializeOwned>(&self, token: &str, now: Timestamp) -> Result<T, AuthError> {
        let token = Unverified::parse(token)?;
        if token.kind().is_some_and(|kind| !TYPES.contains(&kind.as_str())) {
            return Err(AuthError::WrongType);
        }
        let of_file = self.file.as_ref().map(|file| file.keys(now));
        let keys = self.secret.iter().chain(of_file.iter().flat_map(|keys| keys.iter()));
        token.verify(keys)
    }

    /// Whether a token comes from the issuer, and is for us.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(super) fn check_party(&self, iss: Option<&str>, aud: Option<&Audience>) -> Result<(), AuthError> {
        if let Some(issuer) = &self.issuer {
            match iss {
                Some(named) if named == issuer => (),
                Some(_) => return Err(AuthError::WrongIssuer),
                None => return Err(AuthError::MissingClaim("iss")),
            }
        }
        if let Some(audience) = &self.audience {
            let is_for_us = match aud {
                Some(Audience::One(named)) => named == audience,
                Some(Audience::Many(named)) => named.contains(audience),
                None => return Err(AuthError::MissingClaim("aud")),
            };
            if !is_for_us {
                return Err(AuthError::WrongAudience);
            }
        }
        Ok(())
    }
}

impl Claims {
    /// As soon as a token names channels of one kind, it has none of the others that it does not name.
    fn grants(&self) -> Result<Option<Arc<Grants>>, AuthError> {
        let lists = [&self.subscribe, &self.publish, &self.presence, &self.rooms];
        if lists.iter().all(|list| list.is_none()) {
            return Ok(None);
        }
        let patterns = |list: &Option<Vec<String>>, name| {
            Patterns::parse(list.as_deref().unwrap_or_default()).map_err(|_| AuthError::BadClaim(name))
        };
        Ok(Some(Arc::new(Grants {
            subscribe: patterns(&self.subscribe, "subscribe")?,
            publish: patterns(&self.publish, "publish")?,
            presence: patterns(&self.presence, "presence")?,
            rooms: patterns(&self.rooms, "rooms")?,
        })))
    }
}

pub(super) fn subject(sub: Option<&str>) -> Result<Arc<str>, AuthError> {
    let sub = sub.ok_or(AuthError::MissingClaim("sub"))?;
    if sub.len() > TOKEN_SUBJECT_BYTES_MAX || ChannelName::of_user(sub).is_err() {
        return Err(AuthError::BadClaim("sub"));
    }
    Ok(sub.into())
}

fn role(text: Option<&str>) -> Result<Role, AuthError> {
    let role = text.map_or(Some(Role::User), Role::parse);
    role.filter(|role| *role != Role::Anonymous).ok_or(AuthError::BadClaim("role"))
}

fn shared_key(secret: &str) -> Result<VerifyingKey, IssuerError> {
    secrets::check(secret).map_err(IssuerError::Secret)?;
    issuer_keys::from_secret(None, secret.as_bytes()).map_err(|_| IssuerError::Secret(WeakSecret::TooShort))
}

impl KeyFile {
    fn open(path: &Path) -> Result<Self, IssuerError> {
        let (fingerprint, keys) = load(path)?;
        Ok(Self {
            path: path.to_owned(),
            keys: ArcSwap::from_pointee(keys),
            seen: Mutex::new(Some(fingerprint)),
            looked_at: AtomicI64::new(0),
        })
    }

    fn keys(&self, now: Timestamp) -> Arc<Vec<VerifyingKey>> {
        self.look(now);
        self.keys.load_full()
    }

    /// One thread a second asks the file system, which takes microseconds; others go on with what there is.
    fn look(&self, now: Timestamp) {
        let last = self.looked_at.load(Ordering::Relaxed);
        let interval = i64::try_from(KEY_FILE_CHECK_INTERVAL.as_micros()).unwrap_or(i64::MAX);
        // A clock that was set back must not end the looking.
        let is_due = now.0 - last >= interval || now.0 < last;
        let is_mine =
            is_due && self.looked_at.compare_exchange(last, now.0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !is_mine {
            return;
        }
        let fingerprint = std::fs::metadata(&self.path).ok().map(|metadata| fingerprint_of(&metadata));
        if *self.seen.lock() == fingerprint {
            return;
        }
        // Written down first, so that a broken file is complained of once.
        *self.seen.lock() = fingerprint;
        match load(&self.path) {
            Ok((_, keys)) => {
                log::info!("read {} keys of the issuer anew", keys.len());
                self.keys.store(Arc::new(keys));
            }
            Err(error) => log::warn!("{error}; the keys of before stay in force"),
        }
    }
}

fn load(path: &Path) -> Result<(Fingerprint, Vec<VerifyingKey>), IssuerError> {
    let (fingerprint, text) = read(path).map_err(|error| IssuerError::Unreadable { path: path.to_owned(), error })?;
    let keys = issuer_keys::parse(&text).map_err(|error| IssuerError::Keys { path: path.to_owned(), error })?;
    Ok((fingerprint, keys))
}

/// The fingerprint is that of before the reading: a change meanwhile is seen at the next look.
fn read(path: &Path) -> std::io::Result<(Fingerprint, String)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge));
    }
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok((fingerprint_of(&metadata), text))
}

fn fingerprint_of(metadata: &std::fs::Metadata) -> Fingerprint {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}
