//! `/api/connections…` and `/api/blocks…`: who is connected, and steering them.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use ipnet::IpNet;
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_core::names::{ChannelName, ConnectionId};
use santral_schema::connections::{
    ActionsDone, BlockItem, BlockList, ConnectionActions, ConnectionDetail, ConnectionList, ConnectionMatch, Kicked,
};
use santral_schema::grammar;
use utoipa::IntoParams;

use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::ports::accounts::Block;
use crate::service::Refusal;
use crate::service::blocks::Subject;
use crate::service::connections::{self, Actions, ConnectionFilter, Meant};
use crate::service::operator::Operator;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this user.
    user: Option<String>,
    /// Only those that follow this channel, by name or by prefix.
    #[param(value_type = Option<grammar::ChannelName>)]
    channel: Option<String>,
    /// Only those of this transport.
    transport: Option<String>,
    /// Only those from this address, or from this network.
    #[param(example = "203.0.113.0/24")]
    ip: Option<String>,
    /// Only those with this text in user, principal, address, program or id.
    q: Option<String>,
    /// That of the page before.
    #[param(value_type = Option<grammar::ConnectionId>)]
    cursor: Option<String>,
    /// Most connections to return, 1 to 1,000; 100 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KickQuery {
    /// Seconds for which the client may not come back, at most a year.
    #[serde(default, deserialize_with = "query::optional_number")]
    #[param(maximum = 31_536_000)]
    block: Option<u64>,
}

/// `GET /api/connections`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/connections",
    tag = "connections",
    operation_id = "listConnections",
    summary = "List the open connections",
    description = "Those of this node; filters narrow the list. Pass `cursor` on for the next page; it is absent on the last.",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of connections in the order of their ids.", body = ConnectionList),
    ),
)]
pub async fn list(request: HttpRequest, operator: web::Data<Operator>) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = query::parse(&request)?;
    let after = query.cursor.as_deref().map(parse_connection).transpose()?;
    let channel = query.channel.map(parse_channel).transpose()?;
    let network = query.ip.as_deref().map(parse_network).transpose()?;
    let text = query.q.map(|text| text.to_ascii_lowercase()).filter(|text| !text.is_empty());
    let filter = ConnectionFilter { user: query.user, channel, transport: query.transport, network, text };
    Ok(HttpResponse::Ok().json(connections::list(&operator.hub, filter, after, query.limit).await))
}

/// `GET /api/connections/{id}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/connections/{id}",
    tag = "connections",
    operation_id = "readConnection",
    summary = "Read one connection",
    description = "With everything that it follows.",
    params(("id" = grammar::ConnectionId, Path, description = "The connection.")),
    responses(
        (status = 200, description = "The connection.", body = ConnectionDetail),
        (status = 404),
    ),
)]
pub async fn detail(
    request: HttpRequest,
    id: web::Path<String>,
    operator: web::Data<Operator>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    Ok(HttpResponse::Ok().json(connections::detail(&operator.hub, named(&id)?).await?))
}

/// `DELETE /api/connections/{id}?block=<seconds>`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    delete,
    path = "/api/connections/{id}",
    tag = "connections",
    operation_id = "endConnection",
    summary = "End a connection",
    description = "With `block`, its user (or the address of a guest) may not come back for that long, and all other connections of the same client end as well.",
    params(("id" = grammar::ConnectionId, Path, description = "The connection."), KickQuery),
    responses(
        (status = 200, description = "What was done.", body = Kicked),
        (status = 404),
        (status = 422),
    ),
)]
pub async fn kick(
    request: HttpRequest,
    id: web::Path<String>,
    operator: web::Data<Operator>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: KickQuery = query::parse(&request)?;
    let block = query.block.map(Duration::from_secs);
    Ok(HttpResponse::Ok().json(connections::kick(&operator, &caller, named(&id)?, block).await?))
}

/// `POST /api/connections/actions`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    post,
    path = "/api/connections/actions",
    tag = "connections",
    operation_id = "actOnConnections",
    summary = "Make connections join, leave or end",
    description = "All that follow a channel, all of a user, or one.",
    request_body = ConnectionActions,
    responses(
        (status = 200, description = "How many were meant.", body = ActionsDone),
    ),
)]
pub async fn act(
    request: HttpRequest,
    payload: web::Payload,
    operator: web::Data<Operator>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let wanted: ConnectionActions = body::read_json_text(&request, payload, BODY_BYTES_MAX).await?.parse_object()?;
    let meant = meant(wanted.matching)?;
    let actions = Actions::parse(&wanted.join, &wanted.leave, wanted.disconnect)?;
    Ok(HttpResponse::Ok().json(connections::act(&operator, &caller, meant, actions).await))
}

/// `GET /api/blocks`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/blocks",
    tag = "connections",
    operation_id = "listBlocks",
    summary = "List who may not connect",
    description = "Users and addresses, each for a while.",
    responses(
        (status = 200, description = "All blocks that have not ended.", body = BlockList),
    ),
)]
pub async fn blocks(request: HttpRequest, operator: web::Data<Operator>) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let blocks = operator.blocks.list(Hub::wall_clock()).await?.into_iter().map(wire_block).collect();
    Ok(HttpResponse::Ok().json(BlockList { blocks }))
}

/// `DELETE /api/blocks/{subject}`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    delete,
    path = "/api/blocks/{subject}",
    tag = "connections",
    operation_id = "endBlock",
    summary = "Let somebody connect again",
    description = "Before the block has ended by itself.",
    params(("subject" = String, Path, description = "Whom the block is about, as the list names it: `user:<id>` or `address:<network>`.")),
    responses(
        (status = 204, description = "The block has ended."),
        (status = 404),
    ),
)]
pub async fn unblock(
    request: HttpRequest,
    subject: web::Path<String>,
    operator: web::Data<Operator>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    query::none(&request)?;
    let subject = Subject::parse(&subject).ok_or(Refusal::NoBlock)?;
    connections::unblock(&operator, &caller, &subject).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn meant(wanted: ConnectionMatch) -> Result<Meant, ApiError> {
    match (wanted.channel, wanted.user, wanted.connection) {
        (Some(channel), None, None) => Ok(Meant::Channel(parse_channel(channel)?)),
        (None, Some(user), None) => Ok(Meant::User(user)),
        (None, None, Some(connection)) => Ok(Meant::Connection(parse_connection(&connection)?)),
        (_, _, _) => Err(Refusal::Target("`match` names exactly one of channel, user and connection").into()),
    }
}

fn parse_channel(name: String) -> Result<ChannelName, ApiError> {
    ChannelName::parse(&name).map_err(|error| Refusal::Channel(name, error).into())
}

fn parse_connection(id: &str) -> Result<ConnectionId, ApiError> {
    ConnectionId::parse(id).map_err(|error| Refusal::Connection(id.to_owned(), error).into())
}

/// The connection that a path names; what cannot be one is none.
fn named(id: &str) -> Result<ConnectionId, ApiError> {
    ConnectionId::parse(id).map_err(|_| Refusal::NoConnection.into())
}

/// An address, or a network like `203.0.113.0/24`.
fn parse_network(text: &str) -> Result<IpNet, ApiError> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address);
    network.ok_or_else(|| ApiError::InvalidQuery(format!("ip: {text:?} is neither an address nor a network")))
}

fn wire_block(block: Block) -> BlockItem {
    BlockItem {
        subject: block.subject,
        created_by: block.created_by,
        created_at: block.created_at.to_rfc3339(),
        expires_at: block.expires_at.to_rfc3339(),
    }
}
