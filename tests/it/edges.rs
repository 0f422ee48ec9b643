//! The edges: what every answer carries, whose pages may ask, and who shares which limit.

mod limits;
mod origins;

use santral_testkit::http::{Request, Response};

use crate::support::contract::send;
use crate::support::{Santral, post_json};

/// Shows REQ-7, EDG-1.
#[test]
fn every_answer_carries_the_headers_of_caution() {
    let santral = Santral::start();
    let stream = santral.listen("/api/events");
    for (name, expected) in CAUTION {
        assert_eq!(stream.header(name), Some(expected), "{name} of a stream");
    }
    assert_eq!(stream.header("cache-control"), Some("no-cache, no-store, no-transform"));
    for (request, status, cache) in [
        (Request::get("/"), 200, "no-cache"),
        (Request::get("/health"), 200, "no-store"),
        (Request::get("/api/channels"), 200, "no-store"),
        (Request::get("/api/channels?limit=x"), 400, "no-store"),
        (Request::get("/nowhere"), 404, "no-store"),
        (Request::new("DELETE", "/api/channels"), 405, "no-store"),
        (Request::new("OPTIONS", "/api/channels"), 405, "no-store"),
        (Request::post("/api/broadcast", "1"), 415, "no-store"),
        (post_json("/api/broadcast", "1"), 200, "no-store"),
    ] {
        let answer = send(&santral, &request);
        assert_eq!(answer.status, status, "{request:?}");
        for (name, expected) in CAUTION {
            assert_eq!(all(&answer, name), [expected], "{name} of {request:?}");
        }
        assert_eq!(all(&answer, "cache-control"), [cache], "{request:?}");
        assert_eq!(answer.header("server"), None, "{request:?}");
    }
    let page = santral.get("/");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
}

const CAUTION: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Every value of a header.
fn all<'a>(answer: &'a Response, name: &str) -> Vec<&'a str> {
    let named = answer.headers.iter().filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}
