//! WebSockets of Engine.IO on their way to the thread where their connection lives.

use actix_web::{HttpRequest, HttpResponse, web};

use super::detach::{Handover, Landing};
use super::websocket;
use crate::hub::engineio::{Opening, Sid};
use crate::hub::shard_thread::LocalShard;

/// Answers a checked handshake, and begins a connection on the WebSocket. `None` where the connection cannot
/// give its socket away.
pub(crate) fn open(
    request: &HttpRequest,
    shard: &LocalShard,
    opening: Opening,
    greet: impl FnOnce(&Sid) -> String + 'static,
    payload: web::Payload,
) -> Option<HttpResponse> {
    let beginning = Beginning { shard: shard.clone(), opening, greet, payload };
    websocket::accept(request, Handover::upgrade(beginning))
}

/// Answers a checked handshake, and sends the WebSocket to the connection that it wants to take over.
pub(crate) fn take_over(
    request: &HttpRequest,
    shard: &LocalShard,
    sid: Sid,
    payload: web::Payload,
) -> Option<HttpResponse> {
    websocket::accept(request, Handover::upgrade(Candidate { shard: shard.clone(), sid: Some(sid), payload }))
}

/// A connection that begins with its WebSocket.
struct Beginning<F> {
    shard: LocalShard,
    opening: Opening,
    greet: F,
    /// What the dispatcher reads behind the request, until the socket leaves.
    payload: web::Payload,
}

impl<F: FnOnce(&Sid) -> String> Landing for Beginning<F> {
    fn land(mut self: Box<Self>, stream: std::net::TcpStream) {
        let early = websocket::early_input(&mut self.payload);
        self.shard.open_engine_on(self.opening, stream, &early, self.greet);
    }
}

/// A WebSocket that wants to take over. Dropped on its way, the connection learns that it never comes.
struct Candidate {
    shard: LocalShard,
    sid: Option<Sid>,
    /// What the dispatcher reads behind the request, until the socket leaves.
    payload: web::Payload,
}

impl Landing for Candidate {
    fn land(mut self: Box<Self>, stream: std::net::TcpStream) {
        let Some(sid) = self.sid.take() else { return };
        let early = websocket::early_input(&mut self.payload);
        self.shard.tell_at(sid.shard(), move |local| local.engine_candidate(&sid, stream, &early));
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some(sid) = self.sid.take() {
            self.shard.tell_at(sid.shard(), move |local| local.engine_candidate_gone(&sid));
        }
    }
}
