//! Who is at the other end of a request, as far as the network says.

use actix_web::HttpRequest;

use super::edge::client_address;
use super::request_id::RequestId;
use crate::service::accounts::Caller;

/// From where a request comes, for the throttle and the event log.
#[must_use]
pub fn caller(request: &HttpRequest) -> Caller {
    Caller { address: client_address::of(request).ip.to_string(), request_id: RequestId::of(request) }
}
