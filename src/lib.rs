//! Santral: a realtime broadcast server. See ARCHITECTURE.md for the bird's-eye view.

#![forbid(unsafe_code)]

pub mod ports;
