//! The disk below the data: room on it, and how long it takes to say that it has something.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::files::existing_folder;
use crate::config::Config;
use crate::doctor::check::Check;
use crate::doctor::report::Finding;
use crate::doctor::{bytes_text, median, span_text};
use crate::ports::store::Durability;
use crate::ports::survey::{Survey, SurveyError};

/// Room on the disk that holds the database, or the data directory where the database is elsewhere.
pub(super) fn free_space(config: &Config) -> Finding {
    let folder = existing_folder(&data_folder(config));
    let shown = folder.display();
    let disk = match statvfs(&folder) {
        Ok(disk) => disk,
        Err(error) => {
            return Finding::warn(Check::FreeSpace, format!("{shown}: {error}"), "look with: df -h; df -i");
        }
    };
    let bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    // Some file systems have no fixed number of inodes and say 0 of 0.
    let inodes = (disk.f_files > 0).then_some(disk.f_favail);
    judge_space(&shown.to_string(), bytes, inodes)
}

fn judge_space(place: &str, bytes: u64, inodes: Option<u64>) -> Finding {
    let found = format!("{} free at {place}", bytes_text(bytes));
    let remedy = "make room, name a data_dir on a larger disk, or keep less (retention_messages, retention_age)";
    if bytes < BYTES_MIN {
        return Finding::fail(Check::FreeSpace, found, remedy);
    }
    if let Some(inodes) = inodes.filter(|inodes| *inodes < INODES_MIN) {
        return Finding::fail(
            Check::FreeSpace,
            format!("{found}, but only {inodes} more files fit (inodes)"),
            "delete files that nobody needs: df -i",
        );
    }
    match bytes < BYTES_WANTED {
        true => Finding::warn(Check::FreeSpace, found, remedy),
        false => Finding::ok(Check::FreeSpace, found),
    }
}

/// How long a small write takes until the disk says that it has it.
pub(super) fn sync(config: &Config, survey: &Result<Survey, SurveyError>) -> Finding {
    if config.database_url.reveal().starts_with("postgres") {
        let commits = survey.as_ref().map(|survey| survey.commits.clone()).unwrap_or_default();
        return match median(commits) {
            Some(median) => verdict(median, "a commit of PostgreSQL", config.durability),
            None => Finding::skipped(Check::DiskSync, "PostgreSQL could not be asked to commit something"),
        };
    }
    let folder = existing_folder(&data_folder(config));
    match measure(&folder) {
        Ok(times) => match median(times) {
            Some(median) => verdict(median, &format!("a small write at {}", folder.display()), config.durability),
            None => Finding::skipped(Check::DiskSync, "nothing was measured"),
        },
        Err(error) => Finding::fail(
            Check::DiskSync,
            format!("cannot write and sync a file in {}: {error}", folder.display()),
            "run this as the server's user; the disk may be full, read-only or failing (dmesg)",
        ),
    }
}

fn verdict(median: Duration, what: &str, durability: Durability) -> Finding {
    let found = format!("{what} is safe after {}", span_text(median));
    if median < PLAUSIBLE && durability == Durability::Disk {
        return Finding::warn(
            Check::DiskSync,
            format!("{what} is said to be safe after {}, which no disk can do", span_text(median)),
            "it is memory (tmpfs), or the disk or hypervisor confirms what it has not written (for instance \
             cache=unsafe): a power cut loses messages that were acknowledged",
        );
    }
    if median > QUICK {
        return Finding::warn(
            Check::DiskSync,
            found,
            "every publisher waits that long: use a faster disk, no network file system, or durability = \"os\" if \
             a power cut may cost the last messages",
        );
    }
    Finding::ok(Check::DiskSync, found)
}

/// Appends and syncs as a database does. The scratch file goes again, whatever happens.
fn measure(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".santral-doctor-{}", nanoid::nanoid!()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let times = append_and_sync(file);
    fs::remove_file(&path)?;
    times
}

fn append_and_sync(mut file: File) -> io::Result<Vec<Duration>> {
    // The first one also writes what making the file left behind.
    file.sync_all()?;
    let write = |_| {
        let start = Instant::now();
        file.write_all(&[0x5A; WRITE_BYTES])?;
        file.sync_data()?;
        Ok(start.elapsed())
    };
    (0..WRITES).map(write).collect()
}

/// Where the database's file lies; the data directory where it has none here.
fn data_folder(config: &Config) -> PathBuf {
    let path = config.database_url.reveal().strip_prefix("sqlite:");
    let path = path.map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)));
    path.and_then(Path::parent).map_or_else(|| config.data_dir.clone(), Path::to_path_buf)
}

/// Below this, SQLite's write-ahead log alone may fill the disk at any time (it is cut back at 64 MiB).
const BYTES_MIN: u64 = 128 * 1024 * 1024;

/// A million retained messages of a kibibyte.
const BYTES_WANTED: u64 = 1024 * 1024 * 1024;

/// The database, its log, its index of the log, and temporary files.
const INODES_MIN: u64 = 16;

/// So many measurements give a median that one hiccup does not move.
const WRITES: usize = 20;

/// About what one small message needs in the write-ahead log.
const WRITE_BYTES: usize = 4_096;

/// The fastest disks with power-loss protection take about this long.
const PLAUSIBLE: Duration = Duration::from_micros(50);

/// A publisher that waits longer notices.
const QUICK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Outcome;

    #[test]
    fn a_sync_that_is_too_fast_or_too_slow_is_said() {
        for (micros, durability, outcome) in [
            (20, Durability::Disk, Outcome::Warn),
            (20, Durability::Os, Outcome::Ok),
            (49, Durability::Disk, Outcome::Warn),
            (50, Durability::Disk, Outcome::Ok),
            (3_000, Durability::Disk, Outcome::Ok),
            (50_000, Durability::Disk, Outcome::Ok),
            (50_001, Durability::Disk, Outcome::Warn),
        ] {
            assert_eq!(verdict(Duration::from_micros(micros), "x", durability).outcome, outcome, "{micros} µs");
        }
    }

    #[test]
    fn a_disk_that_is_full_or_nearly_so_is_told() {
        for (bytes, inodes, outcome) in [
            (BYTES_MIN - 1, None, Outcome::Fail),
            (BYTES_MIN, None, Outcome::Warn),
            (BYTES_WANTED, None, Outcome::Ok),
            (BYTES_WANTED, Some(INODES_MIN), Outcome::Ok),
            (BYTES_WANTED, Some(INODES_MIN - 1), Outcome::Fail),
        ] {
            assert_eq!(judge_space("x", bytes, inodes).outcome, outcome, "{bytes} {inodes:?}");
        }
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let times = measure(folder.path()).expect("it can be written to");
        assert_eq!(times.len(), WRITES);
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
        assert!(measure(&folder.path().join("gone")).is_err());
    }
}
