//! Counts and times requests. Use with `actix_web::middleware::from_fn`, outside of everything that
//! can refuse a request.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::hub::shard_thread::LocalShard;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{Door, MethodClass, RefusalClass, StatusClass};

/// Where messages are published. A refusal there is counted as one of a publish, whoever refused.
const PUBLISH_PATHS: [&str; 2] = ["/api/publish", "/api/broadcast"];

/// Measures one request, up to the head of its answer: a stream is not timed for as long as it lasts.
///
/// # Errors
/// Those of the services inside.
pub async fn measure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let shard = request.app_data::<Data<LocalShard>>().cloned();
    let (method, began) = (request.method().clone(), Instant::now());
    let is_publish = method == Method::POST && PUBLISH_PATHS.contains(&request.path());
    let result = next.call(request).await;
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    if let Some(shard) = shard {
        count(&shard.hub().metrics, &method, is_publish, status, began);
    }
    result
}

fn count(metrics: &Metrics, method: &Method, is_publish: bool, status: StatusCode, began: Instant) {
    let method = class_of(method);
    metrics.http_requests.of((method, StatusClass::of_status(status.as_u16()))).inc();
    metrics.http_request_duration.of(method).observe_duration(began.elapsed());
    if is_publish && !status.is_success() {
        metrics.publish_refusals.of((Door::Rest, RefusalClass::of_status(status.as_u16()))).inc();
    }
}

fn class_of(method: &Method) -> MethodClass {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => MethodClass::Read,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => MethodClass::Write,
        _ => MethodClass::Other,
    }
}
