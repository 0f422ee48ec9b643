//! Who holds a session: what the server knows of the client, not what the client says of itself.

use std::sync::Arc;

use santral_schema::access::Role;

use crate::entry::Timestamp;

/// What the server knows of the client of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Names the principal; empty for somebody who did not say who they are. The session is theirs alone.
    pub principal: Arc<str>,
    /// The user, where there is one.
    pub user: Option<Arc<str>>,
    /// What the principal may do in general.
    pub role: Role,
    /// What may be taken back to end the session: a login or an API key.
    pub credential: Option<Arc<str>>,
    /// Whether the right to follow comes from the role, not from the token: it may change meanwhile.
    pub has_rights_of_role: bool,
    /// How it is connected.
    pub transport: &'static str,
    /// From where, as text.
    pub address: Arc<str>,
    /// With what program, as it says.
    pub user_agent: Option<Arc<str>>,
    /// Since when.
    pub connected_at: Timestamp,
}

impl Client {
    /// Somebody who did not say who they are, by `transport`, from `address`, since `connected_at`.
    #[must_use]
    pub fn guest(transport: &'static str, address: Arc<str>, connected_at: Timestamp) -> Self {
        Self {
            principal: "".into(),
            user: None,
            role: Role::Anonymous,
            credential: None,
            has_rights_of_role: true,
            transport,
            address,
            user_agent: None,
            connected_at,
        }
    }

    /// Whether somebody may attach to, or give commands to, a session of this client. Nobody's session
    /// belongs to whoever knows its token, so that a guest may sign in and keep the session.
    #[must_use]
    pub fn may_be_taken_over_by(&self, principal: &str) -> bool {
        self.principal.is_empty() || *self.principal == *principal
    }
}
