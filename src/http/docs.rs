//! `GET /api/docs`: the API's description for people, by Swagger UI, whose files are in the binary.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::problem::ApiError;

/// Nothing from elsewhere and no inline script (W3C Content Security Policy Level 3). Swagger UI draws
/// its icons from `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of Swagger UI that the page names; of the rest nobody has need.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// `GET /api/docs`.
pub async fn index() -> HttpResponse {
    answer("text/html; charset=utf-8", "no-cache").body(include_str!("../../web/docs.html"))
}

/// `GET /api/docs/{file}`.
///
/// # Errors
/// [`ApiError::NotFound`] for anything but the page's own files.
pub async fn file(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    if name.as_str() == "docs.js" {
        return Ok(answer("text/javascript; charset=utf-8", "no-cache").body(include_str!("../../web/docs.js")));
    }
    let known = FILES.contains(&name.as_str());
    let found = known.then(|| utoipa_swagger_ui::serve(&name, Arc::new(utoipa_swagger_ui::Config::default())));
    let Some(Ok(Some(file))) = found else { return Err(ApiError::NotFound) };
    Ok(answer(&file.content_type, "max-age=3600").body(file.bytes.into_owned()))
}

fn answer(content_type: &str, cache: &'static str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, cache));
    response
}
