//! The way to the first admin: a token that is printed at the start and good until there is one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Random bytes of the token.
const TOKEN_BYTES: usize = 24;

/// The one-time setup of the first admin.
pub struct Setup(Mutex<State>);

enum State {
    Open(Secret),
    /// Somebody with the right token is at it.
    Claimed(Secret),
    Done,
}

/// The right to create the first admin; gives the token back when dropped unused.
pub struct SetupClaim<'a>(&'a Setup);

impl Setup {
    /// Draws a token, unless there is an admin already.
    #[must_use]
    pub fn new(has_admin: bool) -> Self {
        let token = || Secret::new(BASE64_URL_SAFE_NO_PAD.encode(nanoid::rngs::default(TOKEN_BYTES)));
        Self(Mutex::new(if has_admin { State::Done } else { State::Open(token()) }))
    }

    /// The token, to print it; `None` when there is an admin.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        match &*self.0.lock() {
            State::Open(token) | State::Claimed(token) => Some(token.clone()),
            State::Done => None,
        }
    }

    /// Whether the first admin may still be created.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.token().is_some()
    }

    /// Takes the right to create the first admin: only with the token, and only one at a time.
    #[must_use]
    pub fn claim(&self, token: &str) -> Option<SetupClaim<'_>> {
        let mut state = self.0.lock();
        let State::Open(expected) = &*state else { return None };
        if !bool::from(expected.reveal().as_bytes().ct_eq(token.as_bytes())) {
            return None;
        }
        *state = State::Claimed(expected.clone());
        Some(SetupClaim(self))
    }

    /// There is an admin now: the token is good no more.
    pub fn finish(&self) {
        *self.0.lock() = State::Done;
    }
}

impl Drop for SetupClaim<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        if let State::Claimed(token) = &*state {
            *state = State::Open(token.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_good_for_one_at_a_time_until_there_is_an_admin() {
        let setup = Setup::new(false);
        let token = setup.token().expect("it is open");
        assert!(token.reveal().len() * 6 >= 128);
        for wrong in ["", "x", &token.reveal()[1..], &format!("{}x", token.reveal())] {
            assert!(setup.claim(wrong).is_none(), "{wrong}");
        }
        let claim = setup.claim(token.reveal()).expect("the right token");
        assert!(setup.claim(token.reveal()).is_none(), "somebody is at it");
        drop(claim);
        let claim = setup.claim(token.reveal()).expect("it came to nothing, so it is open again");
        setup.finish();
        drop(claim);
        assert!(!setup.is_open() && setup.token().is_none() && setup.claim(token.reveal()).is_none());
        assert!(!Setup::new(true).is_open());
    }
}
