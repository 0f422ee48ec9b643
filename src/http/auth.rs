//! `/auth/…`: signing in and staying so, and `POST /api/setup`. Nothing here sets a cookie.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::accounts::{
    Credentials, LogoutRequest, Me, PasswordChange, RefreshRequest, SetupRequest, SignedIn,
};

use super::client::caller;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::accounts::Accounts;

/// `POST /auth/register`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "accounts",
    operation_id = "register",
    summary = "Make an account for oneself",
    description = "Only where the setting `registration` is `open`. The account has the role user and is signed in.",
    request_body = Credentials,
    responses(
        (status = 201, description = "The account is there, and signed in.", body = SignedIn),
        (status = 401),
        (status = 409),
        (status = 500),
        (status = 503),
    ),
    security(()),
)]
pub async fn register(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let Credentials { name, password } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let signed_in = accounts.register(&name, password, &caller(&request)).await?;
    Ok(secret(StatusCode::CREATED, &signed_in))
}

/// `POST /auth/login`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "accounts",
    operation_id = "login",
    summary = "Sign in",
    description = "A wrong name and a wrong password are told in the same words and after the same time.",
    request_body = Credentials,
    responses(
        (status = 200, description = "Signed in.", body = SignedIn),
        (status = 401),
        (status = 500),
        (status = 503),
    ),
    security(()),
)]
pub async fn login(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let Credentials { name, password } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(secret(StatusCode::OK, &accounts.login(&name, password, &caller(&request)).await?))
}

/// `POST /auth/refresh`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "accounts",
    operation_id = "refresh",
    summary = "Get the next access token",
    description = "A refresh token is good once: the answer brings the next. If one comes again, the login ends.",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "The next tokens.", body = SignedIn),
        (status = 401),
        (status = 500),
        (status = 503),
    ),
    security(()),
)]
pub async fn refresh(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let RefreshRequest { refresh_token } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(secret(StatusCode::OK, &accounts.refresh(&refresh_token, &caller(&request)).await?))
}

/// `POST /auth/logout`, with a refresh token in the body or the bearer token alone.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "accounts",
    operation_id = "logout",
    summary = "Sign out",
    description = "Ends the login of the refresh token in the body, or without a body that of the bearer token. Its streams end.",
    request_body(content = Option<LogoutRequest>),
    responses(
        (status = 204, description = "The login has ended."),
    ),
    security((), ("bearer" = [])),
)]
pub async fn logout(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let LogoutRequest { refresh_token } = body::read_optional_object(&request, payload, BODY_BYTES_MAX).await?;
    accounts.logout(&principal, refresh_token.as_deref(), &caller(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /auth/me`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/auth/me",
    tag = "accounts",
    operation_id = "readMe",
    summary = "Read who one is",
    description = "Of an account, an API key or a token of the operator's issuer.",
    responses(
        (status = 200, description = "Who asks, and with what rights.", body = Me),
    ),
)]
pub async fn me(
    request: HttpRequest,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(accounts.me(&principal, &caller(&request)).await?))
}

/// `POST /auth/password`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/auth/password",
    tag = "accounts",
    operation_id = "changePassword",
    summary = "Change the own password",
    description = "All logins of the account end, and a new one begins.",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "Changed, and signed in anew.", body = SignedIn),
    ),
)]
pub async fn password(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let PasswordChange { current, new } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let signed_in = accounts.change_password(&principal, current, new, &caller(&request)).await?;
    Ok(secret(StatusCode::OK, &signed_in))
}

/// `POST /api/setup`: the first admin.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/setup",
    tag = "accounts",
    operation_id = "setUp",
    summary = "Make the first admin",
    description = "With the token of the link that the server printed at its start; it works once.",
    request_body = SetupRequest,
    responses(
        (status = 201, description = "The admin is there, and signed in.", body = SignedIn),
        (status = 401),
        (status = 409),
        (status = 500),
        (status = 503),
    ),
    security(()),
)]
pub async fn set_up(
    request: HttpRequest,
    payload: web::Payload,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let SetupRequest { token, name, password } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let signed_in = accounts.set_up(&token, &name, password, &caller(&request)).await?;
    Ok(secret(StatusCode::CREATED, &signed_in))
}

/// An answer that no cache may keep (RFC 6749, section 5.1).
pub(super) fn secret(status: StatusCode, answer: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(answer)
}
