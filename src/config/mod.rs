//! The server's settings: from what the API has set, flags, environment, a file and defaults, in
//! this order.
//!
//! | file | what |
//! |---|---|
//! | `keys`, `key` | the declaration of every setting |
//! | `forms`, `lists`, `optional`, `origins`, `ice_urls`, `webhooks` | what values look like |
//! | `resolve` | which source holds |
//! | `live` | what holds now, and how it changes while the server runs |
//! | `problem`, `nearest` | what is wrong, and what was meant |
//! | `secret` | what must not be printed |
//! | `descriptors` | the limit on open files |
//! | `reference` | docs/settings.md and `check-config` |
//!
//! Reading is a function of [`Inputs`]; only the command line looks at the real world.

pub mod descriptors;
mod forms;
mod ice_urls;
mod key;
mod keys;
mod lists;
mod live;
mod nearest;
mod optional;
mod origins;
mod problem;
mod reference;
mod resolve;
mod secret;
mod webhooks;

use std::net::SocketAddr;

pub use ice_urls::IceUrl;
pub use keys::Config;
pub(crate) use keys::KEYS;
pub use live::{Change, LiveConfig, TooManyListeners};
pub use origins::OriginPattern;
pub use problem::{Origin, Problem, Problems, SettingError};
pub use reference::{explain, reference};
pub use resolve::{Inputs, Setting};
pub use secret::Secret;
pub use webhooks::{WebhookUrl, shown_webhook_url};

use resolve::{Base, Resolver};

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for programs.
    Json,
}

/// Whether everybody may do everything; see [`Config::is_open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// On this machine, until there is an admin.
    Auto,
    /// Yes.
    Open,
    /// No.
    Closed,
}

/// Whether strangers may make themselves accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Yes.
    Open,
    /// No.
    Closed,
}

/// A way in which clients may listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Server-Sent Events.
    Sse,
    /// A WebSocket with lines of JSON.
    WebSocket,
    /// Long polls.
    LongPoll,
    /// Engine.IO with Socket.IO on top.
    SocketIo,
}

impl Transport {
    /// Every transport, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Sse, Self::WebSocket, Self::LongPoll, Self::SocketIo];

    /// As it is written in the setting and in `hello`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::LongPoll => "poll",
            Self::SocketIo => "socketio",
        }
    }
}

/// What the Admin UI of Socket.IO is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminUi {
    /// Nothing: there is no such namespace.
    Off,
    /// Figures of all connections together.
    Production,
    /// Each connection, too.
    Development,
}

/// What becomes of an event of a Socket.IO client that is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownEvent {
    /// The others in the sender's rooms get it.
    Relay,
    /// The sender gets it too.
    Echo,
    /// It is answered with an error.
    Reject,
}

/// The header in which a trusted proxy says for whom it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `CF-Connecting-IP`.
    CfConnectingIp,
    /// `X-Real-IP`.
    XRealIp,
}

impl ForwardedHeader {
    /// Every header that may be named.
    pub const ALL: [Self; 4] = [Self::XForwardedFor, Self::Forwarded, Self::CfConnectingIp, Self::XRealIp];

    /// The header's name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::CfConnectingIp => "cf-connecting-ip",
            Self::XRealIp => "x-real-ip",
        }
    }
}

impl Config {
    /// Whether everybody may follow and publish everything; admins close what is open by itself.
    #[must_use]
    pub fn is_open(&self, has_admin: bool) -> bool {
        match self.open {
            OpenMode::Open => true,
            OpenMode::Closed => false,
            OpenMode::Auto => !has_admin && is_local(self.listen),
        }
    }

    /// Whether TURN servers are named for which no passwords can be made.
    fn lacks_turn_secret(&self) -> bool {
        !self.turn_urls.is_empty() && self.turn_secret.is_none()
    }
}

/// A configuration, and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The same for people, with the origin of each value.
    pub settings: Vec<Setting>,
    base: Base,
}

/// Reads the configuration, without what the API has set.
///
/// # Errors
/// Everything that is wrong with it, not only the first thing.
pub fn load(inputs: &Inputs) -> Result<Loaded, Problems> {
    let mut resolver = Resolver::gather(inputs);
    let config = assemble(&mut resolver)?;
    let (settings, base) = resolver.into_parts();
    Ok(Loaded { config, settings, base })
}

/// Reads every value and what is derived from several of them.
fn assemble(resolver: &mut Resolver) -> Result<Config, Problems> {
    let config = keys::read_all(resolver);
    if config.as_ref().is_some_and(Config::lacks_turn_secret) {
        resolver.problems.push(Problem::NoTurnSecret);
    }
    match config {
        Some(mut config) if resolver.problems.is_empty() => {
            config.descriptors = config.descriptors.with_streams_max(config.max_connections);
            Ok(config)
        }
        Some(_) | None => Err(Problems(std::mem::take(&mut resolver.problems))),
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
