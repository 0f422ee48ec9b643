//! Errors of the HTTP edge: the only place that chooses a status code.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};

use santral_core::entry::Timestamp;
use santral_core::rooms::RoomRefusal;
use santral_schema::problem::{Problem, ProblemCode};
use santral_schema::reason::DisconnectReason;

use super::edge::rate_limit::RateLimited;
use crate::auth::AuthError;
use crate::auth::password::PasswordError;
use crate::config::SettingError;
use crate::hub::admission::Full;
use crate::ports::store::StoreError;
use crate::service::{Refusal, streams};
use crate::transport::sse;

/// Seconds after which a client may repeat what a passing trouble refused.
const RETRY_AFTER_SECONDS: u64 = 2;

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// A use case refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The body is not the JSON that the operation takes.
    #[error("the body is not what this operation takes: {0}")]
    InvalidJson(String),
    /// The query is not what the operation takes.
    #[error("the query is not what this operation takes: {0}")]
    InvalidQuery(String),
    /// The body came too slowly.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The body broke off.
    #[error("the request body broke off")]
    BodyIncomplete,
    /// The body is larger than the bound, in bytes.
    #[error("the request body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body is of another media type.
    #[error("the body is none of: {}", .0.join(", "))]
    UnsupportedMediaType(&'static [&'static str]),
    /// Nobody said who they are, and the operation asks for it.
    #[error("the operation asks for a token, and the request has none")]
    Unauthorized,
    /// The token is none, or no longer.
    #[error("{}", .0.as_ref().map_or_else(|| "the Authorization header is no text".to_owned(), ToString::to_string))]
    InvalidToken(Option<AuthError>),
    /// The caller's role does not allow it.
    #[error("the token does not allow this")]
    Forbidden,
    /// The caller may not come in for a while.
    #[error("the operator has blocked this client until {}", until.to_rfc3339())]
    Blocked {
        /// The end of the block.
        until: Timestamp,
        /// The time now.
        now: Timestamp,
    },
    /// The same, said so that a native EventSource stops coming back (WHATWG HTML, section 9.2.3).
    #[error("stay away")]
    StayAway,
    /// A native EventSource shall come back later: it would give up at an error status.
    #[error("come back later")]
    ComeBackLater(DisconnectReason),
    /// A WebSocket was asked for without a proper handshake.
    #[error("this path opens a WebSocket, and {0}")]
    UpgradeRequired(&'static str),
    /// Nothing is at this path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The client library of Socket.IO is not served.
    #[error(
        "the client library is not served: set `socketio_client_dir` to the folder `dist` of the npm package socket.io-client"
    )]
    NoSocketIoClient,
    /// The path knows no such method.
    #[error("this path knows no {0}")]
    MethodNotAllowed(String),
    /// More requests than the limits allow.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// A foreign page asked, with cookies or by preflight.
    #[error("requests from pages of the origin {0:?} are not allowed")]
    OriginNotAllowed(String),
    /// A preflight request asked for what no request may do.
    #[error("the preflight request is refused: {0}")]
    Preflight(String),
}

impl ApiError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        match self {
            Self::Refused(refusal) => refusal_code(refusal),
            Self::InvalidJson(_) | Self::BodyIncomplete => ProblemCode::InvalidJson,
            Self::InvalidQuery(_) => ProblemCode::InvalidQuery,
            Self::BodyTimeout => ProblemCode::BodyTimeout,
            Self::BodyTooLarge(_) => ProblemCode::TooLarge,
            Self::UnsupportedMediaType(_) => ProblemCode::UnsupportedMediaType,
            Self::Unauthorized => ProblemCode::Unauthorized,
            Self::InvalidToken(_) => ProblemCode::InvalidToken,
            Self::Forbidden => ProblemCode::Forbidden,
            Self::Blocked { .. } | Self::StayAway => ProblemCode::Blocked,
            Self::UpgradeRequired(_) => ProblemCode::UpgradeRequired,
            Self::NotFound | Self::NoSocketIoClient => ProblemCode::NotFound,
            Self::ComeBackLater(_) => ProblemCode::TooManyConnections,
            Self::MethodNotAllowed(_) => ProblemCode::MethodNotAllowed,
            Self::RateLimited(_) => ProblemCode::RateLimited,
            Self::Preflight(_) => ProblemCode::InvalidField,
            Self::OriginNotAllowed(_) => ProblemCode::OriginNotAllowed,
        }
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match (self, self.status_code()) {
            (Self::Blocked { until, now }, _) => {
                Some(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0).div_ceil(1_000_000))
            }
            (Self::Refused(Refusal::Throttled(wait) | Refusal::Room(RoomRefusal::TooFast(wait))), _) => {
                Some(wait.as_secs() + 1)
            }
            (Self::RateLimited(limited), _) => Some(limited.retry_after_seconds().into()),
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => Some(RETRY_AFTER_SECONDS),
            _ => None,
        }
    }

    /// What a client should prove, and what was wrong with what it has (RFC 6750, section 3).
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized | Self::Refused(Refusal::NoLogin | Refusal::BadCredentials) => Some("Bearer"),
            Self::InvalidToken(_) | Self::Refused(Refusal::Token(_) | Refusal::Room(RoomRefusal::BadToken)) => {
                Some("Bearer error=\"invalid_token\"")
            }
            _ => None,
        }
    }

    /// The answer: a problem document (RFC 9457), with `Retry-After` where waiting helps.
    #[must_use]
    pub fn to_response(&self) -> HttpResponse {
        match self {
            Self::StayAway => return HttpResponse::NoContent().finish(),
            Self::ComeBackLater(reason) => return sse::respond_and_close(streams::come_back_later(*reason)),
            _ => (),
        }
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(challenge) = self.challenge() {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if let Self::UpgradeRequired(_) = self {
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            response.insert_header((header::UPGRADE, "websocket"));
            response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
        }
        response.content_type("application/problem+json").body(self.to_document())
    }

    /// The body of the answer.
    #[must_use]
    pub fn to_document(&self) -> String {
        let problem = Problem::new(self.code(), self.to_string());
        serde_json::to_string(&problem).expect("a problem has string keys and no failing serializer")
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.to_response()
    }
}

fn refusal_code(refusal: &Refusal) -> ProblemCode {
    match refusal {
        Refusal::Channel(..) => ProblemCode::InvalidChannel,
        Refusal::Event(..) => ProblemCode::InvalidEvent,
        Refusal::Session(_) => ProblemCode::InvalidSession,
        Refusal::Connection(..) | Refusal::User(..) | Refusal::Namespace(..) | Refusal::Excepted(..) => {
            ProblemCode::InvalidField
        }
        Refusal::Content(_) => ProblemCode::InvalidJson,
        Refusal::Position(_) => ProblemCode::InvalidPosition,
        Refusal::Target(_) => ProblemCode::InvalidTarget,
        Refusal::TooLarge { .. } => ProblemCode::TooLarge,
        Refusal::TooDeep => ProblemCode::TooDeep,
        Refusal::Batch(_) => ProblemCode::InvalidBatch,
        Refusal::IdempotencyKey(_) => ProblemCode::InvalidIdempotencyKey,
        Refusal::KeyReused => ProblemCode::IdempotencyKeyReused,
        Refusal::TooManySubscriptions => ProblemCode::TooManySubscriptions,
        Refusal::NoSession | Refusal::NoConnection | Refusal::NoBlock => ProblemCode::NotFound,
        Refusal::BlockTooLong => ProblemCode::InvalidField,
        Refusal::TooManyBlocks => ProblemCode::TooMany,
        Refusal::Forbidden { .. } => ProblemCode::ForbiddenChannel,
        Refusal::Token(_) => ProblemCode::InvalidToken,
        Refusal::Setting(SettingError::Unknown { .. }) => ProblemCode::UnknownSetting,
        Refusal::Setting(SettingError::Invalid { .. }) => ProblemCode::InvalidSetting,
        Refusal::Setting(SettingError::NeedsRestart { .. }) => ProblemCode::SettingNeedsRestart,
        Refusal::Setting(SettingError::WouldLockOut { .. }) => ProblemCode::WouldLockOut,
        Refusal::DescriptionTooLong => ProblemCode::InvalidField,
        Refusal::Cursor(_) => ProblemCode::InvalidQuery,
        Refusal::Store(StoreError::Busy) | Refusal::Database(StoreError::Busy) => ProblemCode::StorageBusy,
        Refusal::Store(StoreError::Full) | Refusal::Database(StoreError::Full) => ProblemCode::StorageFull,
        Refusal::Store(StoreError::Failed) | Refusal::Database(StoreError::Failed) => ProblemCode::StorageFailed,
        Refusal::TransportDisabled(_) => ProblemCode::TransportDisabled,
        Refusal::Draining => ProblemCode::Draining,
        Refusal::Full(Full::Total) => ProblemCode::TooManyConnections,
        Refusal::Full(Full::User) => ProblemCode::TooManyConnectionsOfUser,
        Refusal::Full(Full::Address) => ProblemCode::TooManyConnectionsOfAddress,
        Refusal::Field(_) | Refusal::AccountName(_) => ProblemCode::InvalidField,
        Refusal::Pattern(_) => ProblemCode::InvalidChannel,
        Refusal::Password(PasswordError::Weak(_)) => ProblemCode::WeakPassword,
        Refusal::Password(PasswordError::Busy) => ProblemCode::TooManyLogins,
        Refusal::Password(PasswordError::Failed) => ProblemCode::Internal,
        Refusal::BadCredentials => ProblemCode::BadCredentials,
        Refusal::NoLogin => ProblemCode::LoginRequired,
        Refusal::RegistrationClosed => ProblemCode::RegistrationClosed,
        Refusal::SetupClosed => ProblemCode::SetupClosed,
        Refusal::NoUser | Refusal::NoApiKey => ProblemCode::NotFound,
        Refusal::NameTaken => ProblemCode::NameTaken,
        Refusal::LastAdmin => ProblemCode::LastAdmin,
        Refusal::TooManyApiKeys => ProblemCode::TooManyApiKeys,
        Refusal::Throttled(_) => ProblemCode::RateLimited,
        Refusal::RoomId(..) | Refusal::CallReport(_) => ProblemCode::InvalidField,
        Refusal::Room(refusal) => room_code(refusal),
        Refusal::SignalTooLarge(_) => ProblemCode::SignalTooLarge,
        Refusal::HostMismatch => ProblemCode::HostMismatch,
        Refusal::SessionRequired => ProblemCode::SessionRequired,
        Refusal::PreconditionFailed => ProblemCode::PreconditionFailed,
        Refusal::EventFilter(_) => ProblemCode::InvalidQuery,
        Refusal::Stopped => ProblemCode::Internal,
    }
}

fn room_code(refusal: &RoomRefusal) -> ProblemCode {
    match refusal {
        RoomRefusal::NoRoom | RoomRefusal::NoParticipant => ProblemCode::NotFound,
        RoomRefusal::Closed(_) => ProblemCode::RoomClosed,
        RoomRefusal::Exists => ProblemCode::RoomExists,
        RoomRefusal::TooManyRooms(_) => ProblemCode::TooManyRooms,
        RoomRefusal::ExceedsMesh { .. } => ProblemCode::ExceedsMeshLimit,
        RoomRefusal::BelowCurrent { .. } => ProblemCode::BelowCurrent,
        RoomRefusal::Banned => ProblemCode::Banned,
        RoomRefusal::NotOpenYet(_) => ProblemCode::NotOpenYet,
        RoomRefusal::NoEventStream => ProblemCode::NoEventStream,
        RoomRefusal::BadPassword => ProblemCode::BadPassword,
        RoomRefusal::AlreadyIn => ProblemCode::AlreadyInRoom,
        RoomRefusal::Full { .. } => ProblemCode::RoomFull,
        RoomRefusal::LobbyFull => ProblemCode::LobbyFull,
        RoomRefusal::InvitationUsed => ProblemCode::InvitationUsed,
        RoomRefusal::BadToken => ProblemCode::BadToken,
        RoomRefusal::Left(_) => ProblemCode::NotJoined,
        RoomRefusal::Superseded => ProblemCode::Superseded,
        RoomRefusal::WrongRoom => ProblemCode::WrongRoom,
        RoomRefusal::InLobby => ProblemCode::InLobby,
        RoomRefusal::NotAllowed(_) => ProblemCode::PermissionDenied,
        RoomRefusal::FromMismatch => ProblemCode::FromMismatch,
        RoomRefusal::NoTarget => ProblemCode::TargetNotInRoom,
        RoomRefusal::TargetFull => ProblemCode::TargetBufferFull,
        RoomRefusal::CannotBroadcast => ProblemCode::CannotBroadcast,
        RoomRefusal::SeqGap { .. } => ProblemCode::SeqGap,
        RoomRefusal::TooFast(_) => ProblemCode::RateLimited,
    }
}
