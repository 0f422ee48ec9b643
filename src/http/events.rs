//! `GET` and `POST /api/events`: streams.

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::grammar;
use santral_schema::reason::DisconnectReason;
use santral_schema::sessions::{StreamFormat, StreamRequest};
use utoipa::{IntoParams, ToSchema};

use super::access::Gate;
use super::problem::ApiError;
use super::{body, peer, query};
use crate::auth::Principal;
use crate::config::Transport;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::streams::{self, StreamOrder};
use crate::transport::sse;

/// Where streams are opened.
pub const PATH: &str = "/api/events";

/// The query of `GET /api/events`; the words of [`StreamRequest`].
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Channels, and prefixes that end in `*`; repeat it, or part them with commas.
    #[serde(default)]
    channel: Vec<String>,
    /// How messages come.
    #[serde(default)]
    #[param(value_type = Option<StreamFormat>)]
    format: StreamFormat,
    /// Behind which position to go on; `earliest` for all that is retained.
    last_event_id: Option<String>,
    /// A token that the client drew: makes the session resumable.
    #[param(value_type = Option<grammar::SessionToken>)]
    session: Option<String>,
    /// Whether presence changes of the named channels are wanted.
    #[serde(default, deserialize_with = "query::switch")]
    #[param(value_type = Option<query::Switch>)]
    presence: bool,
    /// `0` opts out of the channel `broadcast`.
    #[serde(default, deserialize_with = "query::optional_switch")]
    #[param(value_type = Option<query::Switch>)]
    broadcast: Option<bool>,
    /// Whether to send a padding comment behind `hello`.
    #[serde(default, deserialize_with = "query::switch")]
    #[param(value_type = Option<query::Switch>)]
    pad: bool,
    /// Name of an SDK: it understands error statuses, which a browser's EventSource does not.
    client: Option<String>,
    /// Read by the gate before anything else.
    #[serde(rename = "token")]
    _token: Option<String>,
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// The query of `POST /api/events`: credentials, which the gate has read before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostQuery {
    #[serde(rename = "token")]
    _token: Option<String>,
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// One event of a stream (WHATWG HTML, section 9.2). Stands for the frames in the description of the API.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(super) struct StreamEvent {
    /// On streams of messages `hello`, `gap`, `presence`, `ping`, `bye`, the name that the publisher gave, or `message`.
    event: String,
    /// A JSON text.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// Where to go on behind this event, where it has such a place or an earlier one had.
    #[schema(nullable = false)]
    id: Option<String>,
    /// How long to wait before coming back, in milliseconds.
    #[schema(nullable = false)]
    retry: Option<u32>,
}

/// `GET /api/events`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "streams",
    operation_id = "openStream",
    summary = "Open a stream of events (SSE)",
    description = "For `EventSource` and everyone who reads Server-Sent Events. While the server is full or about to stop, a native EventSource gets 200 with a `bye`; others get 503.",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The last id that the client has seen; wins over `lastEventId`."),
    ),
    responses(
        (status = 200, description = "A stream that goes on until either side closes it: `hello`, then messages, `gap`, `presence`, `ping` and `bye`.", body = StreamEvent, content_type = "text/event-stream"),
        (status = 422),
    ),
    security((), ("bearer" = []), ("token" = []), ("ticket" = [])),
)]
pub async fn get(
    request: HttpRequest,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
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
    open(&request, &shard, &gate, &caller, wanted).await
}

/// `POST /api/events`, for lists that are too long for a URL.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/events",
    tag = "streams",
    operation_id = "openStreamByBody",
    summary = "Open a stream of events (SSE) with a long list of channels",
    description = "As the `GET`, with its words in the body.",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "The last id that the client has seen; wins over `lastEventId`."),
    ),
    request_body = StreamRequest,
    responses(
        (status = 200, description = "A stream that goes on until either side closes it: `hello`, then messages, `gap`, `presence`, `ping` and `bye`.", body = StreamEvent, content_type = "text/event-stream"),
        (status = 422),
    ),
    security((), ("bearer" = []), ("token" = []), ("ticket" = [])),
)]
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let PostQuery { .. } = query::parse(&request)?;
    let wanted = body::read_object(&request, payload, STREAM_BODY_BYTES_MAX).await?;
    open(&request, &shard, &gate, &caller, wanted).await
}

/// A thousand names of 128 bytes fit.
const STREAM_BODY_BYTES_MAX: usize = 10 * BODY_BYTES_MAX;

async fn open(
    request: &HttpRequest,
    shard: &LocalShard,
    gate: &Gate,
    principal: &Principal,
    mut wanted: StreamRequest,
) -> Result<HttpResponse, ApiError> {
    // The header is what the browser itself has seen last, so it wins over the page's own URL.
    if let Some(id) = last_event_id(request.headers()) {
        wanted.last_event_id = Some(id);
    }
    let is_native = is_native_event_source(request.headers(), wanted.client.as_deref());
    let order = StreamOrder::parse(Transport::Sse, wanted, principal)?;
    let peer = peer::of(request);
    match streams::open(shard, principal, &peer, order).await {
        Ok(opening) if gate.objection(principal, peer.address.ip).is_none() => {
            Ok(sse::respond(request, shard, opening))
        }
        Ok(opening) => {
            streams::give_up(shard, opening);
            Err(ApiError::InvalidToken(None))
        }
        Err(refusal) => match passing_reason(&refusal) {
            Some(reason) if is_native => Err(ApiError::ComeBackLater(reason)),
            Some(_) | None => Err(refusal.into()),
        },
    }
}

/// Whether a request for a stream comes from a browser's own EventSource.
#[must_use]
pub fn asks_natively(request: &HttpRequest) -> bool {
    let named = request.query_string().split('&').any(|pair| pair.starts_with("client="));
    request.path() == PATH && !named && is_native_event_source(request.headers(), None)
}

/// Whether a refusal passes by itself, and what `bye` calls it.
pub(super) fn passing_reason(refusal: &Refusal) -> Option<DisconnectReason> {
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
