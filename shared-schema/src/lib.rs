//! Wire types of Santral: what crosses the network, exported to TypeScript.
//!
//! Only serde types and closed tables live here; no behaviour, so that an SDK may share them.

#![forbid(unsafe_code)]

pub mod access;
pub mod accounts;
pub mod call_quality;
pub mod channels;
pub mod connections;
pub mod event_log;
pub mod events;
pub mod grammar;
pub mod health;
pub mod ice;
pub mod invitations;
pub mod participants;
pub mod problem;
pub mod publish;
pub mod reason;
pub mod sessions;
pub mod settings;
pub mod signal;
pub mod stats;
pub mod video;
pub mod webhooks;
