//! The signature of a webhook: who knows the secret sees that the server has sent it, and when.
//!
//! `t=<unix time>,v1=<hexadecimal HMAC-SHA256 of "<t>.<body>">` (RFC 2104, FIPS 180-4). The time is signed with
//! the body, so that a receiver may refuse what somebody has kept and sends again later.

use std::fmt::Write;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// The header with the signature.
pub(super) const SIGNATURE: &str = "X-Santral-Signature";

/// The header with the type of the event.
pub(super) const EVENT: &str = "X-Santral-Event";

/// The header with the id of the event.
pub(super) const DELIVERY: &str = "X-Santral-Delivery";

/// The signature of a body that is sent at this time, in seconds since 1970.
pub(super) fn sign(secret: &Secret, seconds: i64, body: &str) -> String {
    let mut mac: Hmac<Sha256> =
        Mac::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let mut text = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("a String takes all text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `printf '1700000000.{"id":"whk_1"}' | openssl dgst -sha256 -hmac 0f1e2d3c4b5a69788796a5b4c3d2e1f0`.
    #[test]
    fn a_signature_is_what_openssl_says() {
        let secret = Secret::new("0f1e2d3c4b5a69788796a5b4c3d2e1f0".to_owned());
        let expected = "96d8d6b5dff8b84cb36aadeb5e35f65eb0c950f3d5a5b579010f87384e454f57";
        assert_eq!(sign(&secret, 1_700_000_000, r#"{"id":"whk_1"}"#), format!("t=1700000000,v1={expected}"));
    }
}
