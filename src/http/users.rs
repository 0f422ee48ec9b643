//! `/api/users…`: accounts as the operator manages them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::access::Role;
use santral_schema::accounts::{AccountChange, NewAccount};

use super::client::caller;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::accounts::Accounts;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/users`.
///
/// # Errors
/// [`ApiError`].
pub async fn list(request: HttpRequest, accounts: web::Data<Accounts>) -> Result<HttpResponse, ApiError> {
    let ListQuery { cursor, limit } = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(accounts.list_users(cursor, limit).await?))
}

/// `POST /api/users`.
///
/// # Errors
/// [`ApiError`].
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let NewAccount { name, password, role } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let role = role.unwrap_or(Role::User);
    let account = accounts.add_user(&principal, &name, password, role, &caller(&request)).await?;
    Ok(HttpResponse::Created().json(account))
}

/// `PATCH /api/users/{id}`.
///
/// # Errors
/// [`ApiError`].
pub async fn change(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let change: AccountChange = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(HttpResponse::Ok().json(accounts.change_user(&principal, &id, change, &caller(&request)).await?))
}
