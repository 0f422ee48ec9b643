//! Headers of caution that every answer carries, unless its handler knew better.
//!
//! All values are fixed texts, so they cost no memory of their own.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// On every answer.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    // Types are not guessed (WHATWG Fetch, section 3.6).
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // A token in a page's URL does not travel on to others (W3C Referrer Policy).
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // No foreign page embeds an answer as an image or a script. Pages that ask openly, by fetch or
    // EventSource, are judged by CORS alone (WHATWG Fetch, section 3.7).
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// On pages: nobody shows them in a frame. The older of the two is for older browsers.
const ON_PAGES: [(HeaderName, HeaderValue); 2] = [
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'")),
];

/// What is not said to be kept is not kept: answers hold tokens and other people's messages.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Adds what the handler did not set.
pub fn complete(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        add(headers, name, value);
    }
    add(headers, header::CACHE_CONTROL, NO_STORE);
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        for (name, value) in ON_PAGES {
            add(headers, name, value);
        }
    }
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::HttpResponse;
    use actix_web::http::header::ContentType;

    fn completed(mut response: HttpResponse) -> HeaderMap {
        complete(response.headers_mut());
        response.headers().clone()
    }

    #[test]
    fn an_answer_is_not_kept_guessed_at_or_embedded() {
        let headers = completed(HttpResponse::Ok().insert_header(ContentType::json()).finish());
        assert_eq!(headers.get("cache-control").map(HeaderValue::as_bytes), Some(&b"no-store"[..]));
        assert_eq!(headers.get("x-content-type-options").map(HeaderValue::as_bytes), Some(&b"nosniff"[..]));
        assert_eq!(headers.get("referrer-policy").map(HeaderValue::as_bytes), Some(&b"no-referrer"[..]));
        assert_eq!(headers.get("cross-origin-resource-policy").map(HeaderValue::as_bytes), Some(&b"same-origin"[..]));
        assert!(!headers.contains_key("x-frame-options") && !headers.contains_key("server"));
    }

    #[test]
    fn what_the_handler_said_stands() {
        let response = HttpResponse::Ok()
            .insert_header(ContentType::html())
            .insert_header(("Cache-Control", "no-cache"))
            .insert_header(("Content-Security-Policy", "default-src 'none'"))
            .finish();
        let headers = completed(response);
        assert_eq!(headers.get_all("cache-control").count(), 1);
        assert_eq!(headers.get("cache-control").map(HeaderValue::as_bytes), Some(&b"no-cache"[..]));
        let policy = headers.get("content-security-policy").map(HeaderValue::as_bytes);
        assert_eq!(policy, Some(&b"default-src 'none'"[..]));
        assert_eq!(headers.get("x-frame-options").map(HeaderValue::as_bytes), Some(&b"DENY"[..]));
    }
}
