//! `POST /api/tickets`: a way into a stream for clients that cannot send headers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::limits::BODY_BYTES_MAX;
use santral_schema::accounts::{Ticket, TicketRequest};

use super::auth::secret;
use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::service::accounts::Accounts;

/// `POST /api/tickets`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/tickets",
    tag = "accounts",
    operation_id = "createTicket",
    summary = "Get a ticket for one stream",
    description = "For clients that cannot send headers: it stands in the URL of the stream, works once and for 30 seconds.",
    request_body(content = Option<TicketRequest>),
    responses(
        (status = 200, description = "The ticket.", body = Ticket),
    ),
)]
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    principal: web::ReqData<Principal>,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let TicketRequest { channels } = body::read_optional_object(&request, payload, BODY_BYTES_MAX).await?;
    Ok(secret(StatusCode::OK, &accounts.issue_ticket(&principal, channels.as_deref())?))
}
