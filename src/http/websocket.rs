//! `GET /api/v1/ws` and `GET /api/ws`: the stream of a session and its commands on one connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use santral_core::limits::{PUBLISH_BODY_BYTES_MAX, REQUEST_ID_BYTES_MAX, WEBSOCKET_FRAGMENTS_MAX};
use santral_core::names::SessionToken;
use santral_core::session::SessionKey;
use santral_core::websocket::{Rules, close};
use santral_schema::reason::DisconnectReason;
use santral_schema::sessions::{Command, StreamRequest};
use utoipa::IntoParams;

use super::access::Gate;
use super::body;
use super::edge::{Edge, rate_limit};
use super::events::passing_reason;
use super::problem::ApiError;
use super::{peer, query};
use crate::auth::Principal;
use crate::config::Transport;
use crate::hub::Hub;
use crate::hub::admission::ClientAddress;
use crate::hub::duplex::{Reply, Uplink};
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::commands::{self, CommandAnswer, Uses};
use crate::service::streams::{self, StreamOrder};
use crate::service::video::{Guest, VideoRooms};
use crate::transport::websocket;

/// Where WebSockets are opened.
pub const PATHS: [&str; 2] = ["/api/v1/ws", "/api/ws"];

/// The query; the words of [`StreamRequest`].
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WebSocketQuery {
    /// Channels, and prefixes that end in `*`; repeat it, or part them with commas.
    #[serde(default)]
    channel: Vec<String>,
    /// Behind which position to go on; `earliest` for all that is retained.
    last_event_id: Option<String>,
    /// A token that the client drew: makes the session resumable.
    #[param(value_type = Option<santral_schema::grammar::SessionToken>)]
    session: Option<String>,
    /// Whether presence changes of the named channels are wanted.
    #[serde(default, deserialize_with = "query::switch")]
    #[param(value_type = Option<query::Switch>)]
    presence: bool,
    /// `0` opts out of the channel `broadcast`.
    #[serde(default, deserialize_with = "query::optional_switch")]
    #[param(value_type = Option<query::Switch>)]
    broadcast: Option<bool>,
    /// Name of an SDK.
    client: Option<String>,
    /// Read by the gate before anything else.
    #[serde(rename = "token")]
    _token: Option<String>,
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// Opens a WebSocket.
///
/// # Errors
/// [`ApiError`]; without a proper handshake 426 says what is missing. Whoever has made one is told by a
/// close frame.
#[utoipa::path(
    get,
    path = "/api/v1/ws",
    tag = "streams",
    operation_id = "openWebSocket",
    summary = "Open a WebSocket",
    description = "The stream of a session as text messages, one JSON object each, and the session's commands the other way: `{\"id\":1,\"subscribe\":[\"orders\"]}` is answered by `{\"reply\":1,\"result\":{…}}` or `{\"reply\":1,\"error\":{…}}`. docs/codes.md lists the close codes.",
    params(WebSocketQuery),
    responses((status = 101, description = "A WebSocket (RFC 6455)."), (status = 422), (status = 426)),
    security((), ("bearer" = []), ("token" = []), ("ticket" = [])),
)]
pub async fn get(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    edge: web::Data<Edge>,
    video: web::Data<VideoRooms>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: WebSocketQuery = query::parse(&request)?;
    if let Some(Err(error)) = query.session.as_deref().map(SessionToken::parse) {
        return Ok(refuse(&request, &Refusal::Session(error).into()));
    }
    if let Some(missing) = websocket::objection(&request) {
        return Err(ApiError::UpgradeRequired(missing));
    }
    let principal = caller.into_inner();
    let uses = (&gate, &edge, &video);
    match open(&request, payload, query, &shard, uses, principal).await {
        Ok(response) => Ok(response),
        Err(error) => Ok(refuse(&request, &error)),
    }
}

/// Opens a WebSocket, by the short name.
///
/// # Errors
/// See [`get`].
#[utoipa::path(
    get,
    path = "/api/ws",
    tag = "streams",
    operation_id = "openWebSocketByShortName",
    summary = "Open a WebSocket, by the short name",
    description = "The same as `/api/v1/ws`.",
    params(WebSocketQuery),
    responses((status = 101, description = "A WebSocket (RFC 6455)."), (status = 422), (status = 426)),
    security((), ("bearer" = []), ("token" = []), ("ticket" = [])),
)]
pub async fn get_short(
    request: HttpRequest,
    payload: web::Payload,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    edge: web::Data<Edge>,
    video: web::Data<VideoRooms>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    get(request, payload, shard, gate, edge, video, caller).await
}

async fn open(
    request: &HttpRequest,
    payload: web::Payload,
    query: WebSocketQuery,
    shard: &LocalShard,
    (gate, edge, video): (&web::Data<Gate>, &web::Data<Edge>, &web::Data<VideoRooms>),
    principal: Principal,
) -> Result<HttpResponse, ApiError> {
    let wanted = StreamRequest {
        channels: query::split_lists(query.channel),
        last_event_id: query.last_event_id,
        session: query.session,
        presence: query.presence,
        broadcast: query.broadcast,
        client: query.client,
        ..StreamRequest::default()
    };
    let order = StreamOrder::parse(Transport::WebSocket, wanted, &principal)?;
    let peer = peer::of(request);
    let opening = streams::open(shard, &principal, &peer, order).await?;
    if gate.objection(&principal, peer.address.ip).is_some() {
        streams::give_up(shard, opening);
        return Err(ApiError::InvalidToken(None));
    }
    let uplink = Commands {
        shard: shard.clone(),
        gate: Arc::clone(gate),
        edge: Arc::clone(edge),
        video: Arc::clone(video),
        address: peer.address,
        token: opening.token.clone(),
        principal: RefCell::new(principal),
    };
    websocket::respond(request, shard, opening, payload, Rc::new(uplink))
        .ok_or(ApiError::UpgradeRequired("the connection cannot be turned into a WebSocket"))
}

/// Tells a client that has made a proper handshake why it may not come in; others get a problem document.
pub fn refuse(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    if websocket::objection(request).is_some() {
        return error.to_response();
    }
    let passing = match error {
        ApiError::Refused(refusal) => passing_reason(refusal),
        ApiError::RateLimited(_) => Some(DisconnectReason::LimitReached),
        _ => None,
    };
    match passing {
        Some(reason) => websocket::respond_and_close(request, reason.close_code(), &reason.close_text()),
        None => {
            let code = if error.code().status() < 500 { close::POLICY_VIOLATION } else { close::INTERNAL_ERROR };
            websocket::respond_and_close(request, code, &format!("{}: {error}", error.code().name()))
        }
    }
}

/// Takes the commands of one session.
struct Commands {
    shard: LocalShard,
    gate: Arc<Gate>,
    edge: Arc<Edge>,
    video: Arc<VideoRooms>,
    address: ClientAddress,
    token: SessionToken,
    /// Changes with the command `auth`.
    principal: RefCell<Principal>,
}

/// The answer to a command.
#[derive(Serialize)]
struct Answer<'a> {
    reply: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<CommandAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
}

impl Uplink for Commands {
    fn take(self: Rc<Self>, _: SessionKey, text: String) -> LocalBoxFuture<'static, Reply> {
        async move {
            let (id, command) = split(&text);
            let outcome = match command {
                Ok(command) => self.carry_out(command).await,
                Err(error) => Err(error),
            };
            let answer = match outcome {
                // Who gave the command no number does not wait.
                Ok(_) if id.is_none() => return Reply::Nothing,
                Ok(result) => Answer { reply: id, result: Some(result), error: None },
                Err(error) => {
                    let problem = RawValue::from_string(error.to_document()).ok();
                    Answer { reply: id, result: None, error: problem }
                }
            };
            let text = serde_json::to_vec(&answer).expect("wire types have string keys and no failing serializer");
            Reply::Text(Bytes::from(text))
        }
        .boxed_local()
    }

    fn rules(&self) -> Rules {
        Rules {
            message_bytes_max: u32::try_from(PUBLISH_BODY_BYTES_MAX).unwrap_or(u32::MAX),
            fragments_max: WEBSOCKET_FRAGMENTS_MAX,
            takes_binary: false,
        }
    }
}

impl Commands {
    async fn carry_out(&self, command: Command) -> Result<CommandAnswer, ApiError> {
        let principal = self.principal.borrow().clone();
        rate_limit::charge(&self.edge, self.address, &principal)?;
        let fresh = RefCell::new(None);
        let identify = |token: &str| {
            let identified = self.gate.identify_token(token, Hub::wall_clock())?;
            *fresh.borrow_mut() = Some(identified.clone());
            Ok(identified)
        };
        let uses = Uses { local: &self.shard, video: &self.video };
        let guest = Guest { principal: &principal, address: self.address, token: None };
        let answer = commands::run(uses, &guest, identify, self.token.clone(), command).await?;
        if let Some(fresh) = fresh.into_inner() {
            *self.principal.borrow_mut() = fresh;
        }
        Ok(answer)
    }
}

/// Parts a command from the number that its answer shall have. The command's text stays as it was written.
fn split(text: &str) -> (Option<&RawValue>, Result<Command, ApiError>) {
    let fields: Result<BTreeMap<String, &RawValue>, String> = body::parse_object(text);
    let mut fields = match fields {
        Ok(fields) => fields,
        Err(error) => return (None, Err(ApiError::InvalidJson(error))),
    };
    let id = fields.remove("id");
    if id.is_some_and(|id| !may_be_request_id(id.get())) {
        return (None, Err(Refusal::Field("`id` is not a number or a string of at most 64 bytes").into()));
    }
    // Whoever reads commands knows best what is wrong with none or several.
    let rest: Vec<_> = fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    (id, body::parse_object(&format!("{{{}}}", rest.join(","))).map_err(ApiError::InvalidJson))
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn may_be_request_id(text: &str) -> bool {
    text.len() <= REQUEST_ID_BYTES_MAX && !text.starts_with(['{', '[', 't', 'f'])
}
