//! A stream as a client sees it, with a stopwatch.
//!
//! A thread reads and notes when each piece came, so that nothing that happens meanwhile spoils the
//! time. It ends with the stream or, since a blocked read cannot be called off, with the process.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::{HeaderMap, Response};

/// An open stream.
pub(super) struct EventStream {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// When the request was sent.
    pub(super) asked_at: Instant,
    pieces: Receiver<Piece>,
    /// What came and is no whole event yet.
    rest: Vec<u8>,
}

/// Bytes, or the end, and when they came.
struct Piece {
    at: Instant,
    /// `Err` with the reason when the line broke; empty at a clean end.
    bytes: Result<Vec<u8>, String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
    pub(super) at: Instant,
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// An event.
    Event(Event),
    /// The stream ended, with the reason when the line broke.
    End(Instant, Option<String>),
    /// Nothing before the deadline.
    Nothing,
}

impl EventStream {
    pub(super) fn begin(response: Response<Body>, asked_at: Instant) -> Self {
        let (parts, body) = response.into_parts();
        let (sender, pieces) = sync_channel(PIECES_MAX);
        // Without a thread the stream is at its end at once, which is told like any other.
        let _ = std::thread::Builder::new().name("stream".to_owned()).spawn(move || read(body, &sender));
        Self { status: parts.status.as_u16(), headers: parts.headers, asked_at, pieces, rest: Vec::new() }
    }

    /// The next event that is more than comments.
    pub(super) fn next(&mut self, deadline: Instant) -> Next {
        let mut at = Instant::now();
        loop {
            while let Some(frame) = self.take_frame() {
                if let Some(event) = parse(&frame, at) {
                    return Next::Event(event);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(Piece { at: came_at, bytes: Ok(bytes) }) if !bytes.is_empty() => {
                    at = came_at;
                    self.rest.extend(bytes);
                    // No frame of Santral's is that long: it is something else, and not kept.
                    if self.rest.len() > FRAME_BYTES_MAX {
                        return Next::End(at, Some("what comes is no event stream".to_owned()));
                    }
                }
                Ok(Piece { at, bytes }) => return Next::End(at, bytes.err()),
                Err(RecvTimeoutError::Timeout) => return Next::Nothing,
                Err(RecvTimeoutError::Disconnected) => return Next::End(Instant::now(), None),
            }
        }
    }

    /// The next event of one of these names; everything else is passed over.
    pub(super) fn next_named(&mut self, name: &str, deadline: Instant) -> Next {
        loop {
            match self.next(deadline) {
                Next::Event(event) if event.name != name => {}
                next => return next,
            }
        }
    }

    /// The body of an answer that is no stream.
    pub(super) fn read_rest(&mut self, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        while self.rest.len() < FRAME_BYTES_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(Piece { bytes: Ok(bytes), .. }) if !bytes.is_empty() => self.rest.extend(bytes),
                Ok(_) | Err(_) => break,
            }
        }
        String::from_utf8_lossy(&self.rest).into_owned()
    }

    /// Up to and without the next empty line. Santral ends lines by LF, and proxies leave that alone.
    fn take_frame(&mut self) -> Option<String> {
        let end = self.rest.windows(2).position(|two| two == b"\n\n")?;
        let frame: Vec<u8> = self.rest.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&frame).into_owned())
    }
}

/// `None` for a frame without an event, such as a comment.
fn parse(frame: &str, at: Instant) -> Option<Event> {
    let (mut name, mut data) = ("message".to_owned(), Vec::new());
    for line in frame.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data.push(value),
            _ => {}
        }
    }
    (!data.is_empty()).then(|| Event { name, data: data.join("\n"), at })
}

fn read(body: Body, sender: &SyncSender<Piece>) {
    let mut reader = body.into_reader();
    let mut buffer = [0; 4_096];
    loop {
        let bytes = reader.read(&mut buffer).map(|count| buffer[..count].to_vec()).map_err(|error| error.to_string());
        let is_end = bytes.as_ref().map_or(true, Vec::is_empty);
        let is_heard = sender.send(Piece { at: Instant::now(), bytes }).is_ok();
        if is_end || !is_heard {
            return;
        }
    }
}

/// Pieces that came and were not looked at yet: a stream of ours brings a handful.
const PIECES_MAX: usize = 64;

/// Santral's largest message and what stands around it fit many times.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_events_only_with_data() {
        let at = Instant::now();
        let event = parse("retry: 1\nid: a-1\nevent: hello\ndata: {\ndata:}\n\n", at);
        assert_eq!(event, Some(Event { name: "hello".to_owned(), data: "{\n}".to_owned(), at }));
        assert_eq!(parse(":padding\n\n", at), None);
        assert_eq!(parse("data: 1\n\n", at).map(|event| event.name), Some("message".to_owned()));
    }
}
