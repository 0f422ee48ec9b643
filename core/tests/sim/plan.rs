//! What one seed plays: sizes, rates and which kinds of trouble are on (swarm testing).

use crate::rng::Rng;

/// Microseconds of virtual time.
pub(crate) type Micros = u64;

pub(crate) const MILLIS: Micros = 1_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// The scenario of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) shards: usize,
    pub(crate) clients: usize,
    pub(crate) publishers: usize,
    /// How long trouble lasts; after it everything heals.
    pub(crate) trouble: Micros,
    pub(crate) ring_entries_max: usize,
    pub(crate) ring_bytes_max: usize,
    pub(crate) page_entries_max: usize,
    pub(crate) heartbeat: Micros,
    pub(crate) grace: Micros,
    /// Entries that retention keeps; 0 for all.
    pub(crate) retained: u64,
    pub(crate) capacity_max: u64,
    /// Bytes that the network moves at a time.
    pub(crate) drain_max: u64,
    pub(crate) publish_pause: Micros,
    pub(crate) act_pause: Micros,
    pub(crate) mail_delay: Micros,
    pub(crate) page_delay: Micros,
    pub(crate) page_failures: u64,
    pub(crate) volatile: u64,
    pub(crate) direct: u64,
    pub(crate) bursts: u64,
    pub(crate) excepts: bool,
    /// Messages that go to several channels.
    pub(crate) unions: u64,
    pub(crate) presence: bool,
    pub(crate) drops: u64,
    pub(crate) stalls: u64,
    pub(crate) lies: u64,
    pub(crate) resubscribes: u64,
    pub(crate) crashes: bool,
    pub(crate) store_crashes: bool,
    pub(crate) freezes: bool,
    pub(crate) drains: bool,
    pub(crate) replaced_log: bool,
    pub(crate) bus_loss: u64,
    /// How long a client's right lasts at most; 0 for ever.
    pub(crate) right: Micros,
    pub(crate) renewals: u64,
    pub(crate) revocations: u64,
}

impl Plan {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let calm_network = rng.percent(25);
        Self {
            nodes: rng.pick(&[1, 1, 1, 2, 2, 3]),
            shards: rng.pick(&[1, 1, 2, 3]),
            clients: rng.pick(&[1, 2, 3, 4, 6]),
            publishers: rng.pick(&[1, 1, 2, 3]),
            trouble: rng.between(3, 16) * SECOND,
            ring_entries_max: rng.pick(&[2, 4, 8, 16, 64, 512]),
            ring_bytes_max: rng.pick(&[1_500, 6_000, 1 << 20, 1 << 20]),
            page_entries_max: rng.pick(&[1, 2, 3, 8, 64, 256]),
            heartbeat: rng.pick(&[SECOND, 3 * SECOND, 25 * SECOND]),
            grace: rng.pick(&[SECOND, 5 * SECOND, 60 * SECOND]),
            retained: rng.pick(&[0, 0, 5, 20, 60]),
            capacity_max: rng.pick(&[300, 1_000, 4_000, 64_000]),
            drain_max: if calm_network { 1 << 16 } else { rng.pick(&[50, 300, 3_000]) },
            publish_pause: rng.pick(&[5, 50, 200, 600]) * MILLIS,
            act_pause: rng.pick(&[300, 1_000, 3_000]) * MILLIS,
            mail_delay: rng.pick(&[100, 2 * MILLIS, 50 * MILLIS, 400 * MILLIS]),
            page_delay: rng.pick(&[100, 5 * MILLIS, 300 * MILLIS]),
            page_failures: rng.pick(&[0, 0, 10, 40]),
            volatile: rng.pick(&[0, 10, 30]),
            direct: rng.pick(&[0, 10, 40]),
            bursts: rng.pick(&[0, 0, 0, 2]),
            excepts: rng.percent(40),
            unions: rng.pick(&[0, 20, 60]),
            presence: rng.percent(40),
            drops: if calm_network { 5 } else { rng.pick(&[10, 30, 60]) },
            stalls: if calm_network { 0 } else { rng.pick(&[0, 20, 40]) },
            lies: rng.pick(&[0, 0, 5, 20]),
            resubscribes: rng.pick(&[0, 20, 40]),
            crashes: rng.percent(30),
            store_crashes: rng.percent(40),
            freezes: rng.percent(20),
            drains: rng.percent(15),
            replaced_log: rng.percent(6),
            bus_loss: rng.pick(&[0, 20, 60]),
            right: rng.pick(&[0, 0, 2 * SECOND, 6 * SECOND]),
            renewals: rng.pick(&[0, 30]),
            revocations: rng.pick(&[0, 0, 10]),
        }
    }
}
