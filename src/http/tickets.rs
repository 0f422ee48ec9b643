//! `POST /api/tickets`: a way into a stream for clients that cannot send headers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::accounts::TicketRequest;

use super::auth::secret;
use super::body;
use super::problem::ApiError;
use crate::auth::Principal;
use crate::service::accounts::Accounts;

/// `POST /api/tickets`.
///
/// # Errors
/// [`ApiError`].
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    let TicketRequest { channels } = body::read_optional_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(secret(StatusCode::OK, &accounts.issue_ticket(&principal, channels.as_deref())?))
}
