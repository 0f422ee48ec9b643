//! Who may open another stream: limits in all, per user, and per network.
//!
//! The counts are touched when streams come and go, never by a message. The limits are read anew at
//! every admission, so a change holds at once for who comes, and throws nobody out.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipnet::IpNet;
use parking_lot::Mutex;
use santral_core::limits::{CONNECTIONS_PER_ADDRESS, CONNECTIONS_PER_USER};

use crate::config::Transport;

/// Where a client comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// Its address, or that of the last proxy that can be believed; IPv4 is never written as IPv6.
    pub ip: IpAddr,
    /// Whose share of the limits per address it uses; `None` where these do not apply.
    pub network: Option<IpNet>,
}

impl ClientAddress {
    /// An address to which no limit applies.
    #[must_use]
    pub fn unlimited(ip: IpAddr) -> Self {
        Self { ip: ip.to_canonical(), network: None }
    }
}

/// Whoever shares one: an IPv4 address, or the /64 that one IPv6 household has at its disposal.
#[must_use]
pub fn group(ip: IpAddr) -> IpNet {
    let ip = ip.to_canonical();
    let bits = if ip.is_ipv4() { 32 } else { 64 };
    IpNet::new_assert(ip, bits).trunc()
}

/// How many streams may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// In all.
    pub streams_max: usize,
    /// Of one user.
    pub per_user: usize,
    /// From one network; see [`group`].
    pub per_network: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { streams_max: usize::MAX, per_user: CONNECTIONS_PER_USER, per_network: CONNECTIONS_PER_ADDRESS }
    }
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// That of the server.
    #[error("the server has as many streams as it can hold")]
    Total,
    /// That of one user.
    #[error("the user has as many streams as one user may have")]
    User,
    /// That of one network.
    #[error("the address has as many streams as one address may have")]
    Address,
}

/// The counts of open streams.
pub struct Admission {
    streams_max: AtomicUsize,
    per_user: AtomicUsize,
    per_network: AtomicUsize,
    streams: AtomicUsize,
    by_transport: [AtomicUsize; Transport::ALL.len()],
    users: Counts<Arc<str>>,
    networks: Counts<IpNet>,
}

impl Admission {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            streams_max: AtomicUsize::new(limits.streams_max),
            per_user: AtomicUsize::new(limits.per_user),
            per_network: AtomicUsize::new(limits.per_network),
            streams: AtomicUsize::new(0),
            by_transport: Default::default(),
            users: Counts::default(),
            networks: Counts::default(),
        })
    }

    /// Changes the limits for whoever comes from now on.
    pub fn set_limits(&self, limits: AdmissionLimits) {
        self.streams_max.store(limits.streams_max, Ordering::Release);
        self.per_user.store(limits.per_user, Ordering::Release);
        self.per_network.store(limits.per_network, Ordering::Release);
    }

    /// Takes a place; it is free again when the slot is dropped. `None` for who is nobody, or is not limited.
    ///
    /// # Errors
    /// [`Full`] names the first limit that is reached, the client's own before the server's.
    pub fn admit(self: &Arc<Self>, user: Option<&Arc<str>>, network: Option<IpNet>) -> Result<StreamSlot, Full> {
        let mut slot =
            StreamSlot { admission: Arc::clone(self), is_counted: false, transport: None, user: None, network: None };
        // What was taken before a refusal goes back with the slot.
        if let Some(user) = user {
            let is_free = self.users.take(user, self.per_user.load(Ordering::Acquire));
            slot.user = is_free.then(|| Arc::clone(user));
            slot.user.as_ref().ok_or(Full::User)?;
        }
        if let Some(network) = network {
            let is_free = self.networks.take(&network, self.per_network.load(Ordering::Acquire));
            slot.network = is_free.then_some(network);
            slot.network.ok_or(Full::Address)?;
        }
        let streams_max = self.streams_max.load(Ordering::Acquire);
        let admit = |count| (count < streams_max).then_some(count + 1);
        self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, admit).map_err(|_| Full::Total)?;
        slot.is_counted = true;
        Ok(slot)
    }

    /// Open streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Acquire)
    }

    /// Open streams of one transport.
    #[must_use]
    pub fn streams_by(&self, transport: Transport) -> usize {
        self.by_transport[transport as usize].load(Ordering::Acquire)
    }
}

/// One open stream's place; given back when dropped.
pub struct StreamSlot {
    admission: Arc<Admission>,
    is_counted: bool,
    transport: Option<Transport>,
    user: Option<Arc<str>>,
    network: Option<IpNet>,
}

impl StreamSlot {
    /// The same place, counted for its transport.
    #[must_use]
    pub fn counted_for(mut self, transport: Transport) -> Self {
        debug_assert!(self.transport.is_none(), "a stream has one transport");
        self.admission.by_transport[transport as usize].fetch_add(1, Ordering::AcqRel);
        self.transport = Some(transport);
        self
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        if let Some(transport) = self.transport {
            self.admission.by_transport[transport as usize].fetch_sub(1, Ordering::AcqRel);
        }
        if let Some(user) = &self.user {
            self.admission.users.give_back(user);
        }
        if let Some(network) = &self.network {
            self.admission.networks.give_back(network);
        }
        if self.is_counted {
            self.admission.streams.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// How many each has of something. Holds only who has at least one, so it is bounded by what is counted.
pub struct Counts<K> {
    hasher: RandomState,
    stripes: [Mutex<HashMap<K, usize>>; STRIPES],
}

/// Threads that open streams at the same time seldom meet.
const STRIPES: usize = 16;

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), stripes: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<K: Hash + Eq + Clone> Counts<K> {
    /// Adds one, unless there are `max` already.
    #[must_use]
    pub fn take(&self, key: &K, max: usize) -> bool {
        let mut stripe = self.stripe(key).lock();
        if let Some(count) = stripe.get_mut(key) {
            let is_free = *count < max;
            *count += usize::from(is_free);
            return is_free;
        }
        if max > 0 {
            stripe.insert(key.clone(), 1);
        }
        max > 0
    }

    /// Takes one away; the last takes the key with it.
    pub fn give_back(&self, key: &K) {
        let mut stripe = self.stripe(key).lock();
        match stripe.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(stripe.remove(key)),
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    fn stripe(&self, key: &K) -> &Mutex<HashMap<K, usize>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or_default();
        &self.stripes[hash]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(streams_max: usize, per_user: usize, per_network: usize) -> AdmissionLimits {
        AdmissionLimits { streams_max, per_user, per_network }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("the test names an address")
    }

    #[test]
    fn an_ipv4_address_stands_for_itself_and_an_ipv6_address_for_its_64() {
        assert_eq!(group(ip("192.0.2.7")).to_string(), "192.0.2.7/32");
        assert_eq!(group(ip("::ffff:192.0.2.7")).to_string(), "192.0.2.7/32");
        assert_eq!(group(ip("2001:db8:1:2:3:4:5:6")).to_string(), "2001:db8:1:2::/64");
        assert_eq!(group(ip("2001:db8:1:2:ffff::1")), group(ip("2001:db8:1:2::9")));
        assert_ne!(group(ip("2001:db8:1:2::1")), group(ip("2001:db8:1:3::1")));
    }

    #[test]
    fn each_limit_refuses_by_name_and_leaves_nothing_taken() {
        let admission = Admission::new(limits(4, 2, 3));
        let (ada, bob): (Arc<str>, Arc<str>) = ("ada".into(), "bob".into());
        let (here, there) = (group(ip("192.0.2.1")), group(ip("192.0.2.2")));
        let mut held = vec![admission.admit(Some(&ada), Some(here)).ok(), admission.admit(Some(&ada), None).ok()];
        assert_eq!(admission.admit(Some(&ada), Some(there)).err(), Some(Full::User));
        held.push(admission.admit(None, Some(here)).ok());
        held.push(admission.admit(Some(&bob), Some(here)).ok());
        assert!(held.iter().all(Option::is_some));
        assert_eq!(admission.admit(Some(&bob), Some(here)).err(), Some(Full::Address));
        assert_eq!(admission.admit(Some(&bob), Some(there)).err(), Some(Full::Total));
        assert_eq!((admission.streams(), admission.networks.keys(), admission.users.keys()), (4, 1, 2));
        drop(held);
        assert_eq!((admission.streams(), admission.networks.keys(), admission.users.keys()), (0, 0, 0));
    }

    #[test]
    fn a_lowered_limit_throws_nobody_out_and_a_raised_one_lets_in_at_once() {
        let admission = Admission::new(limits(10, 10, 10));
        let network = Some(group(ip("192.0.2.1")));
        let mut held: Vec<_> = (0..10).map(|_| admission.admit(None, network).ok()).collect();
        admission.set_limits(limits(5, 10, 3));
        assert_eq!(admission.streams(), 10);
        held.truncate(3);
        assert_eq!(admission.admit(None, network).err(), Some(Full::Address));
        assert!(admission.admit(None, None).is_ok());
        admission.set_limits(limits(5, 10, 4));
        held.push(admission.admit(None, network).ok());
        assert!(held.iter().all(Option::is_some));
        admission.set_limits(limits(0, 10, 10));
        assert_eq!(admission.admit(None, None).err(), Some(Full::Total));
    }

    #[test]
    fn threads_that_race_for_the_last_places_get_exactly_these() {
        let admission = Admission::new(limits(1_000, 10, 50));
        let network = Some(group(ip("192.0.2.1")));
        let admitted: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let race = || (0..100).filter_map(|_| admission.admit(None, network).ok()).collect::<Vec<_>>();
                    scope.spawn(race)
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no thread fails")).collect()
        });
        assert_eq!((admitted.len(), admission.streams()), (50, 50));
        drop(admitted);
        assert_eq!((admission.streams(), admission.networks.keys()), (0, 0));
    }
}
