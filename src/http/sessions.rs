//! `POST /api/sessions/{session}/commands`: the uplink of SSE clients.

use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::limits::PUBLISH_BODY_BYTES_MAX;
use santral_core::names::SessionToken;
use santral_schema::channels::{History, Presence};
use santral_schema::grammar;
use santral_schema::participants::JoinAnswer;
use santral_schema::publish::Receipt;
use santral_schema::sessions::{Authorized, Command, LeftVideoRoom, Pong, Subscriptions};
use santral_schema::signal::SignalAnswer;
use utoipa::ToSchema;

use super::access::Gate;
use super::edge::client_address;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::commands::{self, Uses};
use crate::service::video::{Guest, VideoRooms};

/// What a command gave. Stands for the answer in the description of the API.
#[derive(ToSchema)]
#[schema(as = CommandAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its shape is of interest")]
enum CommandAnswerShape {
    /// Of `subscribe` and `unsubscribe`.
    Subscriptions(Subscriptions),
    /// Of `publish`.
    Published(Receipt),
    /// Of `history`.
    History(History),
    /// Of `presence`.
    Presence(Presence),
    /// Of `ping`.
    Pong(Pong),
    /// Of `auth`.
    Authorized(Authorized),
    /// Of `video` with `join`.
    JoinedVideoRoom(Box<JoinAnswer>),
    /// Of `video` with `leave`.
    LeftVideoRoom(LeftVideoRoom),
    /// Of `signal`.
    Signalled(SignalAnswer),
}

/// Carries out one command of a session.
///
/// # Errors
/// [`ApiError`]; 404 when there is no such session.
#[utoipa::path(
    post,
    path = "/api/sessions/{session}/commands",
    tag = "streams",
    operation_id = "runCommand",
    summary = "Carry out a command of a session",
    description = "The uplink beside a stream: subscribe, unsubscribe, publish, history, presence, ping, auth, video, signal.",
    params(("session" = grammar::SessionToken, Path, description = "The token that `hello` gave, or that the client chose.")),
    request_body = Command,
    responses(
        (status = 200, description = "Done; the answer depends on the command.", body = CommandAnswerShape),
        (status = 404),
        (status = 422),
    ),
    security((), ("bearer" = [])),
)]
pub async fn command(
    request: HttpRequest,
    session: web::Path<String>,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    caller: web::ReqData<Principal>,
    video: web::Data<VideoRooms>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let token = SessionToken::parse(&session).map_err(Refusal::Session)?;
    let command = body::read_json_text(&request, payload, PUBLISH_BODY_BYTES_MAX).await?.parse_object()?;
    let identify = |token: &str| gate.identify_token(token, Hub::wall_clock());
    let guest = Guest { principal: &caller, address: client_address::of(&request), token: None };
    let uses = Uses { local: &shard, video: &video };
    let answer = commands::run(uses, &guest, identify, token, command).await?;
    Ok(HttpResponse::Ok().json(answer))
}
