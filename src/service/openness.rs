//! Whether everybody may do everything: see docs/decisions/0014.

use std::sync::Arc;

use super::accounts::Accounts;
use crate::config::LiveConfig;

/// See the module.
pub struct Openness {
    live: Arc<LiveConfig>,
    accounts: Arc<Accounts>,
}

impl Openness {
    /// Of a server with these settings and accounts.
    #[must_use]
    pub fn new(live: Arc<LiveConfig>, accounts: Arc<Accounts>) -> Self {
        Self { live, accounts }
    }

    /// Whether everybody may do everything at this moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        // As long as the setup waits for somebody, there is no admin.
        self.live.load().is_open(!self.accounts.setup.is_open())
    }
}
