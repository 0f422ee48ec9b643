//! On whose behalf something is done.

use std::sync::{Arc, LazyLock};

use santral_core::entry::{Sender, Timestamp};
use santral_core::grants::Grants;
use santral_schema::access::Role;

/// What somebody showed to say who they are: the handle by which it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A login of an account: the family of refresh tokens that it began.
    Login {
        /// The family's id.
        family: Arc<str>,
        /// The user's token version: a change of the account raises it.
        version: i64,
    },
    /// A token of the operator's own issuer.
    Issuer,
    /// An API key.
    ApiKey {
        /// The key's id, which is no secret.
        id: Arc<str>,
    },
}

/// On whose behalf something is done.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Keeps what belongs to different principals apart (idempotency keys, rate limits): `user:<id>`,
    /// `key:<id>`, `jwt:<sub>`, or nothing for everybody who did not say who they are.
    pub name: Arc<str>,
    /// The user, where there is one; fits into the name of the user's channel.
    pub user: Option<Arc<str>>,
    /// What they may do in general.
    pub role: Role,
    /// Which channels they have a right to.
    pub grants: Arc<Grants>,
    /// What they showed.
    pub credential: Credential,
    /// When the right ends.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// What receivers learn of who published.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender { user: self.user.clone(), connection: None }
    }

    /// Somebody who did not say who they are, with these rights.
    #[must_use]
    pub fn anonymous(grants: Arc<Grants>) -> Self {
        // Shared, since every request of a guest has it and every stream keeps it.
        static NAMELESS: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        Self {
            name: Arc::clone(&NAMELESS),
            user: None,
            role: Role::Anonymous,
            grants,
            credential: Credential::None,
            expires_at: None,
        }
    }
}
