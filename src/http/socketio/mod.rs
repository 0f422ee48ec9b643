//! `/socket.io/`: Engine.IO over HTTP and WebSocket, and the client library for pages.
//!
//! What is answered here is part of a protocol of others, errors included: they are JSON of two fields,
//! not problem documents.

mod admin;
mod admission;
pub mod client_files;
mod gzip;
mod polling;
mod upgrade;
mod uplink;

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::engineio::{Timing, open_packet};
use santral_core::limits::WEBSOCKET_FRAGMENTS_MAX;
use santral_core::websocket::Rules;

use super::access::Gate;
use super::edge::{Edge, origins};
use super::problem::ApiError;
use super::{client, peer};
use crate::config::{Config, Transport};
use crate::hub::Hub;
use crate::hub::engineio::{Opening, Sid};
use crate::hub::shard_thread::LocalShard;
use crate::service::socketio::admin::Admin;
use crate::service::streams;
use crate::service::video::VideoRooms;
use admin::Desk;
pub(super) use admission::explain;
use admission::{Query, Refused, Wanted};
use uplink::{Uplink, Uses};

/// Where clients ask; some leave the last slash out.
pub const PATHS: [&str; 2] = ["/socket.io/", "/socket.io"];

/// What the handlers work with.
struct Engine {
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    edge: web::Data<Edge>,
    admin_ui: web::Data<Admin>,
    video: web::Data<VideoRooms>,
}

/// Every request of Engine.IO.
pub async fn any(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    edge: web::Data<Edge>,
    admin_ui: web::Data<Admin>,
    video: web::Data<VideoRooms>,
) -> HttpResponse {
    let engine = Engine { shard, gate, edge, admin_ui, video };
    let mut response = match engine.serve(&request, payload).await {
        Ok(response) => response,
        Err(refused) => {
            refused.log(&request);
            refused.to_response()
        }
    };
    // Clients of Socket.IO send cookies along where a page wants it, for proxies that tell sessions by them.
    origins::allow_credentials(request.headers(), &engine.edge.options().cors_origins, response.headers_mut());
    response
}

impl Engine {
    /// The rules, in their order: the first that fails decides.
    async fn serve(&self, request: &HttpRequest, payload: web::Payload) -> Result<HttpResponse, Refused> {
        let query = Query::read(request.query_string());
        let config = Arc::clone(&self.shard.hub().config.load());
        let wanted = query.transport.filter(|_| config.transports.contains(&Transport::SocketIo));
        let wanted = wanted.ok_or(Refused::TransportUnknown)?;
        admission::check_origin(request)?;
        let is_upgrade = request.method() == Method::GET && crate::transport::websocket::is_asked_for(request);
        if let Some(sid) = query.sid {
            let sid = Sid::parse(&sid).ok_or(Refused::SessionUnknown)?;
            let shard = sid.shard();
            let asked = sid.clone();
            let is_websocket = self.at(shard, move |local| local.engine_is_websocket(&asked)).await.flatten();
            let is_websocket = is_websocket.ok_or(Refused::SessionUnknown)?;
            return match (is_upgrade, wanted) {
                (true, Wanted::WebSocket) => upgrade::take_over(self, request, payload, sid).await,
                (true, Wanted::Polling) => Err(Refused::BadRequest),
                (false, Wanted::WebSocket) if !is_websocket => Err(Refused::NoUpgrade),
                (false, Wanted::Polling) if is_websocket => Err(Refused::BadRequest),
                (false, _) if request.method() == Method::GET => polling::poll(self, request, sid).await,
                (false, _) if request.method() == Method::POST => {
                    polling::post(self, request, payload, sid, config.socketio_max_payload).await
                }
                (false, _) => Err(Refused::BadRequest),
            };
        }
        if request.method() != Method::GET {
            return Err(Refused::BadMethod);
        }
        if (wanted == Wanted::WebSocket) != is_upgrade {
            return Err(if is_upgrade { Refused::BadRequest } else { Refused::NoUpgrade });
        }
        let opening = self.admit(request, &config)?;
        if query.version.as_deref() != Some("4") {
            return Err(Refused::UnsupportedVersion);
        }
        let timing = opening.timing;
        let payload_max = opening.rules.message_bytes_max;
        match wanted {
            Wanted::Polling => {
                let sid = self.shard.open_engine(opening);
                Ok(polling::text(open_packet(sid.reveal(), true, &timing, payload_max)))
            }
            Wanted::WebSocket => {
                let greet = move |sid: &Sid| open_packet(sid.reveal(), false, &timing, payload_max);
                upgrade::open(self, request, payload, opening, greet)
            }
        }
    }

    /// Lets a new connection in, if its client may come and there is room.
    fn admit(&self, request: &HttpRequest, config: &Config) -> Result<Opening, Refused> {
        let now = Hub::wall_clock();
        let principal = self.gate.identify(request, now).map_err(|error| Refused::Forbidden(error.to_string()))?;
        let peer = peer::of(request);
        if self.gate.objection(&principal, peer.address.ip).is_some() {
            return Err(Refused::Forbidden("Forbidden".to_owned()));
        }
        let slot = streams::admit(self.shard.hub(), Transport::SocketIo, &principal, &peer)
            .map_err(|refusal| Refused::Busy(ApiError::from(refusal)))?;
        let rules = Rules {
            message_bytes_max: u32::try_from(config.socketio_max_payload).unwrap_or(u32::MAX),
            fragments_max: WEBSOCKET_FRAGMENTS_MAX,
            takes_binary: true,
        };
        let timing = Timing {
            ping_interval: config.socketio_ping_interval,
            ping_timeout: config.socketio_ping_timeout,
            upgrade_timeout: config.socketio_upgrade_timeout,
        };
        let desk = Desk::new(Arc::clone(&self.admin_ui), client::caller(request));
        let uses = Uses { gate: Arc::clone(&self.gate), edge: Arc::clone(&self.edge), video: Arc::clone(&self.video) };
        let uplink = Uplink::new(uses, desk, peer, principal);
        let join_by = self.shard.hub().now() + config.socketio_connect_timeout;
        Ok(Opening { uplink: Rc::new(uplink), slot, timing, join_by, rules })
    }

    /// Does something on the thread where a connection lives. `None` where there is no such thread.
    async fn at<T: Send + 'static>(
        &self,
        shard: usize,
        work: impl FnOnce(&LocalShard) -> T + Send + 'static,
    ) -> Option<T> {
        if shard == self.shard.index() {
            return Some(work(&self.shard));
        }
        self.shard.hub().call_local(shard, work).await
    }
}
