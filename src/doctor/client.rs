//! HTTP as a client of the server speaks it: one request a connection, no redirects, nothing retried.
//!
//! What goes wrong before an answer is sorted into [`Failure`], in words for an operator.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{HeaderMap, Request, Response, Uri, Version};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::event_stream::EventStream;

/// Where Santral is served: scheme, host and the path above its own paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    is_https: bool,
    authority: String,
    /// Empty, or `/like/this`.
    path: String,
}

/// Why a text is no address that can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL like https://example.org or https://example.org/santral, without user, query or fragment")]
pub struct BadUrl;

impl Base {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Self, BadUrl> {
        let uri: Uri = url.trim().parse().map_err(|_| BadUrl)?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(BadUrl),
        };
        let authority = uri.authority().ok_or(BadUrl)?.as_str().to_owned();
        if authority.contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(BadUrl);
        }
        Ok(Self { is_https, authority, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The full URL of one of Santral's paths.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host's name or address, without brackets.
    pub(super) fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => &self.authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        let named = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        named.unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// Whether it is this very machine, by name or address.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }

    /// Where a `Location` leads that was the answer to the URL of `path`; `None` when it is none of Santral's.
    pub(super) fn redirected(&self, location: &str, path: &str) -> Option<Self> {
        let absolute = if location.starts_with("//") {
            format!("{}:{location}", if self.is_https { "https" } else { "http" })
        } else if location.starts_with('/') {
            let scheme = if self.is_https { "https" } else { "http" };
            format!("{scheme}://{}{location}", self.authority)
        } else {
            location.to_owned()
        };
        let target = absolute.trim_end_matches('/').strip_suffix(path)?;
        Self::parse(target).ok()
    }
}

impl fmt::Display for Base {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing came in time.
    Silent,
    /// The certificate or the handshake; the library's words, which name the reason.
    Tls(String),
    /// It was no HTTP.
    NotHttp(String),
    /// The connection could not be made or broke.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => formatter.write_str("no answer in time"),
            Self::Tls(what) => write!(formatter, "no TLS: {what}"),
            Self::NotHttp(what) => write!(formatter, "no HTTP: {what}"),
            Self::Broken(what) => write!(formatter, "the connection broke: {what}"),
        }
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::Silent,
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Silent,
            // Refusals of the handshake come as `InvalidData` around the error of rustls.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Self::Tls(error.to_string()),
            ureq::Error::Io(error) => Self::Broken(error.to_string()),
            ureq::Error::Protocol(error) => Self::NotHttp(error.to_string()),
            error @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => Self::Tls(error.to_string()),
            error => Self::Broken(error.to_string()),
        }
    }
}

/// A problem document, as far as it concerns us.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: Option<String>,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// As much of it as the bound allows.
    pub(super) body: String,
}

impl Answer {
    /// The first header of that name, as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether Santral wrote it: its errors are problem documents, and every answer has a request id.
    pub(super) fn is_problem_of_santral(&self) -> bool {
        let is_problem = self.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json"));
        is_problem && self.problem_code().is_some()
    }

    /// The code in a problem document.
    pub(super) fn problem_code(&self) -> Option<String> {
        self.problem().map(|problem| problem.code)
    }

    /// What a problem document says of this very request.
    pub(super) fn problem_detail(&self) -> Option<String> {
        self.problem().and_then(|problem| problem.detail)
    }

    fn problem(&self) -> Option<Problem> {
        serde_json::from_str(&self.body).ok()
    }

    /// What it is, in a few words.
    pub(super) fn summary(&self) -> String {
        let kind = self.header("content-type").unwrap_or("no content type");
        let by = self.header("server").map(|server| format!(", by {server}")).unwrap_or_default();
        format!("status {} ({kind}{by})", self.status)
    }
}

/// The first header of that name, as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What `/health` says, as far as it concerns us.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Health {
    pub(super) status: String,
    pub(super) version: String,
    pub(super) node: String,
    pub(super) open: bool,
}

impl Health {
    /// `None` when that is not what Santral answers.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200)
    }
}

/// Sends requests.
pub(super) struct Client {
    timeout: Duration,
    whole: Agent,
    streams: Agent,
}

impl Client {
    /// One that trusts what the machine trusts.
    pub(super) fn plain(timeout: Duration) -> Self {
        Self::new(timeout, RootCerts::PlatformVerifier)
    }

    /// One that trusts these certificates, in PEM, instead of what the machine trusts; `None` when
    /// there are none in the text.
    pub(super) fn trusting(timeout: Duration, pem: &[u8]) -> Option<Self> {
        let certificates: Vec<Certificate<'static>> = parse_pem(pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                Ok(_) | Err(_) => None,
            })
            .collect();
        (!certificates.is_empty()).then(|| Self::new(timeout, RootCerts::from(certificates)))
    }

    fn new(timeout: Duration, roots: RootCerts) -> Self {
        let tls = TlsConfig::builder().root_certs(roots).build();
        let agent = |body: Option<Duration>| {
            Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(None)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections(0)
                .user_agent(concat!("santral-doctor/", env!("CARGO_PKG_VERSION")))
                .timeout_resolve(Some(timeout))
                .timeout_connect(Some(timeout))
                .timeout_send_request(Some(timeout))
                .timeout_recv_response(Some(timeout))
                .timeout_recv_body(body)
                .build()
                .new_agent()
        };
        Self { timeout, whole: agent(Some(timeout)), streams: agent(None) }
    }

    /// How long it waits for each step.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.send("GET", url, headers, String::new())
    }

    pub(super) fn post_json(&self, url: &str, headers: &[(&str, &str)], json: String) -> Result<Answer, Failure> {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send("POST", url, &headers, json)
    }

    /// `OPTIONS`, what a browser asks first.
    pub(super) fn preflight(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.send("OPTIONS", url, headers, String::new())
    }

    fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: String) -> Result<Answer, Failure> {
        let response = if body.is_empty() {
            self.whole.run(request(method, url, headers, ())?)?
        } else {
            self.whole.run(request(method, url, headers, body)?)?
        };
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|error| Failure::from(ureq::Error::from(error)))?;
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { status: parts.status.as_u16(), version: parts.version, headers: parts.headers, body })
    }

    /// Opens a stream, or returns the whole answer that came in its stead.
    pub(super) fn stream(&self, url: &str, headers: &[(&str, &str)]) -> Result<EventStream, Failure> {
        let headers: Vec<_> = headers.iter().copied().chain([("accept", "text/event-stream")]).collect();
        let asked_at = Instant::now();
        let response: Response<Body> = self.streams.run(request("GET", url, &headers, ())?)?;
        Ok(EventStream::begin(response, asked_at))
    }
}

fn request<B>(method: &str, url: &str, headers: &[(&str, &str)], body: B) -> Result<Request<B>, Failure> {
    let request = Request::builder().method(method).uri(url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    // A token with a line break, for instance. The value is not repeated.
    request.body(body).map_err(|_| Failure::Broken("what was given makes no request".to_owned()))
}

/// More of an answer is not looked at.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Base {
        Base::parse(url).expect("a good URL")
    }

    #[test]
    fn a_url_is_taken_apart() {
        let root = base("https://example.org/");
        assert_eq!((root.host(), root.port(), root.is_https()), ("example.org", 443, true));
        assert_eq!(root.url("/health"), "https://example.org/health");
        let below = base("http://[::1]:8080/live/");
        assert_eq!((below.host(), below.port(), below.is_loopback()), ("::1", 8_080, true));
        assert_eq!(below.url("/health"), "http://[::1]:8080/live/health");
        for url in
            ["example.org", "ftp://example.org", "https://", "https://ada:x@example.org", "http://x/?a", "http://x/#a"]
        {
            assert_eq!(Base::parse(url), Err(BadUrl), "{url}");
        }
    }

    #[test]
    fn redirects_are_followed_to_what_clients_should_use() {
        let from = base("http://example.org/live");
        for (location, to) in [
            ("https://example.org/live/health", Some("https://example.org/live")),
            ("/other/health", Some("http://example.org/other")),
            ("//example.net/health/", Some("http://example.net")),
            ("https://login.example.org/?back=x", None),
        ] {
            assert_eq!(from.redirected(location, "/health"), to.map(base), "{location}");
        }
    }
}
