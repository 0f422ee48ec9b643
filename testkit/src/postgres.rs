//! A private PostgreSQL cluster for a test: own folder, own port, trust on loopback, fsync on.
//!
//! `initdb` takes seconds, so it runs once and its result is kept as a template in the system's
//! temporary folder, from which each cluster is copied. PostgreSQL refuses to run as root; then
//! all its programs run as the user `postgres`, or `nobody`, by way of `setpriv`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::process::{ProcessError, free_address};
use crate::tools::require_tool;

/// A running (or stopped) cluster. Dropping it stops the server and deletes its folder.
#[derive(Debug)]
pub struct Postgres {
    tools: Tools,
    folder: TempDir,
    port: u16,
    is_running: bool,
}

/// How a cluster is told to stop (`pg_ctl stop -m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Ends connections, writes a checkpoint.
    Fast,
    /// As in a crash: no checkpoint, and the next start replays the write-ahead log.
    Immediate,
}

impl Postgres {
    /// Starts a fresh cluster; `None`, said loudly, when PostgreSQL is not installed.
    ///
    /// # Errors
    /// [`ProcessError`] with the output of the program that failed.
    pub fn start() -> Result<Option<Self>, ProcessError> {
        let Some(tools) = Tools::find() else {
            return Ok(None);
        };
        let template = template(&tools)?;
        let mut attempts_left = START_ATTEMPTS;
        loop {
            attempts_left -= 1;
            let mut cluster = Self::copy_of(&template, tools.clone())?;
            match cluster.start_again() {
                Ok(()) => return Ok(Some(cluster)),
                // Another process may have taken the port since it was found free.
                Err(_) if attempts_left > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where a client connects: the superuser `postgres`, the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The port on 127.0.0.1; it stays the same over stops and starts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] with what the server said.
    pub fn create_database(&self, name: &str) -> Result<String, ProcessError> {
        self.psql(&format!("CREATE DATABASE \"{name}\""))?;
        Ok(self.url_of(name))
    }

    /// Runs SQL by `psql` in the database `postgres`; returns unaligned rows without headings.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] with what the server said.
    pub fn psql(&self, sql: &str) -> Result<String, ProcessError> {
        let mut command = self.tools.command("psql");
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        command.arg(self.url());
        let output = run(command)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Stops the server; nothing happens when it is stopped already.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] with what `pg_ctl` said.
    pub fn stop(&mut self, mode: StopMode) -> Result<(), ProcessError> {
        if !self.is_running {
            return Ok(());
        }
        let mode = match mode {
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        let mut command = self.pg_ctl("stop");
        command.args(["-m", mode]);
        run(command)?;
        self.is_running = false;
        Ok(())
    }

    /// Starts a stopped server on the same port and waits until it takes connections.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] with what `pg_ctl` said and the server's log.
    pub fn start_again(&mut self) -> Result<(), ProcessError> {
        if self.is_running {
            return Ok(());
        }
        let mut command = self.pg_ctl("start");
        command.arg("-l").arg(self.folder.path().join("log"));
        match run(command) {
            Err(ProcessError::Exited { program, status, output }) => {
                let output = format!("{output}\n{}", self.log());
                Err(ProcessError::Exited { program, status, output })
            }
            result => {
                self.is_running = result.is_ok();
                result.map(drop)
            }
        }
    }

    /// The process id of the postmaster, for SIGSTOP and the like; `None` when stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn copy_of(template: &Path, tools: Tools) -> Result<Self, ProcessError> {
        let failed = prepare_error("postgres");
        let port = free_address().map_err(failed)?.port();
        let folder = TempDir::with_prefix("santral-postgres-").map_err(failed)?;
        tools.give(folder.path()).map_err(failed)?;
        let mut copy = tools.command("cp");
        copy.arg("-a").arg(template).arg(folder.path().join("data"));
        run(copy)?;
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             fsync = on\nsynchronous_commit = on\nshared_buffers = 32MB\n",
            folder.path().display()
        );
        let file = folder.path().join("data/postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(file).map_err(failed)?;
        file.write_all(settings.as_bytes()).map_err(failed)?;
        Ok(Self { tools, folder, port, is_running: false })
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = self.tools.command("pg_ctl");
        command.args([action, "-w", "-s", "-t", "60", "-D"]).arg(self.folder.path().join("data"));
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A panic here would hide the test's own failure.
        let _ = self.stop(StopMode::Immediate);
    }
}

/// The programs' folder, and the user to run them as when we are root.
#[derive(Debug, Clone)]
struct Tools {
    folder: PathBuf,
    user: Option<User>,
}

#[derive(Debug, Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl Tools {
    fn find() -> Option<Self> {
        let folder = require_tool("initdb")?.parent()?.to_path_buf();
        let is_root = rustix::process::geteuid().is_root();
        if !is_root {
            return Some(Self { folder, user: None });
        }
        require_tool("setpriv")?;
        let user = user("postgres").or_else(|| user("nobody"))?;
        Some(Self { folder, user: Some(user) })
    }

    /// A command as the right user: of PostgreSQL if it has one of that name, else of the system.
    fn command(&self, name: &str) -> Command {
        let own = self.folder.join(name);
        let program = if own.exists() { own } else { PathBuf::from(name) };
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={}", user.id));
                command.arg(format!("--regid={}", user.group));
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        };
        // The working folder of the test may be closed to that user.
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGOPTIONS");
        command
    }

    /// Makes a folder the user's, and private.
    fn give(&self, folder: &Path) -> io::Result<()> {
        if let Some(user) = self.user {
            std::os::unix::fs::chown(folder, Some(user.id), Some(user.group))?;
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
    }

    fn user_id(&self) -> u32 {
        self.user.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.id)
    }
}

fn user(name: &str) -> Option<User> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(User { id: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

/// The folder of a finished `initdb`, made on first use.
///
/// Processes may race to make it: each builds its own and renames it into place, and whoever
/// comes second uses the first's.
fn template(tools: &Tools) -> Result<PathBuf, ProcessError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let failed = prepare_error("initdb");
    let mut ask = tools.command("initdb");
    ask.arg("--version");
    let version = run(ask)?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    // "initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    let version = version.split_whitespace().nth(2).unwrap_or("unknown").replace('/', "");
    let name = format!("santral-initdb-{version}-{}", tools.user_id());
    let finished = std::env::temp_dir().join(name);
    if is_ours(&finished, tools) {
        return Ok(finished);
    }
    let workplace = TempDir::with_prefix("santral-initdb-").map_err(failed)?;
    tools.give(workplace.path()).map_err(failed)?;
    let data = workplace.path().join("data");
    let mut initdb = tools.command("initdb");
    initdb.args(["--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8"]);
    initdb.args(["--locale=C", "-D"]).arg(&data);
    run(initdb)?;
    match fs::rename(&data, &finished) {
        Ok(()) => Ok(finished),
        Err(_) if is_ours(&finished, tools) => Ok(finished),
        Err(error) => Err(failed(error)),
    }
}

/// The name is guessable and the temporary folder is everyone's, so the owner decides.
fn is_ours(folder: &Path, tools: &Tools) -> bool {
    let is_complete = folder.join("PG_VERSION").exists();
    is_complete && folder.symlink_metadata().is_ok_and(|data| data.is_dir() && data.uid() == tools.user_id())
}

fn run(mut command: Command) -> Result<Output, ProcessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|text| text.to_string_lossy()).collect();
    let program = format!("{program} {}", arguments.join(" "));
    let result = command.output();
    let output = result.map_err(|source| ProcessError::Spawn { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(ProcessError::Exited { program, status: output.status, output: String::from_utf8_lossy(&said).into_owned() })
}

fn prepare_error(program: &'static str) -> impl Fn(io::Error) -> ProcessError + Copy {
    move |source| ProcessError::Prepare { program: program.to_owned(), source }
}

const START_ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_rows_survive_an_immediate_stop() {
        let Some(mut postgres) = Postgres::start().expect("PostgreSQL starts") else {
            return;
        };
        postgres.create_database("other").expect("a new name is free");
        postgres.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (7)").expect("valid SQL");
        let (port, pid) = (postgres.port(), postgres.pid());
        postgres.stop(StopMode::Immediate).expect("it runs");
        assert!(postgres.psql("SELECT 1").is_err());
        postgres.start_again().expect("it recovers");
        assert_eq!(postgres.psql("SELECT n FROM t").expect("the row is there"), "7");
        assert_eq!(postgres.psql("SHOW fsync").expect("a setting"), "on");
        assert_eq!(postgres.port(), port);
        assert_ne!(postgres.pid(), pid);
        assert!(postgres.log().contains("database system was not properly shut down"));
        postgres.stop(StopMode::Fast).expect("it runs");
        assert_eq!(postgres.pid(), None);
    }

    #[test]
    fn two_clusters_know_nothing_of_each_other_and_leave_nothing_behind() {
        let Some(first) = Postgres::start().expect("PostgreSQL starts") else {
            return;
        };
        let Some(second) = Postgres::start().expect("PostgreSQL starts") else {
            return;
        };
        assert_ne!(first.url(), second.url());
        first.psql("CREATE TABLE only_here ()").expect("valid SQL");
        assert!(second.psql("SELECT FROM only_here").is_err());
        let folder = first.folder.path().to_path_buf();
        drop(first);
        assert!(!folder.exists());
    }
}
