//! `POST /api/broadcast`: the body is the message.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::value::RawValue;

use santral_core::limits::PUBLISH_BODY_BYTES_MAX;
use santral_schema::grammar;
use santral_schema::publish::{Except, PublishItem, Receipt};
use utoipa::IntoParams;

use super::problem::ApiError;
use super::publish::{ask, idempotency_key};
use super::{body, query};
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::message::{self, Message};
use crate::service::publish;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BroadcastQuery {
    /// Channels; repeat it, or part them with commas. Without any target, everyone is meant.
    #[serde(default)]
    channel: Vec<String>,
    /// The event name.
    #[param(value_type = Option<grammar::EventName>)]
    event: Option<String>,
    /// To every session of this user.
    #[param(value_type = Option<grammar::UserId>)]
    user: Option<String>,
    /// To the session of this connection only; such a message is never stored.
    #[param(value_type = Option<grammar::ConnectionId>)]
    connection: Option<String>,
    /// Connections that must not receive it, and channels whose followers must not; repeat it, or part
    /// them with commas.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    except: Vec<String>,
    /// The namespace of the channels.
    #[param(value_type = Option<grammar::Namespace>)]
    namespace: Option<String>,
    /// Whether the message may be dropped for whoever cannot take it now; it is not stored.
    #[serde(default, deserialize_with = "query::switch")]
    #[param(value_type = Option<query::Switch>)]
    volatile: bool,
    /// Asks the Socket.IO clients that it is for to acknowledge it, and waits so long for them, in
    /// milliseconds. Such a message is not stored.
    #[serde(default, deserialize_with = "query::optional_number")]
    #[param(minimum = 1, maximum = 60_000)]
    ack_timeout_ms: Option<u32>,
}

/// `POST /api/broadcast`.
///
/// # Errors
/// [`ApiError`]; then nothing was published, save after `storage_failed`, when nobody knows.
#[utoipa::path(
    post,
    path = "/api/broadcast",
    tag = "publish",
    operation_id = "broadcast",
    summary = "Publish a message: the body is the message",
    description = "Without a target it goes to everyone. The answer comes when the message is stored as safely as the receipt says.",
    params(
        BroadcastQuery,
        ("Idempotency-Key" = Option<grammar::IdempotencyKey>, Header, description = "Makes the request safe to repeat, for 24 hours."),
    ),
    request_body(content = serde_json::Value, content_type = "application/json", description = "The message: any JSON text, passed on as it is written."),
    responses((status = 200, description = "Published.", body = Receipt), (status = 422)),
    security((), ("bearer" = [])),
)]
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: BroadcastQuery = query::parse(&request)?;
    let body = body::read_json_text(&request, payload, PUBLISH_BODY_BYTES_MAX).await?;
    let hub = shard.hub();
    let ack_timeout = query.ack_timeout_ms;
    let message = Message::parse(query.into_item(body.parse()?), hub.config.load().message_bytes_max)?;
    let key = idempotency_key(&request)?;
    if let Some(timeout) = ack_timeout {
        return ask(&request, &shard, &caller, &message, timeout, key).await;
    }
    let mut receipts = publish::publish(&shard, &caller, &caller.sender(), vec![message], key).await?;
    Ok(HttpResponse::Ok().json(receipts.pop()))
}

impl BroadcastQuery {
    /// No target at all is the channel that everyone follows. An empty `channel=` is a target all
    /// the same: a script whose variable is not set must not speak to everyone.
    fn into_item(self, data: Box<RawValue>) -> PublishItem {
        let names_channels = !self.channel.is_empty();
        let names_excepted = !self.except.is_empty();
        let is_to_everyone = !names_channels && self.user.is_none() && self.connection.is_none();
        PublishItem {
            channel: is_to_everyone.then(message::to_everyone),
            channels: names_channels.then(|| query::split_lists(self.channel)),
            user: self.user,
            connection: self.connection,
            event: self.event,
            data: Some(data),
            args: None,
            volatile: self.volatile,
            except: names_excepted.then(|| excepted(query::split_lists(self.except))),
            namespace: self.namespace,
            ack_timeout_ms: self.ack_timeout_ms,
            key: None,
        }
    }
}

/// An empty `except=` is a name that nobody has: it was meant to name somebody.
fn excepted(names: Vec<String>) -> Except {
    if names.is_empty() { Except::One(String::new()) } else { Except::Several(names) }
}
