//! `/api/keys…`: API keys of servers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::accounts::NewApiKey;

use super::auth::secret;
use super::body;
use super::client::caller;
use super::problem::ApiError;
use crate::auth::Principal;
use crate::service::accounts::Accounts;

/// `GET /api/keys`.
///
/// # Errors
/// [`ApiError`].
pub async fn list(accounts: web::Data<Accounts>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(accounts.list_api_keys().await?))
}

/// `POST /api/keys`.
///
/// # Errors
/// [`ApiError`].
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let asked: NewApiKey = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let created = accounts.create_api_key(&principal, asked, &caller(&request)).await?;
    Ok(secret(StatusCode::CREATED, &created))
}

/// `DELETE /api/keys/{id}`.
///
/// # Errors
/// [`ApiError`].
pub async fn revoke(
    request: HttpRequest,
    id: web::Path<String>,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    accounts.revoke_api_key(&principal, &id, &caller(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}
