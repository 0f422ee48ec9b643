//! The checks from outside: what a client meets on the way to the server.

mod authorization;
mod cors;
mod reach;
mod requests;
mod streams;
mod tls;
mod transports;

use std::time::Duration;

use super::check::Check;
use super::client::{BadUrl, Base, Client, Health};
use super::culprit::Proxy;
use super::report::{Finding, Report};

/// What is looked at, and with what.
#[derive(Clone, Default)]
pub struct Target {
    /// The public address.
    pub url: String,
    /// An access token; holds a secret, so this has no `Debug`.
    pub token: Option<String>,
    /// The origin of pages that are to be let in.
    pub origin: Option<String>,
    /// How long to watch a silent stream; zero leaves it out.
    pub idle: Duration,
    /// How long to wait for each answer.
    pub timeout: Duration,
    /// Certificates to trust instead of those of the machine, in PEM.
    pub authorities: Option<Vec<u8>>,
}

/// Why a target cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The address.
    #[error("--url: {0}")]
    Url(#[from] BadUrl),
    /// The certificates.
    #[error("--ca-file: there is no certificate in it (PEM)")]
    Authorities,
}

/// Makes every check.
///
/// # Errors
/// [`BadTarget`] before anything was looked at.
pub fn examine(target: &Target, report: &mut Report<'_>) -> Result<(), BadTarget> {
    let base = Base::parse(&target.url)?;
    let client = match &target.authorities {
        Some(pem) => Client::trusting(target.timeout, pem).ok_or(BadTarget::Authorities)?,
        None => Client::plain(target.timeout),
    };
    report.hide(target.token.as_deref());
    let mut visit = Visit {
        client,
        base,
        token: target.token.clone(),
        is_token_in_query: false,
        proxy: Proxy::Unknown,
        health: None,
        channel: format!("santral-doctor:{}", nanoid::nanoid!()),
    };
    if !reach::examine(&mut visit, report) {
        report.skip_rest(Check::Name, "the server was not reached");
        return Ok(());
    }
    requests::examine(&visit, report);
    let (finding, client_address) = authorization::examine(&mut visit);
    report.add(finding);
    report.add(client_address);
    let watched = streams::examine(&visit, report);
    report.add(transports::websocket(&visit));
    report.add(transports::poll(&visit));
    report.add(transports::socketio(&visit));
    report.add(match &target.origin {
        Some(origin) => cors::examine(&visit, origin),
        None => Finding::skipped(Check::Cors, "no --origin was named"),
    });
    report.add(streams::idle(&visit, watched, target.idle));
    Ok(())
}

/// What is known so far.
struct Visit {
    client: Client,
    /// Where Santral is, after redirects.
    base: Base,
    token: Option<String>,
    /// The header gets lost on the way, so streams say the token in their query.
    is_token_in_query: bool,
    proxy: Proxy,
    /// What `/health` says, where it is let through.
    health: Option<Health>,
    /// Nobody else's channel.
    channel: String,
}

impl Visit {
    /// The header that says who we are, where there is a token.
    fn credentials(&self) -> Vec<(&'static str, String)> {
        self.token.iter().map(|token| ("authorization", format!("Bearer {token}"))).collect()
    }

    /// The same as part of a query; a token holds nothing that needs escaping, and what does is no token.
    fn query_token(&self) -> String {
        match &self.token {
            Some(token) if self.is_token_in_query => format!("&token={token}"),
            Some(_) | None => String::new(),
        }
    }
}

/// Headers as the client takes them.
fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
