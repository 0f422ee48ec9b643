//! Who may not connect for a while.
//!
//! Asked at every request, so the blocks are in memory; the table is what a restart reads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::RwLock;

use santral_core::entry::Timestamp;
use santral_core::limits::BLOCKS_MAX;

use super::{Refusal, blocking};
use crate::auth::Principal;
use crate::hub::admission::group;
use crate::ports::accounts::{AccountStore, Block};
use crate::ports::store::StoreError;

/// Whom a block is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, from wherever.
    User(Arc<str>),
    /// Everybody from an address (IPv6: from its /64).
    Address(IpNet),
}

impl Subject {
    /// The user where there is one, else the address.
    #[must_use]
    pub fn of(user: Option<&Arc<str>>, address: IpAddr) -> Self {
        user.map_or_else(|| Self::Address(group(address)), |user| Self::User(Arc::clone(user)))
    }

    /// Reads a subject as [`Subject::to_string`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("user", id) if !id.is_empty() => Some(Self::User(id.into())),
            ("address", network) => network.parse().ok().map(Self::Address),
            (_, _) => None,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(formatter, "user:{id}"),
            Self::Address(network) => write!(formatter, "address:{network}"),
        }
    }
}

/// See the module.
pub struct Blocks {
    store: Arc<dyn AccountStore>,
    ends: RwLock<HashMap<Subject, Timestamp>>,
}

impl Blocks {
    /// Reads the blocks that have not ended. Blocking.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(store: Arc<dyn AccountStore>, now: Timestamp) -> Result<Self, StoreError> {
        let stored = store.blocks(now)?;
        let ends = stored.iter().filter_map(|block| Some((Subject::parse(&block.subject)?, block.expires_at)));
        let ends = RwLock::new(ends.collect());
        Ok(Self { store, ends })
    }

    /// Until when a client is blocked, if it is.
    #[must_use]
    pub fn until(&self, user: Option<&Arc<str>>, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        let ends = self.ends.read();
        if ends.is_empty() {
            return None;
        }
        let by_address = ends.get(&Subject::Address(group(address)));
        let by_user = user.and_then(|user| ends.get(&Subject::User(Arc::clone(user))));
        by_address.into_iter().chain(by_user).copied().filter(|end| *end > now).max()
    }

    /// Blocks somebody until `expires_at`, also over a restart.
    ///
    /// # Errors
    /// [`Refusal::Store`], and [`Refusal::TooManyBlocks`].
    pub async fn put(
        &self,
        subject: &Subject,
        by: &Principal,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), Refusal> {
        {
            let mut ends = self.ends.write();
            ends.retain(|_, end| *end > now);
            if ends.len() >= BLOCKS_MAX && !ends.contains_key(subject) {
                return Err(Refusal::TooManyBlocks);
            }
        }
        let block = Block {
            subject: subject.to_string(),
            reason: None,
            created_by: Some(by.name.to_string()),
            created_at: now,
            expires_at,
        };
        let store = Arc::clone(&self.store);
        blocking(move || store.put_block(&block)).await?;
        self.ends.write().insert(subject.clone(), expires_at);
        Ok(())
    }

    /// Ends a block; `false` if there is none.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn remove(&self, subject: &Subject) -> Result<bool, Refusal> {
        let (store, text) = (Arc::clone(&self.store), subject.to_string());
        let removed = blocking(move || store.remove_block(&text)).await?;
        self.ends.write().remove(subject);
        Ok(removed)
    }

    /// The blocks that have not ended.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn list(&self, now: Timestamp) -> Result<Vec<Block>, Refusal> {
        let store = Arc::clone(&self.store);
        blocking(move || store.blocks(now)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        for text in ["user:ada", "user:a:b", "address:203.0.113.7/32", "address:2001:db8:1:2::/64"] {
            assert_eq!(Subject::parse(text).map(|subject| subject.to_string()).as_deref(), Some(text));
        }
        for text in ["", "user", "user:", "address:", "address:x", "room:1"] {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_subject() {
        let subject = |address: &str| Subject::of(None, address.parse().expect("an address"));
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff"));
        assert_ne!(subject("2001:db8:0:1::1"), subject("2001:db8::1"));
        assert_eq!(subject("::ffff:203.0.113.7"), subject("203.0.113.7"));
    }
}
