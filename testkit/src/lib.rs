//! Tools that judge Santral, and its rivals, from outside.
//!
//! Nothing here shares code with the server: a parser that had the server's own misreading of a
//! standard would agree with it and prove nothing. What is here: an SSE parser, plain HTTP and WebSocket
//! clients, a proxy that breaks connections on purpose, journals of what publishers and
//! subscribers saw with a checker that decides whether it was right, a power-cut test, and
//! helpers that start servers (ours, PostgreSQL, reverse proxies) as child processes.
//!
//! The crate serves integration tests, benchmarks and two binaries (`santral-journal-check`,
//! `santral-power-cut`); it is never linked into the server.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod checker;
pub mod coturn;
pub mod fault_proxy;
pub mod http;
pub mod journal;
pub mod nginx;
pub mod postgres;
pub mod power_cut;
pub mod process;
pub mod random;
pub mod reverse_proxy;
pub mod seeds;
pub mod sse;
pub mod sse_client;
pub mod tls;
pub mod tools;
pub mod websocket;

pub use sse_client::SseClient;
