//! How streams reach clients. Thin: the session behind each transport is the same.

pub mod detach;
pub mod server;
pub mod sse;
