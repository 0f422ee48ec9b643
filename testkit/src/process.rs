//! Servers as child processes: start, wait until they answer, signal, wait for the end.
//!
//! Every wait polls a condition up to a deadline and fails early, with the server's output, when
//! the server has exited. The child leads a process group of its own, which is killed on drop,
//! so that no test leaves a server behind.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process, kill_process_group};

pub use rustix::process::Signal;

use crate::http::{Request, Response};

/// How to start a server.
#[derive(Debug)]
pub struct ServerCommand {
    command: Command,
}

impl ServerCommand {
    /// A server of this program, with the environment of the test.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program) }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable of the test away.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Starts from an empty environment; variables set before are forgotten as well.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts the server; its output is collected, its input is empty.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn spawn(mut self) -> Result<Server, ProcessError> {
        use std::os::unix::process::CommandExt;
        let program = self.command.get_program().to_string_lossy().into_owned();
        let failed = |source| ProcessError::Spawn { program: program.clone(), source };
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.process_group(0).spawn().map_err(failed)?;
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, &output);
        }
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, &output);
        }
        Ok(Server { program, child, output })
    }
}

/// A running server. Dropping it kills its whole process group and reaps it.
#[derive(Debug)]
pub struct Server {
    program: String,
    child: Child,
    output: Arc<Output>,
}

impl Server {
    /// The process id of the program that was started.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard output and error so far, as lines in the order they came; of a very talkative
    /// server the last 10,000.
    #[must_use]
    pub fn output(&self) -> String {
        let lines = self.output.lock();
        lines.kept.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Whether the server has not exited.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until something accepts connections at `address`.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] as soon as the server is gone, or [`ProcessError::Deadline`].
    pub fn wait_for_tcp(&mut self, address: SocketAddr, timeout: Duration) -> Result<(), ProcessError> {
        let attempt = || TcpStream::connect_timeout(&address, ATTEMPT_TIMEOUT).ok();
        self.poll("a TCP connection", timeout, attempt).map(drop)
    }

    /// Waits until `GET path` answers with this status and returns the answer.
    ///
    /// # Errors
    /// As [`Server::wait_for_tcp`].
    pub fn wait_for_http(
        &mut self,
        address: SocketAddr,
        path: &str,
        status: u16,
        timeout: Duration,
    ) -> Result<Response, ProcessError> {
        let attempt = || {
            let answer = Request::get(path).send(address, ATTEMPT_TIMEOUT).ok();
            answer.filter(|response| response.status == status)
        };
        self.poll("an HTTP answer", timeout, attempt)
    }

    /// Waits for a line of output from which `pick` makes something, such as the port that a
    /// server told to listen on port 0 has got. Lines that came before the call count.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] when the output has ended without it, or
    /// [`ProcessError::Deadline`].
    pub fn wait_for_line<T>(
        &mut self,
        mut pick: impl FnMut(&str) -> Option<T>,
        timeout: Duration,
    ) -> Result<T, ProcessError> {
        let deadline = Instant::now() + timeout;
        let mut lines = self.output.lock();
        let mut seen = 0;
        loop {
            let start = usize::try_from(seen - lines.dropped.min(seen)).unwrap_or(usize::MAX);
            if let Some(found) = lines.kept.iter().skip(start).find_map(|line| pick(line)) {
                return Ok(found);
            }
            seen = lines.dropped + lines.kept.len() as u64;
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.open_streams == 0 || left.is_zero() {
                break;
            }
            let waited = self.output.changed.wait_timeout(lines, left);
            lines = waited.expect("no reader thread panics while it holds the lock").0;
        }
        let has_ended = lines.open_streams == 0;
        drop(lines);
        match has_ended {
            true => {
                let left = deadline.saturating_duration_since(Instant::now());
                let status = self.wait_exit(left.max(ATTEMPT_TIMEOUT))?;
                Err(self.exited(status))
            }
            false => Err(self.deadline("a line of output", timeout)),
        }
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    /// [`ProcessError::Signal`], for instance when it has exited.
    pub fn signal(&mut self, signal: Signal) -> Result<(), ProcessError> {
        // Asking first makes sure that the id still is ours: it cannot be given to another
        // process before this handle has reaped the child.
        match self.child.try_wait() {
            Ok(Some(status)) => Err(self.exited(status)),
            Ok(None) | Err(_) => kill_process(pid_of(&self.child), signal)
                .map_err(|source| ProcessError::Signal { program: self.program.clone(), source: source.into() }),
        }
    }

    /// `kill -9` to the whole process group, and waits for the end.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] if the kernel does not end it within ten seconds.
    pub fn kill9(&mut self) -> Result<ExitStatus, ProcessError> {
        if self.is_running() {
            // It may exit by itself between the two calls; then there is nothing to kill.
            let _ = kill_process_group(pid_of(&self.child), Signal::KILL);
        }
        self.wait_exit(KILL_TIMEOUT)
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] if it has not ended within `timeout`; it then still runs.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus, ProcessError> {
        self.signal(Signal::TERM)?;
        self.wait_exit(timeout)
    }

    /// Freezes it (SIGSTOP): sockets stay open and nobody answers.
    ///
    /// # Errors
    /// As [`Server::signal`].
    pub fn freeze(&mut self) -> Result<(), ProcessError> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    /// As [`Server::signal`].
    pub fn thaw(&mut self) -> Result<(), ProcessError> {
        self.signal(Signal::CONT)
    }

    /// Waits until it has exited; then all that it has said is in [`Server::output`].
    ///
    /// # Errors
    /// [`ProcessError::Deadline`].
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus, ProcessError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.await_output();
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.deadline("its exit", timeout));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn poll<T>(
        &mut self,
        what: &'static str,
        timeout: Duration,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, ProcessError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(found) = attempt() {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.exited(status));
            }
            if Instant::now() >= deadline {
                return Err(self.deadline(what, timeout));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn exited(&self, status: ExitStatus) -> ProcessError {
        self.await_output();
        ProcessError::Exited { program: self.program.clone(), status, output: self.output() }
    }

    /// The output may trail the exit: the pipes still hold what was said last. A child that
    /// outlives the server keeps them open, so this does not wait for ever.
    fn await_output(&self) {
        let lines = self.output.lock();
        let is_open = |lines: &mut Lines| lines.open_streams > 0;
        let waited = self.output.changed.wait_timeout_while(lines, ATTEMPT_TIMEOUT, is_open);
        drop(waited.expect("no reader thread panics while it holds the lock"));
    }

    fn deadline(&self, what: &'static str, timeout: Duration) -> ProcessError {
        let program = self.program.clone();
        ProcessError::Deadline { program, what, timeout, output: self.output() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and a panic would hide the test's own.
        let _ = self.kill9();
    }
}

/// What went wrong with a child process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It exited while something was expected of it.
    #[error("{program} exited with {status}; its output:\n{output}")]
    Exited {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it had said.
        output: String,
    },
    /// It did not do the thing in time.
    #[error("{program} did not give {what} within {timeout:?}; its output:\n{output}")]
    Deadline {
        /// The program.
        program: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        timeout: Duration,
        /// What it had said.
        output: String,
    },
    /// It could not be signalled.
    #[error("cannot signal {program}: {source}")]
    Signal {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A file it needs could not be prepared.
    #[error("cannot prepare {program}: {source}")]
    Prepare {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
}

/// A loopback address with a port that is free now. Another process may take it before the
/// server does, so prefer port 0 and [`Server::wait_for_line`] where the server offers it.
///
/// # Errors
/// When the machine has no free port.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

/// The newest lines; `dropped` counts the older ones so that a waiting reader keeps its place.
#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    dropped: u64,
    open_streams: u32,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().expect("no reader thread panics while it holds the lock")
    }
}

/// Reads a pipe to its end on a thread of its own, which ends when the last holder of the other
/// side (the server, or a child that outlived it) closes it.
fn collect(pipe: impl Read + Send + 'static, output: &Arc<Output>) {
    let output = Arc::clone(output);
    output.lock().open_streams += 1;
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            let mut lines = output.lock();
            lines.kept.push_back(text);
            if lines.kept.len() > KEPT_LINES_MAX {
                lines.kept.pop_front();
                lines.dropped += 1;
            }
            drop(lines);
            output.changed.notify_all();
        }
        output.lock().open_streams -= 1;
        output.changed.notify_all();
    });
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
const KEPT_LINES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Server {
        let command = ServerCommand::new("sh").args(["-c", script]);
        command.spawn().expect("every machine has a shell")
    }

    #[test]
    fn a_line_is_waited_for_and_an_early_exit_is_told() {
        let mut server = shell("echo one; echo two >&2; sleep 60");
        let two = server.wait_for_line(|line| line.strip_prefix("tw").map(str::to_owned), TIMEOUT);
        assert_eq!(two.expect("it says two"), "o");
        let none = server.wait_for_line(|_| None::<()>, Duration::from_millis(30));
        assert!(matches!(none, Err(ProcessError::Deadline { .. })), "{none:?}");

        let mut gone = shell("echo sorry; exit 3");
        let error = gone.wait_for_line(|_| None::<()>, TIMEOUT).expect_err("it exits");
        assert!(matches!(&error, ProcessError::Exited { output, .. } if output == "sorry\n"), "{error}");
        let nowhere = free_address().expect("loopback has a free port");
        let error = gone.wait_for_tcp(nowhere, TIMEOUT).expect_err("nothing listens");
        assert!(matches!(error, ProcessError::Exited { .. }), "{error}");
    }

    #[test]
    fn signals_reach_the_server() {
        let mut server = shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done");
        server.wait_for_line(|line| (line == "up").then_some(()), TIMEOUT).expect("it starts");
        server.freeze().expect("it runs");
        server.signal(Signal::TERM).expect("it runs");
        let frozen = server.wait_exit(Duration::from_millis(50));
        assert!(matches!(frozen, Err(ProcessError::Deadline { .. })), "{frozen:?}");
        server.thaw().expect("it runs");
        let status = server.wait_exit(TIMEOUT).expect("TERM waits for it");
        assert_eq!(status.code(), Some(7));
        assert!(server.signal(Signal::TERM).is_err(), "its id may belong to another by now");
    }

    #[test]
    fn kill9_takes_the_children_along_and_drop_does_too() {
        let mut server = shell("sleep 60 & echo $!; wait");
        let child = server.wait_for_line(|line| line.parse::<u32>().ok(), TIMEOUT);
        let status = server.kill9().expect("nothing survives it");
        assert_eq!(status.signal(), Some(9));
        wait_until_gone(child.expect("the shell says it"));

        let server = shell("sleep 60");
        let pid = server.pid();
        drop(server);
        wait_until_gone(pid);
    }

    /// A killed grandchild stays as a zombie until init reaps it.
    fn wait_until_gone(pid: u32) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
            if state != Some(false) {
                return;
            }
            assert!(Instant::now() < deadline, "process {pid} is still there: {stat}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}
