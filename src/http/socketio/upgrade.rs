//! WebSockets of Engine.IO: those that begin a connection, and those that take one over.

use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::engineio::UpgradeVerdict;
use santral_core::websocket::close;

use super::Engine;
use super::admission::Refused;
use crate::hub::engineio::{Opening, Sid};
use crate::transport::{engineio, websocket};

/// Begins a connection on a WebSocket.
pub(super) fn open(
    engine: &Engine,
    request: &HttpRequest,
    payload: web::Payload,
    opening: Opening,
    greet: impl FnOnce(&Sid) -> String + 'static,
) -> Result<HttpResponse, Refused> {
    if websocket::objection(request).is_some() {
        return Err(Refused::NoUpgrade);
    }
    engineio::open(request, &engine.shard, opening, greet, payload).ok_or(Refused::BadRequest)
}

/// Lets a WebSocket try to take over a connection that is polled.
pub(super) async fn take_over(
    engine: &Engine,
    request: &HttpRequest,
    payload: web::Payload,
    sid: Sid,
) -> Result<HttpResponse, Refused> {
    if websocket::objection(request).is_some() {
        return Err(Refused::NoUpgrade);
    }
    let asked = sid.clone();
    match engine.at(sid.shard(), move |local| local.upgrade_engine(&asked)).await {
        Some(UpgradeVerdict::Probe) => {
            engineio::take_over(request, &engine.shard, sid, payload).ok_or(Refused::BadRequest)
        }
        Some(UpgradeVerdict::AcceptAndClose) => Ok(websocket::respond_and_close(request, close::NORMAL, "")),
        Some(UpgradeVerdict::Refused(refusal)) => Err(refusal.into()),
        None => Err(Refused::SessionUnknown),
    }
}
