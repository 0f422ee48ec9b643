//! A blocking Server-Sent-Events client for tests: one connection, read with deadlines.
//!
//! It never reconnects by itself; a test that wants a resume opens the next client with the last
//! event id of the one before. Parsing is in [`crate::sse`], HTTP in [`crate::http`].

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::http::wire::{Head, Wire};
use crate::http::{HttpError, Request, Response, header};
use crate::sse::{Event, Item, Parser};

/// One open event stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct SseClient {
    wire: Wire,
    head: Head,
    parser: Parser,
    waiting: VecDeque<Item>,
    last_event_id: String,
    has_ended: bool,
}

impl SseClient {
    /// Opens `GET path` with `Accept: text/event-stream` and these further headers.
    ///
    /// # Errors
    /// [`HttpError::NotAStream`] with the answer unless it is 200 with an event stream.
    pub fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        let request = Request::get(path).header("Accept", "text/event-stream");
        let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        let request = headers.iter().fold(request, add);
        Self::open_with(address, &request, timeout)
    }

    /// Opens a stream with any request, for example a `POST` with a JSON body.
    ///
    /// # Errors
    /// As [`SseClient::open`].
    pub fn open_with(address: SocketAddr, request: &Request, timeout: Duration) -> Result<Self, HttpError> {
        let deadline = Instant::now() + timeout;
        let mut wire = request.open(address, deadline)?;
        let head = wire.read_head(request.method(), deadline)?;
        let content_type = header(&head.headers, "content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if head.status != 200 || !media_type.eq_ignore_ascii_case("text/event-stream") {
            return Err(HttpError::NotAStream(Box::new(drain(wire, head, deadline))));
        }
        Ok(Self {
            wire,
            head,
            parser: Parser::new(),
            waiting: VecDeque::new(),
            last_event_id: String::new(),
            has_ended: false,
        })
    }

    /// The next event, at once if one has come already; `None` = the stream has ended.
    ///
    /// # Errors
    /// [`HttpError::Deadline`] when none came in time, [`HttpError::Broken`] after a reset. The
    /// client can be asked again after a deadline.
    pub fn next_event(&mut self, deadline: Instant) -> Result<Option<Event>, HttpError> {
        loop {
            match self.next_item(deadline)? {
                Some(Item::Event(event)) => return Ok(Some(event)),
                Some(Item::Empty { .. } | Item::Comment(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next event, comment or empty frame; `None` = the stream has ended.
    ///
    /// # Errors
    /// As [`SseClient::next_event`].
    pub fn next_item(&mut self, deadline: Instant) -> Result<Option<Item>, HttpError> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                if let Item::Event(Event { last_event_id, .. }) | Item::Empty { last_event_id, .. } = &item {
                    self.last_event_id.clone_from(last_event_id);
                }
                return Ok(Some(item));
            }
            if self.has_ended {
                return Ok(None);
            }
            match self.wire.read_body(deadline) {
                Ok(Some(bytes)) => self.waiting.extend(self.parser.feed(&bytes)),
                // To an event stream a plain close in mid-body is an end like any other.
                Ok(None) | Err(HttpError::Truncated { .. }) => self.has_ended = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads on until an event matches and returns it; those before it are dropped.
    ///
    /// # Errors
    /// [`HttpError::NoMatch`] or [`HttpError::Ended`], each with the events that passed.
    pub fn wait_for(&mut self, mut matches: impl FnMut(&Event) -> bool, deadline: Instant) -> Result<Event, HttpError> {
        let mut passed = Vec::new();
        loop {
            match self.next_event(deadline) {
                Ok(Some(event)) if matches(&event) => return Ok(event),
                Ok(Some(event)) => passed.push(event),
                Ok(None) => return Err(HttpError::Ended { passed }),
                Err(HttpError::Deadline { .. }) => return Err(HttpError::NoMatch { passed }),
                Err(error) => return Err(error),
            }
        }
    }

    /// All events until the stream ends.
    ///
    /// # Errors
    /// [`HttpError::NoMatch`] with the events so far when it does not end before the deadline.
    pub fn collect_to_end(&mut self, deadline: Instant) -> Result<Vec<Event>, HttpError> {
        match self.wait_for(|_| false, deadline) {
            Err(HttpError::Ended { passed }) => Ok(passed),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The last event id of the items handed out so far: what a reconnect would send.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time the stream has set, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.parser.retry_ms()
    }

    /// The first response header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head.headers, name)
    }

    /// Whether the stream has ended as its framing says (last chunk), not by a cut.
    #[must_use]
    pub fn ended_cleanly(&self) -> bool {
        self.has_ended && self.wire.is_whole()
    }

    /// The socket below, for tests that set its options or shut one direction.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.wire.stream()
    }
}

/// Reads what there is of an answer's body, for the error message alone.
pub(crate) fn drain(mut wire: Wire, head: Head, deadline: Instant) -> Response {
    let mut body = Vec::new();
    while body.len() < REFUSAL_BYTES_MAX {
        let Ok(Some(piece)) = wire.read_body(deadline) else {
            break;
        };
        body.extend_from_slice(&piece);
    }
    Response { status: head.status, reason: head.reason, headers: head.headers, body }
}

const REFUSAL_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    /// Answers one connection with each piece as the test sends it; closes when it is dropped.
    fn server() -> (SocketAddr, mpsc::Sender<&'static str>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (sender, pieces) = mpsc::channel::<&str>();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the test connects");
            let mut buffer = [0; 4096];
            let _count = stream.read(&mut buffer).expect("the test sends a request");
            for piece in pieces {
                stream.write_all(piece.as_bytes()).expect("the test is still reading");
            }
        });
        (address, sender)
    }

    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    const TIMEOUT: Duration = Duration::from_secs(10);

    fn soon() -> Instant {
        Instant::now() + TIMEOUT
    }

    fn open(pieces: &[&'static str]) -> (SseClient, mpsc::Sender<&'static str>) {
        let (address, sender) = server();
        for piece in pieces {
            sender.send(piece).expect("the server thread waits for pieces");
        }
        let client = SseClient::open(address, "/api/events", &[("X-A", "b")], TIMEOUT);
        (client.expect("the answer is an event stream"), sender)
    }

    #[test]
    fn events_come_one_by_one_and_the_end_is_none() {
        let (mut client, server) = open(&[HEAD, "1c\r\nid: 1\ndata: a\n\n:hi\n\nid: 2\n\nx\r\n"]);
        let event = client.next_event(soon()).expect("one has come").expect("it is an event");
        assert_eq!((event.data.as_str(), client.last_event_id()), ("a", "1"));
        let comment = client.next_item(soon()).expect("one has come");
        assert_eq!(comment, Some(Item::Comment("hi".to_owned())));
        let waited = client.next_event(Instant::now() + Duration::from_millis(20));
        assert!(waited.is_err_and(|error| error.is_deadline()));
        assert_eq!(client.last_event_id(), "2", "an empty frame counts");
        server.send("0\r\n\r\n").expect("the server thread waits for pieces");
        assert_eq!(client.next_event(soon()).expect("the stream ends"), None);
        assert!(client.ended_cleanly());
    }

    #[test]
    fn waiting_shows_what_passed_when_it_fails() {
        let (mut client, server) = open(&[HEAD, "19\r\ndata: a\n\ndata: b\n\ndata: c\r\n"]);
        let found = client.wait_for(|event| event.data == "b", soon());
        assert_eq!(found.expect("b has come").data, "b");
        drop(server);
        let error = client.wait_for(|_| true, soon()).expect_err("c was never finished");
        assert!(matches!(&error, HttpError::Ended { passed } if passed.is_empty()), "{error}");
        assert!(!client.ended_cleanly());
    }

    #[test]
    fn another_answer_is_an_error_that_shows_it() {
        let (address, sender) = server();
        let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope";
        sender.send(answer).expect("the server thread waits for pieces");
        let error = SseClient::open(address, "/", &[], TIMEOUT).expect_err("401 is no stream");
        assert!(error.to_string().contains("401 Unauthorized"), "{error}");
        assert!(error.to_string().contains("nope"), "{error}");
    }
}
