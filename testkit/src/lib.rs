//! Independent SSE parser, fault proxy, journals and their checker: tools that judge Santral from outside.
#![forbid(unsafe_code)]
