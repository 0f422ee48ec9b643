//! `GET /api/channels…`: the list, the history, who is there.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use santral_schema::channels::{ChannelList, History, Presence};
use santral_schema::grammar;
use utoipa::IntoParams;

use super::problem::ApiError;
use super::query;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::channels::{self, HistoryOrder};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// What the names begin with.
    #[serde(default)]
    #[param(value_type = Option<grammar::ChannelPrefix>)]
    prefix: String,
    /// That of the page before.
    #[param(value_type = Option<grammar::ChannelName>)]
    cursor: Option<String>,
    /// Most channels to return, 1 to 1,000; 100 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Only entries before this position.
    #[param(value_type = Option<grammar::Position>)]
    before: Option<String>,
    /// Only entries behind this position.
    #[param(value_type = Option<grammar::Position>)]
    since: Option<String>,
    /// Most entries to return, 1 to 1,000; 100 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
}

/// `GET /api/channels`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/channels",
    tag = "channels",
    operation_id = "listChannels",
    summary = "List the channels that have retained messages",
    description = "Pass `cursor` on for the next page; it is absent on the last.",
    params(ListQuery),
    responses((status = 200, description = "A page of channels in the order of their names.", body = ChannelList)),
    security((), ("bearer" = [])),
)]
pub async fn list(
    request: HttpRequest,
    shard: web::Data<LocalShard>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(channels::list(shard.hub(), &caller, query.prefix, query.cursor, query.limit).await?))
}

/// `GET /api/channels/{channel}/history`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/channels/{channel}/history",
    tag = "channels",
    operation_id = "readHistory",
    summary = "Read the messages of a channel, newest first",
    description = "Follow the channel from `position` on, and nothing is missing or doubled.",
    params(("channel" = grammar::ChannelName, Path, description = "The channel."), HistoryQuery),
    responses((status = 200, description = "A page of messages.", body = History)),
    security((), ("bearer" = [])),
)]
pub async fn history(
    request: HttpRequest,
    channel: web::Path<String>,
    shard: web::Data<LocalShard>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: HistoryQuery = query::parse(&request)?;
    let order = HistoryOrder { before: query.before, since: query.since, limit: query.limit };
    Ok(HttpResponse::Ok().json(channels::history(shard.hub(), &caller, &channel, order).await?))
}

/// `GET /api/channels/{channel}/presence`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/channels/{channel}/presence",
    tag = "channels",
    operation_id = "readPresence",
    summary = "Read who follows a channel",
    description = "At most 1,000 sessions are listed; `total` counts all.",
    params(("channel" = grammar::ChannelName, Path, description = "The channel.")),
    responses((status = 200, description = "The sessions on this node that follow the channel by name.", body = Presence)),
    security((), ("bearer" = [])),
)]
pub async fn presence(
    request: HttpRequest,
    channel: web::Path<String>,
    shard: web::Data<LocalShard>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(channels::presence(shard.hub(), &caller, &channel).await?))
}
