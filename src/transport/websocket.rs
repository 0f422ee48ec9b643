//! WebSockets: the handshake, the way of the socket to its shard, and refusals that a browser can read.
//!
//! RFC 6455, section 4.2. The handshake is checked by actix-http; everything after it is ours, since a
//! socket that has left costs a descriptor and a session, and shares its frames with all others.

use std::rc::Rc;

use actix_http::ConnectionType;
use actix_http::ws::{HandshakeError, hash_key, verify_handshake};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};

use santral_core::session::SessionKey;
use santral_core::websocket::encoder;

use super::detach::{Handover, Landing, Ticket};
use crate::hub::duplex::Uplink;
use crate::hub::shard_thread::{LocalShard, WebSocketOpening};
use crate::service::streams::Opening;

/// What is missing in a request that should open a WebSocket, for people; `None` if nothing is.
#[must_use]
pub fn objection(request: &HttpRequest) -> Option<&'static str> {
    Some(match verify_handshake(request.head()).err()? {
        HandshakeError::GetMethodRequired => "the method is not GET",
        HandshakeError::NoWebsocketUpgrade => "the header Upgrade: websocket is missing; a proxy may have removed it",
        HandshakeError::NoConnectionUpgrade => "the header Connection: Upgrade is missing; a proxy may have removed it",
        HandshakeError::NoVersionHeader => "the header Sec-WebSocket-Version: 13 is missing",
        HandshakeError::UnsupportedVersion => "the header Sec-WebSocket-Version is not 13",
        HandshakeError::BadWebsocketKey => "the header Sec-WebSocket-Key is missing or not a key of 16 bytes in base64",
    })
}

/// Whether a request asks for a WebSocket at all, properly or not.
#[must_use]
pub fn is_asked_for(request: &HttpRequest) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|protocols| protocols.split(',').any(|name| name.trim().eq_ignore_ascii_case("websocket")))
}

/// Answers a checked handshake with 101 and sends the socket to the session's shard. `None` where the
/// connection cannot give its socket away.
#[must_use]
pub fn respond(
    request: &HttpRequest,
    shard: &LocalShard,
    opening: Opening,
    payload: web::Payload,
    uplink: Rc<dyn Uplink>,
) -> Option<HttpResponse> {
    let Opening { session, slot, first_bytes: lines, .. } = opening;
    let opening = Some(WebSocketOpening { early: Bytes::new(), uplink, lines, slot });
    accept(request, Handover::upgrade(Arriving { shard: shard.clone(), session, payload, opening }))
}

/// Answers a checked handshake with 101 and hands the socket over. `None` where the connection cannot give its
/// socket away; what waits for it is dropped then.
pub(super) fn accept(request: &HttpRequest, handover: Handover) -> Option<HttpResponse> {
    let ticket = request.conn_data::<Ticket>()?;
    ticket.hand_over(handover);
    Some(switch_protocols(request, Rest::Endless))
}

/// Answers a checked handshake with 101 and a close frame: how a browser learns why it may not come in,
/// since it shows no answer to a handshake that failed.
#[must_use]
pub fn respond_and_close(request: &HttpRequest, code: u16, reason: &str) -> HttpResponse {
    switch_protocols(request, Rest::Last(encoder::close_frame(code, reason)))
}

fn switch_protocols(request: &HttpRequest, rest: Rest) -> HttpResponse {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map_or(&b""[..], |key| key.as_bytes());
    let accept = hash_key(key);
    let mut response = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS)
        .insert_header((header::UPGRADE, "websocket"))
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, &accept[..]))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(rest);
    let head = response.head_mut();
    head.no_chunking(true);
    head.set_connection_type(ConnectionType::Upgrade);
    response
}

/// What follows the 101 as long as the socket is with actix-web.
enum Rest {
    /// Nothing: the socket leaves once the head is flushed.
    Endless,
    /// These bytes, then the end.
    Last(Bytes),
    /// The end.
    Over,
}

impl MessageBody for Rest {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        match std::mem::replace(this, Self::Over) {
            Self::Endless => {
                *this = Self::Endless;
                Poll::Pending
            }
            Self::Last(bytes) => Poll::Ready(Some(Ok(bytes))),
            Self::Over => Poll::Ready(None),
        }
    }
}

/// A session that waits for its WebSocket.
struct Arriving {
    shard: LocalShard,
    session: SessionKey,
    /// What the dispatcher reads behind the request, until the socket leaves.
    payload: web::Payload,
    opening: Option<WebSocketOpening>,
}

impl Landing for Arriving {
    fn land(mut self: Box<Self>, stream: std::net::TcpStream) {
        if let Some(mut opening) = self.opening.take() {
            opening.early = early_input(&mut self.payload);
            self.shard.link_websocket(self.session, stream, opening);
        }
    }
}

/// What a hasty client has sent before it saw the 101. The dispatcher feeds it into the payload behind the
/// handler's back, so it is all there only when the socket leaves.
pub(super) fn early_input(payload: &mut web::Payload) -> Bytes {
    let mut input = Vec::new();
    while let Some(Some(Ok(chunk))) = payload.next().now_or_never() {
        input.extend_from_slice(&chunk);
    }
    Bytes::from(input)
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.opening.is_some() {
            self.shard.abandon(self.session);
        }
    }
}
