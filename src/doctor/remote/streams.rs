//! Streams: whether one opens, whether anything on the way holds it back, changes or cuts it.

use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use ureq::http::HeaderMap;

use super::{Visit, borrowed};
use crate::doctor::check::Check;
use crate::doctor::client::{Failure, header};
use crate::doctor::event_stream::{EventStream, Next};
use crate::doctor::report::{Finding, Report};
use crate::doctor::{median, span_text};

/// A stream that lives, and what its `hello` said.
pub(super) struct Watched {
    stream: EventStream,
    hello: Hello,
    /// Whether it follows our own channel, so that what we publish comes back.
    is_private: bool,
}

/// What `hello` says, as far as it concerns us.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hello {
    #[serde(default)]
    heartbeat_ms: u64,
    #[serde(default)]
    server_time: String,
    /// When it came.
    #[serde(skip)]
    came_at: Option<SystemTime>,
}

/// What became of an attempt to open a stream.
enum Attempt {
    /// `hello` came so long after the request.
    Heard(Box<Watched>, Duration),
    /// The head came and nothing behind it in time.
    Held(Box<HeaderMap>),
    /// Not even the head came in time.
    Withheld,
    /// It may not be opened: status and what the answer says.
    Refused(u16, String),
    /// It ended or broke before `hello`.
    Lost(String),
}

/// Opens a stream and looks at all that can be seen at once; returns it for [`idle`].
pub(super) fn examine(visit: &Visit, report: &mut Report<'_>) -> Option<Watched> {
    let watched = open(visit, report);
    report.add(compression(visit, watched.as_ref()));
    let Some(mut watched) = watched else {
        for check in [Check::StreamHeaders, Check::RoundTrip, Check::ServerClock] {
            if !report.has(check) {
                report.add(Finding::skipped(check, "no stream is open"));
            }
        }
        return None;
    };
    report.add(headers(visit, &watched.stream.headers));
    report.add(round_trip(visit, &mut watched));
    report.add(server_clock(&watched.hello));
    Some(watched)
}

fn open(visit: &Visit, report: &mut Report<'_>) -> Option<Watched> {
    let mut attempt = attempt(visit, true, false);
    // A token may have no right to our channel, and still to what everybody hears.
    if matches!(attempt, Attempt::Refused(403, _)) {
        attempt = self::attempt(visit, false, false);
    }
    match attempt {
        Attempt::Heard(watched, took) => {
            report.add(Finding::ok(Check::Stream, format!("the first event came after {}", span_text(took))));
            Some(*watched)
        }
        Attempt::Held(_) | Attempt::Withheld => open_padded(visit, attempt, report),
        Attempt::Refused(status, said) => {
            report.add(refused(visit, status, &said));
            None
        }
        Attempt::Lost(why) => {
            let remedy = "see the logs of proxy and server; a proxy that answers HEAD or buffers may cut it";
            report.add(Finding::fail(Check::Stream, format!("the stream ended before its first event: {why}"), remedy));
            None
        }
    }
}

/// Nothing came: is the beginning held back, or everything?
fn open_padded(visit: &Visit, first: Attempt, report: &mut Report<'_>) -> Option<Watched> {
    let waited = span_text(visit.client.timeout());
    if let Attempt::Heard(watched, took) = attempt(visit, true, true) {
        report.add(Finding::warn(
            Check::Stream,
            format!(
                "the first event comes only with padding (after {}): something holds the first 2 KiB back",
                span_text(took)
            ),
            "a virus scanner or inspecting firewall: take the host out of it, or add pad=1 to the URL of streams",
        ));
        return Some(*watched);
    }
    let what = match first {
        Attempt::Held(head) => {
            report.add(headers(visit, &head));
            format!("the head of a stream came, but within {waited} nothing behind it")
        }
        _ => format!("within {waited} nothing of a stream came, although other answers do"),
    };
    let found = format!("{what}: {} buffers it", visit.proxy.name());
    report.add(Finding::fail(Check::Stream, found, visit.proxy.unbuffer()));
    None
}

fn refused(visit: &Visit, status: u16, said: &str) -> Finding {
    match status {
        401 | 403 if visit.token.is_none() => {
            Finding::skipped(Check::Stream, "streams need a token here: --token-file")
        }
        401 | 403 => Finding::fail(
            Check::Stream,
            format!("the token may not open a stream: {said}"),
            "take one that may, or see the finding on authorization",
        ),
        503 => Finding::warn(
            Check::Stream,
            format!("the server takes no streams now: {said}"),
            "it is full or stopping: try again",
        ),
        _ => Finding::fail(
            Check::Stream,
            format!("no stream opens: status {status}, {said}"),
            "does the proxy pass /api/events on, with GET?",
        ),
    }
}

fn attempt(visit: &Visit, is_private: bool, is_padded: bool) -> Attempt {
    match begin(visit, is_private, is_padded, &[]) {
        Ok(stream) => listen(visit, stream, is_private),
        Err(Failure::Silent) => Attempt::Withheld,
        Err(failure) => Attempt::Lost(failure.to_string()),
    }
}

fn begin(visit: &Visit, is_private: bool, is_padded: bool, more: &[(&str, &str)]) -> Result<EventStream, Failure> {
    let place =
        if is_private { format!("channel={}&broadcast=0", visit.channel) } else { "client=santral-doctor".to_owned() };
    let pad = if is_padded { "&pad=1" } else { "" };
    let url = visit.base.url(&format!("/api/events?{place}{pad}{}", visit.query_token()));
    let credentials = if visit.is_token_in_query { Vec::new() } else { visit.credentials() };
    let headers: Vec<_> = borrowed(&credentials).into_iter().chain(more.iter().copied()).collect();
    visit.client.stream(&url, &headers)
}

fn listen(visit: &Visit, mut stream: EventStream, is_private: bool) -> Attempt {
    if stream.status != 200 || !is_event_stream(&stream.headers) {
        let status = stream.status;
        let said = stream.read_rest(visit.client.timeout());
        return Attempt::Refused(status, said.chars().take(SAID_CHARS_MAX).collect());
    }
    let deadline = stream.asked_at + visit.client.timeout();
    match stream.next_named("hello", deadline) {
        Next::Event(event) => {
            let took = event.at.saturating_duration_since(stream.asked_at);
            let Ok(mut hello) = serde_json::from_str::<Hello>(&event.data) else {
                return Attempt::Lost("its first event is not Santral's".to_owned());
            };
            hello.came_at = SystemTime::now().checked_sub(event.at.elapsed());
            Attempt::Heard(Box::new(Watched { stream, hello, is_private }), took)
        }
        Next::Nothing => Attempt::Held(Box::new(stream.headers)),
        Next::End(_, why) => Attempt::Lost(why.unwrap_or_else(|| "closed".to_owned())),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    header(headers, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// Whether the head arrives as it was sent. `X-Accel-Buffering` may be gone: who heeds it takes it out.
fn headers(visit: &Visit, headers: &HeaderMap) -> Finding {
    let control = headers.get_all("cache-control").iter().filter_map(|value| value.to_str().ok());
    let control = control.collect::<Vec<_>>().join(", ").to_ascii_lowercase();
    if !control.contains("no-store") || !control.contains("no-transform") {
        let shown = if control.is_empty() { "gone".to_owned() } else { format!("now {control:?}") };
        return Finding::warn(
            Check::StreamHeaders,
            format!("Cache-Control of streams was changed on the way: it is {shown}"),
            "leave the header alone (in nginx: no `proxy_hide_header Cache-Control`, no `expires`)",
        );
    }
    let encoding = header(headers, "content-encoding").unwrap_or("identity");
    if encoding != "identity" {
        return Finding::warn(
            Check::StreamHeaders,
            format!("streams come as {encoding} to clients that did not ask for it"),
            visit.proxy.leave_uncompressed(),
        );
    }
    Finding::ok(Check::StreamHeaders, "the head of a stream arrives as it was sent")
}

/// A second stream, by a client that would take a compressed one, as browsers do.
fn compression(visit: &Visit, watched: Option<&Watched>) -> Finding {
    let is_private = watched.is_none_or(|watched| watched.is_private);
    let accepted = [("accept-encoding", "gzip, deflate, br, zstd")];
    let stream = match begin(visit, is_private, false, &accepted) {
        Ok(stream) if stream.status == 200 && is_event_stream(&stream.headers) => stream,
        Ok(_) | Err(_) => return Finding::skipped(Check::Compression, "no such stream is open"),
    };
    match header(&stream.headers, "content-encoding") {
        None | Some("identity") => Finding::ok(Check::Compression, "nobody compresses streams"),
        Some(encoding) => Finding::warn(
            Check::Compression,
            format!(
                "{} compresses streams ({encoding}): that costs memory for each, and small messages wait",
                visit.proxy.name()
            ),
            visit.proxy.leave_uncompressed(),
        ),
    }
}

/// Publishes to our own channel and waits for it there.
fn round_trip(visit: &Visit, watched: &mut Watched) -> Finding {
    if !watched.is_private {
        return Finding::skipped(Check::RoundTrip, "the token has no right to a channel of our own");
    }
    let mut times = Vec::new();
    for number in 0..ROUND_TRIPS {
        let body = format!(r#"{{"channel":"{}","event":"doctor","data":{number},"volatile":true}}"#, visit.channel);
        let start = Instant::now();
        let answer = visit.client.post_json(&visit.base.url("/api/publish"), &borrowed(&visit.credentials()), body);
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                let remedy = "the proxy holds POST requests back, or their answers";
                return Finding::fail(Check::RoundTrip, format!("a publish was not answered: {failure}"), remedy);
            }
        };
        if answer.status != 200 {
            return unpublished(visit, answer.status, &answer.body);
        }
        match watched.stream.next_named("doctor", Instant::now() + visit.client.timeout()) {
            Next::Event(event) => times.push(event.at.saturating_duration_since(start)),
            Next::Nothing | Next::End(..) => return unheard(visit, &answer.body),
        }
    }
    let Some(median) = median(times) else { return Finding::skipped(Check::RoundTrip, "nothing was published") };
    let found = format!("a message arrives {} after it was sent", span_text(median));
    match median > QUICK {
        true => Finding::warn(Check::RoundTrip, found, visit.proxy.unbuffer()),
        false => Finding::ok(Check::RoundTrip, found),
    }
}

fn unpublished(visit: &Visit, status: u16, said: &str) -> Finding {
    let said: String = said.chars().take(SAID_CHARS_MAX).collect();
    match status {
        401 | 403 if visit.token.is_none() => {
            Finding::skipped(Check::RoundTrip, "to publish needs a token here: --token-file")
        }
        401 if visit.is_token_in_query => {
            Finding::skipped(Check::RoundTrip, "the header Authorization gets lost on the way")
        }
        401 | 403 => Finding::skipped(Check::RoundTrip, "the token may not publish to a channel of our own"),
        _ => Finding::fail(
            Check::RoundTrip,
            format!("a publish is answered with status {status}: {said}"),
            "does the proxy let POST with a body through to /api/publish?",
        ),
    }
}

fn unheard(visit: &Visit, receipt: &str) -> Finding {
    let receipt: serde_json::Value = serde_json::from_str(receipt).unwrap_or_default();
    if receipt["receivers"] == 0 {
        return Finding::fail(
            Check::RoundTrip,
            "a message was taken, but by a server at which our stream is not open",
            "several servers answer under this address and do not know of each other: let one answer, or give them one database",
        );
    }
    let found = format!("a message was taken and did not arrive within {}", span_text(visit.client.timeout()));
    Finding::fail(Check::RoundTrip, found, visit.proxy.unbuffer())
}

fn server_clock(hello: &Hello) -> Finding {
    let theirs = chrono::DateTime::parse_from_rfc3339(&hello.server_time).ok();
    let ours = hello.came_at.map(chrono::DateTime::<chrono::Utc>::from);
    let Some((theirs, ours)) = theirs.zip(ours) else {
        return Finding::skipped(Check::ServerClock, "the server does not say what time it is");
    };
    let ahead = theirs.signed_duration_since(ours);
    if ahead.abs() <= chrono::TimeDelta::seconds(CLOCKS_APART_MAX_S) {
        return Finding::ok(Check::ServerClock, "the server's clock agrees with ours");
    }
    let direction = if ahead > chrono::TimeDelta::zero() { "ahead of" } else { "behind" };
    Finding::warn(
        Check::ServerClock,
        format!("the server's clock is {} s {direction} ours", ahead.num_seconds().abs()),
        "tokens end by the clock: set the one that is wrong (chrony, systemd-timesyncd)",
    )
}

/// Watches a stream on which nothing happens.
pub(super) fn idle(visit: &Visit, watched: Option<Watched>, watch: Duration) -> Finding {
    let Some(mut watched) = watched else { return Finding::skipped(Check::Idle, "no stream is open") };
    if watch.is_zero() {
        return Finding::skipped(Check::Idle, "left out by --idle 0");
    }
    let heartbeat = Duration::from_millis(watched.hello.heartbeat_ms);
    let start = Instant::now();
    let (deadline, mut pings) = (start + watch, 0);
    loop {
        match watched.stream.next(deadline) {
            Next::Event(event) if event.name == "ping" => pings += 1,
            Next::Event(event) if event.name == "bye" => {
                let found = format!("the server ended the stream: {}", event.data);
                return Finding::warn(Check::Idle, found, "that is the server's own doing, see docs/codes.md");
            }
            Next::Event(_) => {}
            Next::End(at, why) => return cut(visit, at.saturating_duration_since(start), pings, heartbeat, why),
            Next::Nothing => break,
        }
    }
    let watched = span_text(watch);
    if pings > 0 {
        return Finding::ok(Check::Idle, format!("a silent stream stays open: {pings} pings in {watched}"));
    }
    if watch > heartbeat + PING_SLACK {
        let found = format!("no ping came in {watched}, and one is due every {}", span_text(heartbeat));
        return Finding::fail(
            Check::Idle,
            format!("{found}: {} holds them back", visit.proxy.name()),
            visit.proxy.unbuffer(),
        );
    }
    let enough = (heartbeat + PING_SLACK).as_secs() + 1;
    let found = format!("the stream stayed open for {watched}, but a ping is due only after {}", span_text(heartbeat));
    Finding::warn(Check::Idle, found, format!("watch for longer: --idle {enough}"))
}

fn cut(visit: &Visit, after: Duration, pings: u32, heartbeat: Duration, why: Option<String>) -> Finding {
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let found = format!("a silent stream was cut after {}, with {pings} pings{why}", span_text(after));
    // Twice the longest silence: a ping may be late.
    let enough = (heartbeat * 2).as_secs().max(60);
    let shorter = (after / 2).as_secs().max(1);
    let silence = visit.proxy.allow_silence(enough);
    let name = visit.proxy.name();
    Finding::fail(
        Check::Idle,
        format!("{found}: {name} gives up on it"),
        format!("{silence}, or set heartbeat to {shorter}s"),
    )
}

/// Of an answer that nobody expected, this much is repeated.
const SAID_CHARS_MAX: usize = 200;

/// Enough for a median.
const ROUND_TRIPS: usize = 5;

/// Around the world and back takes a third of this.
const QUICK: Duration = Duration::from_secs(1);

/// What the leeway of tokens forgives.
const CLOCKS_APART_MAX_S: i64 = 5;

/// By how much a ping may be late.
const PING_SLACK: Duration = Duration::from_secs(2);
