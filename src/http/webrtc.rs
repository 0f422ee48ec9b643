//! `/api/webrtc/…`: signals, ICE servers, and reports on calls, for participants of video rooms.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::{CALL_REPORT_BYTES_MAX, SIGNAL_REQUEST_BYTES_MAX};
use santral_schema::call_quality::{ScoreAnswer, StatsReport};
use santral_schema::grammar;
use santral_schema::ice::IceServers;
use santral_schema::signal::{SignalAnswer, SignalRequest};
use utoipa::IntoParams;

use super::access::guest;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::Refusal;
use crate::service::video::VideoRooms;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IceQuery {
    /// The room; the token says it as well.
    #[param(value_type = Option<grammar::RoomId>)]
    room_id: Option<String>,
}

/// `POST /api/webrtc/signal`.
///
/// # Errors
/// [`ApiError`]; then no signal was passed on.
#[utoipa::path(
    post,
    path = "/api/webrtc/signal",
    tag = "video",
    operation_id = "sendSignals",
    summary = "Send signals to other participants",
    description = "One signal, or up to 64 in `signals`. The server says who sends. With `seq`, a repeated signal is passed on once, and one that overtook others waits for them.",
    request_body = SignalRequest,
    responses(
        (status = 202, description = "What became of each.", body = SignalAnswer),
        (status = 404),
        (status = 409),
        (status = 410),
        (status = 422),
    ),
    security(("participant" = [])),
)]
pub async fn signal(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let read = body::read_json_text(&request, payload, SIGNAL_REQUEST_BYTES_MAX).await;
    let text = read.map_err(|error| match error {
        ApiError::BodyTooLarge(_) => Refusal::SignalTooLarge("the request has more than 262144 bytes").into(),
        error => error,
    })?;
    let wanted: SignalRequest = text.parse_object()?;
    Ok(HttpResponse::Accepted().json(video.signal(&guest(&request, &caller), wanted).await?))
}

/// `GET /api/webrtc/ice-servers`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/webrtc/ice-servers",
    tag = "video",
    operation_id = "readIceServers",
    summary = "Get STUN and TURN servers",
    description = "For a participant. The join answer has them too, and fresh ones come as `webrtc.ice-servers` before they end.",
    params(IceQuery),
    responses(
        (status = 200, description = "The servers.", body = IceServers),
        (status = 409),
        (status = 410),
    ),
    security(("participant" = [])),
)]
pub async fn ice_servers(
    request: HttpRequest,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    let IceQuery { room_id } = query::parse(&request)?;
    let servers = video.ice_servers(&guest(&request, &caller), room_id.as_deref()).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(servers))
}

/// `POST /api/webrtc/stats`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/webrtc/stats",
    tag = "video",
    operation_id = "reportCall",
    summary = "Report how a call goes",
    description = "Every ten seconds or so. Also a sign of life: whoever has reported once and then is silent for a minute counts as away.",
    request_body = StatsReport,
    responses(
        (status = 200, description = "How it goes.", body = ScoreAnswer),
        (status = 409),
        (status = 410),
    ),
    security(("participant" = [])),
)]
pub async fn stats(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let report: StatsReport = body::read_object(&request, payload, CALL_REPORT_BYTES_MAX).await?;
    Ok(HttpResponse::Ok().json(video.report(&guest(&request, &caller), report).await?))
}
