//! `/api/video/rooms/{id}/…`: who comes in, who goes, and who is steered.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::ROOM_BODY_BYTES_MAX;
use santral_schema::grammar;
use santral_schema::participants::{
    HostTransfer, JoinAnswer, JoinRequest, JoinStatus, LeaveRequest, LobbyDecided, LobbyDecision, Participant,
    ParticipantChange,
};
use utoipa::IntoParams;

use super::access::guest;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::video::VideoRooms;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KickQuery {
    /// Whether for good; else for ten minutes.
    #[serde(default, deserialize_with = "query::switch")]
    #[param(value_type = Option<query::Switch>)]
    ban: bool,
}

/// `POST /api/video/rooms/{id}/join`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/video/rooms/{id}/join",
    tag = "video",
    operation_id = "joinVideoRoom",
    summary = "Join a video room, or take one's seat again",
    description = "Events come on the stream of `session`, which has to be open. The newcomer offers to everybody in `participants`. With `resume`, the same seat under a fresh token.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    request_body = JoinRequest,
    responses(
        (status = 200, description = "In the room.", body = JoinAnswer),
        (status = 202, description = "In the lobby.", body = JoinAnswer),
        (status = 404),
        (status = 409),
        (status = 410),
        (status = 425),
    ),
    security((), ("bearer" = [])),
)]
pub async fn join(
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let wanted: JoinRequest = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    let answer = video.join(&guest(&request, &caller), &room, wanted).await?;
    let mut response = match answer.status {
        JoinStatus::Joined => HttpResponse::Ok(),
        JoinStatus::Lobby => HttpResponse::Accepted(),
    };
    Ok(response.json(answer))
}

/// `POST /api/video/rooms/{id}/leave`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/video/rooms/{id}/leave",
    tag = "video",
    operation_id = "leaveVideoRoom",
    summary = "Leave a video room",
    description = "The participant token stands in the header or in the body; `navigator.sendBeacon` sends the body as plain text. Whoever is gone already is told the same.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    request_body(content(
        (LeaveRequest = "application/json"),
        (LeaveRequest = "text/plain"),
    )),
    responses((status = 204, description = "Gone."), (status = 401), (status = 404), (status = 409), (status = 410)),
    security((), ("participant" = [])),
)]
pub async fn leave(
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let wanted: LeaveRequest = body::read_beacon(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    video.leave(&guest(&request, &caller), &room, wanted).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `PATCH /api/video/rooms/{id}/participants/{participant}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    patch,
    path = "/api/video/rooms/{id}/participants/{participant}",
    tag = "video",
    operation_id = "changeParticipant",
    summary = "Change a participant",
    description = "Name, metadata, media and hand are a participant's own; role, permissions and mute are for the host and moderators.",
    params(
        ("id" = grammar::RoomId, Path, description = "The id of the room."),
        ("participant" = String, Path, description = "The id of the participant."),
    ),
    request_body = ParticipantChange,
    responses(
        (status = 200, description = "The participant as it is now.", body = Participant),
        (status = 404),
        (status = 409),
        (status = 410),
    ),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn change(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let change: ParticipantChange = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    let (room, person) = path.into_inner();
    Ok(HttpResponse::Ok().json(video.change_person(&guest(&request, &caller), &room, &person, change).await?))
}

/// `DELETE /api/video/rooms/{id}/participants/{participant}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    delete,
    path = "/api/video/rooms/{id}/participants/{participant}",
    tag = "video",
    operation_id = "removeParticipant",
    summary = "Send a participant away",
    description = "For the host and moderators. Whoever was sent away may come back after ten minutes, whoever was banned may not.",
    params(
        ("id" = grammar::RoomId, Path, description = "The id of the room."),
        ("participant" = String, Path, description = "The id of the participant."),
        KickQuery,
    ),
    responses((status = 204, description = "Gone."), (status = 404), (status = 409), (status = 410)),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn remove(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    let KickQuery { ban } = query::parse(&request)?;
    let (room, person) = path.into_inner();
    video.kick(&guest(&request, &caller), &room, &person, ban).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/video/rooms/{id}/lobby`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/video/rooms/{id}/lobby",
    tag = "video",
    operation_id = "decideLobby",
    summary = "Let those in who wait, or turn them away",
    description = "For the host and moderators. `\"*\"` names all who wait.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    request_body = LobbyDecision,
    responses(
        (status = 200, description = "What became of them.", body = LobbyDecided),
        (status = 404),
        (status = 409),
        (status = 410),
    ),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn lobby(
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let decision: LobbyDecision = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    Ok(HttpResponse::Ok().json(video.decide(&guest(&request, &caller), &room, decision).await?))
}

/// `POST /api/video/rooms/{id}/host`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/video/rooms/{id}/host",
    tag = "video",
    operation_id = "transferHost",
    summary = "Make another participant the host",
    description = "For the host.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    request_body = HostTransfer,
    responses((status = 204, description = "Done."), (status = 404), (status = 409), (status = 410)),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn host(
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let wanted: HostTransfer = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    video.transfer_host(&guest(&request, &caller), &room, wanted).await?;
    Ok(HttpResponse::NoContent().finish())
}
