//! Errors of the HTTP edge: the only place that chooses a status code.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};

use santral_schema::problem::{Problem, ProblemCode};

use crate::ports::store::StoreError;
use crate::service::Refusal;

/// Seconds after which a client may repeat what a passing trouble refused.
const RETRY_AFTER_SECONDS: u32 = 2;

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
    #[error("the request body is not application/json")]
    UnsupportedMediaType,
    /// Nothing is at this path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path knows no such method.
    #[error("this path knows no {0}")]
    MethodNotAllowed(String),
}

impl ApiError {
    fn code(&self) -> ProblemCode {
        match self {
            Self::Refused(refusal) => refusal_code(refusal),
            Self::InvalidJson(_) | Self::BodyIncomplete => ProblemCode::InvalidJson,
            Self::InvalidQuery(_) => ProblemCode::InvalidQuery,
            Self::BodyTimeout => ProblemCode::BodyTimeout,
            Self::BodyTooLarge(_) => ProblemCode::TooLarge,
            Self::UnsupportedMediaType => ProblemCode::UnsupportedMediaType,
            Self::NotFound => ProblemCode::NotFound,
            Self::MethodNotAllowed(_) => ProblemCode::MethodNotAllowed,
        }
    }

    /// The answer: a problem document (RFC 9457), with `Retry-After` where waiting helps.
    #[must_use]
    pub fn to_response(&self) -> HttpResponse {
        let problem = Problem::new(self.code(), self.to_string());
        let mut response = HttpResponse::build(self.status_code());
        if problem.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        let body = serde_json::to_string(&problem).expect("a problem has string keys and no failing serializer");
        response.content_type("application/problem+json").body(body)
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
        Refusal::Connection(..) | Refusal::User(..) => ProblemCode::InvalidField,
        Refusal::Position(_) => ProblemCode::InvalidPosition,
        Refusal::Target(_) => ProblemCode::InvalidTarget,
        Refusal::TooLarge { .. } => ProblemCode::TooLarge,
        Refusal::TooDeep => ProblemCode::TooDeep,
        Refusal::Batch(_) => ProblemCode::InvalidBatch,
        Refusal::IdempotencyKey(_) => ProblemCode::InvalidIdempotencyKey,
        Refusal::KeyReused => ProblemCode::IdempotencyKeyReused,
        Refusal::TooManySubscriptions => ProblemCode::TooManySubscriptions,
        Refusal::NoSession => ProblemCode::NotFound,
        Refusal::Store(StoreError::Busy) => ProblemCode::StorageBusy,
        Refusal::Store(StoreError::Full) => ProblemCode::StorageFull,
        Refusal::Store(StoreError::Failed) => ProblemCode::StorageFailed,
        Refusal::Draining => ProblemCode::Draining,
        Refusal::Full => ProblemCode::TooManyConnections,
        Refusal::EventFilter(_) => ProblemCode::InvalidQuery,
        Refusal::Stopped => ProblemCode::Internal,
    }
}
