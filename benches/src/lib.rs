//! Load generator and benchmark runs against Santral and its rivals.
#![forbid(unsafe_code)]
