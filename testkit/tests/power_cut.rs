//! The power-cut test tested: it must find the losses of programs known to lose data, and none
//! in programs known to be right.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use santral_testkit::power_cut::{Tally, Trace, TraceOptions, ack_lines, trace_command};
use santral_testkit::tools::require_tool;

const IMAGES: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(120);

/// Inserts rows in SQLite's WAL mode, and acknowledges each after its commit.
const SQLITE_WRITER: &str = r#"
import os, sqlite3, sys
folder, synchronous = sys.argv[1], sys.argv[2]
database = sqlite3.connect(folder + "/log.db", isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=" + synchronous)
database.execute("PRAGMA wal_autocheckpoint=60")
database.execute("CREATE TABLE entries (n INTEGER PRIMARY KEY, data TEXT)")
for n in range(300):
    database.execute("INSERT INTO entries VALUES (?, ?)", (n, "x" * (n % 700)))
    os.write(1, b"ACK %d\n" % n)
os._exit(0)
"#;

/// Reads folders from its input and says for each what rows are in it, or what is wrong.
const SQLITE_READER: &str = r#"
import sqlite3, sys
for line in sys.stdin:
    try:
        database = sqlite3.connect(line.rstrip("\n") + "/log.db")
        problems = [row[0] for row in database.execute("PRAGMA integrity_check")]
        has_table = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        rows = database.execute("SELECT n FROM entries").fetchall() if has_table else []
        database.close()
        if problems == ["ok"]:
            print("ok", *[row[0] for row in rows], flush=True)
        else:
            print("bad", *problems, flush=True)
    except sqlite3.Error as error:
        print("bad", error, flush=True)
"#;

/// Appends records to a plain file; `order` says when each is acknowledged and synced, and
/// whether the file was given its name by a rename without a sync of the folder.
const FILE_WRITER: &str = r#"
import os, sys
folder, order = sys.argv[1], sys.argv[2]
name = folder + ("/new" if order == "rename" else "/log")
log = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
if order == "rename":
    os.fsync(log)
    os.rename(name, folder + "/log")
if order == "folder":
    os.fsync(os.open(folder, os.O_RDONLY))
for n in range(100):
    os.write(log, b"%d\n" % n)
    if order == "early":
        os.write(1, b"ACK %d\n" % n)
    if order != "rename":
        os.fdatasync(log)
    else:
        os.fdatasync(os.open(folder + "/log", os.O_RDONLY)) if n == 50 else None
    if order != "early":
        os.write(1, b"ACK %d\n" % n)
os._exit(0)
"#;

/// The real interpreter: a version manager's shim would be traced as well.
fn python() -> Option<PathBuf> {
    let shim = require_tool("python3")?;
    let ask = "import sqlite3, sys; print(sys.executable)";
    let output = Command::new(shim).args(["-c", ask]).output().expect("python3 runs");
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    path.is_absolute().then_some(path).or_else(|| require_tool("python3 with sqlite3"))
}

/// Traces a script; `None` when a tool is missing.
fn trace_of(script: &str, argument: &str) -> Option<(PathBuf, Trace)> {
    let python = python()?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir).expect("a new folder");
    let file = folder.path().join("trace");
    let command = trace_command(&file, &python)?.args(["-c", script]);
    let command = command.arg(&data_dir).arg(argument);
    let mut process = command.spawn().expect("strace starts");
    let status = process.wait_exit(TIMEOUT).expect("the script ends");
    assert!(status.success(), "{}", process.output());
    let options = TraceOptions { data_dir, base: None, marker: ack_lines };
    let trace = Trace::parse(&file, &options).expect("the trace is whole");
    Some((python, trace))
}

/// One reader for all images, as starting an interpreter for each would take a minute.
struct SqliteReader {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl SqliteReader {
    fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        command.args(["-c", SQLITE_READER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 runs");
        let questions = child.stdin.take().expect("it was asked for");
        let answers = BufReader::new(child.stdout.take().expect("it was asked for"));
        Self { child, questions, answers }
    }

    fn open(&mut self, image: &Path) -> Result<HashSet<String>, String> {
        writeln!(self.questions, "{}", image.display()).expect("the reader lives");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the reader lives");
        match answer.trim_end().strip_prefix("ok") {
            Some(rows) => Ok(rows.split_whitespace().map(str::to_owned).collect()),
            None => Err(answer),
        }
    }
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        // It ends by itself at the end of its input; this only shortens the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn judge_sqlite(synchronous: &str) -> Option<Tally> {
    let (python, trace) = trace_of(SQLITE_WRITER, synchronous)?;
    assert_eq!(trace.acks_before(*trace.cut_points().end()).len(), 300);
    let mut reader = SqliteReader::start(&python);
    Some(trace.judge(IMAGES, 1, |image| reader.open(image)).expect("there are acknowledgements"))
}

#[test]
fn sqlite_with_synchronous_full_loses_nothing() {
    let Some(tally) = judge_sqlite("FULL") else { return };
    assert!(tally.is_sound() && tally.images == IMAGES, "{tally}");
    assert!(tally.acks_checked > 10_000, "{tally}");
}

#[test]
fn sqlite_with_synchronous_normal_is_caught_losing() {
    let Some(tally) = judge_sqlite("NORMAL") else { return };
    assert!(tally.lossy * 2 >= tally.images, "{tally}");
    assert_eq!(tally.corrupt, 0, "NORMAL loses the last commits and corrupts nothing: {tally}");
    eprintln!("{tally}");
}

fn judge_file(order: &str) -> Option<Tally> {
    let (_, trace) = trace_of(FILE_WRITER, order)?;
    let open = |image: &Path| {
        // A missing file holds nothing, as after a lost rename.
        let text = std::fs::read_to_string(image.join("log")).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        Ok(lines.map(str::to_owned).collect())
    };
    Some(trace.judge(IMAGES, 2, open).expect("there are acknowledgements"))
}

#[test]
fn a_file_synced_before_each_answer_loses_nothing() {
    for order in ["late", "folder"] {
        let Some(tally) = judge_file(order) else { return };
        assert!(tally.is_sound(), "{order}: {tally}");
    }
}

#[test]
fn an_answer_before_the_sync_is_caught() {
    let Some(tally) = judge_file("early") else { return };
    assert!(tally.lossy > 0 && tally.corrupt == 0, "{tally}");
    assert!(tally.failures[0].what.contains("acknowledgements lost, first "), "{tally}");
}

#[test]
fn a_rename_and_writes_nobody_synced_are_caught() {
    let Some(tally) = judge_file("rename") else { return };
    assert!(tally.lossy * 2 > tally.images, "{tally}");
}

#[test]
fn the_same_cut_and_seed_give_the_same_image() {
    let Some((_, trace)) = trace_of(FILE_WRITER, "early") else { return };
    let image = |cut, seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        trace.image_at(cut, seed, folder.path()).expect("there is space");
        std::fs::read(folder.path().join("log")).ok()
    };
    let cuts = trace.cut_points().step_by(7);
    assert!(cuts.clone().all(|cut| image(cut, 3) == image(cut, 3)));
    assert!(cuts.clone().any(|cut| image(cut, 3) != image(cut, 4)));
    assert_eq!(image(0, 3), None);
}
