//! Tickets: good once, for half a minute, in place of a token where no header can be sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use santral_core::entry::Timestamp;
use santral_core::limits::{TICKET_LIFETIME, TICKETS_MAX, TICKETS_PER_PRINCIPAL_MAX};

use super::error::AuthError;
use super::principal::Principal;
use crate::config::Secret;

/// Random bytes of a ticket.
const TICKET_BYTES: usize = 24;

/// Why no ticket is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// All tickets of everybody.
    #[error("too many tickets wait to be used")]
    Full,
    /// All of this principal.
    #[error("too many tickets of this principal wait to be used")]
    TooMany,
}

/// The tickets that wait to be used.
pub struct Tickets {
    inner: Mutex<Inner>,
    capacity: usize,
    capacity_of_one: usize,
}

#[derive(Default)]
struct Inner {
    /// In the order of their ends: all live equally long. Keyed by a count.
    waiting: BTreeMap<u64, Waiting>,
    by_hash: HashMap<[u8; 32], u64>,
    per_principal: HashMap<Arc<str>, usize>,
    count: u64,
}

struct Waiting {
    hash: [u8; 32],
    principal: Principal,
    ends_at: Timestamp,
}

impl Default for Tickets {
    fn default() -> Self {
        Self::with_capacity(TICKETS_MAX, TICKETS_PER_PRINCIPAL_MAX)
    }
}

impl Tickets {
    fn with_capacity(capacity: usize, capacity_of_one: usize) -> Self {
        Self { inner: Mutex::default(), capacity, capacity_of_one }
    }

    /// A ticket for whoever acts on behalf of the principal. It ends no later than the principal's right.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn issue(&self, principal: Principal, now: Timestamp) -> Result<Secret, TicketError> {
        let text = BASE64_URL_SAFE_NO_PAD.encode(nanoid::rngs::default(TICKET_BYTES));
        let hash = Sha256::digest(&text).into();
        let lifetime = i64::try_from(TICKET_LIFETIME.as_micros()).unwrap_or(i64::MAX);
        let mut inner = self.inner.lock();
        inner.sweep(now);
        if inner.waiting.len() >= self.capacity {
            return Err(TicketError::Full);
        }
        let of_one = inner.per_principal.entry(Arc::clone(&principal.name)).or_default();
        if *of_one >= self.capacity_of_one {
            return Err(TicketError::TooMany);
        }
        *of_one += 1;
        inner.count += 1;
        let number = inner.count;
        inner.by_hash.insert(hash, number);
        inner.waiting.insert(number, Waiting { hash, principal, ends_at: Timestamp(now.0 + lifetime) });
        Ok(Secret::new(text))
    }

    /// Uses a ticket up.
    ///
    /// # Errors
    /// [`AuthError::UnknownTicket`]; [`AuthError::Expired`] when the principal's right has ended.
    pub fn redeem(&self, text: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let mut inner = self.inner.lock();
        inner.sweep(now);
        let number = inner.by_hash.get(&hash).copied().ok_or(AuthError::UnknownTicket)?;
        let ticket = inner.remove(number).ok_or(AuthError::UnknownTicket)?;
        match ticket.principal.expires_at {
            Some(end) if now >= end => Err(AuthError::Expired),
            Some(_) | None => Ok(ticket.principal),
        }
    }

    /// Drops the tickets of principals whose right was taken back.
    pub fn drop_where(&self, is_revoked: impl Fn(&Principal) -> bool) {
        let mut inner = self.inner.lock();
        let revoked: Vec<_> = inner
            .waiting
            .iter()
            .filter(|(_, ticket)| is_revoked(&ticket.principal))
            .map(|(number, _)| *number)
            .collect();
        for number in revoked {
            inner.remove(number);
        }
    }
}

impl Inner {
    fn sweep(&mut self, now: Timestamp) {
        while let Some((&number, _)) = self.waiting.first_key_value().filter(|(_, ticket)| now >= ticket.ends_at) {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let ticket = self.waiting.remove(&number)?;
        self.by_hash.remove(&ticket.hash);
        if let Some(count) = self.per_principal.get_mut(&ticket.principal.name) {
            *count -= 1;
            if *count == 0 {
                self.per_principal.remove(&ticket.principal.name);
            }
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use santral_core::grants::Grants;

    use super::*;

    fn named(name: &str) -> Principal {
        Principal { name: name.into(), ..Principal::anonymous(Grants::all()) }
    }

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn a_ticket_is_good_once_and_for_half_a_minute() {
        let tickets = Tickets::default();
        let first = tickets.issue(named("user:ada"), seconds(0)).expect("there is room");
        let second = tickets.issue(named("user:bob"), seconds(1)).expect("there is room");
        assert!(first.reveal().len() * 6 >= 128 && first != second);
        assert_eq!(&*tickets.redeem(first.reveal(), seconds(29)).expect("it is good").name, "user:ada");
        assert_eq!(tickets.redeem(first.reveal(), seconds(29)).err(), Some(AuthError::UnknownTicket));
        assert_eq!(tickets.redeem(second.reveal(), seconds(31)).err(), Some(AuthError::UnknownTicket));
        assert_eq!(tickets.redeem("", seconds(0)).err(), Some(AuthError::UnknownTicket));
        let inner = tickets.inner.lock();
        assert!(inner.waiting.is_empty() && inner.by_hash.is_empty() && inner.per_principal.is_empty());
    }

    #[test]
    fn a_ticket_does_not_outlive_the_right_that_it_stands_for() {
        let tickets = Tickets::default();
        let short = Principal { expires_at: Some(seconds(5)), ..named("user:ada") };
        let ticket = tickets.issue(short, seconds(0)).expect("there is room");
        assert_eq!(tickets.redeem(ticket.reveal(), seconds(5)).err(), Some(AuthError::Expired));
        let ticket = tickets.issue(named("user:ada"), seconds(0)).expect("there is room");
        tickets.drop_where(|principal| &*principal.name == "user:ada");
        assert_eq!(tickets.redeem(ticket.reveal(), seconds(1)).err(), Some(AuthError::UnknownTicket));
    }

    #[test]
    fn there_are_only_so_many_tickets_in_all_and_of_one_principal() {
        let tickets = Tickets::with_capacity(3, 2);
        let issue = |name: &str, at| tickets.issue(named(name), seconds(at));
        assert!(issue("a", 0).is_ok() && issue("a", 1).is_ok());
        assert_eq!(issue("a", 2).err(), Some(TicketError::TooMany));
        assert!(issue("b", 2).is_ok());
        assert_eq!(issue("c", 2).err(), Some(TicketError::Full));
        assert!(issue("c", 30).is_ok(), "the first has ended");
    }
}
