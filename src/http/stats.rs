//! `GET /api/stats`, `GET /api/stats/stream` and `GET /metrics`: how the server does.

use std::convert::Infallible;
use std::rc::Rc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use actix_web_lab::sse::{Data, Event, Sse};
use futures_util::stream;
use santral_schema::stats::Stats;
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Gate;
use super::events::StreamEvent;
use super::problem::ApiError;
use super::query;
use super::viewer::Viewer;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::stats;
use crate::telemetry::metrics::Metrics;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatsQuery {
    /// Whether the samples of the last minutes come along.
    #[serde(default, deserialize_with = "query::optional_switch")]
    #[param(value_type = Option<query::Switch>)]
    samples: Option<bool>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Whether the samples of the last minutes come first.
    #[serde(default, deserialize_with = "query::switch")]
    #[param(value_type = Option<query::Switch>)]
    ring: bool,
}

/// `GET /api/stats`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/stats",
    tag = "stats",
    operation_id = "readStats",
    summary = "Read how the server does",
    description = "Totals, rates, delays, and one sample for each second of the last minutes.",
    params(StatsQuery),
    responses(
        (status = 200, description = "The stats.", body = Stats),
    ),
)]
pub async fn get(request: HttpRequest, shard: web::Data<LocalShard>) -> Result<HttpResponse, ApiError> {
    let query: StatsQuery = query::parse(&request)?;
    let stats = stats::latest(shard.hub(), query.samples.unwrap_or(true)).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(stats))
}

/// `GET /api/stats/stream`: `event: stats` once a second until the server begins to stop,
/// or a `bye` when the caller may no longer follow.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/stats/stream",
    tag = "stats",
    operation_id = "followStats",
    summary = "Follow how the server does (SSE)",
    description = "The event `stats` once a second, until the server stops.",
    params(StreamQuery),
    responses(
        (status = 200, description = "A stream that goes on until either side closes it.", body = StreamEvent, content_type = "text/event-stream"),
    ),
)]
pub async fn follow(
    request: HttpRequest,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    caller: web::ReqData<Principal>,
) -> Result<impl Responder, ApiError> {
    let query: StreamQuery = query::parse(&request)?;
    let follower = stats::follow(shard.hub(), query.ring)?;
    let viewer = Rc::new(Viewer::of(&request, caller.into_inner(), gate));
    let events = stream::unfold((follower, false), move |(mut follower, is_over)| {
        let viewer = Rc::clone(&viewer);
        async move {
            let event = if is_over { None } else { follower.next().await }?;
            let farewell = viewer.farewell();
            let is_over = farewell.is_some();
            let data = farewell.unwrap_or_else(|| Data::new(&*event.json).event(event.name));
            Some((Ok::<_, Infallible>(Event::Data(data)), (follower, is_over)))
        }
    });
    Ok(Sse::from_stream(events).customize().insert_header(("X-Accel-Buffering", "no")))
}

/// `GET /metrics`: OpenMetrics, or the older text format for whoever accepts only that.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "stats",
    operation_id = "readMetrics",
    summary = "Read the metrics for Prometheus",
    description = "OpenMetrics, or the older text format for whoever accepts only that. Whoever asks on this machine itself needs no token.",
    responses(
        (status = 200, description = "The metrics.", content(
            (String = "application/openmetrics-text"),
            (String = "text/plain"),
        )),
    ),
    security((), ("bearer" = [])),
)]
pub async fn metrics(request: HttpRequest, shard: web::Data<LocalShard>) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let metrics = &shard.hub().metrics;
    let (content_type, text) = match wants_prometheus(&request) {
        true => (Metrics::PROMETHEUS, metrics.prometheus()),
        false => (Metrics::OPEN_METRICS, metrics.open_metrics()),
    };
    Ok(HttpResponse::Ok().content_type(content_type).insert_header((header::CACHE_CONTROL, "no-store")).body(text))
}

/// Whether `Accept` names plain text but not OpenMetrics (RFC 9110, section 12.5.1).
fn wants_prometheus(request: &HttpRequest) -> bool {
    let accept = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    let types: Vec<_> = accept
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let names = |wanted: &str| types.iter().any(|name| name == wanted);
    (names("text/plain") || names("text/*")) && !names("application/openmetrics-text")
}
