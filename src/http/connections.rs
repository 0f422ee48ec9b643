//! `/api/connections…` and `/api/blocks…`: who is connected, and steering them.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use ipnet::IpNet;
use serde::Deserialize;

use santral_core::limits::BODY_BYTES_MAX;
use santral_core::names::{ChannelName, ConnectionId};
use santral_schema::connections::{BlockItem, BlockList, ConnectionActions, ConnectionMatch};

use super::problem::ApiError;
use super::{body, query};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::ports::accounts::Block;
use crate::service::Refusal;
use crate::service::blocks::Subject;
use crate::service::connections::{self, Actions, ConnectionFilter, Meant};
use crate::service::operator::Operator;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    user: Option<String>,
    channel: Option<String>,
    transport: Option<String>,
    ip: Option<String>,
    q: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KickQuery {
    block: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// `GET /api/connections`.
///
/// # Errors
/// [`ApiError`].
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
pub async fn detail(
    request: HttpRequest,
    id: web::Path<String>,
    operator: web::Data<Operator>,
) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    Ok(HttpResponse::Ok().json(connections::detail(&operator.hub, named(&id)?).await?))
}

/// `DELETE /api/connections/{id}?block=<seconds>`.
///
/// # Errors
/// [`ApiError`].
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
pub async fn act(
    request: HttpRequest,
    payload: web::Payload,
    operator: web::Data<Operator>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    let wanted: ConnectionActions = body::read_json_text(&request, payload, BODY_BYTES_MAX).await?.parse_object()?;
    let meant = meant(wanted.matching)?;
    let actions = Actions::parse(&wanted.join, &wanted.leave, wanted.disconnect)?;
    Ok(HttpResponse::Ok().json(connections::act(&operator, &caller, meant, actions).await))
}

/// `GET /api/blocks`.
///
/// # Errors
/// [`ApiError`].
pub async fn blocks(request: HttpRequest, operator: web::Data<Operator>) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
    let blocks = operator.blocks.list(Hub::wall_clock()).await?.into_iter().map(wire_block).collect();
    Ok(HttpResponse::Ok().json(BlockList { blocks }))
}

/// `DELETE /api/blocks/{subject}`.
///
/// # Errors
/// [`ApiError`].
pub async fn unblock(
    request: HttpRequest,
    subject: web::Path<String>,
    operator: web::Data<Operator>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let NoQuery {} = query::parse(&request)?;
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
