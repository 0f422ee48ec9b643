//! Carries lines to stderr on a thread of its own: a log that nobody reads must not stop the server.
//!
//! The queue is bounded. What finds no room is counted, and the count is logged when there is room.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The writing end.
pub(super) struct Sink {
    sender: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

enum Item {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Keeps logs flowing; dropping it waits a moment until they are written.
#[must_use = "dropping it at once ends the log"]
pub struct LogGuard {
    sender: SyncSender<Item>,
}

/// Lines that this process has lost since its start.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Log lines that were lost since the start, because nobody read them fast enough.
#[must_use]
pub fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

impl Sink {
    /// Starts the thread. `apology` makes the line that tells how many were lost.
    pub(super) fn start(
        mut output: impl Write + Send + 'static,
        apology: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<(Self, LogGuard)> {
        let (sender, receiver) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || carry(&receiver, &mut output, &counter, &apology))?;
        Ok((Self { sender: sender.clone(), lost }, LogGuard { sender }))
    }

    /// Hands over one whole line, with its end.
    pub(super) fn send(&self, line: String) {
        if self.sender.try_send(Item::Line(line.into_bytes())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let deadline = Instant::now() + FLUSH_DEADLINE;
        let (answer, answered) = sync_channel(1);
        let mut item = Item::Flush(answer);
        // The queue may be full; there is no sending with a deadline.
        while let Err(TrySendError::Full(returned)) = self.sender.try_send(item) {
            if Instant::now() >= deadline {
                return;
            }
            item = returned;
            thread::sleep(Duration::from_millis(5));
        }
        let _ = answered.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn carry(lines: &Receiver<Item>, output: &mut impl Write, lost: &AtomicU64, apology: &impl Fn(u64) -> String) {
    for item in lines {
        // Nobody can be told that the log itself fails.
        match item {
            Item::Line(line) => _ = output.write_all(&line),
            Item::Flush(answer) => {
                let _ = output.flush();
                let _ = answer.try_send(());
            }
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => _ = output.write_all(apology(count).as_bytes()),
        }
    }
}

/// Lines that wait for stderr: a burst; most are shorter than 200 bytes.
const LINES_MAX: usize = 4_096;

/// How long the end of the process waits for a reader of its log.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells of each line, and writes it when the test lets it.
    struct Gate {
        written: mpsc::Sender<String>,
        open: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A closed gate stands open: the sender was dropped.
            let _ = self.open.recv();
            let _ = self.written.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_stops_nobody_and_the_loss_is_told() {
        let (written, lines) = mpsc::channel();
        let (opener, open) = mpsc::channel();
        let (sink, guard) = Sink::start(Gate { written, open }, |lost| format!("lost {lost}")).expect("a thread");
        let sent = LINES_MAX + 100;
        for index in 0..sent {
            sink.send(index.to_string());
        }
        drop(opener);
        drop(guard);
        drop(sink);
        let lines: Vec<String> = lines.iter().collect();
        let lost: usize = lines
            .iter()
            .filter_map(|line| line.strip_prefix("lost "))
            .map(|n| n.parse::<usize>().expect("a number"))
            .sum();
        let kept = lines.iter().filter(|line| !line.starts_with("lost")).count();
        assert!(lost >= 99, "{lost}");
        assert_eq!(kept + lost, sent);
    }

    #[test]
    fn the_end_waits_for_the_last_line() {
        let (written, lines) = mpsc::channel();
        let (_, open) = mpsc::channel();
        let (sink, guard) = Sink::start(Gate { written, open }, |_| String::new()).expect("a thread");
        sink.send("last words".to_owned());
        drop(guard);
        assert_eq!(lines.try_recv().as_deref(), Ok("last words"));
    }
}
