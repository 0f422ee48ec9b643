//! Load generator and benchmark runs against Santral and its rivals.
//!
//! `main.rs` reads the command line, [`runs`] hold one benchmark each, [`swarm`] is the verifying
//! load generator, [`servers`] start what is measured. docs/benchmarks.md says what the numbers
//! mean and shows the last ones.
#![forbid(unsafe_code)]

pub mod bare_insert;
pub mod clock;
pub mod dialect;
pub mod error;
pub mod histogram;
pub mod http;
pub mod payload;
pub mod process;
pub mod rank_test;
pub mod report;
pub mod runs;
pub mod servers;
pub mod signalling;
pub mod swarm;
pub mod verifier;
