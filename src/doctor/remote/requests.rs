//! Plain requests: open mode, HTTP version, caches.

use ureq::http::Version;

use super::transports::SOCKET_IO;
use super::{Visit, borrowed};
use crate::doctor::check::Check;
use crate::doctor::client::{Answer, Failure};
use crate::doctor::report::{Finding, Report};

/// Asks twice for what changes each time, and looks at the answers.
pub(super) fn examine(visit: &Visit, report: &mut Report<'_>) {
    report.add(open(visit));
    let mut pairs = Vec::new();
    let poll = format!("/api/poll?channel={}&broadcast=0", visit.channel);
    for path in ["/health", "/api/channels?limit=1", &poll, SOCKET_IO] {
        match ask_twice(visit, path) {
            Ok(pair) => pairs.push((path, pair)),
            Err(failure) => {
                report.add(Finding::warn(Check::HttpVersion, format!("{path}: {failure}"), "run this again"));
                report.add(Finding::skipped(Check::Cache, "an answer did not come"));
                return;
            }
        }
    }
    let is_old = pairs.iter().any(|(_, (first, _))| first.version == Version::HTTP_10);
    report.add(match is_old {
        true => Finding::warn(Check::HttpVersion, "answers come in HTTP/1.0", visit.proxy.speak_http11()),
        false => Finding::ok(Check::HttpVersion, "answers come in HTTP/1.1"),
    });
    let cached = pairs.iter().find_map(|(path, (first, second))| Some((path, trace_of_cache(first, second)?)));
    report.add(match cached {
        Some((path, trace)) => Finding::fail(
            Check::Cache,
            format!("a cache answers in the server's place: {} {trace}", path.split('?').next().unwrap_or(path)),
            visit.proxy.leave_uncached(),
        ),
        None => Finding::ok(Check::Cache, "each request reaches the server"),
    });
}

fn open(visit: &Visit) -> Finding {
    match &visit.health {
        None => Finding::skipped(Check::Open, "/health is not let through"),
        Some(health) if !health.open => Finding::ok(Check::Open, "the server asks who somebody is"),
        Some(_) if visit.base.is_loopback() => {
            Finding::ok(Check::Open, "open mode: everybody on this machine may do everything")
        }
        Some(_) if is_operator(visit) => Finding::fail(
            Check::Open,
            "open mode, and whoever reaches this address is the operator: the proxy passes for somebody at the machine",
            "make an account with `santral create-admin` now, and let the proxy name its clients (X-Forwarded-For)",
        ),
        Some(_) => Finding::warn(
            Check::Open,
            "open mode: whoever reaches this address may publish and read everything",
            "make an account with `santral create-admin` and set open = false",
        ),
    }
}

/// Whether without a token we are given what an open server shows to the person at its machine only.
fn is_operator(visit: &Visit) -> bool {
    visit.client.get(&visit.base.url("/api/settings"), &[]).is_ok_and(|answer| answer.status == 200)
}

fn ask_twice(visit: &Visit, path: &str) -> Result<(Answer, Answer), Failure> {
    let (url, credentials) = (visit.base.url(path), visit.credentials());
    let ask = || visit.client.get(&url, &borrowed(&credentials));
    Ok((ask()?, ask()?))
}

/// By what an answer shows that it was kept: two answers of the server never have the same request
/// id, and caches like to say what they did.
fn trace_of_cache(first: &Answer, second: &Answer) -> Option<String> {
    let id = second.header("x-request-id").filter(|id| first.header("x-request-id") == Some(id));
    if let Some(id) = id {
        return Some(format!("came twice with the same X-Request-Id {id}"));
    }
    if let Some(age) = second.header("age").filter(|age| *age != "0") {
        return Some(format!("came with Age: {age}"));
    }
    ["x-cache", "cf-cache-status", "x-cache-status", "x-proxy-cache"].into_iter().find_map(|name| {
        let value = second.header(name)?;
        value.to_ascii_uppercase().contains("HIT").then(|| format!("came with {name}: {value}"))
    })
}
