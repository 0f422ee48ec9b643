//! What a seed brings: sizes, delays and how often things go wrong.

use std::time::Duration;

use santral_core::rooms::{MoreSettings, RoomSettings};
use santral_schema::video::{HostPolicy, LobbyMode, Permissions, Topology, Visibility};

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
    pub(crate) seats: u64,
    pub(crate) lobby: LobbyMode,
    pub(crate) host_policy: HostPolicy,
    pub(crate) persistent: bool,
    pub(crate) trouble: Micros,
    /// Of a seat whose line is down.
    pub(crate) grace: Micros,
    /// Of a session without a link.
    pub(crate) session_grace: Micros,
    /// Longest way of a request or an answer.
    pub(crate) way: Micros,
    pub(crate) mail_delay: Micros,
    pub(crate) write_delay: Micros,
    pub(crate) act_pause: Micros,
    pub(crate) lost_answers: u64,
    pub(crate) cuts: u64,
    /// Links that break and nobody notices at once.
    pub(crate) half_open: u64,
    pub(crate) moves: u64,
    pub(crate) empty_sessions: u64,
    pub(crate) reloads: u64,
    pub(crate) leaves: u64,
    pub(crate) vanishes: u64,
    pub(crate) signals: u64,
    /// POSTs of one client at the same time.
    pub(crate) parallel: usize,
    pub(crate) batch: u64,
    pub(crate) unnumbered: u64,
    pub(crate) broadcasts: u64,
    pub(crate) several: u64,
    pub(crate) large: u64,
    pub(crate) floods: u64,
    pub(crate) duplicates: u64,
    pub(crate) moderation: u64,
    pub(crate) hostile: u64,
    pub(crate) restarts: u64,
    pub(crate) jumps: u64,
}

impl Plan {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let is_heavy = rng.percent(4);
        let often = |rng: &mut Rng, most: u64| if rng.percent(50) { 0 } else { rng.between(1, most) };
        Self {
            clients: 2 + rng.index(5),
            shards: 1 + rng.index(3),
            seats: rng.between(1, 6),
            lobby: rng.pick(&[LobbyMode::Off, LobbyMode::Off, LobbyMode::On, LobbyMode::UntilHost]),
            host_policy: rng.pick(&[HostPolicy::Transfer, HostPolicy::Transfer, HostPolicy::Keep, HostPolicy::Close]),
            persistent: rng.percent(30),
            trouble: rng.between(3, 12) * SECOND,
            grace: rng.between(5, 8) * SECOND,
            session_grace: rng.between(1, 10) * SECOND,
            way: rng.pick(&[5, 50, 400]) * MILLIS,
            mail_delay: rng.pick(&[1, 10, 200]) * MILLIS,
            write_delay: rng.pick(&[1, 50, 1_000]) * MILLIS,
            act_pause: rng.between(80, 500) * MILLIS,
            lost_answers: often(rng, 20),
            cuts: often(rng, 12),
            half_open: often(rng, 60),
            moves: rng.pick(&[0, 30, 100]),
            empty_sessions: often(rng, 40),
            reloads: often(rng, 5),
            leaves: often(rng, 4),
            vanishes: often(rng, 2),
            signals: rng.pick(&[10, 30, 60]),
            parallel: 1 + rng.index(4),
            batch: rng.between(1, 5),
            unnumbered: often(rng, 40),
            broadcasts: often(rng, 20),
            several: often(rng, 30),
            large: if is_heavy { 40 } else { 0 },
            floods: if is_heavy { 3 } else { often(rng, 1) },
            duplicates: often(rng, 50),
            moderation: often(rng, 10),
            hostile: often(rng, 20),
            restarts: often(rng, 4),
            jumps: often(rng, 4),
        }
    }

    pub(crate) fn settings(&self, name: &str) -> RoomSettings {
        RoomSettings {
            name: name.into(),
            host_id: None,
            max_participants: u32::try_from(self.seats).expect("a few"),
            password_hash: None,
            visibility: Visibility::Unlisted,
            lobby: self.lobby,
            topology: Topology::Mesh,
            host_policy: self.host_policy,
            expires_at: None,
            metadata: None,
            more: MoreSettings {
                empty_timeout: Duration::from_secs(600),
                departure_timeout: Duration::from_secs(600),
                max_duration: None,
                grace: Duration::from_micros(self.grace),
                not_before: None,
                persistent: self.persistent,
                relay_only: false,
                max_video_senders: None,
                permissions: Permissions::default(),
            },
        }
    }
}
