//! `GET /api/channels…`: the list, the history, who is there.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::problem::ApiError;
use super::query;
use crate::hub::shard_thread::LocalShard;
use crate::service::channels::{self, HistoryOrder};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    prefix: String,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HistoryQuery {
    before: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceQuery {}

/// `GET /api/channels`.
///
/// # Errors
/// [`ApiError`].
pub async fn list(request: HttpRequest, shard: web::Data<LocalShard>) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(channels::list(shard.hub(), query.prefix, query.cursor, query.limit).await?))
}

/// `GET /api/channels/{channel}/history`.
///
/// # Errors
/// [`ApiError`].
pub async fn history(
    request: HttpRequest,
    channel: web::Path<String>,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let query: HistoryQuery = query::parse(&request)?;
    let order = HistoryOrder { before: query.before, since: query.since, limit: query.limit };
    Ok(HttpResponse::Ok().json(channels::history(shard.hub(), &channel, order).await?))
}

/// `GET /api/channels/{channel}/presence`.
///
/// # Errors
/// [`ApiError`].
pub async fn presence(
    request: HttpRequest,
    channel: web::Path<String>,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let PresenceQuery {} = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(channels::presence(shard.hub(), &channel).await?))
}
