//! Whether the server learns who we are.

use std::net::IpAddr;
use std::time::Instant;

use serde::Deserialize;

use super::{Visit, borrowed};
use crate::doctor::check::Check;
use crate::doctor::client::{Answer, Failure};
use crate::doctor::event_stream::Next;
use crate::doctor::report::Finding;

/// What `/auth/me` says, as far as it concerns us.
#[derive(Debug, Deserialize)]
struct Myself {
    role: Option<String>,
    /// The address that the server takes us to have, where it says so.
    address: Option<IpAddr>,
}

/// Shows the token, in the header and where that fails in the query. The second finding is about the
/// address that the server sees.
pub(super) fn examine(visit: &mut Visit) -> (Finding, Finding) {
    let answer = visit.client.get(&visit.base.url("/auth/me"), &borrowed(&visit.credentials()));
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let finding = Finding::warn(Check::Authorization, format!("/auth/me: {failure}"), "run this again");
            return (finding, Finding::skipped(Check::ClientAddress, "/auth/me did not answer"));
        }
    };
    let myself = serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200);
    let finding = match &visit.token {
        None => Finding::skipped(Check::Authorization, "no --token was given"),
        Some(_) => with_token(visit, &answer, myself.as_ref()),
    };
    (finding, client_address(visit, myself.as_ref()))
}

fn with_token(visit: &mut Visit, answer: &Answer, myself: Option<&Myself>) -> Finding {
    let role = myself.and_then(|myself| myself.role.as_deref()).filter(|role| *role != "anonymous");
    if let Some(role) = role {
        return Finding::ok(Check::Authorization, format!("the token arrives and is good: role {role}"));
    }
    if answer.status == 404 {
        return if answer.is_problem_of_santral() {
            Finding::skipped(Check::Authorization, "this server has no accounts")
        } else {
            Finding::warn(
                Check::Authorization,
                format!("/auth is not let through: {}", answer.summary()),
                "pass /auth on to Santral like /api",
            )
        };
    }
    if answer.status != 200 && !answer.is_problem_of_santral() {
        return Finding::fail(
            Check::Authorization,
            format!("something in front answers in the server's place: {}", answer.summary()),
            visit.proxy.pass_authorization(),
        );
    }
    visit.is_token_in_query = true;
    if is_known_by_query(visit) {
        return Finding::fail(
            Check::Authorization,
            "the header Authorization gets lost on the way: the same token is taken in the query",
            visit.proxy.pass_authorization(),
        );
    }
    visit.is_token_in_query = false;
    let code = answer.problem_code().map(|code| format!(" ({code})")).unwrap_or_default();
    Finding::fail(
        Check::Authorization,
        format!("the server does not take the token{code}, neither in the header nor in the query"),
        "get a fresh one (`santral token`, or POST /auth/login); is it of this server, and are the clocks right?",
    )
}

/// Whether a stream that names the token in its query is somebody's.
fn is_known_by_query(visit: &Visit) -> bool {
    let Some(token) = &visit.token else { return false };
    let url = visit.base.url(&format!("/api/events?token={token}"));
    // Where everybody is let in, an open stream alone shows nothing.
    let is_closed = visit.health.as_ref().is_some_and(|health| !health.open);
    let mut stream = match visit.client.stream(&url, &[]) {
        Ok(stream) => stream,
        // A refusal comes at once. A stream that somebody holds back looks like this.
        Err(Failure::Silent) => return is_closed,
        Err(Failure::Tls(_) | Failure::NotHttp(_) | Failure::Broken(_)) => return false,
    };
    if stream.status != 200 || is_closed {
        return stream.status == 200;
    }
    let Next::Event(hello) = stream.next_named("hello", Instant::now() + visit.client.timeout()) else { return false };
    let hello: serde_json::Value = serde_json::from_str(&hello.data).unwrap_or_default();
    !hello["user"].is_null()
}

fn client_address(visit: &Visit, myself: Option<&Myself>) -> Finding {
    let Some(address) = myself.and_then(|myself| myself.address) else {
        return Finding::skipped(Check::ClientAddress, "the server does not say which address it sees");
    };
    let is_inner = match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if is_inner && !visit.base.is_loopback() {
        return Finding::warn(
            Check::ClientAddress,
            format!("the server takes us to be {address}, which is probably its proxy: all clients share its limits"),
            "add the proxy's address to trusted_proxies, and let the proxy set X-Forwarded-For",
        );
    }
    Finding::ok(Check::ClientAddress, format!("the server takes us to be {address}"))
}
