//! The one integration-test binary: real sockets, real databases, one file a resource or guarantee.

mod config;
mod crash;
mod faults;
mod first_steps;
mod publish;
mod support;
