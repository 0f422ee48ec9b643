//! `GET /api/poll`: a session by long polls, for clients to which neither streams nor WebSockets get through.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use santral_core::json_line;
use santral_core::limits::{POLL_WAIT, POLL_WAIT_MAX};
use santral_core::names::SessionToken;
use santral_schema::grammar;
use santral_schema::sessions::StreamRequest;
use utoipa::{IntoParams, ToSchema};

use super::access::Gate;
use super::problem::ApiError;
use super::{peer, query};
use crate::auth::Principal;
use crate::config::Transport;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::polls::{self, Poll};
use crate::service::streams::{self, StreamOrder};
use crate::transport::detach::hold_answer;

/// Where sessions are polled.
pub const PATH: &str = "/api/poll";

/// The query; the words of [`StreamRequest`], and how long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PollQuery {
    /// Channels, and prefixes that end in `*`; repeat it, or part them with commas. Send the same with every poll.
    #[serde(default)]
    channel: Vec<String>,
    /// The `position` of the last answer, once there is one; `earliest` for all that is retained.
    last_event_id: Option<String>,
    /// The `session` of the first answer, or a token that the client drew.
    #[param(value_type = Option<grammar::SessionToken>)]
    session: Option<String>,
    /// How long to wait for something to tell, in seconds.
    #[serde(default, deserialize_with = "query::optional_number")]
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
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

/// What a poll brought.
#[derive(Serialize, ToSchema)]
pub(super) struct Batch {
    /// Messages and what the server itself has to say, in order: what a WebSocket would have carried.
    #[schema(value_type = Vec<serde_json::Value>)]
    events: Vec<Box<RawValue>>,
    /// What to send as `lastEventId` with the next poll.
    position: String,
    /// What to send as `session` with the next poll.
    session: String,
}

/// Answers with what there is, or waits for it.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/poll",
    tag = "streams",
    operation_id = "poll",
    summary = "Poll a session",
    description = "The first poll is answered at once with `hello`; each later one with what came since `lastEventId`, or with nothing when `wait` is over. Commands go to `/api/sessions/{session}/commands`.",
    params(PollQuery),
    responses((status = 200, description = "What there was.", body = Batch), (status = 422)),
    security((), ("bearer" = []), ("token" = []), ("ticket" = [])),
)]
pub async fn get(
    request: HttpRequest,
    shard: web::Data<LocalShard>,
    gate: web::Data<Gate>,
    caller: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: PollQuery = query::parse(&request)?;
    let wait = query.wait.map_or(POLL_WAIT, std::time::Duration::from_secs);
    if wait > POLL_WAIT_MAX {
        return Err(ApiError::InvalidQuery(format!("`wait` is at most {} seconds", POLL_WAIT_MAX.as_secs())));
    }
    let token = query.session.as_deref().map(SessionToken::parse).transpose().map_err(Refusal::Session)?;
    if let (Some(token), Some(position)) = (&token, &query.last_event_id) {
        hold_answer(&request, wait);
        match polls::wait(&shard, &caller, token, position, wait).await? {
            Poll::Answered(lines) => return Ok(answer(&lines, position, token)),
            Poll::MustBegin => (),
        }
    }
    let wanted = StreamRequest {
        channels: query::split_lists(query.channel),
        last_event_id: query.last_event_id,
        session: token.map(|token| token.reveal().to_owned()),
        presence: query.presence,
        broadcast: query.broadcast,
        client: query.client,
        ..StreamRequest::default()
    };
    begin(&request, &shard, &gate, &caller, wanted).await
}

async fn begin(
    request: &HttpRequest,
    shard: &LocalShard,
    gate: &Gate,
    principal: &Principal,
    wanted: StreamRequest,
) -> Result<HttpResponse, ApiError> {
    let asked_from = wanted.last_event_id.clone().unwrap_or_default();
    let order = StreamOrder::parse(Transport::LongPoll, wanted, principal)?;
    let peer = peer::of(request);
    let opening = streams::open(shard, principal, &peer, order).await?;
    if gate.objection(principal, peer.address.ip).is_some() {
        streams::give_up(shard, opening);
        return Err(ApiError::InvalidToken(None));
    }
    let response = answer(&opening.first_bytes, &asked_from, &opening.token);
    polls::begin(shard, opening);
    Ok(response)
}

fn answer(lines: &Bytes, asked_from: &str, session: &SessionToken) -> HttpResponse {
    let events = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let events = events.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let position = json_line::last_id(lines).unwrap_or(asked_from).to_owned();
    let batch = Batch { events, position, session: session.reveal().to_owned() };
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(batch)
}
