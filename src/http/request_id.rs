//! The request's id, which every answer carries.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};

use super::shown_path::shown_path;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Random characters in front of each id: tell the requests of different runs and nodes apart.
const PREFIX_LENGTH: usize = 10;

/// Requests since the start.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// This run's part of each id.
static PREFIX: LazyLock<String> = LazyLock::new(|| nanoid::nanoid!(PREFIX_LENGTH));

/// The id of a request, in its extensions.
pub struct RequestId(HeaderValue);

impl RequestId {
    /// As the answer carries it; none without [`stamp`].
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<String> {
        request.extensions().get::<Self>().and_then(|Self(id)| id.to_str().ok()).map(str::to_owned)
    }
}

/// Stamps the answer. Use with `actix_web::middleware::from_fn`.
///
/// # Errors
/// Those of the services inside.
pub async fn stamp(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    // An id is no secret, so it costs no call for randomness: a prefix and a count.
    let id = HeaderValue::try_from(format!("{}-{:x}", *PREFIX, COUNT.fetch_add(1, Ordering::Relaxed)));
    if let Ok(id) = &id {
        request.extensions_mut().insert(RequestId(id.clone()));
    }
    let mut response = next.call(request).await?;
    if let Ok(id) = id {
        if response.status().is_server_error() {
            let path = shown_path(response.request());
            log::warn!(request:? = id, status = response.status().as_u16(), path = &*path; "request failed");
        }
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    Ok(response)
}
