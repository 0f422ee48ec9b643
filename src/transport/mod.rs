//! How streams reach clients. Thin: the session behind each transport is the same.

mod connections;
pub mod detach;
mod patience;
pub mod server;
pub mod sse;
pub mod websocket;
