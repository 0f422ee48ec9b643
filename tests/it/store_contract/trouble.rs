//! Cases about storage trouble: each is told apart, acknowledges nothing, and heals by itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use santral::ports::store::{Append, Durability, LogReader, LogWriter, StoreError};
use santral::store::{StoreOptions, migrate, open};
use santral_testkit::postgres::{Postgres, StopMode};
use santral_testkit::tools::require_tool;

use super::place::{Place, all_of, append_one, eventually, everything, key, offsets, open_at, plain};

fn fails_with(writer: &mut Box<dyn LogWriter>, error: StoreError) {
    assert_eq!(writer.append(&[plain("a", "\"not acknowledged\"")]).err(), Some(error));
}

/// Appends until it works, and checks that nothing was lost, doubled or acknowledged by mistake.
fn heals(writer: &mut Box<dyn LogWriter>, reader: &Arc<dyn LogReader>, expected: &[&str]) {
    eventually("an append after the trouble", || writer.append(&[plain("a", "\"healed\"")]).ok());
    let entries = eventually("a read after the trouble", || reader.page(&all_of(&[])).ok()).entries;
    let found: Vec<_> = entries.iter().map(|entry| entry.publication().data.to_string()).collect();
    // A commit whose outcome was unknown may have got in; an acknowledged one must have.
    let acknowledged: Vec<_> =
        found.iter().map(String::as_str).filter(|data| *data != "\"not acknowledged\"").collect();
    assert_eq!(acknowledged, [expected, &["\"healed\""]].concat());
    let offsets = offsets(&entries);
    assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]));
}

pub(super) fn a_lock_held_by_somebody_else_is_busy(place: &Place) {
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let mut stranger = place.stranger();
    match place.is_sqlite() {
        true => stranger.execute("BEGIN EXCLUSIVE"),
        false => stranger.execute("BEGIN; SELECT * FROM log_state FOR UPDATE"),
    }
    fails_with(&mut log.writer, StoreError::Busy);
    fails_with(&mut log.writer, StoreError::Busy);
    assert_eq!(everything(&log.reader).len(), 1, "readers go on");
    stranger.execute("COMMIT");
    heals(&mut log.writer, &log.reader, &["1"]);
}

/// The epoch is part of every position that clients have: another log must not go on under it.
pub(super) fn a_log_that_was_replaced_fails_until_it_is_back(place: &Place) {
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let epoch = log.state.epoch;
    place.execute("UPDATE log_state SET epoch = '00000000' WHERE epoch <> '00000000'");
    fails_with(&mut log.writer, StoreError::Failed);
    fails_with(&mut log.writer, StoreError::Failed);
    assert_eq!(log.reader.state().err(), Some(StoreError::Failed));
    place.execute(&format!("UPDATE log_state SET epoch = '{epoch}'"));
    heals(&mut log.writer, &log.reader, &["1"]);
}

/// Somebody restores an older state beneath us: offsets that clients have seen would be used again.
pub(super) fn acknowledged_entries_that_vanish_end_the_epoch(place: &Place) {
    let mut log = place.open();
    for _ in 0..3 {
        append_one(&mut log.writer, "a", "1");
    }
    place.execute("DELETE FROM messages WHERE \"offset\" > 1");
    place.execute("UPDATE log_state SET head = 1");
    // A fresh connection compares the head with what was acknowledged.
    place.execute("ALTER TABLE idempotency_keys RENAME TO elsewhere");
    let keyed = Append { key: Some(key("k", 1)), ..plain("a", "1") };
    assert_eq!(log.writer.append(&[keyed]).err(), Some(StoreError::Failed));
    place.execute("ALTER TABLE elsewhere RENAME TO idempotency_keys");
    fails_with(&mut log.writer, StoreError::Failed);
    fails_with(&mut log.writer, StoreError::Failed);
    let epoch = log.state.epoch;
    drop(log);
    let mut log = place.open();
    assert_ne!(log.state.epoch, epoch);
    assert_eq!(append_one(&mut log.writer, "a", "1"), 2);
}

#[test]
fn a_file_that_is_gone_fails_and_no_fresh_one_is_made() {
    let place = Place::sqlite();
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let elsewhere = |suffix: &str| PathBuf::from(format!("{}.elsewhere{suffix}", place.file().display()));
    let here = |suffix: &str| PathBuf::from(format!("{}{suffix}", place.file().display()));
    let suffixes = ["", "-wal", "-shm"];
    let swap = |from: &dyn Fn(&str) -> PathBuf, to: &dyn Fn(&str) -> PathBuf| {
        for suffix in suffixes.into_iter().filter(|suffix| from(suffix).exists()) {
            fs::rename(from(suffix), to(suffix)).expect("both are in one folder");
        }
    };
    swap(&here, &elsewhere);
    fails_with(&mut log.writer, StoreError::Failed);
    fails_with(&mut log.writer, StoreError::Failed);
    assert_eq!(log.reader.state().err(), Some(StoreError::Failed));
    assert!(!place.file().exists());
    // A fresh log in its place is another log.
    let other = place.open();
    assert_ne!(other.state.epoch, log.state.epoch);
    drop(other);
    fails_with(&mut log.writer, StoreError::Failed);
    assert_eq!(log.reader.state().err(), Some(StoreError::Failed));
    // A reader that looked at the other log may still keep files beside it, which belong to no log but that one.
    for suffix in suffixes {
        let _ = fs::remove_file(here(suffix));
    }
    swap(&elsewhere, &here);
    heals(&mut log.writer, &log.reader, &["1"]);
}

#[test]
fn a_damaged_file_fails_and_heals_when_it_is_restored() {
    let place = Place::sqlite();
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    place.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    let sound = fs::read(place.file()).expect("it can be read");
    fs::write(place.file(), vec![7; sound.len()]).expect("it can be written");
    eventually("a failure", || {
        let append = log.writer.append(&[plain("a", "\"not acknowledged\"")]);
        (append.err() == Some(StoreError::Failed)).then_some(())
    });
    fs::write(place.file(), sound).expect("it can be written");
    let _ = fs::remove_file(format!("{}-wal", place.file().display()));
    heals(&mut log.writer, &log.reader, &["1"]);
}

#[test]
fn a_read_only_file_fails_and_heals() {
    let place = Place::sqlite();
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let Some(chattr) = require_tool("chattr") else { return };
    let files = ["", "-wal"].map(|suffix| format!("{}{suffix}", place.file().display()));
    let set = |flag: &str| Command::new(&chattr).arg(flag).args(&files).status().is_ok_and(|status| status.success());
    // Files that are open stay writable. The lock makes the writer throw its connection away, and
    // whoever opens the files again gets them read-only.
    let mut stranger = place.stranger();
    stranger.execute("BEGIN EXCLUSIVE");
    fails_with(&mut log.writer, StoreError::Busy);
    if !set("+i") {
        eprintln!("SKIPPED: chattr +i needs root and a file system that knows it");
        return;
    }
    stranger.execute("COMMIT");
    let failed = log.writer.append(&[plain("a", "\"not acknowledged\"")]).err();
    assert_eq!(everything(&log.reader).len(), 1, "readers go on");
    // Before anything else: nobody can delete such a file.
    assert!(set("-i"));
    assert_eq!(failed, Some(StoreError::Failed));
    heals(&mut log.writer, &log.reader, &["1"]);
}

/// A failed fsync may have thrown away what it should have written, so it is never tried again on the
/// same connection. strace lets it fail in a process of its own, for it would hit other tests too.
#[test]
fn a_failed_fsync_fails_and_heals() {
    let Some(strace) = require_tool("strace") else { return };
    let itself = std::env::current_exe().expect("a test is a program");
    let name = std::thread::current().name().expect("the harness names its threads").to_owned();
    let child = name.replace("a_failed_fsync_fails_and_heals", "in_a_process_of_its_own");
    let output = Command::new(itself)
        .args([child.as_str(), "--exact", "--nocapture"])
        .env(CHILD, strace)
        .output()
        .expect("it runs, as it does here");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    print!("{}", String::from_utf8_lossy(&said));
}

/// Set to the path of strace in the process that the test above starts.
const CHILD: &str = "SANTRAL_STORE_CONTRACT_STRACE";

/// Does nothing when it is run like any other test.
#[test]
fn in_a_process_of_its_own() {
    let Some(strace) = std::env::var_os(CHILD) else { return };
    let place = Place::sqlite();
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let mut tracer = Command::new(strace)
        .args(["-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-p"])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace was found");
    let mut lines = BufReader::new(tracer.stderr.take().expect("it is piped")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    if !first.contains("attached") {
        let _ = tracer.kill();
        tracer.wait().expect("it is ours");
        eprintln!("SKIPPED: strace must not attach here: {first}");
        return;
    }
    // Every call is reported, and somebody has to read it.
    let reports = std::thread::spawn(move || lines.map_while(Result::ok).filter(|line| line.contains("EIO")).count());
    let failures = [(); 3].map(|()| log.writer.append(&[plain("a", "\"not acknowledged\"")]).err());
    tracer.kill().expect("it is ours");
    tracer.wait().expect("it is ours");
    assert_eq!(failures, [Some(StoreError::Failed); 3]);
    assert!(reports.join().expect("it only reads") > 0);
    heals(&mut log.writer, &log.reader, &["1"]);
}

/// A file system of two megabytes, unmounted at the end.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn mount(options: &str) -> Option<Self> {
        let mount = require_tool("mount")?;
        let folder = TempDir::with_prefix("santral-tiny-").expect("a temporary folder");
        let options = format!("size=2m{options}");
        let mounted = Command::new(mount).args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: a tmpfs cannot be mounted without root");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last byte; deleting the file makes room again.
    fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = fs::File::create(&filler).expect("the folder is writable");
        for size in [65_536, 4_096, 1] {
            while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
        }
        filler
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_full_and_heals() {
    let Some(disk) = TinyDisk::mount("") else { return };
    let url = format!("sqlite:{}/log.db", disk.path().display());
    let mut log = open_at(&url, Durability::Disk);
    append_one(&mut log.writer, "a", "1");
    let filler = disk.fill();
    let big = plain("a", &format!("\"{}\"", "x".repeat(20_000)));
    assert_eq!(log.writer.append(&[big]).err(), Some(StoreError::Full));
    assert_eq!(everything(&log.reader).len(), 1, "readers go on");
    fs::remove_file(filler).expect("it was made above");
    heals(&mut log.writer, &log.reader, &["1"]);
}

#[test]
fn a_full_disk_of_postgres_is_full_and_heals() {
    let Some(disk) = TinyDisk::mount(",mode=0777") else { return };
    let Some(postgres) = Postgres::start().expect("a private PostgreSQL") else { return };
    let mut log = open_at(&postgres.url(), Durability::Disk);
    append_one(&mut log.writer, "a", "1");
    let folder = disk.path().join("space");
    for sql in [
        // So that the folder belongs to the user that the server runs as.
        format!("COPY (SELECT 1) TO PROGRAM 'mkdir -m 700 {}; cat >/dev/null'", folder.display()),
        format!("CREATE TABLESPACE tiny LOCATION '{}'", folder.display()),
        "ALTER TABLE messages SET TABLESPACE tiny".to_owned(),
    ] {
        postgres.psql(&sql).expect("the server is the superuser's");
    }
    let filler = disk.fill();
    // Text that PostgreSQL cannot compress into the page that it has.
    let text: String =
        (0..6_000_u64).map(|number| format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let big = plain("a", &format!("\"{text}\""));
    assert_eq!(log.writer.append(&[big]).err(), Some(StoreError::Full));
    fs::remove_file(filler).expect("it was made above");
    heals(&mut log.writer, &log.reader, &["1"]);
}

#[test]
fn a_server_that_is_down_fails_and_heals_when_it_is_back() {
    let Some(mut postgres) = Postgres::start().expect("a private PostgreSQL") else { return };
    let mut log = open_at(&postgres.url(), Durability::Disk);
    append_one(&mut log.writer, "a", "1");
    assert_eq!(everything(&log.reader).len(), 1);
    for mode in [StopMode::Fast, StopMode::Immediate] {
        postgres.stop(mode).expect("it stops");
        for _ in 0..3 {
            let append = log.writer.append(&[plain("a", "\"not acknowledged\"")]);
            assert!(matches!(append, Err(StoreError::Failed | StoreError::Busy)), "{append:?}");
            assert!(log.reader.state().is_err());
        }
        postgres.start_again().expect("it starts");
        let expected = match mode {
            StopMode::Fast => &["1"][..],
            StopMode::Immediate => &["1", "\"healed\""],
        };
        heals(&mut log.writer, &log.reader, expected);
    }
    assert_eq!(log.reader.state().expect("it can be read").epoch, log.state.epoch);
}

#[test]
fn a_database_that_cannot_be_opened_is_told_without_its_password() {
    let nowhere = "postgres://ada:hunter2@127.0.0.1:1/santral";
    for url in [nowhere, "postgres://ada:hunter2@[bad/santral", "sqlite:/proc/nowhere/log.db", "mysql://ada:hunter2@db"]
    {
        let options = StoreOptions { url: url.to_owned(), durability: Durability::Disk, readers: 1 };
        for error in [open(&options).err(), migrate(&options).err()] {
            let error = error.expect("it cannot be opened");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::sqlite();
    let mut log = place.open();
    append_one(&mut log.writer, "a", "1");
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    let folder = place.file().parent().expect("it has one").to_path_buf();
    assert_eq!(mode(&folder), 0o700);
    for file in fs::read_dir(&folder).expect("it can be read").flatten() {
        assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
    }
}
