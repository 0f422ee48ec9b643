//! Open streams whose right comes from their role: they end when the role no longer grants what they follow.

use std::sync::Arc;

use santral_core::grants::Grants;
use santral_core::names::Selector;
use santral_core::shard::SessionView;
use santral_schema::access::Role;
use santral_schema::reason::DisconnectReason;

use super::accounts::Revoked;
use super::connections;
use crate::auth::Authenticator;
use crate::hub::Hub;

/// What roles grant at a moment.
#[derive(Clone)]
struct Granted {
    is_open: bool,
    guests: Arc<Grants>,
    users: Arc<Grants>,
}

impl Granted {
    /// Whether a session follows no more than its role grants.
    fn covers(&self, view: &SessionView<'_>) -> bool {
        let client = view.client();
        if !client.has_rights_of_role {
            return true;
        }
        let is_guest = client.principal.is_empty();
        let grants = match client.role {
            _ if is_guest && self.is_open => return true,
            _ if is_guest => &self.guests,
            Role::User => &self.users,
            Role::Anonymous | Role::Publisher | Role::Viewer | Role::Admin => return true,
        };
        let is_granted = |selector: &Selector| match selector {
            Selector::Channel(channel) if channel.is_of_user() || channel.is_for_everyone() => true,
            _ => grants.subscribe.cover(selector),
        };
        // A guest without any right may not even follow what is for everyone.
        !(is_guest && grants.subscribe.is_empty()) && view.selectors().iter().all(is_granted)
    }
}

/// Ends every stream that follows more than its role grants now.
pub async fn review(hub: &Hub, authenticator: &Authenticator, is_open: bool) {
    let granted = Granted {
        is_open,
        guests: authenticator.grants_of(Role::Anonymous),
        users: authenticator.grants_of(Role::User),
    };
    let ended = connections::end_where(hub, DisconnectReason::RightsChanged, move |view| !granted.covers(view)).await;
    if ended > 0 {
        log::info!("{ended} streams followed more than they may now, and were ended");
    }
}

/// Ends every stream that rests on what was taken back.
pub async fn end_revoked(hub: &Hub, revoked: Revoked) {
    let is_meant = move |view: &SessionView<'_>| {
        let client = view.client();
        match &revoked {
            Revoked::Login(id) | Revoked::ApiKey(id) => client.credential.as_ref() == Some(id),
            // A token of the operator's own issuer may name the same user; it is not ours to take back.
            Revoked::User { id, .. } => client.user.as_ref() == Some(id) && client.principal.starts_with("user:"),
        }
    };
    connections::end_where(hub, DisconnectReason::SignedOut, is_meant).await;
}
