//! Where a request comes from, for the use cases.

use actix_web::HttpRequest;
use actix_web::http::header;

use santral_core::limits::USER_AGENT_BYTES_MAX;

use super::edge::client_address;
use crate::service::Peer;

/// The client's address as far as it can be trusted, and its program.
#[must_use]
pub fn of(request: &HttpRequest) -> Peer {
    let user_agent = request.headers().get(header::USER_AGENT).map(|text| String::from_utf8_lossy(text.as_bytes()));
    let user_agent = user_agent.map(|text| bounded(&text).into());
    Peer { address: client_address::of(request), user_agent }
}

/// The beginning of the text, without control characters.
fn bounded(text: &str) -> String {
    let clean = text.chars().filter(|character| !character.is_control());
    let mut kept = String::new();
    for character in clean {
        if kept.len() + character.len_utf8() > USER_AGENT_BYTES_MAX {
            break;
        }
        kept.push(character);
    }
    kept
}
