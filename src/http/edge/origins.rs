//! Pages of other origins: who may read our answers (CORS), and whose cookies are no ticket.
//!
//! Nothing of ours is ever proved by a cookie, so a foreign page can do no more than any stranger.
//! A request that brings cookies from a foreign page is refused all the same: they may mean
//! something to a proxy in front.

use std::sync::Arc;

use actix_cors::{Cors, CorsError};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};

use santral_core::limits::CORS_MAX_AGE;

use super::Edge;
use crate::config::OriginPattern;
use crate::http::problem::ApiError;

/// The origins whose pages may read our answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginRules(pub Vec<OriginPattern>);

impl OriginRules {
    /// Whether pages of this origin may read our answers. Compared byte by byte, as the Fetch
    /// standard does: browsers send scheme and host in lower case.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.0.iter().any(|pattern| pattern.allows(origin))
    }

    /// Whether the operator named this origin, and did not only let in everybody.
    #[must_use]
    pub fn names(&self, origin: &str) -> bool {
        self.0.iter().any(|pattern| *pattern != OriginPattern::Any && pattern.allows(origin))
    }
}

/// Host and port of what follows `scheme://`.
fn split_port(rest: &str) -> Option<(&str, Option<u16>)> {
    let colon = rest.rfind(':').filter(|&colon| !rest[colon..].contains(']'));
    match colon {
        Some(colon) => {
            let digits = &rest[colon + 1..];
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            Some((&rest[..colon], Some(is_number.then(|| digits.parse().ok()).flatten()?)))
        }
        None => Some((rest, None)),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Whether an `Origin` names the host that the request is for. The scheme does not count, since
/// TLS ends at the proxy; ports that go without saying may be left out on either side.
#[must_use]
pub fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let scheme = scheme.to_ascii_lowercase();
    let default = default_port(&scheme);
    let (Some(origin), Some(host)) = (split_port(rest), split_port(host)) else { return false };
    !origin.0.is_empty() && origin.0.eq_ignore_ascii_case(host.0) && origin.1.or(default) == host.1.or(default)
}

/// Refuses a request that brings cookies from a page of a foreign origin.
///
/// # Errors
/// [`ApiError::OriginNotAllowed`] names the origin.
pub fn check_cookies(headers: &HeaderMap, rules: &OriginRules) -> Result<(), ApiError> {
    if !headers.contains_key(header::COOKIE) {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    for origin in headers.get_all(header::ORIGIN) {
        let text = String::from_utf8_lossy(origin.as_bytes());
        if !is_same_origin(&text, host) && !rules.names(&text) {
            return Err(ApiError::OriginNotAllowed(text.chars().take(SHOWN_MAX).collect()));
        }
    }
    Ok(())
}

/// Letters of a foreign origin that a problem shows.
const SHOWN_MAX: usize = 200;

/// Lets a page of an origin that the operator named read an answer to a request with cookies. They prove
/// nothing here, but browsers keep such an answer from the page without this header.
pub fn allow_credentials(request: &HeaderMap, rules: &OriginRules, answer: &mut HeaderMap) {
    let origin = request.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| rules.names(origin)) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, header::HeaderValue::from_static("true"));
    }
}

/// The CORS middleware (WHATWG Fetch, section 3.3). Without credentials ([`allow_credentials`]), and an origin is
/// named back only when the list has it, which is read anew at each request.
pub fn cors(edge: &Arc<Edge>) -> Cors {
    let edge = Arc::clone(edge);
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            origin.to_str().is_ok_and(|origin| edge.options().cors_origins.allows(origin))
        })
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers(ALLOWED_HEADERS.map(HeaderName::from_static))
        .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
        .max_age(usize::try_from(CORS_MAX_AGE.as_secs()).ok())
        // A page that is not on the list gets its answer, which its browser keeps from it.
        .block_on_origin_mismatch(false)
}

/// What a page may send beside what needs no asking.
const ALLOWED_HEADERS: [&str; 6] =
    ["content-type", "authorization", "last-event-id", "idempotency-key", "if-match", "cache-control"];

/// What a page may read of an answer's head.
const EXPOSED_HEADERS: [&str; 6] = ["etag", "location", "retry-after", "x-request-id", "ratelimit", "ratelimit-policy"];

/// What a refused preflight request is told; the library itself says it in plain text.
#[must_use]
pub fn preflight_problem(refused: &CorsError, headers: &HeaderMap) -> ApiError {
    match refused {
        CorsError::OriginNotAllowed => {
            let origin = headers.get(header::ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
            ApiError::OriginNotAllowed(origin.unwrap_or_default().chars().take(SHOWN_MAX).collect())
        }
        other => ApiError::Preflight(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn rules(texts: &[&str]) -> OriginRules {
        let parse = |text: &&str| OriginPattern::parse(text).expect("the test writes good rules");
        OriginRules(texts.iter().map(parse).collect())
    }

    #[test]
    fn an_origin_is_allowed_by_every_byte_of_it() {
        let rules = rules(&[
            "https://good.com",
            "http://good.com:8080",
            "https://*.example.com",
            "https://*.example.org:8443",
            "https://default.net:443",
            "http://[2001:DB8::1]:3000",
            "capacitor://localhost",
            "HTTPS://Upper.Example",
        ]);
        for allowed in [
            "https://good.com",
            "http://good.com:8080",
            "https://a.example.com",
            "https://a-b_9.example.com",
            "https://a.example.org:8443",
            "https://default.net",
            "http://[2001:db8::1]:3000",
            "capacitor://localhost",
            "https://upper.example",
        ] {
            assert!(rules.allows(allowed), "{allowed}");
        }
        for foreign in [
            "",
            "null",
            "*",
            "good.com",
            "https://",
            "http://good.com",
            "https://good.com:8443",
            "https://good.com:443",
            "https://good.com.evil.example",
            "https://evilgood.com",
            "https://good.com.",
            "https://good.com/",
            "https://good.com@evil.example",
            "https://evil.example/https://good.com",
            "HTTPS://GOOD.COM",
            "https://Good.com",
            "https://good.com ",
            "https://good.com https://evil.example",
            "http://a.example.com",
            "https://example.com",
            "https://.example.com",
            "https://a.b.example.com",
            "https://aexample.com",
            "https://evil.example/.example.com",
            "https://evil.example#.example.com",
            "https://a.example.com.evil.example",
            "https://*.example.com",
            "https://a.example.com:444",
            "https://a.example.org",
            "https://ä.example.com",
            "https://good.com\u{0}",
            "http://[2001:db8::2]:3000",
        ] {
            assert!(!rules.allows(foreign), "{foreign}");
        }
        assert!(!OriginRules::default().allows("https://good.com"));
        let all = OriginRules(vec![OriginPattern::Any]);
        assert!(all.allows("https://good.com") && all.allows("null") && !all.names("https://good.com"));
    }

    #[test]
    fn same_origin_is_judged_by_host_and_port() {
        for (origin, host) in [
            ("http://a.example", "a.example"),
            ("https://a.example", "a.example"),
            ("https://A.example", "a.EXAMPLE"),
            ("https://a.example", "a.example:443"),
            ("http://a.example", "a.example:80"),
            ("https://a.example:8443", "a.example:8443"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert!(is_same_origin(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "a.example"),
            ("", ""),
            ("https://", ""),
            ("https://a.example", "b.example"),
            ("https://a.example.evil", "a.example"),
            ("https://a.example", "a.example.evil"),
            ("https://a.example:8443", "a.example"),
            ("http://a.example", "a.example:8080"),
            ("https://a.example", "a.example:80"),
            ("https://a.example.", "a.example"),
            ("https://a.example/", "a.example"),
            ("https://x@a.example", "a.example"),
            ("http://a.example:", "a.example"),
        ] {
            assert!(!is_same_origin(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn cookies_are_taken_from_own_and_listed_pages_only() {
        let rules = rules(&["https://good.com"]);
        let check = |headers: &[(&str, &str)]| {
            let request = headers.iter().fold(TestRequest::get(), |request, &header| request.append_header(header));
            check_cookies(request.to_http_request().headers(), &rules).is_ok()
        };
        let (host, cookie) = (("Host", "a.example"), ("Cookie", "a=b"));
        assert!(check(&[host, cookie]));
        assert!(check(&[host, ("Origin", "https://evil.example")]));
        assert!(check(&[host, cookie, ("Origin", "https://a.example")]));
        assert!(check(&[host, cookie, ("Origin", "https://good.com")]));
        assert!(!check(&[host, cookie, ("Origin", "https://evil.example")]));
        assert!(!check(&[host, cookie, ("Origin", "null")]));
        assert!(!check(&[host, cookie, ("Origin", "https://good.com"), ("Origin", "https://evil.example")]));
        assert!(!check(&[cookie, ("Origin", "https://a.example")]));
    }
}
