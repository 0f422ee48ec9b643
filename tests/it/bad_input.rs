//! Bad input: a problem document with a stable code each, nothing stored, and a stream that goes on.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use santral_testkit::http::wire::Wire;
use santral_testkit::http::{Request, Response, SseClient, send_raw};

use crate::support::contract::{TOKEN, assert_refused, json, next, send, text};
use crate::support::{PATIENCE, Santral, deadline, post_json};

/// A server with a stream that must neither end nor hear anything while bad requests come.
struct Watched {
    santral: Santral,
    watcher: SseClient,
}

impl Watched {
    fn start() -> Self {
        let santral = Santral::start();
        let watcher = santral.listen(&format!("/api/events?channel=*&session={TOKEN}"));
        Self { santral, watcher }
    }

    #[track_caller]
    fn refuses(&self, request: &Request, code: &str) {
        assert_refused(&send(&self.santral, request), code);
    }

    /// Nothing was stored and nothing was heard, but what is said now is.
    fn assert_untouched(mut self) {
        assert!(self.santral.head().ends_with("-0"), "something was stored");
        self.santral.broadcast("\"the end\"");
        let event = next(&mut self.watcher);
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("message", "\"the end\""));
    }
}

fn publish(body: &str) -> Request {
    post_json("/api/publish", body)
}

fn command(body: &str) -> Request {
    post_json(&format!("/api/sessions/{TOKEN}/commands"), body)
}

/// Shows REQ-2, ERR-1, ERR-2.
#[test]
fn what_is_not_json_is_refused_at_every_door() {
    let watched = Watched::start();
    for body in [
        "",
        " ",
        "{",
        "[",
        "]",
        "nul",
        "True",
        "'a'",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "NaN",
        "Infinity",
        "-",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "1 2",
        "{}{}",
        "// 1",
        "\u{feff}1",
        "\"a\nb\"",
        "\u{0}",
        "undefined",
    ] {
        for path in ["/api/broadcast", "/api/publish", "/api/events", &format!("/api/sessions/{TOKEN}/commands")] {
            watched.refuses(&post_json(path, body), "invalid_json");
        }
    }
    for bytes in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\"\xc0\xaf\""] {
        let request = Request::post("/api/broadcast", bytes).header("Content-Type", "application/json");
        watched.refuses(&request, "invalid_json");
    }
    watched.assert_untouched();
}

/// Shows REQ-2, PUB-3.
#[test]
fn json_of_another_shape_is_refused() {
    let watched = Watched::start();
    for item in [
        "null",
        "1",
        "\"a\"",
        "true",
        "{}",
        "[[]]",
        "[1]",
        "[null]",
        r#"{"channel":"a"}"#,
        r#"{"channel":1,"data":1}"#,
        r#"{"channel":["a"],"data":1}"#,
        r#"{"channels":"a","data":1}"#,
        r#"{"channels":[1],"data":1}"#,
        r#"{"channel":"a","data":1,"volatile":"true"}"#,
        r#"{"channel":"a","data":1,"volatile":1}"#,
        r#"{"channel":"a","data":1,"event":7}"#,
        r#"{"channel":"a","data":1,"extra":1}"#,
        r#"{"Channel":"a","data":1}"#,
        r#"{"channel":"a","data":1,"id":"x"}"#,
        r#"{"channel":"a","data":1,"at":"x"}"#,
        r#"{"channel":"a","channel":"b","data":1}"#,
        r#"{"channel":"a","data":1,"data":2}"#,
        r#"{"channel":"a","data":1,"key":1}"#,
        r#"{"channel":"a","args":{}}"#,
        r#"{"channel":"a","args":[1],"data":1}"#,
        r#"{"channel":"a","data":1,"except":{}}"#,
        r#"{"channel":"a","data":1,"except":[1]}"#,
        r#"{"channel":"a","data":1,"namespace":["/"]}"#,
        r#"[{"channel":"a","data":1},{"channel":"a"}]"#,
    ] {
        watched.refuses(&publish(item), "invalid_json");
        watched.refuses(&command(&format!(r#"{{"publish":{item}}}"#)), "invalid_json");
    }
    for body in [
        "[]",
        "null",
        "\"a\"",
        r#"{"channels":"a"}"#,
        r#"{"channels":[null]}"#,
        r#"{"format":"xml"}"#,
        r#"{"presence":"1"}"#,
        r#"{"pad":1}"#,
        r#"{"unknown":1}"#,
        r#"{"session":1}"#,
        r#"{"pad":true,"pad":true}"#,
    ] {
        watched.refuses(&post_json("/api/events", body), "invalid_json");
    }
    watched.assert_untouched();
}

/// Shows PUB-16.
#[test]
fn deep_nesting_costs_nothing_and_is_refused() {
    let watched = Watched::start();
    let nested = |open: &str, close: &str, depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        watched.refuses(&post_json("/api/broadcast", &nested(open, close, 33)), "too_deep");
        let item = format!(r#"{{"channel":"a","data":{}}}"#, nested(open, close, 33));
        watched.refuses(&publish(&item), "too_deep");
        watched.refuses(&command(&format!(r#"{{"publish":{item}}}"#)), "too_deep");
    }
    watched.refuses(&post_json("/api/broadcast", &nested("[", "]", 30_000)), "too_deep");
    for body in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        for path in ["/api/broadcast", "/api/publish", "/api/events", &format!("/api/sessions/{TOKEN}/commands")] {
            assert!((400..500).contains(&send(&watched.santral, &post_json(path, &body)).status), "{path}");
        }
        watched.refuses(&publish(&format!(r#"{{"channel":"a","data":{body}"#)), "invalid_json");
        watched.refuses(&publish(&format!(r#"{{"{body}"#)), "invalid_json");
    }
    watched.refuses(&post_json("/api/broadcast", &"\n".repeat(65_536)), "invalid_json");
    watched.assert_untouched();
}

/// Shows REQ-3, PUB-16.
#[test]
fn bodies_are_bounded_whether_they_say_their_length_or_not() {
    let watched = Watched::start();
    let body_of = |length: usize| format!("1{}", " ".repeat(length - 1));
    let publish_max = 4 * 1024 * 1024;
    for (path, bytes_max) in [
        ("/api/broadcast", publish_max),
        ("/api/publish", publish_max),
        (&*format!("/api/sessions/{TOKEN}/commands"), publish_max),
        ("/api/events", 160 * 1024),
    ] {
        watched.refuses(&post_json(path, &body_of(bytes_max + 1)), "too_large");
        let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", bytes_max + 1, body_of(bytes_max + 1));
        watched.refuses(&post_json(path, &chunked).header("Transfer-Encoding", "chunked"), "too_large");
        if path != "/api/broadcast" {
            // At the bound the body is read, and found to be of the wrong shape.
            watched.refuses(&post_json(path, &body_of(bytes_max)), "invalid_json");
        }
    }
    let data = |length: usize| format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(length - 2));
    watched.refuses(&publish(&data(65_537)), "too_large");
    watched.refuses(&command(&format!(r#"{{"publish":{}}}"#, data(65_537))), "too_large");
    let mut watched = watched;
    for length in [65_535, 65_536] {
        assert_eq!(send(&watched.santral, &publish(&data(length))).status, 200);
        assert_eq!(next(&mut watched.watcher).data.len(), length);
    }
}

/// Shows NAME-1, NAME-5, NAME-6, PUB-14, PUB-17.
#[test]
fn names_and_batches_end_exactly_where_they_should() {
    let watched = Watched::start();
    let item = |name: &str, event: &str| format!(r#"{{"channel":"{name}","event":"{event}","data":1}}"#);
    let (fits, too_long) = ("x".repeat(128), "x".repeat(129));
    watched.refuses(&publish(&item(&too_long, "e")), "invalid_channel");
    watched.refuses(&publish(&item("", "e")), "invalid_channel");
    watched.refuses(&publish(&item("a", &too_long)), "invalid_event");
    watched.refuses(&post_json("/api/broadcast?event=", "1"), "invalid_event");
    watched.refuses(&publish(&format!(r#"{{"user":"{}","data":1}}"#, "u".repeat(124))), "invalid_field");
    watched.refuses(&Request::get(&format!("/api/channels/{too_long}/history")), "invalid_channel");
    for id in ["x".repeat(21), "x".repeat(23), String::new()] {
        watched.refuses(&publish(&format!(r#"{{"connection":"{id}","data":1}}"#)), "invalid_field");
    }
    // What is no connection may be a channel.
    for name in [String::new(), "-".repeat(21), too_long.clone()] {
        watched.refuses(&publish(&format!(r#"{{"channel":"a","except":"{name}","data":1}}"#)), "invalid_field");
    }
    let batch = |count: usize| format!("[{}]", vec![item("a", "e"); count].join(","));
    watched.refuses(&publish(&batch(1_001)), "invalid_batch");
    watched.refuses(&publish("[]"), "invalid_batch");
    watched.refuses(&publish(&format!("[{}]", vec!["1"; 1_000_000].join(","))), "invalid_batch");
    let mut watched = watched;
    for accepted in [item(&fits, &fits), format!(r#"{{"user":"{}","data":1}}"#, "u".repeat(123))] {
        assert_eq!(send(&watched.santral, &publish(&accepted)).status, 200);
    }
    assert_eq!(next(&mut watched.watcher).event_type, fits);
}

/// Shows REQ-5, REQ-6, READ-4.
#[test]
fn queries_that_nobody_meant_are_refused() {
    let watched = Watched::start();
    for query in ["chanel=a", "channel[]=a", "to=a", "=", "channel=a&volatile=maybe", "volatile=", "user=a&user=b"] {
        watched.refuses(&post_json(&format!("/api/broadcast?{query}"), "1"), "invalid_query");
    }
    watched.refuses(&post_json("/api/publish?channel=a", r#"{"channel":"a","data":1}"#), "invalid_query");
    for query in ["pad=2", "pad=TRUE", "presence=on", "broadcast=no", "limit=1", "session=a&session=b", "retry=1"] {
        watched.refuses(&Request::get(&format!("/api/events?{query}")), "invalid_query");
    }
    for query in ["limit=1e3", "limit=0x10", "limit=", "limit=%2B5", "limit=-1", "offset=1"] {
        watched.refuses(&Request::get(&format!("/api/channels/a/history?{query}")), "invalid_query");
    }
    for position in ["1e309", "00000000-1e309", "-1", "00000000-99999999999999999999", "%00", "earliest"] {
        watched.refuses(&Request::get(&format!("/api/channels/a/history?before={position}")), "invalid_position");
    }
    for query in ["pad=true&presence=false&broadcast=1", "pad=0&presence=0&broadcast=true"] {
        drop(watched.santral.listen(&format!("/api/events?{query}")));
    }
    watched.assert_untouched();
}

/// Shows PUB-1: a number that no machine holds is text to the server.
#[test]
fn numbers_beyond_every_range_are_passed_on_as_text_or_refused_where_they_count() {
    let mut watched = Watched::start();
    for number in ["1e309", "-1e309", "1e-999", &"9".repeat(1_000)] {
        watched.santral.broadcast(number);
        assert_eq!(next(&mut watched.watcher).data, number);
        let limit = format!(r#"{{"history":{{"channel":"a","limit":{number}}}}}"#);
        watched.refuses(&command(&limit), "invalid_json");
    }
}

/// Shows REQ-4, R17's deadline for bodies: a slow one is refused, a silent one does not hold the server up.
#[test]
fn a_body_that_trickles_is_cut_off_after_ten_seconds() {
    let watched = Watched::start();
    let head =
        "POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n\"";
    let started = Instant::now();
    let mut slow = Wire::connect(watched.santral.address, deadline()).expect("it connects");
    slow.write(head.as_bytes(), deadline()).expect("the server reads");
    let mut reader = slow.stream().try_clone().expect("a socket can be shared");
    reader.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let mut writer = slow.stream().try_clone().expect("a socket can be shared");
    let answer = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let count = reader.read(&mut buffer).expect("an answer comes");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    });
    while !answer.is_finished() && started.elapsed() < PATIENCE {
        // It fails once the server has given up.
        let _ = writer.write_all(b"x");
        std::thread::sleep(Duration::from_millis(500));
    }
    let answer = answer.join().expect("the reader does not panic");
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"body_timeout\""), "{answer}");
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(15), "{took:?}");
    watched.assert_untouched();
}

/// Shows REQ-2: half a message is no message.
#[test]
fn a_body_that_breaks_off_is_not_published() {
    let watched = Watched::start();
    for body in ["Content-Length: 30\r\n\r\n\"half of", "Transfer-Encoding: chunked\r\n\r\n5\r\n\"half\r\n"] {
        let request = format!("POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{body}");
        let mut wire = Wire::connect(watched.santral.address, deadline()).expect("it connects");
        wire.write(request.as_bytes(), deadline()).expect("the server reads");
        wire.shutdown_write().expect("an open socket can be half-closed");
        let answer = wire.read_to_end(deadline()).unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    watched.assert_untouched();
}

/// Shows REQ-2: no body is no JSON, and a chunked one is as good as a counted one.
#[test]
fn a_body_needs_no_length_but_must_be_there() {
    let mut watched = Watched::start();
    let raw = |request: &str| {
        let answer = send_raw(watched.santral.address, request.as_bytes(), PATIENCE).expect("the server closes");
        String::from_utf8_lossy(&answer).into_owned()
    };
    let head = "POST /api/broadcast HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    assert!(raw(&format!("{head}\r\n")).contains("\"code\":\"invalid_json\""));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n2;x=y\r\n7]\r\n0\r\n\r\n");
    assert!(raw(&chunked).starts_with("HTTP/1.1 200"));
    assert_eq!(next(&mut watched.watcher).data, "[7]");
    for bad in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
    ] {
        let answer = raw(&format!("{head}{bad}\r\n\r\n1"));
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad}: {answer}");
    }
}

/// Shows REQ-7: bytes that are no request get a bare 400, and the next connection is served.
#[test]
fn what_is_no_http_request_ends_its_connection_and_nothing_else() {
    let watched = Watched::start();
    let long_header = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    let many_headers = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(500));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "x".repeat(200_000));
    for request in [
        "\r\n\r\nhello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\u{0} HTTP/1.1\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        long_header.as_str(),
        &many_headers,
        &long_path,
    ] {
        let answer = send_raw(watched.santral.address, request.as_bytes(), PATIENCE).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let shown = &request[..request.len().min(60)];
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?}: {answer}");
    }
    watched.assert_untouched();
}

/// Shows REQ-8: one connection, several requests at once, each with its own answer.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let watched = Watched::start();
    let post = |body: &str| {
        format!(
            "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let requests = [
        post("[]"),
        "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        post(r#"{"data":1}"#),
        "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let answers = send_raw(watched.santral.address, requests.concat().as_bytes(), PATIENCE).expect("the server closes");
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let mut rest = answers.as_str();
    for sign in ["invalid_batch", "not_found", "invalid_target", r#"{"status":"ok"}"#] {
        rest = rest.split_once(sign).unwrap_or_else(|| panic!("{sign} in {answers}")).1;
    }
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 4, "{answers}");
    watched.assert_untouched();
}

/// Shows SSE-12: what comes behind the request for a stream is no request any more.
#[test]
fn a_request_behind_one_for_a_stream_is_not_carried_out() {
    let watched = Watched::start();
    let body = "\"smuggled\"";
    let smuggled = format!(
        "GET /api/events?broadcast=0 HTTP/1.1\r\nHost: x\r\n\r\n\
         POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut wire = Wire::connect(watched.santral.address, deadline()).expect("it connects");
    wire.write(smuggled.as_bytes(), deadline()).expect("the server reads");
    assert_eq!(wire.read_head("GET", deadline()).expect("a head comes").status, 200);
    let hello = wire.read_body(deadline()).expect("the stream lives").expect("the stream goes on");
    assert!(String::from_utf8_lossy(&hello).contains("event: hello"));
    watched.santral.publish(r#"{"channel":"elsewhere","data":1,"volatile":true}"#);
    let mut rest = String::from_utf8_lossy(&hello).into_owned();
    let two = "GET /api/events?broadcast=0 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let mut twice = Wire::connect(watched.santral.address, deadline()).expect("it connects");
    twice.write(two.as_bytes(), deadline()).expect("the server reads");
    assert_eq!(twice.read_head("GET", deadline()).expect("a head comes").status, 200);
    for wire in [&mut wire, &mut twice] {
        while let Ok(Some(more)) = wire.read_body(Instant::now() + Duration::from_millis(100)) {
            rest.push_str(&String::from_utf8_lossy(&more));
        }
    }
    assert_eq!((rest.matches("event: hello").count(), rest.matches("HTTP/1.1").count()), (2, 0), "{rest}");
    let streams = watched.santral.get("/health").json().expect("health is JSON")["streams"].clone();
    assert_eq!(streams, 3, "the watcher and two more");
    let mut watched = watched;
    assert_eq!(next(&mut watched.watcher).data, "1");
    watched.assert_untouched();
}

/// Shows REQ-8: a `GET` may have a body, which says nothing.
#[test]
fn a_get_with_a_body_is_answered_like_one_without() {
    let watched = Watched::start();
    let request = Request::get("/api/channels").body("{\"limit\":0}");
    let request = request.header("Content-Length", "11");
    assert_eq!(send(&watched.santral, &request).status, 200);
    let stream =
        Request::get("/api/events").header("Accept", "text/event-stream").header("Content-Length", "3").body("abc");
    let mut client = SseClient::open_with(watched.santral.address, &stream, PATIENCE).expect("the stream opens");
    assert_eq!(next(&mut client).event_type, "hello");
    watched.assert_untouched();
}

/// Shows REQ-8, NAME-1.
#[test]
fn odd_percent_encodings_in_paths_find_no_door() {
    let watched = Watched::start();
    let published = |path: &str| -> Response { send(&watched.santral, &Request::get(path)) };
    for path in ["/api/%", "/api/%2", "/api/%zz", "/%2e%2e/etc/passwd", "/api/channels%2Fa%2Fhistory", "//api/channels"]
    {
        assert_refused(&published(path), "not_found");
    }
    for name in ["%", "%2", "%zz", "%00", "%FF", "%C0%AF", "%E2%80%A8", "a%2A", "%2E%2E", "..", "a%20b", "a+b", "%2Fa"]
    {
        assert_refused(&published(&format!("/api/channels/{name}/history")), "invalid_channel");
        assert_refused(&published(&format!("/api/channels/{name}/presence")), "invalid_channel");
    }
    for (name, means) in [("a%2Fb", "a/b"), ("a%3Ab", "a:b"), ("%61", "a"), ("a/b", "a/b"), ("a/../b", "a/../b")] {
        let response = published(&format!("/api/channels/{name}/history"));
        assert_eq!(text(&response.json().expect("a history is JSON")["channel"]), means, "{name}");
    }
    for session in ["%", "%00", "a%2Fb", "x%FF"] {
        watched.refuses(&post_json(&format!("/api/sessions/{session}/commands"), r#"{"ping":{}}"#), "invalid_session");
    }
    watched.assert_untouched();
}

/// Shows RES-5: positions that cannot be make a gap, never an error.
#[test]
fn a_stream_takes_every_position_that_a_header_can_hold() {
    let watched = Watched::start();
    for position in
        ["1e309", "-1", "00000000-0.4294967296", "00000000-18446744073709551616", &"9".repeat(4_000), "\u{15f}"]
    {
        let (mut client, _, hello) = watched.santral.greet("/api/events", &[("Last-Event-ID", position)]);
        assert_eq!(hello["recovered"], false);
        assert_eq!(json(&next(&mut client).data)["requested"], position);
    }
    watched.assert_untouched();
}
