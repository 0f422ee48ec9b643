//! A call in which no participant learns another's address: all media go through the TURN server of docs/turn.md.

use santral_testkit::coturn::{Peers, Way};

use crate::support::Santral;
use crate::turn::{SECRET, coturn};

use super::caller::Caller;

/// The only way to the TURN server is this one; the room asks for it, not the participants.
fn a_call_through_turn_over(way: Way, name: &str) {
    let Some(coturn) = coturn(Peers::Loopback) else { return };
    let url = coturn.url(way);
    let santral = Santral::start_with(&[("SANTRAL_TURN_URLS", &url), ("SANTRAL_TURN_SECRET", SECRET)]);
    let room = santral.post("/api/video/rooms", r#"{"roomId":"relayed","name":"Relayed","relayOnly":true}"#);
    assert_eq!(room.status, 201, "{}", room.text());
    let Some(ada) = Caller::join(santral.address, "relayed", "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "relayed", "Bob") else { return };
    for caller in [&ada, &bob] {
        caller.wait_for_media(1);
        assert_eq!(caller.pair(&caller.others()[0]), format!("relay/{name}→relay/udp"), "{}", coturn.log());
    }
}

#[test]
fn media_are_relayed_over_udp() {
    a_call_through_turn_over(Way::Udp, "udp");
}

#[test]
fn media_are_relayed_over_tcp() {
    a_call_through_turn_over(Way::Tcp, "tcp");
}

#[test]
fn media_are_relayed_over_tls() {
    a_call_through_turn_over(Way::Tls, "tls");
}
