//! Every control character and line separator, in every field, through every door: it is refused with
//! a stable code, or it arrives as it was sent. No stream ends and none sees an event that nobody sent.

use santral_testkit::http::{Request, Response, SseClient};
use santral_testkit::sse::Event;

use crate::support::contract::{TOKEN, expect_nothing_more, json, next, percent, problem, send};
use crate::support::{PATIENCE, Santral, post_json};

/// What must become of a request.
enum Expect {
    /// Refused with this code.
    Refused(&'static str),
    /// Published with exactly this data.
    Arrives(String),
}

use Expect::{Arrives, Refused};

/// A request, what to call it when it fails, and what must become of it.
type Attempt = (String, Request, Expect);

/// C0, DEL and C1 one by one, CR LF, the separators of lines and paragraphs, the byte order mark.
fn hostile_texts() -> Vec<String> {
    let characters = (0..=0x1f).chain(0x7f..=0x9f).chain([0x2028, 0x2029, 0xfeff]);
    let singles = characters.map(|code| char::from_u32(code).expect("none of these is a surrogate").to_string());
    singles.chain(["\r\n".to_owned()]).collect()
}

/// Text that would forge an event wherever `hostile` ended a line of a stream.
fn forgery(hostile: &str) -> String {
    format!("x{hostile}id: 00000000-1{hostile}event: bye{hostile}data: forged{hostile}{hostile}data: y")
}

/// Shows SSE-8, NAME-1, NAME-5, NAME-6, PUB-1, PUB-14, RES-5.
#[test]
fn no_character_in_any_field_through_any_door_forges_or_ends_anything() {
    let santral = Santral::start();
    let mut raw = santral.listen(&format!("/api/events?channel=*&presence=1&session={TOKEN}"));
    let (mut envelope, ..) = santral.greet("/api/events?channel=*&format=envelope", &[]);
    let mut stored = 0;
    for (round, hostile) in hostile_texts().iter().enumerate() {
        let attempts = attempts(hostile);
        assert!(attempts.len() > 50);
        let mut expected = Vec::new();
        for (label, request, expect) in attempts {
            let response = send(&santral, &request);
            match expect {
                Refused(code) => assert_eq!(code_of(&response), code, "{label} with {hostile:?}: {response:?}"),
                Arrives(data) => {
                    assert_eq!(response.status, 200, "{label} with {hostile:?}: {response:?}");
                    expected.push(data);
                }
            }
        }
        expected.push(format!("\"end of round {round}\""));
        santral.broadcast(&expected[expected.len() - 1]);
        for data in &expected {
            let event = next(&mut raw);
            assert_eq!((event.event_type.as_str(), &event.data), ("message", data), "{hostile:?}");
            assert_eq!(data_of_envelope(&next(&mut envelope)), json(data), "{hostile:?}");
        }
        stored += expected.len();
    }
    assert_eq!(offset_of_head(&santral), stored, "nothing else was stored either");
}

fn code_of(response: &Response) -> String {
    assert!(response.status >= 400, "it should have been refused: {response:?}");
    problem(response)
}

fn data_of_envelope(event: &Event) -> serde_json::Value {
    assert_eq!(event.event_type, "message");
    json(&event.data)["data"].clone()
}

fn offset_of_head(santral: &Santral) -> usize {
    let head = santral.head();
    let offset = head.split('-').nth(1).and_then(|offset| offset.parse().ok());
    offset.expect("a position holds an offset")
}

fn attempts(hostile: &str) -> Vec<Attempt> {
    let text = forgery(hostile);
    let mut attempts = data_attempts(hostile, &text);
    attempts.extend(field_attempts(&text));
    attempts.extend(query_attempts(&percent(&text)));
    if hostile != "\u{feff}" {
        let by_query = format!("/api/broadcast?event={}", percent(&text));
        attempts.push((by_query.clone(), post_json(&by_query, "1"), Refused("invalid_event")));
    }
    attempts
}

/// Messages: in data everything may stand that JSON allows.
fn data_attempts(hostile: &str, text: &str) -> Vec<Attempt> {
    // JSON wants C0 escaped inside strings (RFC 8259, section 7); the rest may stand there as it is.
    let bare = format!("\"{text}\"");
    let is_json = !hostile.bytes().all(|byte| byte < 0x20);
    let escaped = escape(text);
    let outcome = |data: &str| if is_json { Arrives(data.to_owned()) } else { Refused("invalid_json") };
    let publish = |data: &str| post_json("/api/publish", &format!(r#"{{"channel":"a","data":{data}}}"#));
    let batch = |data: &str| post_json("/api/publish", &format!(r#"[{{"channel":"a","data":{data}}}]"#));
    let command = |data: &str| command(&format!(r#"{{"publish":{{"channel":"a","data":{data}}}}}"#));
    let mut attempts: Vec<Attempt> = vec![
        ("broadcast, bare".to_owned(), post_json("/api/broadcast", &bare), outcome(&bare)),
        ("broadcast, escaped".to_owned(), post_json("/api/broadcast", &escaped), Arrives(escaped.clone())),
        ("publish, bare".to_owned(), publish(&bare), outcome(&bare)),
        ("publish, escaped".to_owned(), publish(&escaped), Arrives(escaped.clone())),
        ("batch, bare".to_owned(), batch(&bare), outcome(&bare)),
        ("batch, escaped".to_owned(), batch(&escaped), Arrives(escaped.clone())),
        ("command, bare".to_owned(), command(&bare), outcome(&bare)),
        ("command, escaped".to_owned(), command(&escaped), Arrives(escaped.clone())),
        ("name of a field".to_owned(), publish(&format!("{{{escaped}:1}}")), Arrives(format!("{{{escaped}:1}}"))),
    ];
    let between = format!("[1,{hostile}2]");
    let outcome = match hostile {
        "\t" => Arrives(between.clone()),
        "\r" | "\n" | "\r\n" => Arrives("[1,\n2]".to_owned()),
        _ => Refused("invalid_json"),
    };
    attempts.push(("between values".to_owned(), post_json("/api/broadcast", &between), outcome));
    attempts
}

/// Fields of JSON bodies that hold names: each is refused, wherever it stands.
fn field_attempts(text: &str) -> Vec<Attempt> {
    let escaped = escape(text);
    let fields = [
        (format!(r#""channel":{escaped}"#), "invalid_channel"),
        (format!(r#""channels":["a",{escaped}]"#), "invalid_channel"),
        (format!(r#""user":{escaped}"#), "invalid_field"),
        (format!(r#""connection":{escaped}"#), "invalid_field"),
        (format!(r#""channel":"a","except":{escaped}"#), "invalid_field"),
        (format!(r#""channel":"a","except":["a",{escaped}]"#), "invalid_field"),
        (format!(r#""channel":"a","namespace":{escaped}"#), "invalid_field"),
        (format!(r#""channel":"a","key":{escaped}"#), "invalid_idempotency_key"),
        (format!(r#""channel":"a",{escaped}:1"#), "invalid_json"),
    ];
    // No line ends at a byte order mark, so a name may hold one.
    let event = (!text.contains('\u{feff}')).then(|| (format!(r#""channel":"a","event":{escaped}"#), "invalid_event"));
    let mut attempts = Vec::new();
    for (field, code) in fields.into_iter().chain(event) {
        let item = format!(r#"{{{field},"data":1}}"#);
        let batch = format!(r#"[{{"channel":"a","data":1}},{item}]"#);
        attempts.push((format!("publish {field}"), post_json("/api/publish", &item), Refused(code)));
        attempts.push((format!("batch {field}"), post_json("/api/publish", &batch), Refused(code)));
        attempts.push((format!("command {field}"), command(&format!(r#"{{"publish":{item}}}"#)), Refused(code)));
    }
    for (body, code) in [
        (format!(r#"{{"subscribe":[{escaped}]}}"#), "invalid_channel"),
        (format!(r#"{{"unsubscribe":[{escaped}]}}"#), "invalid_channel"),
        (format!(r#"{{"history":{{"channel":{escaped}}}}}"#), "invalid_channel"),
        (format!(r#"{{"history":{{"channel":"a","before":{escaped}}}}}"#), "invalid_position"),
        (format!(r#"{{"history":{{"channel":"a","since":{escaped}}}}}"#), "invalid_position"),
        (format!(r#"{{"presence":{{"channel":{escaped}}}}}"#), "invalid_channel"),
        (format!("{{{escaped}:{{}}}}"), "invalid_json"),
    ] {
        attempts.push((body.clone(), command(&body), Refused(code)));
    }
    for (body, code) in [
        (format!(r#"{{"channels":[{escaped}]}}"#), "invalid_channel"),
        (format!(r#"{{"session":{escaped}}}"#), "invalid_session"),
        (format!(r#"{{"format":{escaped}}}"#), "invalid_json"),
    ] {
        attempts.push((body.clone(), post_json("/api/events", &body), Refused(code)));
    }
    attempts
}

/// Queries and paths: each is refused.
fn query_attempts(encoded: &str) -> Vec<Attempt> {
    let post = |query: String, code| (query.clone(), post_json(&query, "1"), Refused(code));
    let get = |path: String, code| (path.clone(), Request::get(&path), Refused(code));
    vec![
        post(format!("/api/broadcast?channel={encoded}"), "invalid_channel"),
        post(format!("/api/broadcast?user={encoded}"), "invalid_field"),
        post(format!("/api/broadcast?connection={encoded}"), "invalid_field"),
        post(format!("/api/broadcast?except={encoded}"), "invalid_field"),
        post(format!("/api/broadcast?namespace={encoded}"), "invalid_field"),
        post(format!("/api/broadcast?volatile={encoded}"), "invalid_query"),
        post(format!("/api/broadcast?{encoded}=1"), "invalid_query"),
        post(format!("/api/publish?{encoded}=1"), "invalid_query"),
        post(format!("/api/sessions/{encoded}/commands"), "invalid_session"),
        get(format!("/api/events?channel={encoded}"), "invalid_channel"),
        get(format!("/api/events?session={encoded}"), "invalid_session"),
        get(format!("/api/events?format={encoded}"), "invalid_query"),
        get(format!("/api/events?pad={encoded}"), "invalid_query"),
        get(format!("/api/events?{encoded}=1"), "invalid_query"),
        get(format!("/api/channels/{encoded}/history"), "invalid_channel"),
        get(format!("/api/channels/{encoded}/presence"), "invalid_channel"),
        get(format!("/api/channels/a/history?before={encoded}"), "invalid_position"),
        get(format!("/api/channels/a/history?since={encoded}"), "invalid_position"),
        get(format!("/api/channels/a/history?limit={encoded}"), "invalid_query"),
        get(format!("/api/channels?prefix={encoded}"), "invalid_channel"),
        get(format!("/api/channels?cursor={encoded}"), "invalid_channel"),
        get(format!("/{encoded}"), "not_found"),
        (format!("DELETE {encoded}"), Request::new("DELETE", &format!("/{encoded}")), Refused("not_found")),
    ]
}

/// Shows RES-5, SSE-8: what a client says it has seen comes back in `gap` and nowhere else.
#[test]
fn a_hostile_position_comes_back_as_text() {
    let santral = Santral::start();
    for hostile in hostile_texts() {
        let text = forgery(&hostile);
        let by_query = format!("/api/events?channel=a&broadcast=0&client={0}&lastEventId={0}", percent(&text));
        let client = SseClient::open(santral.address, &by_query, &[], PATIENCE).expect("the stream opens");
        assert_gap(client, &text);
        let body = format!(r#"{{"channels":["a"],"broadcast":false,"client":{0},"lastEventId":{0}}}"#, escape(&text));
        let client = SseClient::open_with(santral.address, &post_json("/api/events", &body), PATIENCE);
        assert_gap(client.expect("the stream opens"), &text);
    }
}

fn assert_gap(mut client: SseClient, requested: &str) {
    assert_eq!(next(&mut client).event_type, "hello");
    let gap = next(&mut client);
    assert_eq!((gap.event_type.as_str(), json(&gap.data)["requested"].as_str()), ("gap", Some(requested)));
    // Nothing came with it that was not asked for.
    expect_nothing_more(&mut client);
}

/// Shows PUB-14, RES-5: a header cannot hold every character; what it can hold is no danger.
#[test]
fn a_hostile_header_is_refused_or_harmless() {
    let santral = Santral::start();
    let mut watcher = santral.listen("/api/events");
    let mut accepted = 0;
    for hostile in hostile_texts() {
        let text = format!("x{hostile}event: bye");
        let publish = post_json("/api/broadcast", "\"sent\"").header("Idempotency-Key", &text);
        let response = send(&santral, &publish);
        match response.status {
            // A line break makes another header of the rest, and a key of what stands before it.
            200 => accepted += 1,
            400 => (),
            other => panic!("{other} for {hostile:?}"),
        }
        let resumed = SseClient::open(santral.address, "/api/events", &[("Last-Event-ID", &text)], PATIENCE);
        if let Ok(mut client) = resumed {
            assert_eq!(next(&mut client).event_type, "hello");
            let gap = next(&mut client);
            let requested = json(&gap.data)["requested"].as_str().map(str::to_owned);
            let as_sent = requested.as_deref() == Some(&text);
            assert!(gap.event_type == "gap" && (as_sent || requested.as_deref() == Some("x")), "{gap:?}");
        }
    }
    santral.broadcast("\"end\"");
    let first = next(&mut watcher);
    assert!(accepted > 0, "a line break in a header is not an error: it is two headers");
    assert_eq!(first.data, "\"sent\"", "the same key each time, so one message");
    assert_eq!(next(&mut watcher).data, "\"end\"");
}

/// Shows SES-4, SSE-8: direct messages are frames like any other.
#[test]
fn hostile_data_arrives_in_a_direct_message() {
    let santral = Santral::start();
    let (mut raw, _, hello) = santral.greet("/api/events", &[]);
    for hostile in hostile_texts() {
        let data = escape(&forgery(&hostile));
        let names = [String::new(), r#","event":"note""#.to_owned()];
        for event in names {
            santral.publish(&format!(r#"{{"connection":{}{event},"data":{data}}}"#, hello["connection"]));
            let arrived = next(&mut raw);
            let name = if event.is_empty() { "message" } else { "note" };
            assert_eq!((arrived.event_type.as_str(), &arrived.data), (name, &data));
        }
    }
}

fn command(body: &str) -> Request {
    post_json(&format!("/api/sessions/{TOKEN}/commands"), body)
}

/// A JSON string with everything escaped that is not plain ASCII.
fn escape(text: &str) -> String {
    let mut escaped = String::from("\"");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    escaped + "\""
}
