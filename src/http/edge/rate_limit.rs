//! How often somebody may ask: a limit per client address and one per principal.
//!
//! Both are GCRA limiters of the crate governor: so many requests a second, and so many at once.
//! Answers that were counted say how much is left in the fields `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10); a refusal is 429 with `Retry-After` (RFC 6585, section 4).
//!
//! The address is judged before anybody asks who it is, so that a flood costs little. Only a request
//! that may prove to be an administrator's, and a browser's EventSource, which cannot read an error,
//! are judged later: whoever learns of the principal calls [`settle`].

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, web};
use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;

use santral_core::limits::{RATE_LIMIT_CHECKS_PER_SWEEP, RATE_LIMIT_KEYS_MAX};
use santral_schema::access::Role;

use super::{Edge, Passage};
use crate::auth::Principal;
use crate::http::{events, websocket};
use crate::hub::admission::ClientAddress;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Times a second, up to 1,000,000; 0 is without limit.
    pub per_second: u32,
    /// Times at once; at least 1.
    pub burst: u32,
}

/// Whose limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// That of an address.
    Address,
    /// That of a principal.
    Principal,
}

impl Limited {
    /// The policy's name in the header fields.
    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Principal => "principal",
        }
    }
}

/// A request was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {} has asked more often than it may", whose.name())]
pub struct RateLimited {
    whose: Limited,
    wait_seconds: u32,
}

impl RateLimited {
    /// Seconds after which one more request is taken; at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u32 {
        self.wait_seconds
    }
}

/// How somebody stands with a limit after a request was counted.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    whose: Limited,
    policy: HeaderValue,
    remaining: u32,
    reset_seconds: u32,
}

impl Standing {
    fn write(&self, headers: &mut HeaderMap) {
        headers.append(RATELIMIT_POLICY, self.policy.clone());
        let text = format!("\"{}\";r={};t={}", self.whose.name(), self.remaining, self.reset_seconds);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(RATELIMIT, value);
        }
    }
}

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limits of this node, shared by its threads.
pub struct RateLimits {
    addresses: ArcSwap<Limiter<IpNet>>,
    principals: ArcSwap<Limiter<Arc<str>>>,
}

impl RateLimits {
    /// Limits with nothing counted yet.
    #[must_use]
    pub fn new(per_address: Rate, per_principal: Rate) -> Self {
        Self {
            addresses: ArcSwap::from_pointee(Limiter::new(Limited::Address, per_address)),
            principals: ArcSwap::from_pointee(Limiter::new(Limited::Principal, per_principal)),
        }
    }

    /// Changes the limits at once; a limit that stays the same keeps what it has counted.
    pub fn set(&self, per_address: Rate, per_principal: Rate) {
        change(&self.addresses, per_address);
        change(&self.principals, per_principal);
    }

    fn check_address(&self, network: &IpNet) -> Verdict {
        check(&self.addresses, network)
    }

    fn check_principal(&self, name: &Arc<str>) -> Verdict {
        check(&self.principals, name)
    }
}

/// `None` where there is no limit.
type Verdict = (Option<Standing>, Option<RateLimited>);

fn change<K: Hash + Eq + Clone>(limiter: &ArcSwap<Limiter<K>>, rate: Rate) {
    let current = limiter.load();
    if current.rate != rate {
        limiter.store(Arc::new(Limiter::new(current.whose, rate)));
    }
}

fn check<K: Hash + Eq + Clone>(limiter: &ArcSwap<Limiter<K>>, key: &K) -> Verdict {
    let current = limiter.load();
    if current.is_overfull() {
        log::warn!(
            "more than {RATE_LIMIT_KEYS_MAX} clients at once; the rate limit per {} starts anew",
            current.whose.name()
        );
        limiter.store(Arc::new(Limiter::new(current.whose, current.rate)));
    }
    current.check(key)
}

struct Limiter<K: Hash + Eq + Clone> {
    whose: Limited,
    rate: Rate,
    policy: HeaderValue,
    gate: Option<Gate<K>>,
    checks: AtomicUsize,
}

type Gate<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(whose: Limited, rate: Rate) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        // Beyond a nanosecond for each, the clock has nothing to count with.
        let quota =
            NonZeroU32::new(rate.per_second.min(PER_SECOND_MAX)).map(|rate| Quota::per_second(rate).allow_burst(burst));
        let window = burst.get().div_ceil(rate.per_second.max(1));
        let policy = HeaderValue::from_str(&format!("\"{}\";q={burst};w={window}", whose.name()));
        Self {
            whose,
            rate,
            policy: policy.expect("a name and two numbers are visible ASCII"),
            gate: quota.map(|quota| RateLimiter::dashmap(quota).with_middleware()),
            checks: AtomicUsize::new(0),
        }
    }

    fn check(&self, key: &K) -> Verdict {
        let Some(gate) = &self.gate else { return (None, None) };
        match gate.check_key(key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let spent = self.rate.burst.saturating_sub(remaining);
                (Some(self.standing(remaining, spent.div_ceil(self.rate.per_second))), None)
            }
            Err(refused) => {
                let wait = refused.wait_time_from(gate.clock().now());
                let wait_seconds = round_up(wait).max(1);
                (Some(self.standing(0, wait_seconds)), Some(RateLimited { whose: self.whose, wait_seconds }))
            }
        }
    }

    fn standing(&self, remaining: u32, reset_seconds: u32) -> Standing {
        Standing { whose: self.whose, policy: self.policy.clone(), remaining, reset_seconds }
    }

    /// Forgets who is back to full now and then; says whether too many are left all the same.
    fn is_overfull(&self) -> bool {
        let Some(gate) = &self.gate else { return false };
        let checks = self.checks.fetch_add(1, Ordering::Relaxed) + 1;
        if !checks.is_multiple_of(RATE_LIMIT_CHECKS_PER_SWEEP) {
            return false;
        }
        gate.retain_recent();
        gate.len() > RATE_LIMIT_KEYS_MAX
    }
}

/// Rates above this are taken as this.
const PER_SECOND_MAX: u32 = 1_000_000;

fn round_up(span: Duration) -> u32 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// Counts a request against its address. Health and metrics are not counted: they are asked by
/// who would restart us.
///
/// # Errors
/// [`RateLimited`], unless the judgement waits for [`settle`].
pub(super) fn judge_address(
    edge: &Edge,
    passage: &mut Passage,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<(), RateLimited> {
    let is_exempt = path == "/metrics" || path == "/health" || path.starts_with("/health/");
    let Some(network) = passage.address.network.filter(|_| !is_exempt) else { return Ok(()) };
    let (standing, limited) = edge.rate_limits.check_address(&network);
    passage.standings[0] = standing;
    let Some(limited) = limited else { return Ok(()) };
    if is_stream(path) || may_be_admin(query, headers) {
        passage.limited = Some(limited);
        return Ok(());
    }
    Err(limited)
}

/// Whether who asks there cannot read an error, and is told otherwise by whoever answers.
fn is_stream(path: &str) -> bool {
    path == events::PATH || websocket::PATHS.contains(&path)
}

/// Whether the request brings something that may prove to be an administrator's.
fn may_be_admin(query: &str, headers: &HeaderMap) -> bool {
    let is_proof = |pair: &str| pair.starts_with("token=") || pair.starts_with("ticket=");
    headers.contains_key(header::AUTHORIZATION) || query.split('&').any(is_proof)
}

/// Counts a request against its principal, and says what was found of its address. To be called once
/// for each request, by whoever learns of the principal, before anything is done on its behalf.
/// Administrators are not limited, so that no flood locks them out.
///
/// # Errors
/// [`RateLimited`], to be answered with 429, or by a `bye` where an EventSource asks.
pub fn settle(request: &HttpRequest, principal: &Principal) -> Result<(), RateLimited> {
    let mut extensions = request.extensions_mut();
    let Some(passage) = extensions.get_mut::<Passage>() else { return Ok(()) };
    let limited = passage.limited.take();
    if principal.role == Role::Admin {
        return Ok(());
    }
    if let Some(limited) = limited {
        return Err(limited);
    }
    let edge = request.app_data::<web::Data<Edge>>();
    let Some(edge) = edge.filter(|_| !principal.name.is_empty()) else { return Ok(()) };
    let (standing, limited) = edge.rate_limits.check_principal(&principal.name);
    passage.standings[1] = standing;
    limited.map_or(Ok(()), Err)
}

/// Counts what a client asks for on a connection that is open, as a request of its own.
///
/// # Errors
/// [`RateLimited`].
pub fn charge(edge: &Edge, address: ClientAddress, principal: &Principal) -> Result<(), RateLimited> {
    if principal.role == Role::Admin {
        return Ok(());
    }
    let by_address = address.network.and_then(|network| edge.rate_limits.check_address(&network).1);
    let by_principal = || match principal.name.is_empty() {
        true => None,
        false => edge.rate_limits.check_principal(&principal.name).1,
    };
    by_address.or_else(by_principal).map_or(Ok(()), Err)
}

/// Tells a client how it stands.
pub(super) fn write_standings(passage: &Passage, headers: &mut HeaderMap) {
    for standing in passage.standings.iter().flatten() {
        standing.write(headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::HttpResponse;

    fn network(number: u32) -> IpNet {
        super::super::client_address::group(std::net::Ipv4Addr::from(number).into())
    }

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second, burst }
    }

    fn headers_of(standing: &Standing) -> (String, String) {
        let mut response = HttpResponse::Ok().finish();
        standing.write(response.headers_mut());
        let read =
            |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
        (read("ratelimit-policy").unwrap_or_default(), read("ratelimit").unwrap_or_default())
    }

    #[test]
    fn a_burst_is_taken_and_the_next_request_waits() {
        let limits = RateLimits::new(rate(1, 3), rate(1, 1));
        for left in [2, 1, 0] {
            let (standing, limited) = limits.check_address(&network(1));
            assert_eq!(limited, None);
            let (policy, standing) = headers_of(&standing.expect("the limit is on"));
            assert_eq!(policy, r#""address";q=3;w=3"#);
            assert_eq!(standing, format!(r#""address";r={left};t={}"#, 3 - left));
        }
        let (standing, limited) = limits.check_address(&network(1));
        let limited = limited.expect("the fourth is one too many");
        assert_eq!(limited.retry_after_seconds(), 1);
        assert_eq!(headers_of(&standing.expect("the limit is on")).1, r#""address";r=0;t=1"#);
        assert_eq!(limits.check_address(&network(2)).1, None, "others are not touched");
    }

    #[test]
    fn a_change_holds_at_once_and_no_change_forgets_nothing() {
        let limits = RateLimits::new(rate(1, 1), rate(1, 1));
        assert!(limits.check_address(&network(1)).1.is_none());
        limits.set(rate(1, 1), rate(5, 5));
        assert!(limits.check_address(&network(1)).1.is_some());
        limits.set(rate(1, 2), rate(5, 5));
        assert!(limits.check_address(&network(1)).1.is_none());
        limits.set(rate(0, 1), rate(5, 5));
        assert!((0..100).all(|_| matches!(limits.check_address(&network(1)), (None, None))));
    }

    #[test]
    fn extreme_rates_neither_panic_nor_refuse_the_first() {
        for (per_second, burst) in [(u32::MAX, u32::MAX), (u32::MAX, 0), (1, u32::MAX), (0, 0), (1, 0)] {
            let limits = RateLimits::new(rate(per_second, burst), rate(per_second, burst));
            assert!(limits.check_principal(&"user:ada".into()).1.is_none(), "{per_second} {burst}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        // Slow to recover, so that no key may be forgotten meanwhile.
        let limits = RateLimits::new(rate(1, 1_000), rate(1, 1));
        let most = (0..3 * u32::try_from(RATE_LIMIT_KEYS_MAX).expect("it is small")).map(|number| {
            let _ = limits.check_address(&network(number));
            limits.addresses.load().gate.as_ref().map_or(0, |gate| if number % 1_024 == 0 { gate.len() } else { 0 })
        });
        assert!(most.max().expect("it was filled") <= RATE_LIMIT_KEYS_MAX + RATE_LIMIT_CHECKS_PER_SWEEP);
        let fast = RateLimits::new(rate(1_000_000, 1), rate(1, 1));
        for number in 0..u32::try_from(4 * RATE_LIMIT_CHECKS_PER_SWEEP).expect("it is small") {
            let _ = fast.check_address(&network(number));
        }
        let left = fast.addresses.load().gate.as_ref().map_or(0, RateLimiter::len);
        assert!(left < 2 * RATE_LIMIT_CHECKS_PER_SWEEP, "{left} are remembered that are back to full");
    }
}
