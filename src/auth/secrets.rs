//! Secrets that sign, such as that of our own tokens: configured, or drawn once and kept in the data directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use santral_core::limits::{KEY_FILE_BYTES_MAX, TOKEN_SECRET_BYTES_MIN};

use crate::config::Secret;

/// The file in the data directory.
const FILE_NAME: &str = "token.key";

/// Random bytes of a secret that is drawn: as many as HS256 makes use of.
const DRAWN_BYTES: usize = 32;

/// Fewest different bytes of a secret: 32 random hexadecimal digits have fewer once in 100,000 times.
const DISTINCT_BYTES_MIN: usize = 8;

/// What secrets contain that were copied from a documentation, ours or somebody else's.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "change-me",
    "change_me",
    "change-this",
    "change_this",
    "replaceme",
    "replace-me",
    "replace_me",
    "replace-with",
    "your-secret",
    "your_secret",
    "yoursecret",
    "my-secret",
    "my_secret",
    "mysecret",
    "supersecret",
    "super-secret",
    "super_secret",
    "at-least-32",
    "32-bytes",
    "32-byte",
    "a-long-random",
    "placeholder",
    "example",
    "password",
    "todo",
    "xxxxxxxx",
    "12345678",
    "abcdefgh",
    "deadbeef",
];

/// Why a secret is too weak to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// Shorter than the bound.
    #[error("it has fewer than {TOKEN_SECRET_BYTES_MIN} bytes")]
    TooShort,
    /// The same few bytes over and over.
    #[error("it repeats itself")]
    Monotonous,
    /// Copied from a documentation.
    #[error("it contains a placeholder from a documentation")]
    Placeholder,
}

/// Why there is no secret to sign with.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The configured secret.
    #[error("the configured secret is refused: {0}; draw one, for instance with: openssl rand -base64 48")]
    Configured(WeakSecret),
    /// What the file holds.
    #[error("{} is refused: {weakness}; remove it to have a new one drawn; nothing holds any more that was signed with it", .path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        weakness: WeakSecret,
    },
    /// Other users of the machine can read the file.
    #[error("{} is open to other users (mode {mode:o}); run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system.
    #[error("{}: {error}", .path.display())]
    System {
        /// Where it is.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// Signs and verifies our own tokens (HS256). Has no `Debug`, so it gets into no log.
#[derive(Clone)]
pub struct TokenKey(Secret);

impl TokenKey {
    /// The configured secret, or else the one in the data directory, which is drawn at the first start.
    ///
    /// Two processes that start at once get the same one; a power cut leaves all of it or nothing.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn open(configured: Option<&Secret>, data_dir: &Path) -> Result<Self, TokenKeyError> {
        open(configured, data_dir, FILE_NAME).map(Self)
    }

    /// Whether it is this secret.
    #[must_use]
    pub fn is(&self, secret: &Secret) -> bool {
        self.0 == *secret
    }

    /// The secret, for the one who signs.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.reveal().as_bytes()
    }
}

/// The configured secret, or else the one in this file of the data directory, which is drawn at the first start;
/// see [`TokenKey::open`].
///
/// # Errors
/// [`TokenKeyError`].
pub fn open(configured: Option<&Secret>, data_dir: &Path, file_name: &str) -> Result<Secret, TokenKeyError> {
    if let Some(secret) = configured {
        check(secret.reveal()).map_err(TokenKeyError::Configured)?;
        return Ok(secret.clone());
    }
    match read(&data_dir.join(file_name))? {
        Some(secret) => Ok(secret),
        None => draw(data_dir, file_name),
    }
}

/// Whether a secret may sign.
///
/// # Errors
/// [`WeakSecret`] says why not.
pub fn check(secret: &str) -> Result<(), WeakSecret> {
    let bytes = secret.as_bytes();
    if bytes.len() < TOKEN_SECRET_BYTES_MIN {
        return Err(WeakSecret::TooShort);
    }
    let lower = secret.to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|placeholder| lower.contains(placeholder)) {
        return Err(WeakSecret::Placeholder);
    }
    let distinct = bytes.iter().collect::<std::collections::HashSet<_>>().len();
    let repeats = (1..=bytes.len() / 2).any(|period| bytes[period..] == bytes[..bytes.len() - period]);
    if distinct < DISTINCT_BYTES_MIN || repeats {
        return Err(WeakSecret::Monotonous);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Secret>, TokenKeyError> {
    let system = |error| TokenKeyError::System { path: path.to_owned(), error };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system(error)),
    };
    let mode = file.metadata().map_err(system)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenKeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(system)?;
    let secret = text.trim();
    check(secret).map_err(|weakness| TokenKeyError::File { path: path.to_owned(), weakness })?;
    Ok(Some(Secret::new(secret.to_owned())))
}

/// Writes a secret beside its place and links it there, which fails if somebody was quicker.
fn draw(data_dir: &Path, file_name: &str) -> Result<Secret, TokenKeyError> {
    let path = &data_dir.join(file_name);
    let system = |error| TokenKeyError::System { path: path.clone(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(system)?;
    let secret = BASE64_URL_SAFE_NO_PAD.encode(nanoid::rngs::default(DRAWN_BYTES));
    let draft = data_dir.join(format!(".{file_name}.{}", nanoid::nanoid!(10)));
    let linked = write(&draft, &secret).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Ok(()) => {
            removed.and_then(|()| File::open(data_dir)?.sync_all()).map_err(system)?;
            log::info!("drew a secret: {}", path.display());
            Ok(Secret::new(secret))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| system(io::Error::from(ErrorKind::NotFound)))
        }
        Err(error) => Err(system(error)),
    }
}

fn write(draft: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn weak_secrets_are_refused() {
        for (secret, weakness) in [
            ("", WeakSecret::TooShort),
            ("q8Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0Gy", WeakSecret::TooShort),
            ("q8q8q8q8q8q8q8q8q8q8q8q8q8q8q8q8q8q8", WeakSecret::Monotonous),
            ("q8Zt2Lx9Wmq8Zt2Lx9Wmq8Zt2Lx9Wmq8Zt2L", WeakSecret::Monotonous),
            ("changemechangemechangemechangeme", WeakSecret::Placeholder),
            ("ChangeMe-q8Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0Gy", WeakSecret::Placeholder),
            ("your-secret-key-at-least-32-bytes-long", WeakSecret::Placeholder),
        ] {
            assert_eq!(check(secret), Err(weakness), "{secret}");
            let error = TokenKey::open(Some(&Secret::new(secret.to_owned())), Path::new("nowhere")).err();
            let text = error.expect("it is refused").to_string();
            assert!(secret.is_empty() || !text.contains(secret), "{text}");
        }
        assert_eq!(check("q8Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0GyT"), Ok(()));
        assert_eq!(check("0f1e2d3c4b5a69788796a5b4c3d2e1f0"), Ok(()));
    }

    #[test]
    fn a_secret_is_drawn_once_and_only_its_owner_can_read_it() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let data_dir = parent.path().join("data");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let open = || TokenKey::open(None, &data_dir).map(|key| key.bytes().to_vec()).expect("a key");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "all who start at once agree");
        assert_eq!(TokenKey::open(None, &data_dir).expect("a key").bytes(), keys[0]);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!((mode(&data_dir), mode(&data_dir.join(FILE_NAME))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&data_dir).expect("a directory").count(), 1, "no draft is left");
    }

    #[test]
    fn a_file_that_is_open_to_others_or_damaged_is_refused() {
        let data_dir = tempfile::tempdir().expect("a temporary directory");
        let path = data_dir.path().join(FILE_NAME);
        TokenKey::open(None, data_dir.path()).expect("a key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("the mode is set");
        let error = TokenKey::open(None, data_dir.path()).err().expect("it is refused");
        assert!(matches!(error, TokenKeyError::Exposed { mode: 0o640, .. }), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the mode is set");
        for text in ["", "short", &"a".repeat(64)] {
            fs::write(&path, text).expect("the file is written");
            let error = TokenKey::open(None, data_dir.path()).err().expect("it is refused");
            assert!(matches!(error, TokenKeyError::File { .. }), "{text:?}: {error}");
        }
    }
}
