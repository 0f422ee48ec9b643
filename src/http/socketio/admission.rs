//! Which requests of Engine.IO are let in, and what the others are told.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use santral_core::engineio::Refusal;

use crate::http::edge::client_address;
use crate::http::problem::ApiError;

/// How a client wants to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Polling,
    WebSocket,
}

/// What of the query matters; clients add what they like.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) transport: Option<Wanted>,
    pub(super) sid: Option<String>,
    pub(super) version: Option<String>,
}

impl Query {
    /// Reads a query string. A key that is repeated counts as it stands first.
    pub(super) fn read(text: &str) -> Self {
        let pairs: Vec<(String, String)> = serde_html_form::from_str(text).unwrap_or_default();
        let first = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let transport = first("transport").and_then(|transport| match transport.as_str() {
            "polling" => Some(Wanted::Polling),
            "websocket" => Some(Wanted::WebSocket),
            _ => None,
        });
        Self { transport, sid: first("sid"), version: first("EIO") }
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refused {
    TransportUnknown,
    SessionUnknown,
    BadMethod,
    BadRequest,
    /// A WebSocket was asked for without the header `Upgrade`.
    NoUpgrade,
    Forbidden(String),
    UnsupportedVersion,
    /// More than the largest payload.
    TooLarge,
    /// There is no room for now.
    Busy(ApiError),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SessionUnknown => Self::SessionUnknown,
            Refusal::BadRequest => Self::BadRequest,
        }
    }
}

impl Refused {
    /// The answer: two fields of JSON, as clients know it.
    pub(super) fn to_response(&self) -> HttpResponse {
        let (status, code) = match self {
            Self::TransportUnknown => (StatusCode::BAD_REQUEST, 0),
            Self::SessionUnknown => (StatusCode::BAD_REQUEST, 1),
            Self::BadMethod => (StatusCode::BAD_REQUEST, 2),
            Self::BadRequest | Self::NoUpgrade => (StatusCode::BAD_REQUEST, 3),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, 4),
            Self::Busy(error) => (StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::FORBIDDEN), 4),
            Self::UnsupportedVersion => (StatusCode::BAD_REQUEST, 5),
        };
        let body = serde_json::json!({ "code": code, "message": self.message() });
        let mut response = HttpResponse::build(status);
        if let Self::Busy(_) = self {
            // Clients come back by themselves after an error of the handshake.
            response.insert_header((header::RETRY_AFTER, RETRY_SECONDS));
        }
        response
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(body.to_string())
    }

    fn message(&self) -> String {
        match self {
            Self::TransportUnknown => "Transport unknown".to_owned(),
            Self::SessionUnknown => "Session ID unknown".to_owned(),
            Self::BadMethod => "Bad handshake method".to_owned(),
            Self::BadRequest | Self::NoUpgrade => "Bad request".to_owned(),
            Self::TooLarge => "Payload too large".to_owned(),
            Self::Forbidden(why) => why.clone(),
            Self::Busy(error) => error.to_string(),
            Self::UnsupportedVersion => "Unsupported protocol version".to_owned(),
        }
    }

    /// One clear line for the operator, where something on the way or an old client is the cause.
    pub(super) fn log(&self, request: &HttpRequest) {
        let address = client_address::of(request).ip;
        match self {
            Self::NoUpgrade => log::info!(
                "{address} asks for a WebSocket of Socket.IO without the header Upgrade: a proxy on the way may remove it"
            ),
            Self::UnsupportedVersion => {
                log::info!(
                    "{address} speaks another version of Engine.IO than 4: clients of Socket.IO 2 are not served"
                );
            }
            Self::TransportUnknown
            | Self::SessionUnknown
            | Self::BadMethod
            | Self::BadRequest
            | Self::Forbidden(_)
            | Self::TooLarge
            | Self::Busy(_) => log::debug!("{address}: {}", self.message()),
        }
    }
}

/// One clear line for the operator about clients too old to find the door.
pub(in crate::http) fn explain(request: &HttpRequest) {
    if request.path().starts_with(OLD_PATH) {
        let address = client_address::of(request).ip;
        log::info!("{address} asks in the way of Socket.IO 0.9: clients before version 3 are not served");
    }
}

/// An `Origin` is visible ASCII (RFC 6454, section 7).
pub(super) fn check_origin(request: &HttpRequest) -> Result<(), Refused> {
    let origin = request.headers().get(header::ORIGIN);
    let is_legal = origin.is_none_or(|origin| origin.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
    if is_legal { Ok(()) } else { Err(Refused::BadRequest) }
}

/// Where the first generation of clients shakes hands.
const OLD_PATH: &str = "/socket.io/1/";

/// When to come back that was turned away for want of room, in seconds.
const RETRY_SECONDS: &str = "5";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_for_three_keys() {
        let query = Query::read("EIO=4&transport=polling&t=abc&b64=1&sid=x&x=%22&EIO=5");
        let expected = Query { transport: Some(Wanted::Polling), sid: Some("x".into()), version: Some("4".into()) };
        assert_eq!(query, expected);
        assert_eq!(Query::read("transport=websocket").transport, Some(Wanted::WebSocket));
        for text in ["", "transport=", "transport=abc", "transport=Polling", "%"] {
            assert_eq!(Query::read(text).transport, None, "{text}");
        }
    }
}
