//! `/api/video/rooms…`: rooms, found, made, changed and closed.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::ROOM_BODY_BYTES_MAX;
use santral_schema::grammar;
use santral_schema::invitations::{CreatedInvitation, InvitationRequest};
use santral_schema::video::{CreatedRoom, NewRoom, Room, RoomChange, RoomDetail, RoomList, RoomStatus};
use utoipa::IntoParams;

use super::access::guest;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::video::{RoomQuery, VideoRooms};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `waiting`, `active`, `closed`; repeat it, or part them with commas. The first two if not given.
    #[serde(default)]
    status: Vec<String>,
    /// What stands in name or id, in whatever case.
    q: Option<String>,
    /// That of the page before.
    cursor: Option<String>,
    /// Most rooms to return, 1 to 200; 50 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
}

/// `GET /api/video/rooms`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/video/rooms",
    tag = "video",
    operation_id = "listVideoRooms",
    summary = "List video rooms, the newest first",
    description = "Rooms that are public, that one has made or is in; the operator sees all. Pass `cursor` on for the next page; it is absent on the last.",
    params(ListQuery),
    responses((status = 200, description = "A page of rooms.", body = RoomList)),
    security((), ("bearer" = [])),
)]
pub async fn list(
    request: HttpRequest,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    let ListQuery { status, q, cursor, limit } = query::parse(&request)?;
    let statuses = query::split_lists(status).iter().map(|word| status_of(word)).collect::<Result<_, _>>()?;
    let wanted = RoomQuery { statuses, text: q, limit, cursor };
    Ok(HttpResponse::Ok().json(video.list(&guest(&request, &caller), wanted).await?))
}

/// `POST /api/video/rooms`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/video/rooms",
    tag = "video",
    operation_id = "createVideoRoom",
    summary = "Make a video room",
    description = "The same request again finds the room that it has made; then there is no `hostToken` any more.",
    request_body = NewRoom,
    responses(
        (status = 200, description = "The room that this request had made before.", body = CreatedRoom),
        (status = 201, description = "The room.", body = CreatedRoom),
        (status = 409),
        (status = 422),
    ),
)]
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let new: NewRoom = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    let made = video.create(&guest(&request, &caller), new).await?;
    let mut answer = if made.already { HttpResponse::Ok() } else { HttpResponse::Created() };
    let location = format!("/api/video/rooms/{}", made.answer.room.room_id);
    answer.insert_header((header::ETAG, made.version)).insert_header((header::LOCATION, location));
    Ok(answer.json(made.answer))
}

/// `GET /api/video/rooms/{id}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/video/rooms/{id}",
    tag = "video",
    operation_id = "readVideoRoom",
    summary = "Read a video room",
    description = "Who is in it stands there only for those who are, its owner and the operator. `ETag` names this state of its settings.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    responses((status = 200, description = "The room.", body = RoomDetail), (status = 404)),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn get(
    request: HttpRequest,
    room: web::Path<String>,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let seen = video.detail(&guest(&request, &caller), &room).await?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, seen.version)).json(seen.answer))
}

/// `PATCH /api/video/rooms/{id}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    patch,
    path = "/api/video/rooms/{id}",
    tag = "video",
    operation_id = "changeVideoRoom",
    summary = "Change what a video room is set to",
    description = "For its host, moderators and the operator. With `If-Match`, only if nobody has changed it since.",
    params(
        ("id" = grammar::RoomId, Path, description = "The id of the room."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the state that is to be changed."),
    ),
    request_body = RoomChange,
    responses(
        (status = 200, description = "The room as it is now.", body = Room),
        (status = 404),
        (status = 409),
        (status = 410),
        (status = 412),
        (status = 422),
    ),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn change(
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let change: RoomChange = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    let (room, version) = video.change(&guest(&request, &caller), &room, if_match(&request), change).await?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, version)).json(room))
}

/// `DELETE /api/video/rooms/{id}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    delete,
    path = "/api/video/rooms/{id}",
    tag = "video",
    operation_id = "closeVideoRoom",
    summary = "Close a video room",
    description = "For its host and the operator. Everybody in it hears `video.room.closed`; their tokens are good no more.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    responses((status = 204, description = "It is closed."), (status = 404)),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn close(
    request: HttpRequest,
    room: web::Path<String>,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    video.close(&guest(&request, &caller), &room).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/video/rooms/{id}/invitations`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/video/rooms/{id}/invitations",
    tag = "video",
    operation_id = "inviteToVideoRoom",
    summary = "Make an invitation to a video room",
    description = "For its host. Whoever joins with it needs no password and no right to rooms of that name.",
    params(("id" = grammar::RoomId, Path, description = "The id of the room.")),
    request_body = InvitationRequest,
    responses(
        (status = 201, description = "The invitation.", body = CreatedInvitation),
        (status = 404),
        (status = 409),
        (status = 410),
    ),
    security((), ("bearer" = []), ("participant" = [])),
)]
pub async fn invite(
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let wanted: InvitationRequest = body::read_object(&request, payload, ROOM_BODY_BYTES_MAX).await?;
    Ok(HttpResponse::Created().json(video.invite(&guest(&request, &caller), &room, wanted).await?))
}

/// `If-Match` of one entity tag (RFC 9110, section 13.1.1); `*` asks for nothing in particular.
fn if_match(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::IF_MATCH)?;
    Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).filter(|tag| tag != "*")
}

fn status_of(word: &str) -> Result<RoomStatus, ApiError> {
    match word {
        "waiting" => Ok(RoomStatus::Waiting),
        "active" => Ok(RoomStatus::Active),
        "closed" => Ok(RoomStatus::Closed),
        other => Err(ApiError::InvalidQuery(format!("{other:?} is no status: use waiting, active or closed"))),
    }
}
