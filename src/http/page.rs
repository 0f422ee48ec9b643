//! The first page and the setup page: HTML, CSS and JavaScript, embedded in the binary.

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

fn asset(content_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
