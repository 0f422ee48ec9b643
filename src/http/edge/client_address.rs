//! Who is asking: the peer of the socket, or whom a trusted proxy names.
//!
//! A forwarding header is believed only from a peer that the operator trusts, only the one header
//! that the operator named, and only from the right: each proxy appends whom it was asked by, so
//! the right-most hop that is no trusted proxy is the last that somebody trustworthy has seen.
//! Whatever stands to the left of it may be made up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderMap};
use ipnet::IpNet;

use santral_core::limits::{FORWARDED_HOPS_MAX, FORWARDED_LINE_BYTES_MAX};

pub use crate::hub::admission::{ClientAddress, group};

use super::origins::is_same_origin;
use super::{EdgeOptions, Passage};
use crate::config::ForwardedHeader;

/// What a forwarding header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// This is the client.
    Client(IpAddr),
    /// The header is of no use; this is the last address that can be believed, a proxy's.
    Unusable(IpAddr),
}

/// Reads the lines of a forwarding header that came from a trusted peer.
///
/// Several lines are one list (RFC 9110, section 5.3). Whatever is no address, an obfuscated
/// identifier and `unknown` included (RFC 7239, section 6), ends the search.
#[must_use]
pub fn read_forwarding_header<'a>(
    peer: IpAddr,
    header: ForwardedHeader,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> Named {
    let mut last = peer;
    let mut is_named = false;
    for hop in lines.rev().flat_map(|line| hops(header, line)).take(FORWARDED_HOPS_MAX) {
        let Some(hop) = hop else { return Named::Unusable(last) };
        if !contains(trusted, hop) {
            return Named::Client(hop);
        }
        (last, is_named) = (hop, true);
    }
    if is_named { Named::Client(last) } else { Named::Unusable(last) }
}

/// Whose request this is, and whose limits it shares.
#[must_use]
pub fn resolve(peer: IpAddr, headers: &HeaderMap, options: &EdgeOptions) -> ClientAddress {
    let peer = peer.to_canonical();
    if !contains(&options.trusted_proxies, peer) {
        return shared(peer, options);
    }
    let name = options.forwarded_header.name();
    if headers.contains_key(name) {
        let lines: Vec<&[u8]> = headers.get_all(name).map(|line| line.as_bytes()).collect();
        return match read_forwarding_header(peer, options.forwarded_header, lines.into_iter(), &options.trusted_proxies)
        {
            Named::Client(ip) => shared(ip, options),
            Named::Unusable(ip) => limited(ip),
        };
    }
    // Behind a proxy, and the proxy does not say for whom: never a way out of the limits.
    if has_forwarding_header(headers) { limited(peer) } else { shared(peer, options) }
}

fn shared(ip: IpAddr, options: &EdgeOptions) -> ClientAddress {
    if options.is_unlimited(ip) { ClientAddress::unlimited(ip) } else { limited(ip) }
}

fn limited(ip: IpAddr) -> ClientAddress {
    ClientAddress { ip, network: Some(group(ip)) }
}

/// Whether one of the networks has this address.
#[must_use]
pub fn contains(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// The address that the request was found to come from; without a middleware that looked, its peer's.
#[must_use]
pub fn of(request: &HttpRequest) -> ClientAddress {
    let found = request.extensions().get::<Passage>().map(|passage| passage.address);
    found.unwrap_or_else(|| {
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        ClientAddress::unlimited(peer)
    })
}

/// Whether somebody at this very machine asks, with no proxy between and no page of elsewhere behind it.
///
/// The name in `Host` guards against DNS rebinding, where a foreign page's own name points here;
/// `Origin` and `Sec-Fetch-Site` (W3C Fetch Metadata) guard against pages that name us openly. HTTP/1.0
/// is what nginx speaks to a server unless it is told otherwise; then it says our own address in `Host`,
/// and nothing of a client, so that all the world would look like the person at the machine.
#[must_use]
pub fn is_direct_loopback(request: &HttpRequest) -> bool {
    request.version() != Version::HTTP_10
        && request.peer_addr().is_some_and(|peer| is_direct_loopback_head(peer.ip(), request.headers()))
}

fn is_direct_loopback_head(peer: IpAddr, headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut lines = headers.get_all(name);
        lines.next().filter(|_| lines.next().is_none())?.to_str().ok()
    };
    let is_own_page = |origin| only(header::HOST).is_some_and(|host| is_same_origin(origin, host));
    let is_own_fetch = |site: &str| ["none", "same-origin"].contains(&site);
    peer.to_canonical().is_loopback()
        && only(header::HOST).is_some_and(is_loopback_host)
        && !has_forwarding_header(headers)
        && (!headers.contains_key(header::ORIGIN) || only(header::ORIGIN).is_some_and(is_own_page))
        && (!headers.contains_key(SEC_FETCH_SITE) || only(SEC_FETCH_SITE).is_some_and(is_own_fetch))
}

const SEC_FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// `localhost`, an address of 127.0.0.0/8 or `[::1]`, with or without a port.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let is_loopback = address.parse::<Ipv6Addr>().is_ok_and(|ip| IpAddr::V6(ip).to_canonical().is_loopback());
            return is_loopback && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_loopback =
        name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback && port.is_none_or(is_port)
}

/// Whether a proxy has left its mark, whichever way.
#[must_use]
pub fn has_forwarding_header(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        FORWARDING_HEADERS.contains(&name) || FORWARDING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// What proxies add, by whole name and by how it begins; header names are in lower case by now.
const FORWARDING_HEADERS: [&str; 7] = [
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
];
const FORWARDING_PREFIXES: [&str; 2] = ["x-forwarded-", "cf-"];

/// An address as proxies write it: bare, with a port, or in brackets (RFC 7239, section 6).
fn parse_node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| is_whole).map(|ip| IpAddr::V6(ip).to_canonical());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// Digits, or an obfuscated port (RFC 7239, section 6.2), which is of no interest here.
fn is_port(text: &str) -> bool {
    let is_obfuscated = text.strip_prefix('_').is_some_and(|rest| !rest.is_empty());
    is_obfuscated || text.len() <= 5 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// The `for` of each element, the nearest first (RFC 7239, section 4).
fn forwarded_hops(line: &str) -> Vec<Option<IpAddr>> {
    let is_bounded = line.len() <= FORWARDED_LINE_BYTES_MAX;
    let Some(elements) = is_bounded.then(|| split_outside_quotes(line, ',')).flatten() else { return vec![None] };
    elements.into_iter().rev().take(FORWARDED_HOPS_MAX).map(forwarded_for).collect()
}

/// The address in the one `for` of an element.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = split_outside_quotes(element, ';')?;
    let mut nodes = pairs.into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let node = nodes.next().filter(|_| nodes.next().is_none())?;
    // No address has anything to escape, so a backslash in the quotes makes it garbage.
    parse_node(unquote(node))
}

/// Splits at a separator that is not within a quoted string (RFC 9110, section 5.6.4); `None` if one never ends.
fn split_outside_quotes(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if letter == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + letter.len_utf8();
            }
            _ => (),
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

/// The hops of one line, the nearest first; `None` for one that is no address.
fn hops(header: ForwardedHeader, line: &[u8]) -> Vec<Option<IpAddr>> {
    let Ok(text) = std::str::from_utf8(line) else { return vec![None] };
    match header {
        ForwardedHeader::Forwarded => forwarded_hops(text),
        ForwardedHeader::XForwardedFor | ForwardedHeader::CfConnectingIp | ForwardedHeader::XRealIp => {
            text.rsplit(',').take(FORWARDED_HOPS_MAX).map(|hop| parse_node(unquote(hop.trim()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const PEER: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("the test names an address")
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("the test names a network")).collect()
    }

    fn read(header: ForwardedHeader, lines: &[&str]) -> Named {
        let trusted = nets(&["10.0.0.0/8", "2001:db8:aaaa::/48", "127.0.0.1/32"]);
        read_forwarding_header(ip(PEER), header, lines.iter().map(|line| line.as_bytes()), &trusted)
    }

    fn client(text: &str) -> Named {
        Named::Client(ip(text))
    }

    fn unusable(text: &str) -> Named {
        Named::Unusable(ip(text))
    }

    #[test]
    fn the_right_most_hop_that_is_no_trusted_proxy_is_the_client() {
        let long = format!("{}10.0.0.2", "203.0.113.1, ".repeat(5_000));
        let trusted_only = "10.0.0.2, ".repeat(100);
        let cases: &[(&[&str], Named)] = &[
            (&["203.0.113.7"], client("203.0.113.7")),
            (&["  203.0.113.7\t"], client("203.0.113.7")),
            (&["198.51.100.1, 203.0.113.7"], client("203.0.113.7")),
            (&["127.0.0.1, 203.0.113.7"], client("203.0.113.7")),
            (&["203.0.113.7, 10.0.0.9"], client("203.0.113.7")),
            (&["198.51.100.1,203.0.113.7,10.0.0.9,10.1.2.3"], client("203.0.113.7")),
            (&["198.51.100.1", "203.0.113.7"], client("203.0.113.7")),
            (&["203.0.113.7", "10.0.0.9"], client("203.0.113.7")),
            (&["203.0.113.7, 198.51.100.2", "10.0.0.9, 10.0.0.8"], client("198.51.100.2")),
            (&["203.0.113.7:4711"], client("203.0.113.7")),
            (&["2001:db8::7"], client("2001:db8::7")),
            (&["[2001:db8::7]"], client("2001:db8::7")),
            (&["[2001:db8::7]:443"], client("2001:db8::7")),
            (&["\"[2001:db8::7]:443\""], client("2001:db8::7")),
            (&["::ffff:203.0.113.7"], client("203.0.113.7")),
            (&["203.0.113.7, ::ffff:10.0.0.9"], client("203.0.113.7")),
            (&["203.0.113.7, 2001:db8:aaaa::1"], client("203.0.113.7")),
            (&["10.0.0.5, 10.0.0.9"], client("10.0.0.5")),
            (&[&long], client("203.0.113.1")),
            (&[&trusted_only], unusable(PEER)),
            (&[], unusable(PEER)),
            (&[""], unusable(PEER)),
            (&[","], unusable(PEER)),
            (&["203.0.113.7,"], unusable(PEER)),
            (&["203.0.113.7, , 10.0.0.9"], unusable("10.0.0.9")),
            (&["203.0.113.7, unknown"], unusable(PEER)),
            (&["203.0.113.7, evil, 10.0.0.9"], unusable("10.0.0.9")),
            (&["203.0.113.256"], unusable(PEER)),
            (&["203.0.113.7:"], unusable(PEER)),
            (&["203.0.113.7:123456"], unusable(PEER)),
            (&["203.0.113.7:80x"], unusable(PEER)),
            (&["[2001:db8::7"], unusable(PEER)),
            (&["[2001:db8::7]x"], unusable(PEER)),
            (&["[203.0.113.7]"], unusable(PEER)),
            (&["fe80::1%eth0"], unusable(PEER)),
            (&["0xcb.0.113.7"], unusable(PEER)),
            (&["203.0.113.007"], unusable(PEER)),
            (&["203.0.113.7\u{0}"], unusable(PEER)),
            (&["203.0.113.7 198.51.100.1"], unusable(PEER)),
            (&["２０３.0.113.7"], unusable(PEER)),
            (&["for=203.0.113.7"], unusable(PEER)),
        ];
        for (lines, expected) in cases {
            let shown: Vec<_> = lines.iter().map(|line| &line[..line.len().min(60)]).collect();
            assert_eq!(read(ForwardedHeader::XForwardedFor, lines), *expected, "{shown:?}");
        }
        let bytes: &[u8] = b"203.0.113.7, \xff";
        let read = read_forwarding_header(ip(PEER), ForwardedHeader::XForwardedFor, [bytes].into_iter(), &[]);
        assert_eq!(read, unusable(PEER));
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let too_long = format!("for={}", "a".repeat(FORWARDED_LINE_BYTES_MAX));
        let cases: &[(&[&str], Named)] = &[
            (&["for=203.0.113.7"], client("203.0.113.7")),
            (&["For=203.0.113.7; proto=https;by=10.0.0.1"], client("203.0.113.7")),
            (&["proto=http;FOR=\"203.0.113.7:4711\";host=a.example"], client("203.0.113.7")),
            (&["for=\"[2001:db8::7]\""], client("2001:db8::7")),
            (&["for=\"[2001:db8::7]:4711\""], client("2001:db8::7")),
            (&["for=\"[2001:db8::7]:_port\""], client("2001:db8::7")),
            (&["for=198.51.100.1, for=203.0.113.7"], client("203.0.113.7")),
            (&["for=203.0.113.7, for=10.0.0.9;by=10.0.0.1"], client("203.0.113.7")),
            (&["for=198.51.100.1", "for=203.0.113.7"], client("203.0.113.7")),
            (&["for=203.0.113.7;host=\"a,b;for=198.51.100.1\""], client("203.0.113.7")),
            (&["for=203.0.113.7;host=\"a\\\",for=198.51.100.1\""], client("203.0.113.7")),
            (&["for=\"[2001:db8:aaaa::1]\""], client("2001:db8:aaaa::1")),
            (&["for=203.0.113.7, for=unknown"], unusable(PEER)),
            (&["for=203.0.113.7, for=_hidden"], unusable(PEER)),
            (&["for=203.0.113.7, for=\"_hidden:_port\", for=10.0.0.9"], unusable("10.0.0.9")),
            (&["for=203.0.113.7;for=198.51.100.1"], unusable(PEER)),
            (&["for=203.0.113.7, proto=https"], unusable(PEER)),
            (&["for=\", for=203.0.113.7"], unusable(PEER)),
            (&["for=\"203.0.113.7\\"], unusable(PEER)),
            (&["for=\"\\2\\03.0.113.7\""], unusable(PEER)),
            (&["203.0.113.7"], unusable(PEER)),
            (&["for="], unusable(PEER)),
            (&["=203.0.113.7"], unusable(PEER)),
            (&[";;;,,,==="], unusable(PEER)),
            (&[&too_long], unusable(PEER)),
        ];
        for (lines, expected) in cases {
            assert_eq!(read(ForwardedHeader::Forwarded, lines), *expected, "{lines:?}");
        }
        // A quote that the client left open does not swallow the line of the proxy.
        assert_eq!(read(ForwardedHeader::Forwarded, &["for=\"", "for=203.0.113.7"]), client("203.0.113.7"));
    }

    fn address_of(peer: &str, options: &EdgeOptions, headers: &[(&str, &str)]) -> (String, Option<String>) {
        let request = headers.iter().fold(TestRequest::get(), |request, &header| request.append_header(header));
        let found = resolve(ip(peer), request.to_http_request().headers(), options);
        (found.ip.to_string(), found.network.map(|network| network.to_string()))
    }

    fn pair(ip: &str, network: Option<&str>) -> (String, Option<String>) {
        (ip.to_owned(), network.map(str::to_owned))
    }

    #[test]
    fn only_the_named_header_of_a_trusted_peer_is_believed() {
        let options = EdgeOptions {
            trusted_proxies: nets(&["10.0.0.0/8", "127.0.0.1/32"]),
            forwarded_header: ForwardedHeader::CfConnectingIp,
            ..EdgeOptions::default()
        };
        let named = [("CF-Connecting-IP", "203.0.113.7")];
        let others =
            [("X-Forwarded-For", "203.0.113.7"), ("X-Real-IP", "203.0.113.7"), ("Forwarded", "for=203.0.113.7")];
        assert_eq!(address_of("10.0.0.1", &options, &named), pair("203.0.113.7", Some("203.0.113.7/32")));
        assert_eq!(address_of("::ffff:10.0.0.1", &options, &named), pair("203.0.113.7", Some("203.0.113.7/32")));
        assert_eq!(address_of("192.0.2.1", &options, &named), pair("192.0.2.1", Some("192.0.2.1/32")));
        for other in others {
            assert_eq!(address_of("10.0.0.1", &options, &[other]), pair("10.0.0.1", Some("10.0.0.1/32")), "{other:?}");
        }
        assert_eq!(address_of("10.0.0.1", &EdgeOptions::default(), &others), pair("10.0.0.1", Some("10.0.0.1/32")));
    }

    #[test]
    fn the_limits_spare_unlimited_addresses_but_nobody_who_hides_behind_a_proxy() {
        let behind = EdgeOptions { trusted_proxies: nets(&["127.0.0.1/32"]), ..EdgeOptions::default() };
        let alone = EdgeOptions::default();
        let strict = EdgeOptions { unlimited_addresses: Vec::new(), ..EdgeOptions::default() };
        let forged = [("X-Forwarded-For", "203.0.113.7")];
        // Nobody between: the machine itself.
        assert_eq!(address_of("127.0.0.1", &alone, &[]), pair("127.0.0.1", None));
        assert_eq!(address_of("::1", &alone, &[]), pair("::1", None));
        assert_eq!(address_of("127.0.0.1", &behind, &[]), pair("127.0.0.1", None));
        assert_eq!(address_of("127.0.0.1", &strict, &[]), pair("127.0.0.1", Some("127.0.0.1/32")));
        // A proxy that nobody named: one limit for all of its clients would shut out most of them.
        assert_eq!(address_of("127.0.0.1", &alone, &forged), pair("127.0.0.1", None));
        assert_eq!(address_of("127.0.0.1", &strict, &forged), pair("127.0.0.1", Some("127.0.0.1/32")));
        // A proxy that is trusted: whatever it says or does not say, its clients are limited.
        assert_eq!(address_of("127.0.0.1", &behind, &forged), pair("203.0.113.7", Some("203.0.113.7/32")));
        for unclear in [("X-Forwarded-For", "unknown"), ("Via", "1.1 proxy"), ("X-Forwarded-Proto", "https")] {
            assert_eq!(address_of("127.0.0.1", &behind, &[unclear]), pair("127.0.0.1", Some("127.0.0.1/32")));
        }
        let client = [("X-Forwarded-For", "2001:db8::7")];
        assert_eq!(address_of("127.0.0.1", &behind, &client), pair("2001:db8::7", Some("2001:db8::/64")));
    }

    #[test]
    fn only_a_client_at_this_machine_is_direct() {
        let host = ("Host", "localhost:8080");
        let direct = |peer: &str, headers: &[(&str, &str)]| {
            let request = headers.iter().fold(TestRequest::get(), |request, &header| request.append_header(header));
            is_direct_loopback_head(ip(peer), request.to_http_request().headers())
        };
        assert!(direct("127.0.0.1", &[host]));
        assert!(direct("::1", &[host]));
        assert!(direct("::ffff:127.0.0.1", &[host]));
        assert!(direct("127.0.0.1", &[host, ("Origin", "http://localhost:8080"), ("Sec-Fetch-Site", "same-origin")]));
        assert!(!direct("192.0.2.1", &[host]));
        assert!(!direct("127.0.0.1", &[]));
        assert!(!direct("127.0.0.1", &[("Host", "evil.example")]));
        assert!(!direct("127.0.0.1", &[host, ("Host", "localhost")]));
        for foreign in ["null", "https://evil.example", "http://localhost:3000", "http://localhost.evil.example:8080"] {
            assert!(!direct("127.0.0.1", &[host, ("Origin", foreign)]), "{foreign}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!direct("127.0.0.1", &[host, ("Sec-Fetch-Site", site)]), "{site}");
        }
        for mark in
            ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP", "CF-Ray", "CF-Connecting-IP"]
        {
            assert!(!direct("127.0.0.1", &[host, (mark, "x")]), "{mark}");
        }
    }

    #[test]
    fn loopback_hosts_are_told_from_names_that_look_like_them() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:8080"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.nip.io",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "[::]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "localhost:",
            "localhost:8080x",
            "127.0.0.1:123456",
            "localhost@evil.example",
            "128.0.0.1",
            "localhost:80:80",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
