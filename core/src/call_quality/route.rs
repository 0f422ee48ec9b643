//! By which way the media of a link go, as a pair of ICE candidates says (RFC 8445, section 4).

/// What kind of candidate; the later ones are the longer ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// An address of the device itself.
    Host,
    /// One that the other side has seen.
    PeerReflexive,
    /// One that a STUN server has seen.
    ServerReflexive,
    /// Some other.
    Unknown,
    /// A TURN server's, reached by UDP.
    RelayUdp,
    /// A TURN server's, reached by TCP.
    RelayTcp,
    /// A TURN server's, reached by TLS.
    RelayTls,
}

impl Candidate {
    /// Every kind, each at its place by [`Candidate::index`].
    pub const ALL: [Self; 7] = [
        Self::Host,
        Self::PeerReflexive,
        Self::ServerReflexive,
        Self::Unknown,
        Self::RelayUdp,
        Self::RelayTcp,
        Self::RelayTls,
    ];

    /// Its place in [`Candidate::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As metrics and stats name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::PeerReflexive => "prflx",
            Self::ServerReflexive => "srflx",
            Self::Unknown => "unknown",
            Self::RelayUdp => "relay_udp",
            Self::RelayTcp => "relay_tcp",
            Self::RelayTls => "relay_tls",
        }
    }

    /// Type and protocol, as in `relay/tls`; the latter matters for relays only.
    fn parse(text: &str) -> Self {
        let (kind, protocol) = text.split_once('/').unwrap_or((text, ""));
        match (kind, protocol) {
            ("host", _) => Self::Host,
            ("prflx", _) => Self::PeerReflexive,
            ("srflx", _) => Self::ServerReflexive,
            ("relay", "tcp") => Self::RelayTcp,
            ("relay", "tls") => Self::RelayTls,
            ("relay", _) => Self::RelayUdp,
            (_, _) => Self::Unknown,
        }
    }
}

/// Both ends of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The end of whoever reported.
    pub local: Candidate,
    /// The other.
    pub remote: Candidate,
}

impl Route {
    /// Reads a text like `relay/tls→host/udp`; an arrow of two characters will do. What is not understood
    /// is unknown: browsers have had further kinds before.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let ends = text.split_once('→').or_else(|| text.split_once("->"));
        let (local, remote) = ends.unwrap_or((text, ""));
        Self { local: Candidate::parse(local.trim()), remote: Candidate::parse(remote.trim()) }
    }

    /// What matters of it, in one word: the longer way of the two ends.
    #[must_use]
    pub fn kind(self) -> Candidate {
        self.local.max(self.remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_as_long_as_its_longer_end() {
        for (text, kind) in [
            ("host/udp→host/udp", "host"),
            ("host/udp→prflx/udp", "prflx"),
            ("srflx/udp→prflx/udp", "srflx"),
            ("relay/udp→host/udp", "relay_udp"),
            ("host/udp→relay/udp", "relay_udp"),
            ("relay/tls→relay/udp", "relay_tls"),
            ("relay/tcp -> srflx/udp", "relay_tcp"),
            ("relay→host", "relay_udp"),
            ("host/tcp→host/tcp", "host"),
            ("host/udp", "unknown"),
            ("host/udp→satellite/udp", "unknown"),
            ("relay/udp→satellite/udp", "relay_udp"),
            ("", "unknown"),
        ] {
            assert_eq!(Route::parse(text).kind().name(), kind, "{text}");
        }
    }

    #[test]
    fn every_kind_is_at_its_place() {
        for (index, kind) in Candidate::ALL.iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }
}
