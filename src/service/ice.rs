//! Which STUN and TURN servers a participant of a call is given, with a credential that ends by itself.
//!
//! The form of the credential is that of coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00,
//! section 2.2): the user name begins with the moment of its end, and the password is an HMAC-SHA1 of the
//! user name. So server and TURN server share a secret and never talk to each other.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use santral_core::entry::Timestamp;
use santral_schema::ice::{IceServer, IceServers};
use sha1::Sha1;

use crate::config::{Config, IceUrl, Secret};

/// The servers for this participant from `now` on. With `relay_only` there is no STUN server, since the
/// participant's own addresses shall not be seen.
///
/// The participant's id stands in the user name, which coturn writes into its log.
#[must_use]
pub fn servers(config: &Config, participant_id: &str, relay_only: bool, now: Timestamp) -> IceServers {
    let lifetime = config.turn_credential_lifetime;
    let stun = (!relay_only && !config.ice_stun_urls.is_empty()).then(|| IceServer {
        urls: texts(&config.ice_stun_urls),
        username: None,
        credential: None,
    });
    let turn = turn_secret(config).map(|secret| {
        let (username, credential) = credential(secret, participant_id, now, lifetime);
        IceServer { urls: texts(&config.turn_urls), username: Some(username), credential: Some(credential) }
    });
    IceServers {
        ice_servers: stun.into_iter().chain(turn).collect(),
        ttl_sec: lifetime.as_secs(),
        refresh_at: refresh_after(config).map(|span| later(now, span).to_rfc3339()),
        relay_only,
    }
}

/// After which time a participant needs fresh servers: half of the lifetime, so that a call outlives a
/// failed attempt. `None` where nothing ends.
#[must_use]
pub fn refresh_after(config: &Config) -> Option<Duration> {
    turn_secret(config).map(|_| config.turn_credential_lifetime / 2)
}

/// Whether media can be relayed at all; without, a room that is `relay_only` would connect nobody.
#[must_use]
pub fn can_relay(config: &Config) -> bool {
    turn_secret(config).is_some()
}

/// The secret, where there are TURN servers that know it.
fn turn_secret(config: &Config) -> Option<&Secret> {
    config.turn_secret.as_ref().filter(|_| !config.turn_urls.is_empty())
}

/// User name and password.
fn credential(secret: &Secret, participant_id: &str, now: Timestamp, lifetime: Duration) -> (String, String) {
    let ends = later(now, lifetime).0.div_euclid(MICROS_PER_SECOND);
    let username = format!("{ends}:{participant_id}");
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(username.as_bytes());
    let password = STANDARD.encode(mac.finalize().into_bytes());
    (username, password)
}

fn texts(urls: &[IceUrl]) -> Vec<String> {
    urls.iter().map(ToString::to_string).collect()
}

fn later(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}

const MICROS_PER_SECOND: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};

    const TURN: (&str, &str) = ("turn_urls", "turn:t.example.com?transport=udp,turns:t.example.com?transport=tcp");
    const SECRET: (&str, &str) = ("turn_secret", "9f2c4be1a07d5386e4f1b2c3d8a97065");
    /// 2025-11-25T21:20:00Z, and half a second.
    const NOW: Timestamp = Timestamp(1_764_105_600_500_000);

    fn config(flags: &[(&str, &str)]) -> Config {
        let inputs = Inputs {
            flags: flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
            file: None,
            environment: Vec::new(),
            folder: "/nonexistent".into(),
            descriptors: 1_024,
        };
        load(&inputs).expect("the test's flags are valid").config
    }

    fn json(servers: &IceServers) -> serde_json::Value {
        serde_json::to_value(servers).expect("servers are JSON")
    }

    #[test]
    fn without_configuration_there_is_a_stun_server_that_never_ends() {
        let servers = servers(&config(&[]), "p_1", false, NOW);
        let expected = serde_json::json!({
            "iceServers": [{"urls": ["stun:stun.l.google.com:19302"]}], "ttlSec": 3600, "relayOnly": false,
        });
        assert_eq!(json(&servers), expected);
        assert_eq!(refresh_after(&config(&[])), None);
    }

    /// The password was made by `openssl dgst -sha1 -hmac … -binary | base64`.
    #[test]
    fn turn_servers_come_with_a_password_that_ends() {
        let config = config(&[TURN, SECRET, ("turn_credential_lifetime", "10m")]);
        let expected = serde_json::json!({
            "iceServers": [
                {"urls": ["stun:stun.l.google.com:19302"]},
                {
                    "urls": ["turn:t.example.com?transport=udp", "turns:t.example.com?transport=tcp"],
                    "username": "1764106200:p_1",
                    "credential": "n1boVuBvf/8Fid+JjEYOWdzghUs=",
                },
            ],
            "ttlSec": 600,
            "refreshAt": "2025-11-25T21:25:00.500Z",
            "relayOnly": false,
        });
        assert_eq!(json(&servers(&config, "p_1", false, NOW)), expected);
        assert_eq!(refresh_after(&config), Some(Duration::from_secs(300)));
    }

    #[test]
    fn each_participant_has_a_password_of_its_own_and_each_secret_makes_others() {
        let password = |secret: &str, participant: &str| {
            let servers = servers(&config(&[TURN, ("turn_secret", secret)]), participant, true, NOW);
            servers.ice_servers[0].credential.clone().expect("a TURN server")
        };
        let ours = password(SECRET.1, "p_1");
        assert_ne!(ours, password(SECRET.1, "p_2"));
        assert_ne!(ours, password("9f2c4be1a07d5386e4f1b2c3d8a97066", "p_1"));
    }

    #[test]
    fn who_must_be_relayed_hears_of_turn_servers_only() {
        let with_turn = config(&[TURN, SECRET]);
        let relayed = servers(&with_turn, "p_1", true, NOW);
        assert!(relayed.relay_only && relayed.ice_servers.len() == 1, "{relayed:?}");
        assert!(relayed.ice_servers[0].urls.iter().all(|url| url.starts_with("turn")), "{relayed:?}");
        assert!(can_relay(&with_turn));
        let without = config(&[SECRET]);
        assert_eq!(servers(&without, "p_1", true, NOW).ice_servers, []);
        assert!(!can_relay(&without));
    }

    #[test]
    fn no_stun_server_is_no_entry_and_no_password_is_printed() {
        let servers = servers(&config(&[TURN, SECRET, ("ice_stun_urls", "")]), "p_1", false, NOW);
        assert_eq!(servers.ice_servers.len(), 1);
        let password = servers.ice_servers[0].credential.clone().expect("a TURN server");
        assert!(!format!("{servers:?}").contains(&password));
    }
}
