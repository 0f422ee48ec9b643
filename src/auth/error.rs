//! Why what somebody showed is not accepted.

use santral_core::limits::TOKEN_BYTES_MAX;

/// Why a credential is not accepted. None of the texts shows any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// More than one of bearer, `token` and `ticket`.
    #[error("the request carries more than one credential")]
    TwoCredentials,
    /// In the query, where the operator does not take any.
    #[error("this server takes no token in the query: use a ticket, or the Authorization header")]
    NotInQuery,
    /// Longer than the bound.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes or its header is too long")]
    TooLong,
    /// No token at all, by its form.
    #[error("the token is malformed")]
    Malformed,
    /// No key that is known here made its signature by the algorithm that it names.
    #[error("the token is signed by nobody who is known here")]
    BadSignature,
    /// A token that was made for something else.
    #[error("the token is of another type")]
    WrongType,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim that must be there is not.
    #[error("the token has no claim {0:?}")]
    MissingClaim(&'static str),
    /// A claim that is not what it must be.
    #[error("the claim {0:?} of the token is not what it must be")]
    BadClaim(&'static str),
    /// Made by somebody else.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// Made for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// Taken back: logged out, or the account was changed.
    #[error("the token was revoked")]
    Revoked,
    /// No such API key, or it was taken back or has ended.
    #[error("there is no such API key")]
    UnknownApiKey,
    /// No such ticket, or it was used or has ended.
    #[error("there is no such ticket, or it was used or has expired")]
    UnknownTicket,
}
