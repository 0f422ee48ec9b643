//! Wire types.
#![forbid(unsafe_code)]
