//! `POST /api/sessions/{session}/commands`: the uplink of SSE clients.

use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::grants::Grants;
use santral_core::limits::PUBLISH_BODY_BYTES_MAX;
use santral_core::names::SessionToken;

use super::body;
use super::edge::rate_limit;
use super::problem::ApiError;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::{Refusal, commands};

/// Carries out one command of a session.
///
/// # Errors
/// [`ApiError`]; 404 when there is no such session.
pub async fn command(
    request: HttpRequest,
    session: web::Path<String>,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let token = SessionToken::parse(&session).map_err(Refusal::Session)?;
    let command = body::read_json_text(&request, payload, PUBLISH_BODY_BYTES_MAX).await?.parse_object()?;
    let principal = Principal::anonymous(Grants::all());
    rate_limit::settle(&request, &principal)?;
    let answer = commands::run(&shard, &principal, token, command).await?;
    Ok(HttpResponse::Ok().json(answer))
}
