//! The server's pings and the client's pongs.

use std::time::Duration;

use crate::time::Moment;

/// Times that a connection was told of in its handshake, or that hold for its upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From a pong, or the handshake, to the next ping.
    pub ping_interval: Duration,
    /// From a ping to the last moment for its pong.
    pub ping_timeout: Duration,
    /// How long a WebSocket may take to take over.
    pub upgrade_timeout: Duration,
}

/// What is due next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heartbeat {
    /// A ping.
    PingAt(Moment),
    /// The client's pong, at the latest.
    PongBy(Moment),
}

/// What a heartbeat asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Send a ping.
    Ping,
    /// Give the client up.
    TimedOut,
}

impl Heartbeat {
    /// The first ping comes one interval after the handshake, or one interval after a pong.
    pub(super) fn after(now: Moment, timing: &Timing) -> Self {
        Self::PingAt(now + timing.ping_interval)
    }

    /// What is due at `now`. The pong's deadline runs from when its ping was due, however late the call.
    pub(super) fn advance(&mut self, now: Moment, timing: &Timing) -> Option<Beat> {
        match *self {
            Self::PingAt(due) if due <= now => {
                *self = Self::PongBy(due + timing.ping_timeout);
                Some(Beat::Ping)
            }
            Self::PongBy(due) if due <= now => Some(Beat::TimedOut),
            Self::PingAt(_) | Self::PongBy(_) => None,
        }
    }

    pub(super) fn next_timeout(self) -> Moment {
        match self {
            Self::PingAt(due) | Self::PongBy(due) => due,
        }
    }
}
