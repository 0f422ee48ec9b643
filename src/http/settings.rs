//! `/api/settings…`: what holds, changes while the server runs, and their history.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::settings::{SettingChange, SettingHistory, SettingItem, SettingList};
use utoipa::IntoParams;

use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::settings::Settings;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Only those of this setting.
    key: Option<String>,
    /// That of the page before.
    #[param(pattern = r"^[0-9]+$")]
    cursor: Option<String>,
    /// Most changes to return, 1 to 1,000; 100 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
}

/// `GET /api/settings`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/settings",
    tag = "settings",
    operation_id = "listSettings",
    summary = "List all settings",
    description = "What holds, where it came from, and what else could be; also the bounds that no setting changes.",
    responses(
        (status = 200, description = "The settings.", body = SettingList),
    ),
)]
pub async fn list(request: HttpRequest, settings: web::Data<Settings>) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(settings.list()))
}

/// `GET /api/settings/{key}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/settings/{key}",
    tag = "settings",
    operation_id = "readSetting",
    summary = "Read one setting",
    description = "As the list shows it.",
    params(("key" = String, Path, description = "The name of the setting.")),
    responses(
        (status = 200, description = "The setting.", body = SettingItem),
        (status = 404),
    ),
)]
pub async fn get(
    request: HttpRequest,
    key: web::Path<String>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(settings.get(&key)?))
}

/// `POST /api/settings`: in force when the answer comes.
///
/// # Errors
/// [`ApiError`]; the old value holds.
#[utoipa::path(
    post,
    path = "/api/settings",
    tag = "settings",
    operation_id = "changeSetting",
    summary = "Change a setting",
    description = "It is in force when the answer comes, and after a restart.",
    request_body = SettingChange,
    responses(
        (status = 200, description = "The setting as it is now.", body = SettingItem),
        (status = 404),
        (status = 409),
        (status = 422),
    ),
)]
pub async fn set(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Principal>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let change: SettingChange = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(HttpResponse::Ok().json(settings.into_inner().set(&caller, change).await?))
}

/// `DELETE /api/settings/{key}`: back to what holds without a change.
///
/// # Errors
/// [`ApiError`]; the old value holds.
#[utoipa::path(
    delete,
    path = "/api/settings/{key}",
    tag = "settings",
    operation_id = "resetSetting",
    summary = "Take the change of a setting back",
    description = "What flag, environment, file or default say holds again.",
    params(("key" = String, Path, description = "The name of the setting.")),
    responses(
        (status = 200, description = "The setting as it is now.", body = SettingItem),
        (status = 404),
        (status = 409),
        (status = 422),
    ),
)]
pub async fn remove(
    request: HttpRequest,
    key: web::Path<String>,
    caller: web::ReqData<Principal>,
    settings: web::Data<Settings>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(settings.into_inner().remove(&caller, key.into_inner()).await?))
}

/// `GET /api/settings/history`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/settings/history",
    tag = "settings",
    operation_id = "listSettingChanges",
    summary = "Read who changed which setting, newest first",
    description = "Pass `cursor` on for the next page; it is absent on the last.",
    params(HistoryQuery),
    responses(
        (status = 200, description = "A page of changes.", body = SettingHistory),
        (status = 404),
    ),
)]
pub async fn history(request: HttpRequest, settings: web::Data<Settings>) -> Result<HttpResponse, ApiError> {
    let query: HistoryQuery = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(settings.history(query.key, query.cursor, query.limit).await?))
}
