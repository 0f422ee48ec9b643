//! What the engine and the use cases need from outside, as traits.

pub mod accounts;
pub mod connections;
pub mod event_log;
pub mod notices;
pub mod settings;
pub mod store;
pub mod survey;
pub mod video;
pub mod webhooks;
