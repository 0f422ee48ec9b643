//! `POST /api/publish`: envelopes, one or many.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::limits::{ASK_TIMEOUT_MAX, BATCH_ITEMS_MAX, PUBLISH_BODY_BYTES_MAX};
use santral_schema::grammar;
use santral_schema::publish::{Answers, PublishItem, Receipt};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body::{self, BodyText};
use super::problem::ApiError;
use super::query;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::message::Message;
use crate::service::publish;
use crate::service::socketio;
use crate::transport::detach::hold_answer;

/// One message, or a batch of 1 to 1,000. Stands for the body in the description of the API.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its shape is of interest")]
enum PublishBody {
    /// One message.
    One(Box<PublishItem>),
    /// A batch.
    Batch(Vec<PublishItem>),
}

/// One receipt, or those of a batch. Stands for the answer in the description of the API.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its shape is of interest")]
enum PublishAnswer {
    /// Of one message.
    One(Receipt),
    /// Of a batch.
    Batch(Vec<Receipt>),
    /// Of one message with `ackTimeoutMs`.
    Asked(Answers),
}

/// `POST /api/publish`.
///
/// # Errors
/// [`ApiError`]; then nothing was published, save after `storage_failed`, when nobody knows.
#[utoipa::path(
    post,
    path = "/api/publish",
    tag = "publish",
    operation_id = "publish",
    summary = "Publish one message or a batch of them",
    description = "Those of a batch that are stored are stored together or not at all. The receipts come in the order of the messages.",
    params(
        ("Idempotency-Key" = Option<grammar::IdempotencyKey>, Header, description = "Makes the request safe to repeat, for 24 hours."),
    ),
    request_body(content = PublishBody, content_type = "application/json"),
    responses((status = 200, description = "Published.", body = PublishAnswer), (status = 422)),
    security((), ("bearer" = [])),
)]
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    // A typo must not become a message to somebody else.
    query::none(&request)?;
    let body = body::read_json_text(&request, payload, PUBLISH_BODY_BYTES_MAX).await?;
    let (items, is_batch) = parse_items(&body)?;
    let hub = shard.hub();
    let bytes_max = hub.config.load().message_bytes_max;
    let ack_timeout = items.iter().find_map(|item| item.ack_timeout_ms);
    if is_batch && ack_timeout.is_some() {
        return Err(Refusal::Field("`ackTimeoutMs` stands in no batch").into());
    }
    let messages: Vec<_> = items.into_iter().map(|item| Message::parse(item, bytes_max)).collect::<Result<_, _>>()?;
    let key = idempotency_key(&request)?;
    if let (Some(timeout), [message]) = (ack_timeout, &messages[..]) {
        return ask(&request, &shard, &caller, message, timeout, key).await;
    }
    let mut receipts = publish::publish(&shard, &caller, &caller.sender(), messages, key).await?;
    let answer = if is_batch { HttpResponse::Ok().json(receipts) } else { HttpResponse::Ok().json(receipts.pop()) };
    Ok(answer)
}

/// Asks clients instead of publishing.
///
/// # Errors
/// See [`socketio::ask`].
pub async fn ask(
    request: &HttpRequest,
    shard: &LocalShard,
    caller: &Principal,
    message: &Message,
    timeout_ms: u32,
    key: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    if key.is_some() {
        return Err(Refusal::IdempotencyKey("an idempotency key goes only with a message that is stored").into());
    }
    let timeout = Duration::from_millis(timeout_ms.into());
    // Longer ones are refused.
    hold_answer(request, timeout.min(ASK_TIMEOUT_MAX));
    Ok(HttpResponse::Ok().json(socketio::ask(shard, caller, message, timeout).await?))
}

/// The header `Idempotency-Key`, if there is one.
///
/// # Errors
/// [`Refusal::IdempotencyKey`] when it is not text.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<&str>, Refusal> {
    let Some(value) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    value
        .to_str()
        .map(Some)
        .map_err(|_| Refusal::IdempotencyKey("an idempotency key has visible ASCII characters only"))
}

/// One item or an array of them. The number of items is checked before they are parsed.
fn parse_items(body: &BodyText) -> Result<(Vec<PublishItem>, bool), ApiError> {
    if !body.as_str().trim_start().starts_with('[') {
        return Ok((vec![body.parse_object()?], false));
    }
    let items: Vec<&RawValue> = serde_json::from_str(body.as_str()).map_err(|error| invalid(&error))?;
    if items.is_empty() || items.len() > BATCH_ITEMS_MAX {
        return Err(Refusal::Batch(items.len()).into());
    }
    let items = items.into_iter().enumerate().map(|(index, item)| {
        body::parse_object(item.get()).map_err(|error| ApiError::InvalidJson(format!("item {index}: {error}")))
    });
    Ok((items.collect::<Result<_, _>>()?, true))
}

fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::InvalidJson(body::what_is_wrong(error))
}
