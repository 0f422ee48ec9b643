//! Roles: what somebody may do in general. What they may follow and publish is said by channel patterns.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What somebody may do in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nobody said who they are.
    Anonymous,
    /// A person who is signed in.
    User,
    /// A server that publishes, also to users and connections.
    Publisher,
    /// Reads what the operator reads, changes nothing.
    Viewer,
    /// The operator.
    Admin,
}

impl Role {
    /// Every role, for tables and tests.
    pub const ALL: [Self; 5] = [Self::Anonymous, Self::User, Self::Publisher, Self::Viewer, Self::Admin];

    /// The role as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Publisher => "publisher",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }

    /// Reads a role as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }
}
