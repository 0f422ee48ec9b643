//! URIs of STUN servers (RFC 7064) and of TURN servers (RFC 7065), as browsers take them.

use std::fmt;

use super::forms::{Describe, Form};
use super::origins::{is_host, split_port};

/// The URI of a server that browsers ask for addresses or for a relay; in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUrl(String);

impl IceUrl {
    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `stun:` or `stuns:`, a host, perhaps a port; nothing else (RFC 7064, section 3.1).
    fn stun(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once(':')?;
        (["stun", "stuns"].contains(&scheme) && is_authority(authority)).then_some(Self(text))
    }

    /// `turn:` or `turns:`, a host, perhaps a port and a transport (RFC 7065, section 3.1).
    fn turn(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once(':')?;
        let (authority, query) =
            rest.split_once('?').map_or((rest, None), |(authority, query)| (authority, Some(query)));
        // The grammar is open to further transports, but no browser knows one.
        let is_known = query.is_none_or(|query| ["transport=udp", "transport=tcp"].contains(&query));
        (["turn", "turns"].contains(&scheme) && is_known && is_authority(authority)).then_some(Self(text))
    }
}

impl fmt::Display for IceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_authority(text: &str) -> bool {
    split_port(text).is_some_and(|(host, _)| is_host(host))
}

/// A STUN server.
pub(super) struct StunServer;

impl Describe for StunServer {
    fn expected(&self) -> String {
        "a STUN server like stun:stun.example.com:3478 (RFC 7064)".to_owned()
    }
}

impl Form for StunServer {
    type Value = IceUrl;

    fn parse(&self, text: &str) -> Option<IceUrl> {
        IceUrl::stun(text)
    }
}

/// A TURN server.
pub(super) struct TurnServer;

impl Describe for TurnServer {
    fn expected(&self) -> String {
        "a TURN server like turn:turn.example.com:3478?transport=udp or turns:turn.example.com:443?transport=tcp \
         (RFC 7065)"
            .to_owned()
    }
}

impl Form for TurnServer {
    type Value = IceUrl;

    fn parse(&self, text: &str) -> Option<IceUrl> {
        IceUrl::turn(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stun_server_is_a_host_and_perhaps_a_port() {
        for text in
            ["stun:stun.l.google.com:19302", "stun:stun.example.com", "stuns:192.0.2.1:5349", "stun:[2001:db8::1]:3478"]
        {
            assert_eq!(StunServer.parse(text).map(|url| url.to_string()).as_deref(), Some(text));
        }
        assert_eq!(StunServer.parse("STUN:Stun.Example.com").expect("a URI").as_str(), "stun:stun.example.com");
        for text in [
            "",
            "stun",
            "stun:",
            "stun://stun.example.com",
            "stun:stun.example.com:0",
            "stun:stun.example.com:65536",
            "stun:stun.example.com:",
            "stun:stun.example.com?transport=udp",
            "stun:ada@stun.example.com",
            "stun:2001:db8::1",
            "stun:[2001:db8::1",
            "stun:stun.example.com/",
            "stun:a b",
            "turn:turn.example.com",
            "http:stun.example.com",
        ] {
            assert_eq!(StunServer.parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_turn_server_may_name_a_transport_that_browsers_know() {
        for text in [
            "turn:turn.example.com",
            "turn:turn.example.com:3478?transport=udp",
            "turn:192.0.2.1?transport=tcp",
            "turns:[2001:db8::1]:443?transport=tcp",
        ] {
            assert_eq!(TurnServer.parse(text).map(|url| url.to_string()).as_deref(), Some(text));
        }
        for text in [
            "stun:turn.example.com",
            "turn:",
            "turn:?transport=udp",
            "turn:turn.example.com?",
            "turn:turn.example.com?transport=sctp",
            "turn:turn.example.com?transport=udp&x=1",
            "turn:turn.example.com?ttl=1",
            "turn:ada:hunter2@turn.example.com",
            "turn://turn.example.com",
            "turn:turn.example.com:99999?transport=udp",
        ] {
            assert_eq!(TurnServer.parse(text), None, "{text}");
        }
    }
}
