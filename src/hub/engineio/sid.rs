//! The id of an Engine.IO connection: a secret that names the thread where the connection lives.

use std::fmt;
use std::sync::Arc;

/// `<shard>-<22 characters of [A-Za-z0-9_-]>`: 132 random bits. Whoever knows it is the client.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    /// A new id of a connection on this shard.
    #[must_use]
    pub fn draw(shard: usize) -> Self {
        Self(format!("{shard}-{}", nanoid::nanoid!(RANDOM_CHARACTERS)).into())
    }

    /// Reads an id that a client sent. `None` for what this server never gave out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (shard, random) = text.split_once('-')?;
        let is_random = random.len() == RANDOM_CHARACTERS && random.bytes().all(is_random_byte);
        (is_random && shard.parse::<u16>().ok()?.to_string() == shard).then(|| Self(text.into()))
    }

    /// The shard where the connection lives, if there is such a shard.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.0.split_once('-').and_then(|(shard, _)| shard.parse().ok()).unwrap_or(usize::MAX)
    }

    /// The secret itself, for the connection's own client only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its first characters: enough to tell connections apart, too few to take one over.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0[..self.0.len().min(SHOWN_CHARACTERS)]
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sid({}…)", self.shown())
    }
}

fn is_random_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
}

const RANDOM_CHARACTERS: usize = 22;
const SHOWN_CHARACTERS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_shard_and_is_not_shown_whole() {
        let sid = Sid::draw(17);
        assert_eq!(Sid::parse(sid.reveal()), Some(sid.clone()));
        assert_eq!(sid.shard(), 17);
        assert!(!format!("{sid:?}").contains(sid.reveal()));
    }

    #[test]
    fn what_was_never_given_out_is_none() {
        let random = "x".repeat(22);
        for text in ["", "-", "1-", &random, &format!("01-{random}"), &format!("+1-{random}"), &format!("1-{random}x")]
        {
            assert_eq!(Sid::parse(text), None, "{text}");
        }
        assert_eq!(Sid::parse(&format!("1-{}", "é".repeat(11))), None);
    }
}
