//! Headers that every answer carries: the request's id, and what keeps browsers from guessing types.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of a request id: enough to find one request in a log.
const LENGTH: usize = 16;

/// Stamps the answer. Use with `actix_web::middleware::from_fn`.
///
/// # Errors
/// Those of the services inside.
pub async fn stamp(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = nanoid::nanoid!(LENGTH);
    let mut response = next.call(request).await?;
    if response.status().is_server_error() {
        log::warn!(request = id.as_str(), status = response.status().as_u16(), path = response.request().path();
            "request failed");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
