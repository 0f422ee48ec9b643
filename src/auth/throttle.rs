//! Slows down who guesses passwords, without ever locking out whose account it is.
//!
//! Three budgets stand in the way of an attempt: that of the account at this address, a wide one of
//! the account as a whole, and a wide one of the address. When guesses from many addresses have used
//! up an account's own, the account is not closed: each address then has one attempt a minute, so
//! the owner gets in from wherever the attacker is not. An attempt with the right password is free.
//!
//! The budgets are counted by GCRA as a rate-limiting crate would, but here: all three are looked at
//! before any is charged, else a flood at one account would use up its address for everybody there.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use santral_core::limits::{LOGIN_ATTEMPTS_PER_MINUTE, LOGIN_BUDGETS_MAX};

/// Attempts at one account from one address while the account is under siege.
const SIEGE: Quota = Quota { burst: 1, interval: Duration::from_secs(60) };

const MINUTE: Duration = Duration::from_secs(60);

/// How often a full table is searched for what can be forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Bits of an IPv6 address that tell one customer from another.
const IPV6_NETWORK_BITS: u32 = 64;

/// An attempt came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// When the next one may be made.
    pub retry_after: Duration,
}

/// An attempt that was let through and charged.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pair: u64,
    account: u64,
    address: u64,
    is_siege: bool,
}

/// Counts attempts to sign in.
pub struct LoginThrottle {
    /// Keys are kept as hashes that nobody outside can predict, so a name of any length costs 8 bytes.
    hasher: RandomState,
    budgets: Mutex<Budgets>,
}

struct Budgets {
    pairs: Budget,
    accounts: Budget,
    sieges: Budget,
    addresses: Budget,
}

#[derive(Clone, Copy)]
struct Quota {
    burst: u32,
    interval: Duration,
}

/// For each key, when its budget is whole again; absent when it is.
struct Budget {
    quota: Quota,
    capacity: usize,
    whole_at: HashMap<u64, Instant>,
    swept_at: Option<Instant>,
}

impl Quota {
    /// Attempts at one account from one address: half a minute's worth at once.
    fn of_pair(per_minute: NonZeroU32) -> Self {
        Self { burst: per_minute.get().div_ceil(2), interval: MINUTE / per_minute.get() }
    }

    /// Failed attempts at one account from anywhere before the siege rule applies.
    fn of_account(per_minute: NonZeroU32) -> Self {
        Self { burst: per_minute.get().saturating_mul(5), interval: MINUTE * 5 / 6 / per_minute.get() }
    }

    /// Failed attempts from one address at any accounts: an office behind one address has typing errors.
    fn of_address(per_minute: NonZeroU32) -> Self {
        Self { burst: per_minute.get().saturating_mul(5), interval: MINUTE / 3 / per_minute.get() }
    }
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self::with_capacity(LOGIN_BUDGETS_MAX, LOGIN_ATTEMPTS_PER_MINUTE)
    }
}

impl LoginThrottle {
    fn with_capacity(capacity: usize, per_minute: u32) -> Self {
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let budget = |quota| Budget { quota, capacity, whole_at: HashMap::new(), swept_at: None };
        let budgets = Budgets {
            pairs: budget(Quota::of_pair(per_minute)),
            accounts: budget(Quota::of_account(per_minute)),
            sieges: budget(SIEGE),
            addresses: budget(Quota::of_address(per_minute)),
        };
        Self { hasher: RandomState::new(), budgets: Mutex::new(budgets) }
    }

    /// Changes how many attempts a minute one account has from one address; the wider budgets grow along.
    pub fn set_attempts(&self, per_minute: NonZeroU32) {
        let mut budgets = self.budgets.lock();
        budgets.pairs.quota = Quota::of_pair(per_minute);
        budgets.accounts.quota = Quota::of_account(per_minute);
        budgets.addresses.quota = Quota::of_address(per_minute);
    }

    /// Lets an attempt through and charges it, or says when to come back.
    ///
    /// # Errors
    /// [`Throttled`]; then nothing was charged.
    pub fn admit(&self, account: &str, address: &str, now: Instant) -> Result<Attempt, Throttled> {
        let network = network_of(address);
        let hash = |key: (&str, &str)| self.hasher.hash_one(key);
        let (pair, account, address) = (hash((account, &network)), hash((account, "")), hash(("", &network)));
        let mut budgets = self.budgets.lock();
        let Budgets { pairs, accounts, sieges, addresses } = &mut *budgets;
        let is_siege = !accounts.wait(account, now).is_zero();
        let (wider, key) = if is_siege { (sieges, pair) } else { (accounts, account) };
        let wait = pairs.wait(pair, now).max(addresses.wait(address, now)).max(wider.wait(key, now));
        if !wait.is_zero() {
            return Err(Throttled { retry_after: wait });
        }
        pairs.charge(pair, now);
        addresses.charge(address, now);
        wider.charge(key, now);
        Ok(Attempt { pair, account, address, is_siege })
    }

    /// Gives back what an attempt was charged: the password was right, or nobody looked at it.
    pub fn give_back(&self, attempt: Attempt) {
        let mut budgets = self.budgets.lock();
        budgets.pairs.give_back(attempt.pair);
        budgets.addresses.give_back(attempt.address);
        if attempt.is_siege {
            budgets.sieges.give_back(attempt.pair);
        } else {
            budgets.accounts.give_back(attempt.account);
        }
    }
}

impl Budget {
    /// How long until one more fits. A key for which there is no room has to wait for it.
    fn wait(&mut self, key: u64, now: Instant) -> Duration {
        let Some(whole_at) = self.whole_at.get(&key) else {
            return if self.has_room(now) { Duration::ZERO } else { SWEEP_INTERVAL };
        };
        let missing = whole_at.saturating_duration_since(now) + self.quota.interval;
        missing.saturating_sub(self.quota.interval * self.quota.burst)
    }

    fn charge(&mut self, key: u64, now: Instant) {
        let whole_at = self.whole_at.entry(key).or_insert(now);
        *whole_at = (*whole_at).max(now) + self.quota.interval;
    }

    fn give_back(&mut self, key: u64) {
        if let Some(whole_at) = self.whole_at.get_mut(&key) {
            *whole_at = whole_at.checked_sub(self.quota.interval).unwrap_or(*whole_at);
        }
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let may_sweep = self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_INTERVAL);
        if self.whole_at.len() >= self.capacity && may_sweep {
            self.swept_at = Some(now);
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        self.whole_at.len() < self.capacity
    }
}

/// The part of an address by which customers are told apart: an IPv4 address, the /64 of an IPv6 one.
fn network_of(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let mask = u128::MAX << (u128::BITS - IPV6_NETWORK_BITS);
            Ipv6Addr::from_bits(address.to_bits() & mask).to_string()
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock(LoginThrottle, Instant);

    impl Clock {
        fn new() -> Self {
            Self(LoginThrottle::default(), Instant::now())
        }

        fn admitted(&self, account: &str, address: &str, second: u64, tries: usize) -> usize {
            let now = self.1 + Duration::from_secs(second);
            (0..tries).filter(|_| self.0.admit(account, address, now).is_ok()).count()
        }
    }

    #[test]
    fn guesses_from_one_address_end_soon_and_cost_nobody_else() {
        let clock = Clock::new();
        assert_eq!(clock.admitted("ada", "192.0.2.1", 0, 1_000), 5);
        let refused = clock.0.admit("ada", "192.0.2.1", clock.1 + Duration::from_secs(4)).err();
        assert_eq!(refused, Some(Throttled { retry_after: Duration::from_secs(2) }));
        assert_eq!(clock.admitted("ada", "192.0.2.1", 6, 1_000), 1, "the next one after the promised time");
        assert_eq!(clock.admitted("ada", "192.0.2.2", 10, 1), 1, "the owner, elsewhere");
        assert_eq!(clock.admitted("bob", "192.0.2.1", 10, 1), 1, "somebody else behind the same address");
    }

    #[test]
    fn an_account_under_siege_lets_every_address_try_once() {
        let clock = Clock::new();
        let admitted: usize = (0..200).map(|host| clock.admitted("ada", &format!("192.0.2.{host}"), 0, 5)).sum();
        assert_eq!(admitted, 50 + 190, "ten addresses with five, then one each");
        assert_eq!(clock.admitted("ada", "198.51.100.1", 0, 5), 1, "the owner");
        let attempt = clock.0.admit("ada", "198.51.100.2", clock.1).expect("the owner");
        clock.0.give_back(attempt);
        assert!(clock.0.admit("ada", "198.51.100.2", clock.1).is_ok(), "a right password costs nothing");
    }

    #[test]
    fn an_address_that_tries_many_accounts_ends_too() {
        let clock = Clock::new();
        let tried: usize = (0..500).map(|user| clock.admitted(&format!("user-{user}"), "192.0.2.1", 0, 1)).sum();
        assert_eq!(tried, 50);
        assert_eq!(clock.0.budgets.lock().pairs.whole_at.len(), 50, "who is refused leaves no trace");
        assert_eq!(clock.admitted("ada", "192.0.2.2", 0, 1), 1);
    }

    #[test]
    fn right_passwords_are_never_throttled() {
        let clock = Clock::new();
        for _ in 0..1_000 {
            let attempt = clock.0.admit("ada", "192.0.2.1", clock.1).expect("it is let through");
            clock.0.give_back(attempt);
        }
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let clock = Clock::new();
        let tries = (0..100).map(|host| clock.admitted("ada", &format!("2001:db8:0:1::{host:x}"), 0, 1)).sum::<usize>();
        assert_eq!(tries, 5);
        assert_eq!(clock.admitted("ada", "2001:db8:0:2::1", 0, 1), 1);
        assert_eq!(clock.admitted("ada", "192.0.2.1", 0, 3) + clock.admitted("ada", "::ffff:192.0.2.1", 0, 9), 5);
    }

    #[test]
    fn the_memory_is_bounded_and_comes_back() {
        let throttle = LoginThrottle::with_capacity(10, 10);
        let start = Instant::now();
        let admitted = |second, account: String, address: String| {
            throttle.admit(&account, &address, start + Duration::from_secs(second)).is_ok()
        };
        let first = (0..100).filter(|number| admitted(0, format!("user-{number}"), format!("10.0.0.{number}"))).count();
        assert_eq!((first, throttle.budgets.lock().pairs.whole_at.len()), (10, 10));
        assert!(admitted(20, "ada".to_owned(), "192.0.2.1".to_owned()), "what is whole again is forgotten");
    }
}
