//! The data directory, and the secrets on this machine.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use crate::config::{Config, Loaded, Origin};
use crate::doctor::check::Check;
use crate::doctor::report::Finding;

/// The folder that is there, or the nearest one above in which the data directory would be made.
pub(super) fn existing_folder(folder: &Path) -> PathBuf {
    let named = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let above = named.ancestors().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    above.into_iter().find(|above| above.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

/// Whether we may make files in the folder.
pub(super) fn is_writable(folder: &Path) -> bool {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Whether it can hold what the server keeps, and keeps it to itself.
pub(super) fn data_directory(config: &Config) -> Finding {
    let folder = &config.data_dir;
    let Ok(metadata) = fs::metadata(folder) else { return not_there_yet(folder) };
    let shown = folder.display();
    if !metadata.is_dir() {
        return Finding::fail(
            Check::DataDirectory,
            format!("{shown} is no directory"),
            "move it away, or name another data_dir",
        );
    }
    if !is_writable(folder) {
        let owner = metadata.uid();
        return Finding::fail(
            Check::DataDirectory,
            format!("{shown} belongs to user {owner}, and user {} may not write there", geteuid().as_raw()),
            format!("run this as the server's user, or: chown -R <the server's user> {shown}"),
        );
    }
    let open: Vec<_> = std::iter::once(folder.clone()).chain(files_in(folder)).filter(|path| is_open(path)).collect();
    match open.as_slice() {
        [] => {
            Finding::ok(Check::DataDirectory, format!("{shown} is there, and only user {} can read it", metadata.uid()))
        }
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            Finding::warn(
                Check::DataDirectory,
                format!("other users of this machine can read {}{more}", first.display()),
                format!("chmod -R go= {shown}"),
            )
        }
    }
}

fn not_there_yet(folder: &Path) -> Finding {
    let (shown, above) = (folder.display(), existing_folder(folder));
    if is_writable(&above) {
        return Finding::ok(Check::DataDirectory, format!("{shown} is not there yet; the server will make it"));
    }
    Finding::fail(
        Check::DataDirectory,
        format!("{shown} is not there, and {} may not be written to", above.display()),
        format!("mkdir -m 700 -p {shown} && chown <the server's user> {shown}"),
    )
}

/// What lies directly in the folder; the server makes no folders below it.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(FILES_LOOKED_AT_MAX).map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// Whether anybody but its owner may read or write it.
fn is_open(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| is_open_to_others(&metadata))
}

fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 != 0
}

/// Keys in the data directory, and the database's password where somebody wrote it.
pub(super) fn secrets(loaded: &Loaded) -> Finding {
    let config = &loaded.config;
    let weak = keys_in(&config.data_dir).into_iter().find_map(|path| weakness(&path).map(|why| (path, why)));
    if let Some((path, why)) = weak {
        return Finding::fail(
            Check::Secrets,
            format!("{} {why}", path.display()),
            "stop the server, delete the file and start: a new key is made, and everybody signs in again",
        );
    }
    if has_password(config.database_url.reveal())
        && let Some(finding) = exposed_password(loaded)
    {
        return finding;
    }
    match keys_in(&config.data_dir).len() {
        0 => Finding::ok(Check::Secrets, "no key yet; the server makes one when it first needs it"),
        _ => Finding::ok(Check::Secrets, "keys are long enough, and only their owner can read them"),
    }
}

/// Keys of the server in its data directory.
fn keys_in(folder: &Path) -> Vec<PathBuf> {
    let is_key = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "key");
    files_in(folder).into_iter().filter(is_key).collect()
}

/// What is wrong with a key.
fn weakness(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    if is_open_to_others(&metadata) {
        return Some(format!("can be read by others (mode {:o}), so it counts as known", metadata.mode() & 0o777));
    }
    // Too large for a key, so it is none of ours.
    if metadata.len() > KEY_BYTES_MAX {
        return None;
    }
    let key = match fs::read(path) {
        Ok(key) => key,
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    if key.trim_ascii().len() < KEY_BYTES_MIN {
        return Some(format!("holds {} bytes, and a key has at least {KEY_BYTES_MIN}", key.trim_ascii().len()));
    }
    let mut bytes = key;
    bytes.sort_unstable();
    bytes.dedup();
    (bytes.len() < KEY_DISTINCT_BYTES_MIN).then(|| "repeats a few bytes, which was not drawn at random".to_owned())
}

/// Whether a database URL holds a password.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://").filter(|_| url.starts_with("postgres")) else { return false };
    let user_info = rest.rsplit_once('@').map_or("", |(user_info, _)| user_info);
    user_info.split_once(':').is_some_and(|(_, password)| !password.is_empty()) || rest.contains("password=")
}

/// The password stands where other users of the machine can read it.
fn exposed_password(loaded: &Loaded) -> Option<Finding> {
    let setting = loaded.settings.iter().find(|setting| setting.key == "database_url")?;
    match &setting.origin {
        Origin::Flag(flag) => Some(Finding::warn(
            Check::Secrets,
            format!("the database's password stands in the flag --{flag}, which every user of this machine can see"),
            "pass it in the environment (SANTRAL_DATABASE_URL) or in a file that only the server's user can read",
        )),
        Origin::File(path) if is_open(path) => Some(Finding::warn(
            Check::Secrets,
            format!("{} holds the database's password, and other users of this machine can read it", path.display()),
            format!("chmod go= {}", path.display()),
        )),
        Origin::Default | Origin::File(_) | Origin::Environment(_) | Origin::Database => None,
    }
}

/// The server keeps a handful of files; a folder with more is somebody else's too.
const FILES_LOOKED_AT_MAX: usize = 1_000;

/// 256 bits, what HMAC with SHA-256 wants (RFC 7518, section 3.2).
const KEY_BYTES_MIN: usize = 32;

/// Larger files are no keys.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Random bytes of this length, or their hexadecimal digits, have more different ones.
const KEY_DISTINCT_BYTES_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn weak_keys_are_told_from_good_ones() {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let path = folder.path().join("token.key");
        let good: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
        for (key, mode, why) in [
            (&good[..], 0o600, None),
            (b"0123456789abcdef0123456789abcdef\n", 0o600, None),
            (&good[..], 0o640, Some("can be read by others")),
            (&good[..31], 0o600, Some("31 bytes")),
            (&[b'a'; 64][..], 0o600, Some("repeats")),
        ] {
            fs::write(&path, key).expect("it can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
            let found = weakness(&path);
            match why {
                None => assert_eq!(found, None),
                Some(why) => assert!(found.as_ref().is_some_and(|found| found.contains(why)), "{found:?} for {why}"),
            }
        }
    }

    #[test]
    fn a_password_in_a_url_is_noticed() {
        for url in ["postgres://ada:x@db/santral", "postgresql://ada@db/santral?password=x"] {
            assert!(has_password(url), "{url}");
        }
        for url in ["postgres://ada@db/santral", "postgres://db:5432/santral", "sqlite:data/a:b@c.db"] {
            assert!(!has_password(url), "{url}");
        }
    }

    #[test]
    fn the_nearest_folder_above_is_found() {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        assert_eq!(existing_folder(&folder.path().join("a/b/c")), folder.path());
        assert_eq!(existing_folder(Path::new("no-such-folder/below")), Path::new("."));
    }
}
