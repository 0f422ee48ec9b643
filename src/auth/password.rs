//! Passwords: Argon2id off the event loop, few at a time, and the same work for users who do not exist.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use santral_core::limits::{PASSWORD_CHARACTERS, PASSWORD_GUESSES_LOG10_MIN, PASSWORD_HASHES_MAX, PASSWORD_QUEUE_MAX};

/// Memory of one hash, in KiB (OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Why a new password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Outside the bounds.
    #[error("has to have {} to {} characters", PASSWORD_CHARACTERS.start(), PASSWORD_CHARACTERS.end())]
    Length,
    /// Among the first that anybody would try.
    #[error("is too easily guessed")]
    TooCommon,
    /// The name of the account.
    #[error("is the name of the account")]
    IsName,
}

/// Why a password was not hashed or verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait already.
    #[error("too many passwords are being verified; try again soon")]
    Busy,
    /// It is not good enough.
    #[error("the password {0}")]
    Weak(PasswordFault),
    /// No memory or no randomness, or the stored hash is damaged.
    #[error("the password could not be processed")]
    Failed,
}

/// Hashes and verifies passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Stands in for the hash of a user who does not exist.
    dummy: String,
    /// For those who wait and those who are served.
    places: Arc<Semaphore>,
    /// For those who are served.
    permits: Arc<Semaphore>,
}

impl Passwords {
    /// Makes the stand-in hash, which takes as long as any other.
    ///
    /// # Errors
    /// [`PasswordError::Failed`].
    pub fn new() -> Result<Self, PasswordError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash(&argon2, &nanoid::nanoid!())?;
        let places = Arc::new(Semaphore::new(PASSWORD_QUEUE_MAX + PASSWORD_HASHES_MAX));
        Ok(Self { argon2, dummy, places, permits: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX)) })
    }

    /// Hashes a new password of an account with this name, in PHC form.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, name: &str, password: String) -> Result<String, PasswordError> {
        check_length(&password)?;
        let (argon2, name) = (self.argon2.clone(), name.to_owned());
        self.run(move || {
            check_guessability(&name, &password)?;
            hash(&argon2, &password)
        })
        .await?
    }

    /// Hashes a password that several people share, as that of a room: however easily it is guessed, it is
    /// their choice. It has a character at least.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash_shared(&self, password: String) -> Result<String, PasswordError> {
        if password.is_empty() || password.chars().count() > *PASSWORD_CHARACTERS.end() {
            return Err(PasswordError::Weak(PasswordFault::Length));
        }
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, &password)).await?
    }

    /// Whether the password is that of the hash. Without one it is not, which takes as long to say.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(&self, hash: Option<String>, password: String) -> Result<bool, PasswordError> {
        // Nobody has such a password, known or not.
        if password.chars().count() > *PASSWORD_CHARACTERS.end() {
            return Ok(false);
        }
        let (is_known, hash) = (hash.is_some(), hash.unwrap_or_else(|| self.dummy.clone()));
        let argon2 = self.argon2.clone();
        let matches = self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(|_| PasswordError::Failed)?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(_) => Err(PasswordError::Failed),
            }
        });
        Ok(matches.await?? && is_known)
    }

    /// The permit travels with the work: a client that leaves does not make room for another hash
    /// while its own is still being made.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| PasswordError::Failed)?;
        let task = actix_rt::task::spawn_blocking(move || {
            let (_place, _permit) = (place, permit);
            work()
        });
        task.await.map_err(|_| PasswordError::Failed)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, PasswordError> {
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

fn check_length(password: &str) -> Result<(), PasswordError> {
    match PASSWORD_CHARACTERS.contains(&password.chars().count()) {
        true => Ok(()),
        false => Err(PasswordError::Weak(PasswordFault::Length)),
    }
}

/// Takes some milliseconds for a long password, so it runs where the hashes are made.
fn check_guessability(name: &str, password: &str) -> Result<(), PasswordError> {
    if password.trim().to_lowercase() == name {
        return Err(PasswordError::Weak(PasswordFault::IsName));
    }
    match zxcvbn::zxcvbn(password, &[name, "santral"]).guesses_log10() < PASSWORD_GUESSES_LOG10_MIN {
        true => Err(PasswordError::Weak(PasswordFault::TooCommon)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        actix_rt::System::new().block_on(test)
    }

    #[test]
    fn a_password_fits_its_own_hash_only() {
        run(async {
            let passwords = Passwords::new().expect("it starts");
            let hash = passwords.hash("ada", "Tüfek-Kalem-7".to_owned()).await.expect("it is good");
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
            let verify =
                |hash: Option<&str>, password: &str| passwords.verify(hash.map(str::to_owned), password.to_owned());
            assert_eq!(verify(Some(&hash), "Tüfek-Kalem-7").await, Ok(true));
            for wrong in ["Tüfek-Kalem-8", "tüfek-kalem-7", "", "Tüfek-Kalem-7 ", &"x".repeat(10_000)] {
                assert_eq!(verify(Some(&hash), wrong).await, Ok(false), "{wrong}");
            }
            assert_eq!(verify(None, "Tüfek-Kalem-7").await, Ok(false));
            assert_eq!(verify(Some("damaged"), "Tüfek-Kalem-7").await, Err(PasswordError::Failed));
        });
    }

    #[test]
    fn short_long_and_common_passwords_are_refused() {
        run(async {
            let passwords = Passwords::new().expect("it starts");
            for (password, fault) in [
                ("", PasswordFault::Length),
                ("Kz7!qWp", PasswordFault::Length),
                (&"ğ".repeat(129), PasswordFault::Length),
                ("password", PasswordFault::TooCommon),
                ("Password1", PasswordFault::TooCommon),
                ("12345678", PasswordFault::TooCommon),
                ("qwertyuiop", PasswordFault::TooCommon),
                ("aaaaaaaaaa", PasswordFault::TooCommon),
                ("Santral123", PasswordFault::TooCommon),
                ("Ada.Lovelace.1815", PasswordFault::IsName),
                ("ada.lovelace.18151", PasswordFault::TooCommon),
            ] {
                let refused = passwords.hash("ada.lovelace.1815", password.to_owned()).await;
                assert_eq!(refused, Err(PasswordError::Weak(fault)), "{password}");
            }
            let longest = "Kz7!qWp9".repeat(16);
            assert!(passwords.hash("ada", longest).await.is_ok());
        });
    }

    #[test]
    fn more_than_the_bound_do_not_wait() {
        run(async {
            let passwords = Passwords::new().expect("it starts");
            let all =
                Arc::clone(&passwords.places).acquire_many_owned(u32::try_from(PASSWORD_QUEUE_MAX).expect("small"));
            let all = all.await.expect("all are free");
            let one = Arc::clone(&passwords.places).acquire_many_owned(2).await.expect("two are left");
            assert_eq!(passwords.verify(None, "whatever".to_owned()).await, Err(PasswordError::Busy));
            drop((all, one));
            assert_eq!(passwords.verify(None, "whatever".to_owned()).await, Ok(false));
        });
    }
}
