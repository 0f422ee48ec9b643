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
