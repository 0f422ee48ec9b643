//! The one integration-test binary: real sockets, real databases, one file a resource or guarantee.

mod bad_input;
mod browser;
mod channels;
mod config;
mod crash;
mod docs;
mod drain;
mod faults;
mod first_steps;
mod injection;
mod logs;
mod migrations;
mod power_cut;
mod proxies;
mod publish;
mod sessions;
mod sse;
mod store_contract;
mod streams_in_virtual_time;
mod support;
