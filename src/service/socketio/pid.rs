//! The secret by which a socket's client comes back: its session, and where the session began.

use santral_core::names::SessionToken;
use santral_core::position::Position;

/// `<session token>.<position>`. The position serves a client that comes back before its first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pid {
    /// The session.
    pub token: SessionToken,
    /// Where it stood when the socket connected.
    pub since: Position,
}

impl Pid {
    /// Reads what a client brings. `None` for what this server never gave out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (token, since) = text.split_once('.')?;
        Some(Self { token: SessionToken::parse(token).ok()?, since: since.parse().ok()? })
    }

    /// The secret itself, for the socket's own client only.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.token.reveal(), self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_reads_as_it_was_written() {
        let text = format!("{}.00000001-7", "t".repeat(22));
        assert_eq!(Pid::parse(&text).map(|pid| pid.reveal()), Some(text));
        for text in ["", ".", "0123456789abcdefghijk", &format!("{}.x", "t".repeat(22)), "t.00000001-7"] {
            assert_eq!(Pid::parse(text), None, "{text}");
        }
    }
}
