//! The server's settings: from flags, environment, a file and defaults, in this order.
//!
//! | file | what |
//! |---|---|
//! | `keys` | the declaration of every setting |
//! | `forms` | what values look like |
//! | `resolve` | which source holds |
//! | `problem`, `nearest` | what is wrong, and what was meant |
//! | `secret` | what must not be printed |
//! | `descriptors` | the limit on open files |
//! | `reference` | docs/config.md and `check-config` |
//!
//! Reading is a function of [`Inputs`]; only the command line looks at the real world.

pub mod descriptors;
mod forms;
mod keys;
mod nearest;
mod problem;
mod reference;
mod resolve;
mod secret;

use std::net::SocketAddr;

pub use keys::Config;
pub(crate) use keys::KEYS;
pub use problem::{Origin, Problem, Problems};
pub use reference::{explain, reference};
pub use resolve::{Inputs, Setting};
pub use secret::Secret;

use resolve::Resolver;

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for programs.
    Json,
}

/// A configuration, and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The same for people, with the origin of each value.
    pub settings: Vec<Setting>,
}

/// Reads the configuration.
///
/// # Errors
/// Everything that is wrong with it, not only the first thing.
pub fn load(inputs: &Inputs) -> Result<Loaded, Problems> {
    let mut resolver = Resolver::gather(inputs);
    let config = keys::read_all(&mut resolver, inputs.descriptors);
    if let Some(config) = &config
        && !config.open
        && !is_local(config.listen)
    {
        resolver.problems.push(Problem::Exposed { listen: config.listen });
    }
    match config {
        Some(mut config) if resolver.problems.is_empty() => {
            config.descriptors = config.descriptors.with_streams_max(config.max_connections);
            Ok(Loaded { config, settings: resolver.settings })
        }
        Some(_) | None => Err(Problems(resolver.problems)),
    }
}

/// Reads only where the server listens, for a health check beside it.
///
/// # Errors
/// What is wrong with the sources or the address; other values are not looked at.
pub fn load_listen(inputs: &Inputs) -> Result<SocketAddr, Problems> {
    let mut resolver = Resolver::gather(inputs);
    let listen = resolver.read("listen", &forms::Address);
    listen.filter(|_| resolver.problems.is_empty()).ok_or(Problems(resolver.problems))
}

/// Whether only this machine can reach the address.
fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
