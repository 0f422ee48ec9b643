//! `/api/users…`: accounts as the operator manages them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::access::Role;
use santral_schema::accounts::{Account, AccountChange, AccountList, NewAccount};
use utoipa::IntoParams;

use super::client::caller;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::accounts::Accounts;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// That of the page before.
    cursor: Option<String>,
    /// Most accounts to return, 1 to 1,000; 100 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
}

/// `GET /api/users`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/users",
    tag = "accounts",
    operation_id = "listUsers",
    summary = "List the accounts",
    description = "Pass `cursor` on for the next page; it is absent on the last.",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of accounts in the order of their names.", body = AccountList),
    ),
)]
pub async fn list(request: HttpRequest, accounts: web::Data<Accounts>) -> Result<HttpResponse, ApiError> {
    let ListQuery { cursor, limit } = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(accounts.list_users(cursor, limit).await?))
}

/// `POST /api/users`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/users",
    tag = "accounts",
    operation_id = "createUser",
    summary = "Make an account",
    description = "Of any role but anonymous.",
    request_body = NewAccount,
    responses(
        (status = 201, description = "The account.", body = Account),
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
    let NewAccount { name, password, role } = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    let role = role.unwrap_or(Role::User);
    let account = accounts.add_user(&principal, &name, password, role, &caller(&request)).await?;
    Ok(HttpResponse::Created().json(account))
}

/// `PATCH /api/users/{id}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    patch,
    path = "/api/users/{id}",
    tag = "accounts",
    operation_id = "changeUser",
    summary = "Change an account",
    description = "Another role or password, or whether it may sign in. All its logins and streams end.",
    params(("id" = String, Path, description = "The id of the account.")),
    request_body = AccountChange,
    responses(
        (status = 200, description = "The account as it is now.", body = Account),
        (status = 404),
        (status = 409),
    ),
)]
pub async fn change(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let change: AccountChange = body::read_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(HttpResponse::Ok().json(accounts.change_user(&principal, &id, change, &caller(&request)).await?))
}
