//! `GET` and `POST /api/events`: streams.

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::grants::Grants;
use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::reason::DisconnectReason;
use santral_schema::sessions::{StreamFormat, StreamRequest};

use super::edge::{client_address, rate_limit};
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::streams::{self, StreamOrder};
use crate::transport::sse;

/// The query of `GET /api/events`; the words of [`StreamRequest`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventsQuery {
    #[serde(default)]
    channel: Vec<String>,
    #[serde(default)]
    format: StreamFormat,
    last_event_id: Option<String>,
    session: Option<String>,
    #[serde(default, deserialize_with = "query::switch")]
    presence: bool,
    #[serde(default, deserialize_with = "query::optional_switch")]
    broadcast: Option<bool>,
    #[serde(default, deserialize_with = "query::switch")]
    pad: bool,
    client: Option<String>,
}

/// `GET /api/events`.
///
/// # Errors
/// [`ApiError`].
pub async fn get(request: HttpRequest, shard: web::Data<LocalShard>) -> Result<HttpResponse, ApiError> {
    let query: EventsQuery = query::parse(&request)?;
    let wanted = StreamRequest {
        channels: query::split_lists(query.channel),
        format: query.format,
        last_event_id: query.last_event_id,
        session: query.session,
        presence: query.presence,
        broadcast: query.broadcast,
        pad: query.pad,
        client: query.client,
    };
    open(&request, &shard, wanted).await
}

/// `POST /api/events`, for lists that are too long for a URL.
///
/// # Errors
/// [`ApiError`].
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let wanted = body::read_json_text(&request, payload, STREAM_BODY_BYTES_MAX).await?.parse_object()?;
    open(&request, &shard, wanted).await
}

/// A thousand names of 128 bytes fit.
const STREAM_BODY_BYTES_MAX: usize = 10 * BODY_BYTES_MAX;

async fn open(request: &HttpRequest, shard: &LocalShard, mut wanted: StreamRequest) -> Result<HttpResponse, ApiError> {
    // The header is what the browser itself has seen last, so it wins over the page's own URL.
    if let Some(id) = last_event_id(request.headers()) {
        wanted.last_event_id = Some(id);
    }
    let is_native = is_native_event_source(request.headers(), wanted.client.as_deref());
    let principal = Principal::anonymous(Grants::all());
    let order = StreamOrder::parse(wanted, &principal)?;
    if let Err(limited) = rate_limit::settle(request, &principal) {
        return if is_native { Ok(turn_away(DisconnectReason::LimitReached)) } else { Err(limited.into()) };
    }
    match streams::open(shard, &principal, client_address::of(request), order).await {
        Ok(opening) => Ok(sse::respond(request, shard, opening)),
        Err(refusal) => match passing_reason(&refusal) {
            Some(reason) if is_native => Ok(turn_away(reason)),
            Some(_) | None => Err(refusal.into()),
        },
    }
}

/// How a native EventSource is asked to come back later.
fn turn_away(reason: DisconnectReason) -> HttpResponse {
    sse::respond_and_close(streams::come_back_later(reason))
}

/// Whether a refusal passes by itself, and what `bye` calls it.
fn passing_reason(refusal: &Refusal) -> Option<DisconnectReason> {
    if *refusal == Refusal::Draining {
        return Some(DisconnectReason::Draining);
    }
    matches!(refusal, Refusal::Full(_)).then_some(DisconnectReason::LimitReached)
}

/// A browser's own EventSource gives up for good at any error status; an SDK names itself.
fn is_native_event_source(headers: &HeaderMap, client: Option<&str>) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    client.is_none() && accept.is_some_and(|accept| accept.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The header is UTF-8 (WHATWG HTML, section 9.2.3); what is not, is no position of ours.
fn last_event_id(headers: &HeaderMap) -> Option<String> {
    headers.get("Last-Event-ID").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned())
}
