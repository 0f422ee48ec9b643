//! `/api/settings…`: what holds, changes while the server runs, and their history.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;

use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::settings::Settings;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HistoryQuery {
    key: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/settings`.
///
/// # Errors
/// [`ApiError`].
pub async fn list(request: HttpRequest, settings: web::Data<Settings>) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(settings.list()))
}

/// `GET /api/settings/{key}`.
///
/// # Errors
/// [`ApiError`].
pub async fn get(
    request: HttpRequest,
    key: web::Path<String>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(settings.get(&key)?))
}

/// `POST /api/settings`: in force when the answer comes.
///
/// # Errors
/// [`ApiError`]; the old value holds.
pub async fn set(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    let change = body::read_json_text(&request, payload, BODY_BYTES_MAX).await?.parse_object()?;
    Ok(HttpResponse::Ok().json(settings.into_inner().set(&caller, change).await?))
}

/// `DELETE /api/settings/{key}`: back to what holds without a change.
///
/// # Errors
/// [`ApiError`]; the old value holds.
pub async fn remove(
    request: HttpRequest,
    key: web::Path<String>,
    caller: web::ReqData<Principal>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(settings.into_inner().remove(&caller, key.into_inner()).await?))
}

/// `GET /api/settings/history`.
///
/// # Errors
/// [`ApiError`].
pub async fn history(request: HttpRequest, settings: web::Data<Settings>) -> Result<HttpResponse, ApiError> {
    let query: HistoryQuery = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(settings.history(query.key, query.cursor, query.limit).await?))
}
