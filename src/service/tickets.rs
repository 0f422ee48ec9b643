//! Tickets for streams of clients that cannot send headers.

use std::sync::Arc;

use santral_core::grants::{Grants, Patterns};
use santral_core::limits::TICKET_LIFETIME;
use santral_core::names::Selector;
use santral_schema::accounts::Ticket;

use super::Refusal;
use super::accounts::{Accounts, now};
use crate::auth::Principal;

impl Accounts {
    /// A ticket on behalf of the principal, for all that it may follow or for these channels only.
    ///
    /// # Errors
    /// [`Refusal::Pattern`], [`Refusal::Forbidden`] for channels that are not the principal's,
    /// [`Refusal::Throttled`] when too many tickets wait.
    pub fn issue_ticket(&self, principal: &Principal, channels: Option<&[String]>) -> Result<Ticket, Refusal> {
        let mut principal = principal.clone();
        if let Some(channels) = channels {
            let subscribe = Patterns::parse(channels).map_err(Refusal::Pattern)?;
            let is_granted = |text: &&String| {
                Selector::parse(text).is_ok_and(|selector| principal.grants.subscribe.cover(&selector))
            };
            if let Some(other) = channels.iter().find(|text| !is_granted(text)) {
                return Err(Refusal::Forbidden { right: "follow", what: other.clone() });
            }
            principal.grants = Arc::new(Grants { subscribe, ..Grants::clone(&principal.grants) });
        }
        let issued = self.authenticator.tickets.issue(principal, now());
        let ticket = issued.map_err(|_| Refusal::Throttled(TICKET_LIFETIME))?;
        Ok(Ticket { ticket: ticket.reveal().to_owned(), expires_in: TICKET_LIFETIME.as_secs() })
    }
}
