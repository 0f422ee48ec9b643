//! File descriptors: raises the process's limit and shares it out.
//!
//! A connection costs one descriptor. Running out of them would stop the server from accepting at
//! all, so it turns connections away while it still has some: see [`split`].

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use santral_core::limits::RESERVED_DESCRIPTORS;

/// Who may use how many descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Most connections that speak plain HTTP at the same time.
    pub http_connections: usize,
    /// Most streams at the same time.
    pub streams: usize,
    /// Kept back for the database, health checks and the operator.
    pub reserve: usize,
}

/// The limit on open files leaves no room for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit on open files is {limit}, and the server needs at least {needed}: raise it (ulimit -n, LimitNOFILE)"
)]
pub struct TooFew {
    /// What the operating system allows.
    pub limit: u64,
    /// The smallest limit that will do.
    pub needed: u64,
}

/// Raises the soft limit on open files to the hard one and returns what holds then.
///
/// A refusal is no error: the server makes do with what it has.
pub fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Shares out `limit` descriptors: a quarter (32 to 4,096) to plain connections,
/// [`RESERVED_DESCRIPTORS`] as a reserve, the rest to streams.
///
/// # Errors
/// [`TooFew`] when fewer than 16 streams would remain.
pub fn split(limit: u64) -> Result<Descriptors, TooFew> {
    let usable = limit.min(DESCRIPTORS_MAX);
    let http_connections = (usable / 4).clamp(HTTP_CONNECTIONS_MIN, HTTP_CONNECTIONS_MAX);
    let streams = usable.saturating_sub(http_connections + RESERVED_DESCRIPTORS);
    if streams < STREAMS_MIN {
        return Err(TooFew { limit, needed: HTTP_CONNECTIONS_MIN + RESERVED_DESCRIPTORS + STREAMS_MIN });
    }
    Ok(Descriptors {
        http_connections: count(http_connections),
        streams: count(streams),
        reserve: count(RESERVED_DESCRIPTORS),
    })
}

impl Descriptors {
    /// The same with at most this many streams.
    #[must_use]
    pub fn with_streams_max(self, streams_max: usize) -> Self {
        Self { streams: self.streams.min(streams_max), ..self }
    }
}

fn count(descriptors: u64) -> usize {
    usize::try_from(descriptors).unwrap_or(usize::MAX)
}

/// More than this is never shared out: containers often allow a billion, which no memory would hold.
const DESCRIPTORS_MAX: u64 = 1024 * 1024;

/// What a page with its assets and a few publishers need.
const HTTP_CONNECTIONS_MIN: u64 = 32;

/// A plain connection holds buffers of 18 KiB: 72 MiB in all.
const HTTP_CONNECTIONS_MAX: u64 = 4_096;

/// A server that can hold fewer streams is not worth starting.
const STREAMS_MIN: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_shared_out_without_overdraft() {
        for limit in (0..20_000).chain([1 << 20, 1 << 30, u64::MAX]) {
            match split(limit) {
                Ok(shares) => {
                    let sum = shares.http_connections + shares.streams + shares.reserve;
                    assert!(sum as u64 <= limit, "{limit}: {shares:?}");
                    assert!(shares.streams >= 16 && shares.http_connections >= 32, "{limit}: {shares:?}");
                    assert!(limit >= 112, "{limit}");
                }
                Err(TooFew { needed, .. }) => assert!(limit < needed && needed == 112, "{limit}"),
            }
        }
    }

    #[test]
    fn a_setting_caps_the_streams() {
        let shares = split(256).expect("256 are enough");
        assert_eq!(shares.with_streams_max(100), Descriptors { http_connections: 64, streams: 100, reserve: 64 });
        assert_eq!(shares.with_streams_max(1_000_000).streams, 128);
    }

    #[test]
    fn raising_reaches_the_hard_limit() {
        let limit = raise();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.current, after.maximum);
        assert_eq!(limit, after.current.unwrap_or(u64::MAX));
    }
}
