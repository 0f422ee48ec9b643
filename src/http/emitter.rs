//! `POST /api/socketio/emitter`: back ends that publish by `@socket.io/redis-emitter`, without a Redis.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::PUBLISH_BODY_BYTES_MAX;
use santral_schema::publish::Emitted;
use utoipa::IntoParams;

use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::emitter::{self, redis};
use crate::service::operator::Operator;

/// No page of another origin sends these without having asked first.
const MEDIA_TYPES: &[&str] = &["application/octet-stream", "application/msgpack", "application/json"];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EmitterQuery {
    /// The channel of Redis that the emitter names, like `socket.io#/#`.
    channel: String,
}

/// `POST /api/socketio/emitter`.
///
/// # Errors
/// [`ApiError`]; then nothing was done, save after `storage_failed`, when nobody knows.
#[utoipa::path(
    post,
    path = "/api/socketio/emitter",
    tag = "publish",
    operation_id = "emit",
    summary = "Take what a Socket.IO emitter would publish to Redis",
    description = "For back ends that use `@socket.io/redis-emitter`: give it an object whose `publish(channel, payload)` sends both here. Events are published; to move or disconnect sockets takes the role `admin`.",
    params(EmitterQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The payload, as the emitter made it."),
    responses((status = 200, description = "Done.", body = Emitted)),
    security((), ("bearer" = [])),
)]
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    operator: web::Data<Operator>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let EmitterQuery { channel } = query::parse(&request)?;
    let payload = body::read_bytes(&request, payload, MEDIA_TYPES, PUBLISH_BODY_BYTES_MAX).await?;
    let order = redis::read(&channel, &payload)?;
    Ok(HttpResponse::Ok().json(emitter::carry_out(&shard, &operator, &caller, order).await?))
}
