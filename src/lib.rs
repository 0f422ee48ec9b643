//! Santral: a realtime broadcast server. See ARCHITECTURE.md for the bird's-eye view.

#![forbid(unsafe_code)]

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod http;
pub mod hub;
pub mod ports;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod transport;
