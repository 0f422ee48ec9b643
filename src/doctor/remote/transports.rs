//! The other ways to listen: whether a WebSocket opens, whether polls are held and answered.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Visit, borrowed};
use crate::doctor::check::Check;
use crate::doctor::client::{Answer, Failure};
use crate::doctor::report::Finding;
use crate::doctor::span_text;

/// Makes a handshake (RFC 6455, section 4.1) and looks at the answer; nothing is sent over the WebSocket.
pub(super) fn websocket(visit: &Visit) -> Finding {
    let url = visit.base.url(&format!("/api/v1/ws?channel={}&broadcast=0", visit.channel));
    let credentials = visit.credentials();
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    let headers: Vec<_> = borrowed(&credentials).into_iter().chain(handshake).collect();
    match visit.client.get(&url, &headers) {
        Ok(answer) => judge(visit, &answer),
        Err(Failure::Silent) => unopened(visit, "the request for one is held back"),
        Err(failure) => unopened(visit, &failure.to_string()),
    }
}

fn judge(visit: &Visit, answer: &Answer) -> Finding {
    // Santral lets everybody in who asks properly, and says by a close frame who may not stay.
    if answer.status == 101 && answer.header("sec-websocket-accept") == Some(ACCEPT) {
        return Finding::ok(Check::WebSocket, "the handshake of a WebSocket gets through");
    }
    if !answer.is_problem_of_santral() {
        return unopened(visit, &format!("something in front answers: {}", answer.summary()));
    }
    match answer.problem_code().as_deref() {
        Some("upgrade_required") => {
            let detail = answer.problem_detail().unwrap_or_default();
            unopened(visit, &format!("{} takes a header out of the request: {detail}", visit.proxy.name()))
        }
        Some("transport_disabled") => Finding::skipped(Check::WebSocket, "the operator has turned WebSockets off"),
        Some("unauthenticated") => Finding::skipped(Check::WebSocket, "WebSockets need a token here: --token-file"),
        _ => unopened(visit, &answer.summary()),
    }
}

/// Only a warning: clients that fall back to streams or polls get through.
fn unopened(visit: &Visit, why: &str) -> Finding {
    Finding::warn(Check::WebSocket, format!("no WebSocket opens: {why}"), visit.proxy.pass_upgrade())
}

/// What a poll brings, as far as it concerns us.
#[derive(Debug, Deserialize)]
struct Batch {
    events: Vec<serde_json::Value>,
    position: String,
    session: String,
}

impl Batch {
    fn of(answer: &Answer) -> Option<Self> {
        serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200)
    }
}

/// Opens a session by a first poll, and lets a second one wait for a second.
pub(super) fn poll(visit: &Visit) -> Finding {
    if visit.client.timeout() <= HELD {
        return Finding::skipped(Check::Poll, "needs a longer --timeout");
    }
    let first = match ask(visit, "") {
        Ok(answer) => answer,
        Err(failure) => return unanswered(visit, &failure),
    };
    let Some(batch) = Batch::of(&first) else { return refused(visit, &first) };
    let start = Instant::now();
    let more = format!("&session={}&lastEventId={}&wait={}", batch.session, batch.position, HELD.as_secs());
    let second = match ask(visit, &more) {
        Ok(second) => second,
        Err(failure) => return unanswered(visit, &failure),
    };
    let Some(batch) = Batch::of(&second) else { return refused(visit, &second) };
    // Where pings are frequent, one ends the wait.
    if start.elapsed() < HELD && batch.events.is_empty() {
        return Finding::fail(
            Check::Poll,
            "a poll that should wait is answered at once: by a cache, or by another server than the one before",
            visit.proxy.leave_uncached(),
        );
    }
    Finding::ok(Check::Poll, format!("a poll is held and answered, after {}", span_text(start.elapsed())))
}

fn ask(visit: &Visit, more: &str) -> Result<Answer, Failure> {
    let path = format!("/api/poll?channel={}&broadcast=0{more}{}", visit.channel, visit.query_token());
    let credentials = if visit.is_token_in_query { Vec::new() } else { visit.credentials() };
    visit.client.get(&visit.base.url(&path), &borrowed(&credentials))
}

fn refused(visit: &Visit, answer: &Answer) -> Finding {
    match answer.problem_code().as_deref() {
        Some("transport_disabled") => Finding::skipped(Check::Poll, "the operator has turned polls off"),
        _ if [401, 403].contains(&answer.status) && visit.token.is_none() => {
            Finding::skipped(Check::Poll, "polls need a token here: --token-file")
        }
        _ if [401, 403].contains(&answer.status) => {
            Finding::skipped(Check::Poll, "the token may not follow a channel of our own")
        }
        _ if answer.status == 504 => {
            let found = format!("a poll of {} is cut: {}", span_text(HELD), answer.summary());
            Finding::fail(Check::Poll, found, visit.proxy.allow_silence(SILENCE_OF_POLLS_S))
        }
        _ => {
            let found = format!("a poll is not answered as it should be: {}", answer.summary());
            Finding::fail(Check::Poll, found, "does the proxy pass /api/poll on, with GET?")
        }
    }
}

fn unanswered(visit: &Visit, failure: &Failure) -> Finding {
    let silence = visit.proxy.allow_silence(SILENCE_OF_POLLS_S);
    Finding::fail(Check::Poll, format!("a poll is not answered: {failure}"), silence)
}

/// How Engine.IO says no.
#[derive(Debug, Deserialize)]
struct EngineError {
    code: u32,
    message: String,
}

/// Makes the first request of a Socket.IO client; the connection that it opens ends by itself.
pub(super) fn socketio(visit: &Visit) -> Finding {
    let answer = match visit.client.get(&visit.base.url(SOCKET_IO), &borrowed(&visit.credentials())) {
        Ok(answer) => answer,
        Err(failure) => return astray(&failure.to_string()),
    };
    if answer.status == 200 && answer.body.starts_with("0{") {
        return Finding::ok(Check::SocketIo, "a handshake of Socket.IO is answered");
    }
    match serde_json::from_str::<EngineError>(&answer.body) {
        Ok(EngineError { code: 0, .. }) => Finding::skipped(Check::SocketIo, "the operator has turned Socket.IO off"),
        Ok(EngineError { code: 4, message }) => {
            Finding::skipped(Check::SocketIo, format!("Socket.IO does not let us in: {message}"))
        }
        Ok(EngineError { message, .. }) => astray(&format!("{}: {message}", answer.summary())),
        Err(_) => astray(&answer.summary()),
    }
}

/// Only a warning: not everybody has such clients.
fn astray(why: &str) -> Finding {
    Finding::warn(
        Check::SocketIo,
        format!("the path /socket.io/ does not lead to Santral: {why}"),
        "pass /socket.io/ on like /api, if clients of Socket.IO shall come here",
    )
}

/// The handshake of a client of Socket.IO 3 or 4.
pub(super) const SOCKET_IO: &str = "/socket.io/?EIO=4&transport=polling";

/// The key and its answer that RFC 6455 gives as an example: no hash is needed to check it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How long the second poll waits.
const HELD: Duration = Duration::from_secs(1);

/// What a proxy must bear: a poll waits for 25 s where the client does not say otherwise.
const SILENCE_OF_POLLS_S: u64 = 60;
