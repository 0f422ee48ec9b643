//! How streams reach clients. Thin: the session behind each transport is the same.

mod connections;
pub mod detach;
pub(crate) mod engineio;
mod patience;
pub mod server;
pub mod sse;
pub mod websocket;
