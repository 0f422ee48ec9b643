//! Santral.
#![forbid(unsafe_code)]
fn main() {}
