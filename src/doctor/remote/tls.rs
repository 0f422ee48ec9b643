//! What is wrong with a certificate or a handshake, in plain words.

use crate::doctor::check::Check;
use crate::doctor::client::Base;
use crate::doctor::report::Finding;

/// Sorts what the TLS library said. Its words are English and name the reason; the tests in
/// `tests/it/doctor` make each of them with a real certificate.
pub(super) fn failed(base: &Base, said: &str) -> Finding {
    let host = base.host();
    let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (found, remedy) = if names(&["expired", "Expired"]) {
        (
            format!("the certificate of {host} has expired"),
            "renew it and reload the proxy (certbot renew; nginx -s reload)",
        )
    } else if names(&["not valid yet", "NotValidYet"]) {
        (
            format!("the certificate of {host} is not valid yet"),
            "one of the clocks is wrong: here, or where it was made",
        )
    } else if names(&["not valid for name", "NotValidForName"]) {
        (
            format!("the certificate is not made out to {host}"),
            "use the name that it is made out to, or get one for this name; with several sites on one address: is \
             there a `server_name` for this one?",
        )
    } else if names(&["UnknownIssuer", "CaUsedAsEndEntity"]) {
        (
            format!("nobody trusts the issuer of {host}'s certificate"),
            "is it self-signed? Browsers refuse it; to look on: --ca-file with its issuer. Else the server leaves the \
             intermediate certificate out: in nginx `ssl_certificate` takes fullchain.pem",
        )
    } else if names(&["Revoked"]) {
        (format!("the certificate of {host} was revoked"), "get a new one")
    } else if names(&["corrupt message", "InvalidContentType"]) {
        (format!("port {} of {host} speaks no TLS", base.port()), "use http:// or the port that speaks TLS")
    } else if names(&["alert", "HandshakeFailure", "ProtocolVersion", "incompatible"]) {
        (
            format!("{host} and this client have no way of TLS in common"),
            "allow TLS 1.2 and 1.3 with usual ciphers (ssl_protocols); with several sites: is there a certificate for \
             this name?",
        )
    } else {
        (format!("TLS with {host} fails"), "look with: openssl s_client -connect <host>:<port> -servername <host>")
    };
    Finding::fail(Check::Tls, format!("{found} ({said})"), remedy)
}

/// A connection that works.
pub(super) fn passed(base: &Base) -> Finding {
    if base.is_https() {
        return Finding::ok(Check::Tls, format!("the certificate of {} is good", base.host()));
    }
    if base.is_loopback() {
        return Finding::ok(Check::Tls, "no TLS, and none needed on this machine");
    }
    Finding::warn(
        Check::Tls,
        "no TLS: everybody on the way can read messages and tokens",
        "put a proxy with a certificate in front, and use https://",
    )
}
