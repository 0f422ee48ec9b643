//! `POST /api/broadcast`: the body is the message.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::value::RawValue;

use santral_core::entry::Sender;
use santral_core::grants::Grants;
use santral_core::limits::PUBLISH_BODY_BYTES_MAX;
use santral_schema::publish::PublishItem;

use super::edge::rate_limit;
use super::problem::ApiError;
use super::publish::idempotency_key;
use super::{body, query};
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::publish::{self, Message};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BroadcastQuery {
    #[serde(default)]
    channel: Vec<String>,
    event: Option<String>,
    user: Option<String>,
    connection: Option<String>,
    except: Option<String>,
    #[serde(default, deserialize_with = "query::switch")]
    volatile: bool,
}

/// `POST /api/broadcast`.
///
/// # Errors
/// [`ApiError`]; then nothing was published, save after `storage_failed`, when nobody knows.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let query: BroadcastQuery = query::parse(&request)?;
    let body = body::read_json_text(&request, payload, PUBLISH_BODY_BYTES_MAX).await?;
    let hub = shard.hub();
    let message = Message::parse(query.into_item(body.parse()?), hub.options.message_bytes_max)?;
    let key = idempotency_key(&request)?;
    let principal = Principal::anonymous(Grants::all());
    rate_limit::settle(&request, &principal)?;
    let mut receipts = publish::publish(&shard, &principal, &Sender::default(), vec![message], key).await?;
    Ok(HttpResponse::Ok().json(receipts.pop()))
}

impl BroadcastQuery {
    /// No target at all is the channel that everyone follows. An empty `channel=` is a target all
    /// the same: a script whose variable is not set must not speak to everyone.
    fn into_item(self, data: Box<RawValue>) -> PublishItem {
        let names_channels = !self.channel.is_empty();
        let is_to_everyone = !names_channels && self.user.is_none() && self.connection.is_none();
        PublishItem {
            channel: is_to_everyone.then(publish::to_everyone),
            channels: names_channels.then(|| query::split_lists(self.channel)),
            user: self.user,
            connection: self.connection,
            event: self.event,
            data,
            volatile: self.volatile,
            except: self.except,
            key: None,
        }
    }
}
