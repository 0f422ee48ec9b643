//! Who somebody is, and what follows from it.
//!
//! Knows tokens, passwords and keys, but neither HTTP nor the engine: the edges bring what a client
//! presented, and get a [`Principal`].

pub mod account_name;
pub mod api_keys;
mod authenticator;
mod error;
pub mod invitations;
pub mod issuer;
mod issuer_keys;
mod jws;
pub mod password;
mod principal;
pub mod revocations;
pub mod secrets;
pub mod setup;
pub mod subject_tokens;
pub mod throttle;
pub mod tickets;
pub mod tokens;

#[cfg(test)]
mod forgeries;

pub use authenticator::{Authenticator, Presented, RoleGrants};
pub use error::AuthError;
pub use issuer_keys::KeyError;
pub use principal::{Credential, Principal};
