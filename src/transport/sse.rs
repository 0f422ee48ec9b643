//! The response of an SSE stream: head and `hello` by actix-web, then a socket or a body.
//!
//! Head and framing follow WHATWG HTML, section 9.2, and docs/protocol.md, section "SSE".

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::ConnectionType;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use santral_core::session::SessionKey;

use super::detach::{Handover, Landing, Ticket};
use crate::hub::StreamSlot;
use crate::hub::links::BodyReader;
use crate::hub::shard_thread::LocalShard;
use crate::service::streams::Opening;

/// Answers with a stream: by the socket itself where the connection can give it away, else by a body.
#[must_use]
pub fn respond(request: &HttpRequest, shard: &LocalShard, opening: Opening) -> HttpResponse {
    let Opening { session, slot, first_bytes, .. } = opening;
    let body = match request.conn_data::<Ticket>() {
        Some(ticket) => {
            let stream = Stream { shard: shard.clone(), session, slot: Some(slot) };
            ticket.hand_over(Handover::behind_response(stream));
            StreamBody { first_bytes: Some(first_bytes), rest: None }
        }
        None => StreamBody { first_bytes: Some(first_bytes), rest: Some(shard.link_body(session, slot)) },
    };
    event_stream(body)
}

/// A stream that waits for its socket.
struct Stream {
    shard: LocalShard,
    session: SessionKey,
    slot: Option<StreamSlot>,
}

impl Landing for Stream {
    fn land(mut self: Box<Self>, stream: std::net::TcpStream) {
        if let Some(slot) = self.slot.take() {
            self.shard.link_socket(self.session, stream, slot);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.shard.abandon(self.session);
        }
    }
}

/// Answers with a stream that ends at once: how a native EventSource is asked to come back later,
/// since an error status would make it give up for good.
#[must_use]
pub fn respond_and_close(frames: Bytes) -> HttpResponse {
    event_stream(StreamBody { first_bytes: Some(frames), rest: None })
}

fn event_stream(body: StreamBody) -> HttpResponse {
    let mut response = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache, no-store, no-transform"))
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .body(body);
    let head = response.head_mut();
    // Close-delimited (RFC 9112, section 6.3): the socket goes on without chunk headers.
    head.no_chunking(true);
    head.set_connection_type(ConnectionType::Close);
    response
}

/// The start of a stream, and the rest where the socket stays with actix-web.
struct StreamBody {
    first_bytes: Option<Bytes>,
    rest: Option<BodyReader>,
}

impl MessageBody for StreamBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if let Some(first_bytes) = this.first_bytes.take() {
            return Poll::Ready(Some(Ok(first_bytes)));
        }
        match &mut this.rest {
            Some(rest) => rest.poll_bytes(context).map(|bytes| bytes.map(Ok)),
            None => Poll::Ready(None),
        }
    }
}
