//! What the tests of docs/protocol.md share: problem documents, streams with their `hello`, commands.

use std::time::{Duration, Instant};

use santral_testkit::http::{Request, Response, SseClient};
use santral_testkit::sse::Event;
use serde_json::Value;

use super::{PATIENCE, Santral, deadline, post_json};

/// A token that a client could have drawn.
pub(crate) const TOKEN: &str = "a-token-of-the-tests-0123456789";

/// How long a test listens for something that must not come.
const SILENCE: Duration = Duration::from_millis(150);

impl Santral {
    /// Opens a stream and returns it with the content of its `hello`.
    pub(crate) fn greet(&self, path: &str, headers: &[(&str, &str)]) -> (SseClient, Event, Value) {
        let mut client = SseClient::open(self.address, path, headers, PATIENCE).expect("the stream opens");
        let hello = next(&mut client);
        assert_eq!(hello.event_type, "hello");
        let content = json(&hello.data);
        (client, hello, content)
    }

    /// Opens a stream behind a position.
    pub(crate) fn resume(&self, path: &str, position: &str) -> (SseClient, Event, Value) {
        self.greet(path, &[("Last-Event-ID", position)])
    }

    /// Publishes envelopes, one or an array, and returns what was answered.
    pub(crate) fn publish(&self, json: &str) -> Value {
        let response = self.post("/api/publish", json);
        assert_eq!(response.status, 200, "{response:?}");
        response.json().expect("a receipt is JSON")
    }

    /// Sends a command of a session.
    pub(crate) fn command(&self, session: &str, json: &str) -> Response {
        self.post(&format!("/api/sessions/{session}/commands"), json)
    }

    /// The data of a channel's retained entries, oldest first.
    pub(crate) fn history(&self, channel: &str) -> Vec<String> {
        let response = self.get(&format!("/api/channels/{channel}/history?limit=1000"));
        let history = response.json().expect("a history is JSON");
        let entries = history["entries"].as_array().expect("a history has entries");
        entries.iter().rev().map(|entry| entry["data"].to_string()).collect()
    }

    /// The head of the log.
    pub(crate) fn head(&self) -> String {
        text(&self.get("/api/channels").json().expect("a list is JSON")["position"])
    }
}

/// The next event that is no `ping`.
pub(crate) fn next(client: &mut SseClient) -> Event {
    loop {
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        if event.event_type != "ping" {
            return event;
        }
    }
}

/// The data of the next events.
pub(crate) fn next_data(client: &mut SseClient, count: usize) -> Vec<String> {
    (0..count).map(|_| next(client).data).collect()
}

/// Fails if anything but a `ping` comes within a short while.
pub(crate) fn expect_silence(client: &mut SseClient) {
    let until = Instant::now() + SILENCE;
    match client.wait_for(|event| event.event_type != "ping", until) {
        Err(error) if error.is_deadline() => (),
        other => panic!("nothing should have come: {other:?}"),
    }
}

/// Fails if something came with what was read last.
pub(crate) fn expect_nothing_more(client: &mut SseClient) {
    let more = client.next_item(Instant::now() + Duration::from_millis(5));
    assert!(more.as_ref().is_err_and(|error| error.is_deadline()), "{more:?}");
}

/// Checks a problem document from head to foot, and returns its code.
pub(crate) fn problem(response: &Response) -> String {
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    assert!(response.header("x-request-id").is_some_and(|id| !id.is_empty()), "{response:?}");
    let body = response.json().expect("a problem is JSON");
    assert_eq!(body["status"], response.status, "{response:?}");
    let code = text(&body["code"]);
    assert_eq!(body["type"], format!("/docs/errors.md#{code}"), "{response:?}");
    for field in ["title", "detail", "remediation"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {response:?}");
    }
    let known = santral_schema::problem::ProblemCode::ALL.iter().find(|known| known.name() == code);
    assert_eq!(known.map(|known| known.status()), Some(response.status), "{response:?}");
    code
}

/// Fails unless the request was refused with this code.
#[track_caller]
pub(crate) fn assert_refused(response: &Response, code: &str) {
    assert_eq!(problem(response), code, "{response:?}");
}

/// `POST /api/publish` with an idempotency key.
pub(crate) fn publish_with_key(santral: &Santral, key: &str, json: &str) -> Response {
    let request = post_json("/api/publish", json).header("Idempotency-Key", key);
    send(santral, &request)
}

/// Sends a request of any kind.
pub(crate) fn send(santral: &Santral, request: &Request) -> Response {
    request.send(santral.address, PATIENCE).expect("the server answers")
}

/// Reads JSON that the server wrote.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the server writes well-formed JSON")
}

/// A field that must be text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("the field is a string").to_owned()
}

/// Percent-encoding of everything but letters and digits.
pub(crate) fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
