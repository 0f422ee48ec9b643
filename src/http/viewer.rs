//! What the streams of operators share: who follows, whether they still may, and how it ends.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use actix_web_lab::sse::Data;

use santral_core::limits::RETRY_MS;
use santral_schema::reason::DisconnectReason;

use super::access::Gate;
use super::edge::client_address;
use crate::auth::Principal;

/// Whose stream it is.
pub struct Viewer {
    gate: web::Data<Gate>,
    principal: Principal,
    address: IpAddr,
}

impl Viewer {
    /// Who was let in to this request.
    #[must_use]
    pub fn of(request: &HttpRequest, principal: Principal, gate: web::Data<Gate>) -> Self {
        Self { gate, principal, address: client_address::of(request).ip }
    }

    /// After how much silence the stream pings, as the settings say now.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.gate.live.load().heartbeat
    }

    /// The last event for somebody who may follow no longer. To be asked before each event, so that
    /// nothing is sent beyond the right to see it.
    #[must_use]
    pub fn farewell(&self) -> Option<Data> {
        self.gate.objection(&self.principal, self.address).map(goodbye)
    }
}

/// Says why the stream ends.
pub fn goodbye(reason: DisconnectReason) -> Data {
    let bye = reason.bye(*RETRY_MS.start());
    Data::new(serde_json::to_string(&bye).expect("a bye has string keys and no failing serializer")).event("bye")
}
