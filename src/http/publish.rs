//! `POST /api/publish`: envelopes, one or many.

use actix_web::{HttpRequest, HttpResponse, web};

use santral_core::entry::Sender;
use santral_core::grants::Grants;
use santral_core::limits::{BATCH_ITEMS_MAX, PUBLISH_BODY_BYTES_MAX};
use santral_schema::publish::PublishItem;
use serde_json::value::RawValue;

use super::body::{self, BodyText};
use super::edge::rate_limit;
use super::problem::ApiError;
use super::query;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::publish::{self, Message};

/// Takes no parameter: a typo must not become a message to somebody else.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishQuery {}

/// `POST /api/publish`.
///
/// # Errors
/// [`ApiError`]; then nothing was published, save after `storage_failed`, when nobody knows.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let PublishQuery {} = query::parse(&request)?;
    let body = body::read_json_text(&request, payload, PUBLISH_BODY_BYTES_MAX).await?;
    let (items, is_batch) = parse_items(&body)?;
    let hub = shard.hub();
    let bytes_max = hub.options.message_bytes_max;
    let messages = items.into_iter().map(|item| Message::parse(item, bytes_max)).collect::<Result<_, _>>()?;
    let key = idempotency_key(&request)?;
    let principal = Principal::anonymous(Grants::all());
    rate_limit::settle(&request, &principal)?;
    let mut receipts = publish::publish(&shard, &principal, &Sender::default(), messages, key).await?;
    let answer = if is_batch { HttpResponse::Ok().json(receipts) } else { HttpResponse::Ok().json(receipts.pop()) };
    Ok(answer)
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
    ApiError::InvalidJson(error.to_string())
}
