//! `/auth/…`: signing in and staying so, and `POST /api/setup`. Nothing here sets a cookie.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::accounts::{Credentials, LogoutRequest, PasswordChange, RefreshRequest, SetupRequest};

use super::body;
use super::client::caller;
use super::problem::ApiError;
use crate::auth::Principal;
use crate::service::accounts::Accounts;

/// `POST /auth/register`.
///
/// # Errors
/// [`ApiError`].
pub async fn register(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let Credentials { name, password } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let signed_in = accounts.register(&name, password, &caller(&request)).await?;
    Ok(secret(StatusCode::CREATED, &signed_in))
}

/// `POST /auth/login`.
///
/// # Errors
/// [`ApiError`].
pub async fn login(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let Credentials { name, password } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(secret(StatusCode::OK, &accounts.login(&name, password, &caller(&request)).await?))
}

/// `POST /auth/refresh`.
///
/// # Errors
/// [`ApiError`].
pub async fn refresh(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let RefreshRequest { refresh_token } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(secret(StatusCode::OK, &accounts.refresh(&refresh_token, &caller(&request)).await?))
}

/// `POST /auth/logout`, with a refresh token in the body or the bearer token alone.
///
/// # Errors
/// [`ApiError`].
pub async fn logout(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let LogoutRequest { refresh_token } = body::read_optional_object(&request, payload, BODY_BYTES_MAX).await?;
    accounts.logout(&principal, refresh_token.as_deref(), &caller(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /auth/me`.
///
/// # Errors
/// [`ApiError`].
pub async fn me(principal: web::ReqData<Principal>, accounts: web::Data<Accounts>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(accounts.me(&principal).await?))
}

/// `POST /auth/password`.
///
/// # Errors
/// [`ApiError`].
pub async fn password(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let PasswordChange { current, new } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let signed_in = accounts.change_password(&principal, current, new, &caller(&request)).await?;
    Ok(secret(StatusCode::OK, &signed_in))
}

/// `POST /api/setup`: the first admin.
///
/// # Errors
/// [`ApiError`].
pub async fn set_up(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let SetupRequest { token, name, password } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let signed_in = accounts.set_up(&token, &name, password, &caller(&request)).await?;
    Ok(secret(StatusCode::CREATED, &signed_in))
}

/// An answer that no cache may keep (RFC 6749, section 5.1).
pub(super) fn secret(status: StatusCode, answer: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(answer)
}
