//! The secrets of rooms: who is a participant, and who is the host. Only their hashes are kept.

use sha2::{Digest, Sha256};

use santral_core::rooms::{ParticipantId, TokenHash};

/// How a participant token begins.
const PARTICIPANT: &str = "ptok_";

/// How a host token begins.
const HOST: &str = "host_";

/// Characters behind that: 192 random bits.
const LENGTH: usize = 32;

/// Characters of a participant's id behind `p_`: 96 random bits.
const ID_LENGTH: usize = 16;

/// A secret that somebody showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomToken {
    /// Of a participant.
    Participant(TokenHash),
    /// Of the host.
    Host(TokenHash),
}

impl RoomToken {
    /// Reads what might be the secret of a room; anything else is not.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        if text.starts_with(PARTICIPANT) {
            Some(Self::Participant(hash(text)))
        } else if text.starts_with(HOST) {
            Some(Self::Host(hash(text)))
        } else {
            None
        }
    }
}

/// A fresh participant token.
pub(super) fn new_participant_token() -> String {
    format!("{PARTICIPANT}{}", nanoid::nanoid!(LENGTH))
}

/// A fresh host token.
pub(super) fn new_host_token() -> String {
    format!("{HOST}{}", nanoid::nanoid!(LENGTH))
}

/// A fresh id of a participant.
pub(super) fn new_participant_id() -> ParticipantId {
    ParticipantId::parse(&format!("p_{}", nanoid::nanoid!(ID_LENGTH))).expect("nanoid's alphabet is that of ids")
}

/// By which a secret is known. A secret of so many random bits needs no salt.
pub(super) fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_is_and_is_kept_as_its_hash() {
        let (participant, host) = (new_participant_token(), new_host_token());
        assert_eq!(participant.len(), 37);
        assert_eq!(RoomToken::of(&participant), Some(RoomToken::Participant(hash(&participant))));
        assert_eq!(RoomToken::of(&host), Some(RoomToken::Host(hash(&host))));
        assert_ne!(hash(&participant), hash(&new_participant_token()));
        assert_eq!(RoomToken::of("eyJhbGciOiJIUzI1NiJ9.e30.x"), None);
    }

    #[test]
    fn the_hash_is_the_one_of_fips_180() {
        let hex = hash("abc").0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
