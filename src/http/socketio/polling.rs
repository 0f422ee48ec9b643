//! Polls and posts of a connection that is polled.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::oneshot;

use santral_core::engineio::{PollAnswer, Refusal, payload};

use super::admission::Refused;
use super::{Engine, gzip};
use crate::http::body;
use crate::http::problem::ApiError;
use crate::hub::engineio::{Posted, Sid};
use crate::hub::shard_thread::LocalShard;
use crate::transport::detach::hold_answer;

/// Holds a poll until there is something to say.
pub(super) async fn poll(engine: &Engine, request: &HttpRequest, sid: Sid) -> Result<HttpResponse, Refused> {
    // A ping ends every poll.
    hold_answer(request, engine.shard.hub().config.load().socketio_ping_interval);
    let asked = sid.clone();
    let held = engine.at(sid.shard(), move |local| local.poll_engine(&asked)).await;
    let answered = held.unwrap_or(Err(Refusal::SessionUnknown))?;
    let mut held = HeldPoll { local: engine.shard.get_ref().clone(), sid, answered: Some(answered) };
    match held.answer().await {
        Some(PollAnswer::Packets(packets)) => Ok(packets_of(request, payload::answer(&packets))),
        Some(PollAnswer::Refused(refusal)) => Err(refusal.into()),
        None => Err(Refused::SessionUnknown),
    }
}

/// A poll that waits. Dropped before its answer is there, its connection learns that the client is gone.
struct HeldPoll {
    local: LocalShard,
    sid: Sid,
    answered: Option<oneshot::Receiver<PollAnswer>>,
}

impl HeldPoll {
    async fn answer(&mut self) -> Option<PollAnswer> {
        let answer = self.answered.as_mut()?.await;
        self.answered = None;
        answer.ok()
    }
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        if self.answered.take().is_some() {
            let sid = self.sid.clone();
            self.local.tell_at(self.sid.shard(), move |local| local.engine_poll_gone(&sid));
        }
    }
}

/// Takes what a client says.
pub(super) async fn post(
    engine: &Engine,
    request: &HttpRequest,
    body: web::Payload,
    sid: Sid,
    bytes_max: usize,
) -> Result<HttpResponse, Refused> {
    let shard = sid.shard();
    let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if content_type.is_some_and(|value| value.starts_with(b"application/octet-stream")) {
        let broken = sid.clone();
        engine.at(shard, move |local| local.fail_engine(&broken)).await;
        return Err(Refused::BadRequest);
    }
    let begun = sid.clone();
    let admitted = engine.at(shard, move |local| local.begin_engine_post(&begun)).await;
    admitted.unwrap_or(Err(Refusal::SessionUnknown))?;
    let _posting = Posting { local: engine.shard.get_ref().clone(), sid: sid.clone() };
    let text = match body::read_text(request, body, bytes_max).await {
        Ok(text) => text,
        Err(ApiError::BodyTooLarge(_)) => return Err(Refused::TooLarge),
        Err(_) => {
            let broken = sid.clone();
            engine.at(shard, move |local| local.fail_engine(&broken)).await;
            return Err(Refused::BadRequest);
        }
    };
    let verdict = engine.at(shard, move |local| local.post_to_engine(&sid, text.as_str())).await;
    let Posted { is_broken, done } = verdict.unwrap_or(Err(Refusal::SessionUnknown))?;
    if let Some(done) = done {
        // However it ends: what was posted has been taken.
        let _ = done.await;
    }
    if is_broken { Err(Refused::BadRequest) } else { Ok(taken()) }
}

/// A POST that is being answered; at most one at a time.
struct Posting {
    local: LocalShard,
    sid: Sid,
}

impl Drop for Posting {
    fn drop(&mut self) {
        let sid = self.sid.clone();
        self.local.tell_at(self.sid.shard(), move |local| local.end_engine_post(&sid));
    }
}

fn taken() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html").insert_header((header::CACHE_CONTROL, "no-store")).body("ok")
}

/// Packets as text.
pub(super) fn text(packets: String) -> HttpResponse {
    answer().body(packets)
}

fn packets_of(request: &HttpRequest, packets: &[u8]) -> HttpResponse {
    match gzip::compressed(request, packets) {
        Some(compressed) => answer()
            .insert_header((header::CONTENT_ENCODING, "gzip"))
            .insert_header((header::VARY, "Accept-Encoding"))
            .body(compressed),
        None => answer().body(packets.to_vec()),
    }
}

fn answer() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.content_type("text/plain; charset=UTF-8").insert_header((header::CACHE_CONTROL, "no-store"));
    response
}
