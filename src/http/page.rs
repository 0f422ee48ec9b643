//! The first page, the setup page and the page of calls: HTML, CSS and JavaScript, embedded in the binary.

use actix_web::HttpResponse;
use actix_web::http::header;

/// Nothing from elsewhere, nothing inline, in nobody's frame (W3C Content Security Policy Level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub async fn index() -> HttpResponse {
    asset("text/html; charset=utf-8", include_str!("../../web/index.html"))
}

/// `GET /app.js`.
pub async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/app.js"))
}

/// `GET /account.js`.
pub async fn account_script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/account.js"))
}

/// `GET /style.css`.
pub async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../../web/style.css"))
}

/// `GET /setup`: where the first admin is created. The token is in the fragment, so no log has it.
pub async fn setup() -> HttpResponse {
    asset("text/html; charset=utf-8", include_str!("../../web/setup.html"))
}

/// `GET /setup.js`.
pub async fn setup_script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/setup.js"))
}

/// `GET /call`: two people open it and see each other. The room is in the fragment, so no log has it.
pub async fn call() -> HttpResponse {
    asset("text/html; charset=utf-8", include_str!("../../web/call.html"))
}

/// `GET /call.css`.
pub async fn call_style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../../web/call.css"))
}

/// `GET /call.js`.
pub async fn call_script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/call.js"))
}

/// `GET /call-tiles.js`.
pub async fn call_tiles() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/call-tiles.js"))
}

/// `GET /santral-call.js`: a call without a page around it, for pages of others.
pub async fn call_client() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/santral-call.js"))
}

/// `GET /santral-line.js`.
pub async fn call_line() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/santral-line.js"))
}

/// `GET /santral-outbox.js`.
pub async fn call_outbox() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/santral-outbox.js"))
}

/// `GET /santral-peer.js`.
pub async fn call_peer() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/santral-peer.js"))
}

/// `GET /santral-roster.js`.
pub async fn call_roster() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../web/santral-roster.js"))
}

fn asset(content_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
