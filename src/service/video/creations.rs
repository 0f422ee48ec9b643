//! How many rooms somebody makes a minute: making one hashes a password and writes a row.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use santral_core::limits::{ROOM_MAKERS_MAX, ROOMS_MADE_PER_MINUTE};

use super::Guest;
use crate::auth::Credential;
use crate::service::Refusal;
use santral_schema::access::Role;

/// See the module.
pub(super) struct Creations {
    clock: DefaultClock,
    limiter: RateLimiter<String, DashMapStateStore<String>, DefaultClock>,
}

impl Default for Creations {
    fn default() -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(ROOMS_MADE_PER_MINUTE).unwrap_or(NonZeroU32::MIN));
        Self { clock: DefaultClock::default(), limiter: RateLimiter::dashmap(quota) }
    }
}

impl Creations {
    /// Counts a room that somebody makes.
    ///
    /// # Errors
    /// [`Refusal::Throttled`].
    pub(super) fn admit(&self, guest: &Guest<'_>) -> Result<(), Refusal> {
        let principal = guest.principal;
        let is_server = principal.role == Role::Publisher && matches!(principal.credential, Credential::ApiKey { .. });
        if principal.role == Role::Admin || is_server {
            return Ok(());
        }
        let who = match principal.name.is_empty() {
            true => format!("address:{}", guest.address.ip),
            false => principal.name.to_string(),
        };
        if self.limiter.len() >= ROOM_MAKERS_MAX {
            self.limiter.retain_recent();
            if self.limiter.len() >= ROOM_MAKERS_MAX {
                return Err(Refusal::Throttled(Duration::from_secs(1)));
            }
        }
        self.limiter.check_key(&who).map_err(|early| Refusal::Throttled(early.wait_time_from(self.clock.now())))
    }
}
