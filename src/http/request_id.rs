//! The request's id, which every answer carries.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Random characters in front of each id: tell the requests of different runs and nodes apart.
const PREFIX_LENGTH: usize = 10;

/// Requests since the start.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// This run's part of each id.
static PREFIX: LazyLock<String> = LazyLock::new(|| nanoid::nanoid!(PREFIX_LENGTH));

/// Stamps the answer. Use with `actix_web::middleware::from_fn`.
///
/// # Errors
/// Those of the services inside.
pub async fn stamp(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    // An id is no secret, so it costs no call for randomness: a prefix and a count.
    let id = format!("{}-{:x}", *PREFIX, COUNT.fetch_add(1, Ordering::Relaxed));
    let mut response = next.call(request).await?;
    if response.status().is_server_error() {
        log::warn!(request = id.as_str(), status = response.status().as_u16(), path = response.request().path();
            "request failed");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    Ok(response)
}
