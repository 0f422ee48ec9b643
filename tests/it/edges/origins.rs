//! Pages of other origins: CORS, and cookies that are no ticket.

use santral_testkit::http::{HttpError, Request, Response, SseClient};

use crate::support::contract::{problem, send, text};
use crate::support::{PATIENCE, Santral, post_json};

/// Shows EDG-3.
#[test]
fn cookies_from_a_foreign_page_are_refused_at_every_door() {
    let santral = Santral::start();
    let before = santral.head();
    for origin in ["https://evil.example", "null", "http://localhost:1", "https://127.0.0.1.evil.example"] {
        let dressed = |request: Request| request.header("Cookie", "a=b").header("Origin", origin);
        for request in [
            Request::get("/api/channels"),
            Request::get("/health"),
            Request::get("/"),
            post_json("/api/broadcast", "1"),
            post_json("/api/publish", r#"{"channel":"a","data":1}"#),
            post_json("/api/events", "{}"),
        ] {
            let answer = send(&santral, &dressed(request));
            assert_eq!((answer.status, problem(&answer).as_str()), (403, "origin_not_allowed"), "{origin}");
            assert!(text(&answer.json().expect("a problem is JSON")["detail"]).contains(origin), "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        let stream =
            SseClient::open(santral.address, "/api/events", &[("Cookie", "a=b"), ("Origin", origin)], PATIENCE);
        assert!(matches!(stream, Err(HttpError::NotAStream(answer)) if answer.status == 403), "{origin}");
    }
    assert_eq!(santral.head(), before, "something was published");
}

/// Shows EDG-3.
#[test]
fn own_pages_may_bring_cookies_and_foreign_ones_none() {
    let santral = Santral::start();
    let own = format!("HTTP://{}", santral.address);
    for headers in [
        vec![("Cookie", "a=b")],
        vec![("Cookie", "a=b"), ("Origin", own.as_str())],
        vec![("Origin", "https://evil.example")],
    ] {
        let request =
            headers.iter().fold(post_json("/api/broadcast", "1"), |request, (name, value)| request.header(name, value));
        assert_eq!(send(&santral, &request).status, 200, "{headers:?}");
        drop(santral.listen_with("/api/events", &headers));
    }
}

/// Shows EDG-2.
#[test]
fn a_page_that_nobody_allowed_is_answered_without_leave_to_read() {
    let santral = Santral::start();
    for origin in ["https://evil.example", "null", "*", ""] {
        let answer = send(&santral, &Request::get("/api/channels").header("Origin", origin));
        assert_eq!(answer.status, 200, "{origin}");
        assert_unreadable(&answer);
        let stream = santral.listen_with("/api/events", &[("Origin", origin)]);
        assert_eq!(stream.header("access-control-allow-origin"), None, "{origin}");
        let asked = preflight(&santral, "/api/publish", origin, "POST", "content-type");
        assert_eq!((asked.status, problem(&asked).as_str()), (403, "origin_not_allowed"), "{origin}");
        assert_unreadable(&asked);
    }
}

fn assert_unreadable(answer: &Response) {
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer:?}");
}

fn preflight(santral: &Santral, path: &str, origin: &str, method: &str, headers: &str) -> Response {
    let request = Request::new("OPTIONS", path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    send(santral, &request.header("Access-Control-Request-Headers", headers))
}

const RULES: &str = "https://good.com,http://good.com:8080,https://*.example.com,https://*.example.org:8443";

/// Origins and whether pages of theirs may read.
const ORIGINS: [(&str, bool); 32] = [
    ("https://good.com", true),
    ("http://good.com:8080", true),
    ("https://a.example.com", true),
    ("https://a-b-9.example.com", true),
    ("https://a.example.org:8443", true),
    ("null", false),
    ("*", false),
    ("", false),
    ("good.com", false),
    ("http://good.com", false),
    ("https://good.com:8080", false),
    ("https://good.com:443", false),
    ("https://good.com.evil", false),
    ("https://good.com.evil.example", false),
    ("https://evilgood.com", false),
    ("https://evil-good.com", false),
    ("https://good.com.", false),
    ("https://good.com/", false),
    ("https://good.com@evil.example", false),
    ("https://good.com#evil.example", false),
    ("https://good.com, https://evil.example", false),
    ("HTTPS://GOOD.COM", false),
    ("https://GOOD.com", false),
    ("http://a.example.com", false),
    ("https://example.com", false),
    ("https://.example.com", false),
    ("https://a.b.example.com", false),
    ("https://evilexample.com", false),
    ("https://evil.example/.example.com", false),
    ("https://a.example.com.evil.example", false),
    ("https://a.example.com:8443", false),
    ("https://a.example.org", false),
];

/// Shows EDG-2.
#[test]
fn only_pages_of_listed_origins_may_read_answers_and_streams() {
    let santral = Santral::start_with(&[("SANTRAL_CORS_ORIGINS", RULES)]);
    for (origin, is_allowed) in ORIGINS {
        let expected = is_allowed.then_some(origin);
        for (request, status) in [
            (Request::get("/api/channels"), 200),
            (Request::get("/nowhere"), 404),
            (post_json("/api/broadcast", "1"), 200),
            (Request::post("/api/broadcast", "1"), 415),
        ] {
            let answer = send(&santral, &request.header("Origin", origin));
            assert_eq!(answer.status, status, "{origin}");
            assert_readable_by(&answer.headers, expected);
        }
        let stream = santral.listen_with("/api/events", &[("Origin", origin)]);
        assert_eq!(stream.header("access-control-allow-origin"), expected, "{origin}");
        assert!(stream.header("vary").is_some_and(|vary| vary.contains("Origin")), "{origin}");
        let asked = preflight(&santral, "/api/publish", origin, "POST", "authorization,content-type,idempotency-key");
        assert_readable_by(&asked.headers, expected);
        assert_eq!(asked.status, if is_allowed { 200 } else { 403 }, "{origin}");
        if is_allowed {
            assert_eq!(asked.header("access-control-max-age"), Some("7200"));
            let read = send(&santral, &Request::get("/api/channels").header("Origin", origin));
            let exposed = read.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
            for name in ["retry-after", "x-request-id", "ratelimit", "ratelimit-policy"] {
                assert!(exposed.split(", ").any(|candidate| candidate == name), "{name}: {exposed}");
            }
            let with_cookie = Request::get("/api/channels").header("Origin", origin).header("Cookie", "a=b");
            assert_eq!(send(&santral, &with_cookie).status, 200, "{origin}");
        }
    }
    for (method, headers) in [("TRACE", "content-type"), ("POST", "x-other")] {
        let refused = preflight(&santral, "/api/publish", "https://good.com", method, headers);
        assert_eq!((refused.status, problem(&refused).as_str()), (400, "invalid_field"), "{refused:?}");
    }
}

fn assert_readable_by(headers: &[(String, String)], expected: Option<&str>) {
    let find = |name: &str| {
        headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    assert_eq!(find("access-control-allow-origin"), expected, "{headers:?}");
    assert_eq!(find("access-control-allow-credentials"), None, "{headers:?}");
    assert!(find("vary").is_some_and(|vary| vary.contains("Origin")), "{headers:?}");
}
