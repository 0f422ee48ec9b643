//! The one integration-test binary: real sockets, real databases, one file a resource or guarantee.

mod first_steps;
mod support;
