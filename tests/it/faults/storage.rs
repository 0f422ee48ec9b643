//! Trouble with SQLite's file, while somebody publishes and somebody listens.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::{Connection, SimpleConnection};
use diesel::sqlite::SqliteConnection;
use tempfile::TempDir;

use santral_testkit::http::{Response, SseClient};
use santral_testkit::process::{Server, ServerCommand, Signal};
use santral_testkit::tools::require_tool;

use super::node::{Node, Plan, data_up_to, eventually};
use crate::support::PATIENCE;

#[test]
fn a_locked_database_refuses_publishes_and_nothing_else_until_it_is_free() {
    let site = Site::start(Plan::new());
    site.stored("1");
    let mut stranger = site.stranger();
    stranger.batch_execute("BEGIN EXCLUSIVE").expect("nobody else holds it");
    let release = Instant::now() + LOCKED_FOR;
    let mut refusals = 0;
    while refusals < 2 || Instant::now() < release {
        assert_refused(&site.node.post("/api/broadcast", r#""refused""#), "storage_busy");
        site.volatile(&format!("during-{refusals}"));
        refusals += 1;
    }
    site.is_unready("busy");
    stranger.batch_execute("COMMIT").expect("it holds the lock");
    site.heals(&["1"]);
}

#[test]
fn many_publishers_at_a_locked_database_are_all_answered() {
    let site = Site::start(Plan::new());
    let mut stranger = site.stranger();
    stranger.batch_execute("BEGIN EXCLUSIVE").expect("nobody else holds it");
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_refused(&site.node.post("/api/broadcast", r#""refused""#), "storage_busy"));
        }
    });
    stranger.batch_execute("COMMIT").expect("it holds the lock");
    site.heals(&[]);
}

#[test]
fn a_full_disk_stores_all_of_a_batch_or_nothing_and_heals_when_there_is_room() {
    let Some(disk) = Disk::mount("size=3m") else { return };
    let site = Site::start(Plan::new().in_folder(disk.path()));
    let mut stored = Vec::new();
    let refused = loop {
        let text = format!("{}-{}", stored.len(), "x".repeat(50_000));
        let answer = site.node.post("/api/broadcast", &format!("\"{text}\""));
        if answer.status != 200 {
            break answer;
        }
        stored.push(text);
    };
    assert!(stored.len() > 5, "the disk has room for some");
    assert_refused(&refused, "storage_full");
    let items =
        (0..20).map(|number| format!(r#"{{"channel":"broadcast","data":"half-{number}-{}"}}"#, "x".repeat(50_000)));
    let batch = format!("[{}]", items.collect::<Vec<_>>().join(","));
    for _ in 0..3 {
        assert_refused(&site.node.post("/api/publish", &batch), "storage_full");
    }
    site.is_unready("full");
    site.volatile("during");
    let history = site.node.get("/api/channels/broadcast/history?limit=1");
    assert_eq!(history.status, 200, "what is stored can be read: {history:?}");
    disk.remount("size=32m");
    let stored: Vec<_> = stored.iter().map(String::as_str).collect();
    site.heals(&stored);
}

#[test]
fn a_read_only_database_refuses_publishes_and_heals_when_it_is_writable() {
    let site = Site::start(Plan::new());
    site.stored("1");
    let Some(chattr) = require_tool("chattr") else { return };
    let files = ["", "-wal"].map(|suffix| format!("{}{suffix}", site.database().display()));
    let set = |flag: &str| Command::new(&chattr).arg(flag).args(&files).status().is_ok_and(|status| status.success());
    // Files that are open stay writable. A lock makes the writer throw its connection away, and
    // whoever opens the files again finds them immutable.
    let mut stranger = site.stranger();
    stranger.batch_execute("BEGIN EXCLUSIVE").expect("nobody else holds it");
    assert_refused(&site.node.post("/api/broadcast", r#""refused""#), "storage_busy");
    if !set("+i") {
        return skipped("chattr +i needs root and a file system that knows it");
    }
    let writable = Undo(|| assert!(set("-i"), "what was set can be unset"));
    stranger.batch_execute("COMMIT").expect("it holds the lock");
    // The commit that waits may still find the files open.
    eventually("the server finds its files read-only", || {
        let answer = site.node.post("/api/broadcast", r#""refused""#);
        (answer.json().is_ok_and(|problem| problem["code"] == "storage_failed")).then_some(())
    });
    site.is_unready("failed");
    site.volatile("during");
    drop(writable);
    site.heals(&["1"]);
}

/// After a failed fsync the kernel may forget what it could not write: asking again proves nothing.
#[test]
fn a_publish_whose_fsync_failed_is_not_acknowledged() {
    let Some(strace) = require_tool("strace") else { return };
    let site = Site::start(Plan::new());
    site.stored("1");
    let pid = site.node.server.pid().to_string();
    let inject = ["-f", "-qq", "-p", &pid, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"];
    let mut fault: Server = ServerCommand::new(strace).args(inject).spawn().expect("strace starts");
    let refused = eventually("the fsyncs fail", || {
        let answer = site.node.post("/api/broadcast", r#""maybe""#);
        (answer.status != 200).then_some(answer)
    });
    assert_refused(&refused, "storage_failed");
    site.is_unready("failed");
    site.volatile("during");
    fault.signal(Signal::TERM).expect("strace runs");
    fault.wait_exit(PATIENCE).expect("strace lets go");
    site.heals_in_doubt(&["1"], "maybe");
}

/// A server on SQLite with somebody who listens.
struct Site {
    node: Node,
    data_dir: std::path::PathBuf,
    listener: std::cell::RefCell<SseClient>,
}

impl Site {
    fn start(plan: Plan) -> Self {
        let node = plan.set("SANTRAL_HEARTBEAT", "1s").start();
        let data_dir = node.data_dir();
        let listener = node.listen("/api/events").into();
        Self { node, data_dir, listener }
    }

    fn database(&self) -> std::path::PathBuf {
        self.data_dir.join("santral.db")
    }

    fn stranger(&self) -> SqliteConnection {
        let mut stranger = SqliteConnection::establish(&self.database().display().to_string()).expect("it is a file");
        stranger.batch_execute("PRAGMA busy_timeout = 5000").expect("SQLite takes its settings");
        stranger
    }

    /// A message that is acknowledged.
    fn stored(&self, text: &str) {
        self.node.broadcast(&format!("\"{text}\""));
    }

    /// A volatile message reaches the stream whatever the database does.
    fn volatile(&self, text: &str) {
        let answer = self.node.post("/api/broadcast?volatile=1", &format!("\"volatile-{text}\""));
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn is_unready(&self, storage: &str) {
        let ready = self.node.get("/health/ready");
        assert_eq!(ready.status, 503, "{ready:?}");
        assert_eq!(self.node.health()["storage"], storage);
        assert_eq!(self.node.get("/health/live").status, 200);
        // A stream can still be opened.
        drop(self.node.listen("/api/events"));
    }

    /// The trouble is over: the server notices without being asked, and the listener has had
    /// everything that was acknowledged, and nothing else.
    fn heals(&self, acknowledged: &[&str]) {
        self.heals_in_doubt(acknowledged, "no such message");
    }

    /// The same where commits that failed may have got in all the same; then everybody gets them.
    fn heals_in_doubt(&self, acknowledged: &[&str], in_doubt: &str) {
        eventually("the server is ready", || (self.node.get("/health/ready").status == 200).then_some(()));
        self.node.broadcast("\"healed\"");
        let received = data_up_to(&mut self.listener.borrow_mut(), "\"healed\"");
        let volatile = |data: &&String| data.starts_with("\"volatile-");
        let received: Vec<_> = received.iter().filter(|data| !volatile(data)).cloned().collect();
        let mut again = self.node.listen_from("/api/events", "earliest");
        let replayed = data_up_to(&mut again, "\"healed\"");
        assert_eq!(received, replayed, "who listened and who comes later see one log");
        let quoted = |text: &&str| format!("\"{text}\"");
        let expected: Vec<_> = acknowledged.iter().map(quoted).chain(["\"healed\"".to_owned()]).collect();
        let certain: Vec<_> = received.into_iter().filter(|data| *data != quoted(&in_doubt)).collect();
        assert!(certain == expected, "{} instead of {} messages", certain.len(), expected.len());
    }
}

fn assert_refused(answer: &Response, code: &str) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let problem = answer.json().expect("a problem is JSON");
    assert_eq!(problem["code"], code, "{answer:?}");
    let retry_after = answer.header("Retry-After").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(retry_after.is_some_and(|seconds| seconds > 0), "{answer:?}");
}

/// A small disk in memory. Dropped after the server that uses it, it is unmounted.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let disk = Self { folder };
        if !disk.run("mount", &["-t", "tmpfs", "-o", options, "tmpfs"]) {
            skipped("mounting a tmpfs needs root");
            return None;
        }
        Some(disk)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn remount(&self, options: &str) {
        assert!(self.run("mount", &["-o", &format!("remount,{options}")]), "what is mounted can be remounted");
    }

    fn run(&self, program: &str, words: &[&str]) -> bool {
        Command::new(program).args(words).arg(self.path()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that fails drops the server later.
        self.run("umount", &["--lazy"]);
    }
}

/// Puts something back in order, also when the test fails.
struct Undo<F: Fn()>(F);

impl<F: Fn()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn skipped(why: &str) {
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "CI must be able to do this: {why}");
    eprintln!("SKIPPED: {why}");
}

const LOCKED_FOR: Duration = Duration::from_secs(5);
