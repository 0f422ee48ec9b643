//! Who may do what: every route names the access that it asks for, and nothing gets past it.
//!
//! docs/access.md shows the outcome for each operation and role; a test tries them all.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};

use santral_core::entry::Timestamp;
use santral_core::grants::Grants;
use santral_core::rooms::RoomRefusal;
use santral_schema::access::Role;
use santral_schema::event_log::EventType;
use santral_schema::reason::DisconnectReason;

use super::edge::{client_address, rate_limit};
use super::problem::ApiError;
use super::query::{self, Credentials};
use super::request_id::RequestId;
use super::shown_path::shown_path;
use super::{events, poll, socketio, websocket};
use crate::auth::{AuthError, Presented, Principal};
use crate::config::LiveConfig;
use crate::hub::Hub;
use crate::ports::event_log::NewEvent;
use crate::service::Refusal;
use crate::service::accounts::Accounts;
use crate::service::blocks::Blocks;
use crate::service::openness::Openness;
use crate::service::operator::Recorder;
use crate::service::video::{Guest, RoomToken};

/// What an operation asks of whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nothing, and no credentials are looked at: it shows no secret, or brings its own proof.
    Public,
    /// Nothing; the operation itself looks at who asks.
    Anyone,
    /// A right to follow something, or a login.
    Listen,
    /// A right to publish somewhere.
    Publish,
    /// A login, an API key or a token.
    SignedIn,
    /// To read what the operator reads.
    View,
    /// The same; who sits at the machine needs no token for it.
    Watch,
    /// To be the operator.
    Administer,
    /// Nothing, or the secret of a video room; the room itself looks at who asks.
    InRoom,
    /// The token of a participant of a video room.
    Participant,
}

impl Access {
    /// The access as docs/access.md writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "nothing",
            Self::Anyone => "nothing yet",
            Self::Listen => "listen",
            Self::Publish => "publish",
            Self::SignedIn => "signed in",
            Self::View => "view",
            Self::Watch => "view, or this machine",
            Self::Administer => "administer",
            Self::InRoom => "nothing yet, or a token of the room",
            Self::Participant => "a participant token",
        }
    }

    /// Whether a principal has it. The use case still looks at channels and at whose things they are.
    #[must_use]
    pub fn is_granted_to(self, principal: &Principal) -> bool {
        let role = principal.role;
        match self {
            Self::Public | Self::Anyone => true,
            Self::Listen => role != Role::Anonymous || !principal.grants.subscribe.is_empty(),
            Self::Publish => matches!(role, Role::Publisher | Role::Admin) || !principal.grants.publish.is_empty(),
            Self::SignedIn => role != Role::Anonymous,
            Self::View | Self::Watch => matches!(role, Role::Viewer | Role::Admin),
            Self::Administer => role == Role::Admin,
            Self::InRoom => true,
            // Whoever it is: a right to be in a room has who is in it.
            Self::Participant => false,
        }
    }
}

/// What decides about requests.
pub struct Gate {
    /// Says whose a token is.
    pub accounts: Arc<Accounts>,
    /// Whether everybody may do everything.
    pub openness: Arc<Openness>,
    /// Who may not come in.
    pub blocks: Arc<Blocks>,
    /// Whether a query may carry a token.
    pub live: Arc<LiveConfig>,
    /// The event log.
    pub recorder: Recorder,
}

impl Gate {
    /// Who asks.
    ///
    /// # Errors
    /// [`ApiError::InvalidToken`].
    pub fn identify(&self, request: &HttpRequest, now: Timestamp) -> Result<Principal, ApiError> {
        // Only streams are opened by clients that cannot send headers.
        let path = request.path();
        let is_stream = path == events::PATH
            || path == poll::PATH
            || websocket::PATHS.contains(&path)
            || socketio::PATHS.contains(&path);
        let query = if is_stream { query::credentials(request) } else { Credentials::default() };
        let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str());
        // Another scheme (RFC 9110, section 11) belongs to a proxy in front. A header that is no text is
        // not the same as none.
        let bearer = authorization.transpose().map_err(|_| ApiError::InvalidToken(None))?.and_then(bearer_of);
        if query.token.is_some() && !self.live.load().query_token {
            return Err(ApiError::InvalidToken(Some(AuthError::NotInQuery)));
        }
        let presented = Presented { bearer, query_token: query.token.as_deref(), ticket: query.ticket.as_deref() };
        if presented.is_nothing() && self.openness.is_open() {
            return Ok(everybody(client_address::is_direct_loopback(request)));
        }
        self.accounts.authenticator.authenticate(&presented, now).map_err(|error| ApiError::InvalidToken(Some(error)))
    }

    /// Whose token this is, whoever asks.
    ///
    /// # Errors
    /// [`Refusal::Token`].
    pub fn identify_token(&self, token: &str, now: Timestamp) -> Result<Principal, Refusal> {
        let presented = Presented { bearer: Some(token), ..Presented::default() };
        self.accounts.authenticator.authenticate(&presented, now).map_err(Refusal::Token)
    }

    /// Why somebody who was admitted before is no longer. A revocation or a block looks for open streams
    /// once; a stream that is opened at the same moment asks here after it is open, so one of both finds
    /// the other.
    #[must_use]
    pub fn objection(&self, principal: &Principal, address: IpAddr) -> Option<DisconnectReason> {
        let now = Hub::wall_clock();
        if principal.expires_at.is_some_and(|end| end <= now) {
            return Some(DisconnectReason::TokenExpired);
        }
        // What everybody may while the server is open, nobody may once it is closed.
        let was_everybody = principal.name.is_empty() && principal.role != Role::Anonymous;
        if was_everybody && !self.openness.is_open() {
            return Some(DisconnectReason::RightsChanged);
        }
        if self.accounts.authenticator.is_revoked(principal) {
            return Some(DisconnectReason::SignedOut);
        }
        let is_operator = matches!(principal.role, Role::Viewer | Role::Admin);
        let is_blocked = !is_operator && self.blocks.until(principal.user.as_ref(), address, now).is_some();
        is_blocked.then_some(DisconnectReason::Blocked)
    }

    fn check(&self, access: Access, request: &HttpRequest) -> Result<Principal, ApiError> {
        let now = Hub::wall_clock();
        if access == Access::Public {
            return Ok(Principal::anonymous(Arc::default()));
        }
        let asks_in_room = matches!(access, Access::InRoom | Access::Participant);
        let principal = match room_token(request).filter(|_| asks_in_room) {
            // It says who somebody is in a room, and nothing else.
            Some(_) => Principal::anonymous(Arc::default()),
            None => {
                let principal = self.identify(request, now)?;
                if access == Access::Participant {
                    return Err(Refusal::Room(RoomRefusal::BadToken).into());
                }
                principal
            }
        };
        let is_at_the_machine = access == Access::Watch && client_address::is_direct_loopback(request);
        if !is_at_the_machine && access != Access::Participant && !access.is_granted_to(&principal) {
            return Err(if principal.role == Role::Anonymous { ApiError::Unauthorized } else { ApiError::Forbidden });
        }
        let is_operator = matches!(principal.role, Role::Viewer | Role::Admin);
        if !is_operator {
            let address = client_address::of(request);
            if let Some(until) = self.blocks.until(principal.user.as_ref(), address.ip, now) {
                return Err(ApiError::Blocked { until, now });
            }
        }
        Ok(principal)
    }

    fn record_refusal(&self, request: &HttpRequest, error: &ApiError) {
        (self.recorder)(NewEvent {
            at: Hub::wall_clock(),
            level: EventType::AccessRefused.level(),
            kind: EventType::AccessRefused,
            actor: None,
            message: format!("{} {}: {error}", request.method(), shown_path(request)),
            details_json: None,
            request_id: RequestId::of(request),
        });
    }
}

/// Who asks something of a video room.
#[must_use]
pub fn guest<'a>(request: &HttpRequest, principal: &'a Principal) -> Guest<'a> {
    Guest { principal, address: client_address::of(request), token: room_token(request) }
}

/// The secret of a video room, if the request brings one.
fn room_token(request: &HttpRequest) -> Option<RoomToken> {
    let authorization = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    bearer_of(authorization).and_then(RoomToken::of)
}

/// The token behind the scheme `Bearer` (RFC 6750, section 2.1), whose name has no letter case.
fn bearer_of(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// In open mode everybody is a server that publishes, and whoever sits at the machine is the operator.
fn everybody(is_at_the_machine: bool) -> Principal {
    let role = if is_at_the_machine { Role::Admin } else { Role::Publisher };
    Principal { role, ..Principal::anonymous(Grants::all()) }
}

/// Lets a request in that has the access, with its principal; turns all others away: 401 without
/// credentials or with bad ones, 403 without the right. Use with `actix_web::middleware::from_fn`, one
/// for each route.
///
/// # Errors
/// Those of the services inside.
pub async fn enter<B: MessageBody + 'static>(
    access: Access,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let gate = request.app_data::<web::Data<Gate>>().expect("the composition root puts a gate in front of every route");
    let admitted = gate.check(access, request.request()).and_then(|principal| {
        rate_limit::settle(request.request(), &principal)?;
        Ok(principal)
    });
    match admitted {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(error) => {
            gate.record_refusal(request.request(), &error);
            if websocket::PATHS.contains(&request.path()) {
                let answer = websocket::refuse(request.request(), &error);
                return Ok(request.into_response(answer).map_into_right_body());
            }
            let is_native = events::asks_natively(request.request());
            let error = match error {
                ApiError::Blocked { .. } if is_native => ApiError::StayAway,
                ApiError::RateLimited(_) if is_native => ApiError::ComeBackLater(DisconnectReason::LimitReached),
                error => error,
            };
            // An answer, not an error: the middlewares outside have to complete its head.
            Ok(request.into_response(error.to_response()).map_into_right_body())
        }
    }
}
