//! `/api/keys…`: API keys of servers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::accounts::{ApiKeyList, CreatedApiKey, NewApiKey};

use super::auth::secret;
use super::client::caller;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::accounts::Accounts;

/// `GET /api/keys`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/keys",
    tag = "accounts",
    operation_id = "listKeys",
    summary = "List the API keys",
    description = "Without their secrets, which nobody can read any more.",
    responses(
        (status = 200, description = "All keys that were not taken back, the oldest first.", body = ApiKeyList),
    ),
)]
pub async fn list(request: HttpRequest, accounts: web::Data<Accounts>) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(accounts.list_api_keys().await?))
}

/// `POST /api/keys`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/keys",
    tag = "accounts",
    operation_id = "createKey",
    summary = "Make an API key",
    description = "The answer shows it, this once.",
    request_body = NewApiKey,
    responses(
        (status = 201, description = "The key.", body = CreatedApiKey),
        (status = 409),
    ),
)]
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let asked: NewApiKey = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let created = accounts.create_api_key(&principal, asked, &caller(&request)).await?;
    Ok(secret(StatusCode::CREATED, &created))
}

/// `DELETE /api/keys/{id}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    delete,
    path = "/api/keys/{id}",
    tag = "accounts",
    operation_id = "revokeKey",
    summary = "Take an API key back",
    description = "Its streams end.",
    params(("id" = String, Path, description = "The id of the key.")),
    responses(
        (status = 204, description = "It is good no more."),
        (status = 404),
    ),
)]
pub async fn revoke(
    request: HttpRequest,
    id: web::Path<String>,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    accounts.revoke_api_key(&principal, &id, &caller(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}
