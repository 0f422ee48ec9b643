//! One try of a delivery: a POST to an address that is checked when its name is looked up.
//!
//! The connection goes to the very addresses that were checked, so a name that leads elsewhere at the next
//! look-up (DNS rebinding) gains nothing. No proxy, which would look the name up by itself; no redirect; no
//! connection is used twice.

use std::error::Error as StdError;
use std::io::{self, Read};

use santral_core::limits::{WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_TRY_DEADLINE};
use ureq::config::Config;
use ureq::http::{Request, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use super::addresses::is_public;

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has it.
    Taken,
    /// The receiver wants no more of it.
    Gone,
    /// Neither; in words.
    Failed(String),
}

/// Sends deliveries.
pub(super) struct Client {
    agent: Agent,
}

impl Client {
    /// Goes to private addresses only if it may.
    pub(super) fn new(may_go_private: bool) -> Self {
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("santral-webhooks/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(WEBHOOK_TRY_DEADLINE))
            .build();
        let looks_up = CheckedResolver { inner: DefaultResolver::default(), may_go_private };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), looks_up) }
    }

    /// Sends a body of JSON and waits for the head of the answer, no longer than [`WEBHOOK_TRY_DEADLINE`].
    pub(super) fn post(&self, url: &str, headers: &[(&str, &str)], body: &str) -> Verdict {
        let request = Request::post(url).header("Content-Type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let Ok(request) = request.body(body) else {
            return Verdict::Failed("it makes no request".to_owned());
        };
        match self.agent.run(request) {
            Ok(answer) => {
                let status = answer.status().as_u16();
                // A receiver that is still talking sees a clean end. What it says does not matter.
                let mut rest = answer.into_body().into_reader().take(WEBHOOK_ANSWER_BYTES_MAX);
                let _ = io::copy(&mut rest, &mut io::sink());
                judge(status)
            }
            Err(error) => Verdict::Failed(reason(&error)),
        }
    }
}

fn judge(status: u16) -> Verdict {
    match status {
        200..300 => Verdict::Taken,
        410 => Verdict::Gone,
        300..400 => Verdict::Failed(format!("status {status}: redirects are not followed")),
        _ => Verdict::Failed(format!("status {status}")),
    }
}

/// In words for an operator.
fn reason(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "no answer in time".to_owned(),
        Error::HostNotFound => "the host is not found".to_owned(),
        Error::Io(error) => match error.source().or(error.get_ref().map(|inner| inner as _)) {
            Some(inner) => inner.to_string(),
            None => error.to_string(),
        },
        error => error.to_string(),
    }
}

/// Looks names up and leaves out what may not be reached.
#[derive(Debug)]
struct CheckedResolver {
    inner: DefaultResolver,
    may_go_private: bool,
}

impl Resolver for CheckedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if self.may_go_private {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        match public.is_empty() {
            true => Err(Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, PrivateAddress))),
            false => Ok(public),
        }
    }
}

/// A name leads to addresses only that are not of the public internet.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("its address is private, and webhook_allow_private is not set")]
struct PrivateAddress;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_taken_and_410_is_the_end() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge(status), Verdict::Taken, "{status}");
        }
        assert_eq!(judge(410), Verdict::Gone);
        for status in [301, 302, 307, 308, 400, 401, 404, 409, 411, 429, 500, 503] {
            assert!(matches!(judge(status), Verdict::Failed(_)), "{status}");
        }
    }

    #[test]
    fn private_addresses_are_refused_however_they_are_written() {
        let client = Client::new(false);
        for url in [
            "http://127.0.0.1:9/",
            "http://127.1:9/",
            "http://0x7f000001:9/",
            "http://2130706433:9/",
            "http://localhost:9/",
            "http://[::1]:9/",
            "http://[::ffff:127.0.0.1]:9/",
            "http://[::ffff:7f00:1]:9/",
            "http://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
            "http://0.0.0.0:9/",
        ] {
            let Verdict::Failed(reason) = client.post(url, &[], "{}") else { panic!("{url}") };
            assert!(
                reason.contains("private") || reason.contains("not found") || reason.contains("lookup"),
                "{url}: {reason}"
            );
        }
        let Verdict::Failed(reason) = Client::new(true).post("http://127.0.0.1:9/", &[], "{}") else {
            panic!("nobody listens there");
        };
        assert!(!reason.contains("private"), "{reason}");
    }
}
