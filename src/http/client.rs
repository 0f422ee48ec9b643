//! Who is at the other end of a request, as far as the network says.

use actix_web::HttpRequest;

use crate::service::accounts::Caller;

/// The client's address.
#[must_use]
pub fn client_address(request: &HttpRequest) -> String {
    request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default()
}

/// From where a request comes, for the throttle and the event log.
#[must_use]
pub fn caller(request: &HttpRequest) -> Caller {
    Caller { address: client_address(request), request_id: None }
}
