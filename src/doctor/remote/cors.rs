//! Whether pages of an origin are let in (WHATWG Fetch, "CORS protocol").

use super::{Visit, borrowed};
use crate::doctor::check::Check;
use crate::doctor::client::Answer;
use crate::doctor::report::Finding;

/// Asks as a browser would: first whether it may, then for real.
pub(super) fn examine(visit: &Visit, origin: &str) -> Finding {
    let preflight = visit.client.preflight(
        &visit.base.url("/api/publish"),
        &[
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,idempotency-key"),
        ],
    );
    let credentials = visit.credentials();
    let headers: Vec<_> = borrowed(&credentials).into_iter().chain([("origin", origin)]).collect();
    let actual = visit.client.get(&visit.base.url("/api/channels?limit=1"), &headers);
    match (preflight, actual) {
        (Ok(preflight), Ok(actual)) => judge(origin, &preflight, &actual),
        (Err(failure), _) | (_, Err(failure)) => Finding::warn(Check::Cors, failure.to_string(), "run this again"),
    }
}

fn judge(origin: &str, preflight: &Answer, actual: &Answer) -> Finding {
    for (what, answer) in [("an answer", actual), ("the preflight", preflight)] {
        if let Some(finding) = refused(origin, what, answer) {
            return finding;
        }
    }
    if !(200..300).contains(&preflight.status) {
        return Finding::fail(
            Check::Cors,
            format!("the preflight is answered with status {}: browsers want 2xx", preflight.status),
            "something in front answers OPTIONS itself, or asks it for a login: pass OPTIONS on to Santral",
        );
    }
    let lacks = |name: &str, wanted: &str| !lists(preflight, name, wanted);
    if lacks("access-control-allow-methods", "POST") || lacks("access-control-allow-headers", "authorization") {
        return Finding::fail(
            Check::Cors,
            format!("pages of {origin} may read but not publish: the preflight does not allow POST with Authorization"),
            "let Santral answer OPTIONS, and not the proxy",
        );
    }
    let is_fixed = |answer: &Answer| answer.header("access-control-allow-origin") == Some("*");
    if !is_fixed(actual) && !lists(actual, "vary", "origin") {
        return Finding::warn(
            Check::Cors,
            "the answer depends on the origin and does not say so: a cache may hand it to pages of another",
            "something on the way takes `Vary: Origin` out: leave it in",
        );
    }
    let kept =
        preflight.header("access-control-max-age").map_or("not kept".to_owned(), |age| format!("kept for {age} s"));
    let allows = actual.header("access-control-allow-credentials") == Some("true");
    let with = if allows { "with credentials" } else { "without cookies" };
    Finding::ok(Check::Cors, format!("pages of {origin} may read and publish {with}; the preflight is {kept}"))
}

/// Why a browser would not hand the answer to the page.
fn refused(origin: &str, what: &str, answer: &Answer) -> Option<Finding> {
    let values: Vec<_> = answer.headers.get_all("access-control-allow-origin").iter().collect();
    let allowed: Vec<_> =
        values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    let fail = |found: String, remedy: String| Some(Finding::fail(Check::Cors, found, remedy));
    match allowed.as_slice() {
        [] => fail(
            format!("pages of {origin} are not let in: {what} has no Access-Control-Allow-Origin"),
            format!("add \"{origin}\" to the setting cors_origins"),
        ),
        [one] if one.trim() == "*" && answer.header("access-control-allow-credentials") == Some("true") => fail(
            format!("{what} allows every origin with credentials, which browsers refuse"),
            "something on the way adds CORS headers: leave them to Santral".to_owned(),
        ),
        [one] if one.trim() == "*" || one.trim() == origin => None,
        [one] => fail(
            format!("{what} lets in {one:?}, and not {origin}"),
            format!("add \"{origin}\" to the setting cors_origins; scheme and port count too"),
        ),
        _ => fail(
            format!("{what} has Access-Control-Allow-Origin {} times, which browsers refuse", allowed.len()),
            "a proxy adds its own: take `add_header Access-Control-Allow-Origin` out".to_owned(),
        ),
    }
}

/// Whether a header that lists words has this one, or a star.
fn lists(answer: &Answer, name: &str, wanted: &str) -> bool {
    let values = answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(',')).map(str::trim);
    words.any(|word| word == "*" || word.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, HeaderName, HeaderValue, Version};

    use super::*;
    use crate::doctor::report::Outcome;

    const ORIGIN: &str = "https://app.example";

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Answer { status, version: Version::HTTP_11, headers: map, body: String::new() }
    }

    #[test]
    fn what_a_browser_would_refuse_is_refused() {
        let origin = ("access-control-allow-origin", ORIGIN);
        let vary = ("vary", "Accept, Origin");
        let may = [
            origin,
            ("access-control-allow-methods", "GET, POST"),
            ("access-control-allow-headers", "Authorization, Content-Type"),
        ];
        let preflight = || answer(204, &may);
        for (preflight, actual, outcome, word) in [
            (preflight(), answer(200, &[origin, vary]), Outcome::Ok, "may read and publish"),
            (preflight(), answer(200, &[origin]), Outcome::Warn, "cache"),
            (preflight(), answer(200, &[]), Outcome::Fail, "not let in"),
            (preflight(), answer(200, &[origin, origin]), Outcome::Fail, "2 times"),
            (
                preflight(),
                answer(200, &[("access-control-allow-origin", "http://app.example")]),
                Outcome::Fail,
                "and not",
            ),
            (answer(204, &[]), answer(200, &[origin, vary]), Outcome::Fail, "the preflight has no"),
            (answer(403, &may), answer(200, &[origin, vary]), Outcome::Fail, "status 403"),
            (answer(204, &[origin]), answer(200, &[origin, vary]), Outcome::Fail, "not publish"),
            (
                preflight(),
                answer(200, &[("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true")]),
                Outcome::Fail,
                "every origin",
            ),
        ] {
            let finding = judge(ORIGIN, &preflight, &actual);
            assert_eq!(finding.outcome, outcome, "{finding:?}");
            assert!(finding.found.contains(word), "{finding:?}");
        }
    }
}
