//! Who somebody is, and what follows from it.
//!
//! Knows tokens, passwords and keys, but neither HTTP nor the engine: the edges bring what a client
//! presented, and get a [`Principal`].

mod principal;

pub use principal::{Credential, Principal};
