//! What a seed brings: sizes, delays and how often things go wrong.

use std::time::Duration;

use santral_core::engineio::Timing;

use crate::rng::Rng;

/// Virtual time.
pub(crate) type Micros = u64;

pub(crate) const MILLIS: Micros = 1_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// See the module. Rates are in percent of the moments at which something could happen.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    pub(crate) shards: usize,
    pub(crate) trouble: Micros,
    pub(crate) ping_interval: Micros,
    pub(crate) ping_timeout: Micros,
    pub(crate) upgrade_timeout: Micros,
    pub(crate) grace: Micros,
    /// Longest way of a request, an answer or a message of a WebSocket.
    pub(crate) way: Micros,
    pub(crate) mail_delay: Micros,
    pub(crate) page_delay: Micros,
    pub(crate) page_failures: u64,
    pub(crate) page_entries_max: usize,
    pub(crate) ring_entries_max: usize,
    pub(crate) retained: u64,
    pub(crate) capacity_max: u64,
    pub(crate) drain_max: u64,
    pub(crate) act_pause: Micros,
    pub(crate) publish_pause: Micros,
    pub(crate) volatile: u64,
    pub(crate) direct: u64,
    pub(crate) binary: u64,
    pub(crate) large: u64,
    pub(crate) cuts: u64,
    pub(crate) stalls: u64,
    pub(crate) dozes: u64,
    pub(crate) sleeps: u64,
    pub(crate) rude: u64,
    pub(crate) hasty: bool,
    pub(crate) leaves: u64,
    pub(crate) emits: u64,
    /// How much a client asks for at once, and how long the answers are.
    pub(crate) flood: usize,
    pub(crate) server_ends: u64,
}

impl Plan {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let often = |rng: &mut Rng, most: u64| if rng.percent(50) { 0 } else { rng.between(1, most) };
        Self {
            clients: 1 + rng.index(4),
            shards: 1 + rng.index(2),
            trouble: rng.between(2 * SECOND, 6 * SECOND),
            ping_interval: rng.between(300, 1_500) * MILLIS,
            ping_timeout: rng.between(400, 1_000) * MILLIS,
            upgrade_timeout: rng.between(400, 1_000) * MILLIS,
            grace: rng.between(1, 10) * SECOND,
            way: rng.pick(&[2, 5, 20]) * MILLIS,
            mail_delay: rng.pick(&[1, 3, 15]) * MILLIS,
            page_delay: rng.between(1, 40) * MILLIS,
            page_failures: often(rng, 20),
            page_entries_max: 1 + rng.index(12),
            ring_entries_max: if rng.percent(40) { 4 + rng.index(8) } else { 200 },
            retained: if rng.percent(30) { rng.between(10, 40) } else { 0 },
            capacity_max: rng.pick(&[80, 400, 2_000, 20_000]),
            drain_max: rng.pick(&[300, 1_000, 10_000]),
            act_pause: rng.between(20, 300) * MILLIS,
            publish_pause: rng.between(2, 60) * MILLIS,
            volatile: often(rng, 40),
            direct: often(rng, 30),
            binary: often(rng, 60),
            large: often(rng, 6),
            cuts: often(rng, 15),
            stalls: often(rng, 15),
            dozes: often(rng, 30),
            sleeps: often(rng, 5),
            rude: often(rng, 10),
            hasty: rng.percent(40),
            leaves: often(rng, 10),
            emits: often(rng, 60),
            flood: if rng.percent(10) { 30 } else { 1 },
            server_ends: often(rng, 12),
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            ping_interval: Duration::from_micros(self.ping_interval),
            ping_timeout: Duration::from_micros(self.ping_timeout),
            upgrade_timeout: Duration::from_micros(self.upgrade_timeout),
        }
    }
}
