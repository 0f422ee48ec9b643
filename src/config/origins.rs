//! Which web origins may use the API from their pages (RFC 6454; Fetch, "HTTP-network-or-cache fetch").

use std::fmt;
use std::net::Ipv6Addr;

/// An allowed origin, or a pattern of some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: all. No harm as long as no cookie says who somebody is.
    Any,
    /// This one, as browsers write it.
    Exact(String),
    /// `https://*.example.com`: a whole label in front of the rest, never more than one and never none.
    Label {
        /// `https://`, say.
        scheme: String,
        /// What follows the label: `.example.com`, perhaps with a port.
        rest: String,
    },
}

impl OriginPattern {
    /// Reads a pattern; `None` where it is none. `null`, which every sandboxed frame has, is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let default_port = USUAL_PORTS.iter().find(|(usual, _)| *usual == scheme).map(|(_, port)| *port);
        let scheme = format!("{scheme}://");
        let (host, port) = split_port(authority)?;
        // Browsers leave the usual port out.
        let port = port.filter(|port| Some(*port) != default_port).map(|port| format!(":{port}")).unwrap_or_default();
        if let Some(domain) = host.strip_prefix("*.") {
            // `https://*.com` would be everybody.
            let is_domain = is_host_name(domain) && domain.contains('.') && !ends_in_number(domain);
            return is_domain.then(|| Self::Label { scheme, rest: format!(".{domain}{port}") });
        }
        is_host(host).then(|| Self::Exact(format!("{scheme}{host}{port}")))
    }

    /// Whether this origin, as a browser sent it, is allowed.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(allowed) => allowed == origin,
            Self::Label { scheme, rest } => {
                let label = origin.strip_prefix(scheme.as_str()).and_then(|origin| origin.strip_suffix(rest.as_str()));
                label.is_some_and(is_label)
            }
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Exact(origin) => formatter.write_str(origin),
            Self::Label { scheme, rest } => write!(formatter, "{scheme}*{rest}"),
        }
    }
}

/// Host and port; `None` for a port that is none.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        // The colon may be one of an IPv6 address.
        Some((host, port)) if !port.contains(']') => {
            let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
            is_plain.then(|| port.parse().ok()).flatten().map(|port| (host, Some(port)))
        }
        Some(_) | None => Some((authority, None)),
    }
}

/// A name, or an IPv6 address in brackets; in small letters.
pub(super) fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    }
}

fn is_host_name(host: &str) -> bool {
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

/// RFC 1123, section 2.1, and the underscore that is often seen.
fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(allowed)
}

/// An IPv4 address has no labels that belong to somebody.
fn ends_in_number(domain: &str) -> bool {
    domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// RFC 3986, section 3.1. Apps have schemes of their own, such as `capacitor://localhost`.
fn is_scheme(scheme: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
    scheme.starts_with(|letter: char| letter.is_ascii_lowercase()) && scheme.bytes().all(allowed)
}

/// Ports that go without saying.
const USUAL_PORTS: [(&str, u16); 2] = [("https", 443), ("http", 80)];

/// RFC 1035, section 2.3.4.
const HOST_BYTES_MAX: usize = 253;

/// RFC 1035, section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for (text, shown) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://App.Example.com:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("*", "*"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(OriginPattern::parse(text).map(|origin| origin.to_string()).as_deref(), Some(shown));
        }
        for text in [
            "",
            "null",
            "app.example.com",
            "://example.com",
            "1s://example.com",
            "https://",
            "https://example.com/",
            "https://example.com/path",
            "https://ada@example.com",
            "https://example.com:0",
            "https://example.com:65536",
            "https://example.com:",
            "https://exa mple.com",
            "https://*",
            "https://*.com",
            "https://*example.com",
            "https://a.*.example.com",
            "https://*.0.0.1",
            "https://**.example.com",
            "https://example..com",
            "https://[::1",
        ] {
            assert_eq!(OriginPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_star_is_one_whole_label() {
        let pattern = OriginPattern::parse("https://*.example.com").expect("a pattern");
        for (origin, allowed) in [
            ("https://a.example.com", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("https://a.b.example.com", false),
            ("https://evilexample.com", false),
            ("https://evil.com/.example.com", false),
            ("https://evil.com#.example.com", false),
            ("https://a.example.com.evil.com", false),
            ("https://a.example.com:8443", false),
            ("http://a.example.com", false),
            ("null", false),
        ] {
            assert_eq!(pattern.allows(origin), allowed, "{origin}");
        }
        let exact = OriginPattern::parse("https://a.example.com").expect("an origin");
        assert!(exact.allows("https://a.example.com"));
        assert!(!exact.allows("https://a.example.com.evil.com") && !exact.allows("null"));
    }
}
