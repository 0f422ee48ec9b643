//! The TURN server that docs/turn.md sets up: it takes what Santral hands out, and relays nobody inwards.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use santral::config::{Config, Inputs, load};
use santral::hub::Hub;
use santral::service::ice;
use santral_core::entry::Timestamp;
use santral_testkit::coturn::{Coturn, Peers, Way};
use santral_testkit::http::Request;
use serde_json::{Value, json};

use crate::call_quality::{Participant, room};
use crate::docs::read;
use crate::support::contract::text;

pub(crate) const SECRET: &str = "9f2c4be1a07d5386e4f1b2c3d8a97065";

/// Of each of two clients.
const MESSAGES: u32 = 25;

const WAYS: [Way; 3] = [Way::Udp, Way::Tcp, Way::Tls];

/// The TURN server as it is deployed, ready; `None`, said loudly, without one.
pub(crate) fn coturn(peers: Peers) -> Option<Coturn> {
    let coturn = Coturn::start(&read("deploy/coturn/turnserver.conf"), SECRET, peers).expect("coturn starts")?;
    let (user, password) = handed_out(&config(&coturn, SECRET), Duration::ZERO);
    coturn.wait_until_taken(&user, &password).expect("what Santral hands out is taken");
    Some(coturn)
}

fn config(coturn: &Coturn, secret: &str) -> Config {
    let urls = WAYS.map(|way| coturn.url(way)).join(",");
    let flags = [("turn_urls", urls.as_str()), ("turn_secret", secret)];
    let inputs = Inputs {
        flags: flags.map(|(key, text)| (key.to_owned(), text.to_owned())).to_vec(),
        file: None,
        environment: Vec::new(),
        folder: "/nonexistent".into(),
        descriptors: 1_024,
    };
    load(&inputs).expect("the settings are valid").config
}

/// User name and password as a participant would get them `ago`.
fn handed_out(config: &Config, ago: Duration) -> (String, String) {
    let then = Timestamp(Hub::wall_clock().0 - i64::try_from(ago.as_micros()).expect("a short time"));
    let servers = ice::servers(config, "p_6Wn2cKqGd1x0Zr4T", true, then);
    let [turn] = servers.ice_servers.try_into().expect("one TURN entry");
    (turn.username.expect("a user name"), turn.credential.expect("a password"))
}

#[test]
fn a_participant_is_relayed_over_udp_tcp_and_tls() {
    let Some(coturn) = coturn(Peers::Loopback) else { return };
    let (user, password) = handed_out(&config(&coturn, SECRET), Duration::ZERO);
    std::thread::scope(|scope| {
        let (coturn, user, password) = (&coturn, &user, &password);
        for way in WAYS {
            scope.spawn(move || {
                let said = coturn.converse(way, user, password, MESSAGES).expect("the clients end");
                // The first are lost that come before the other side has its channel.
                let arrived = arrived(&said).unwrap_or(0);
                assert!(arrived > MESSAGES, "{way:?}: {arrived} arrived in both directions: {said}\n{}", coturn.log());
            });
        }
    });
}

/// How many messages coturn's clients say that they have received.
fn arrived(said: &str) -> Option<u32> {
    let (_, rest) = said.rsplit_once("tot_recv_msgs=")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn a_password_of_another_secret_name_or_time_opens_nothing() {
    let Some(coturn) = coturn(Peers::AsDeployed) else { return };
    let ours = config(&coturn, SECRET);
    let lifetime = ours.turn_credential_lifetime;
    let (user, password) = handed_out(&ours, Duration::ZERO);
    let ask = |user: &str, password: &str| {
        let said = coturn.bind(IpAddr::from([10, 0, 0, 1]), user, password).expect("the client ends");
        let is_allocated = said.contains("Received relay addr");
        assert_eq!(said.contains("Cannot complete Allocation"), !is_allocated, "{said}");
        is_allocated
    };
    assert!(ask(&user, &password));
    let (user_before, password_before) = handed_out(&ours, lifetime - Duration::from_secs(60));
    assert!(ask(&user_before, &password_before), "it is good to its end");

    let (_, of_another_secret) = handed_out(&config(&coturn, "9f2c4be1a07d5386e4f1b2c3d8a97066"), Duration::ZERO);
    assert!(!ask(&user, &of_another_secret));
    let (expired_user, expired) = handed_out(&ours, lifetime + Duration::from_secs(5));
    assert!(!ask(&expired_user, &expired));
    let (end, participant) = user.split_once(':').expect("an end and a participant");
    let end: u64 = end.parse().expect("seconds");
    assert!(!ask(&format!("{}:{participant}", end + 1), &password), "nobody lives longer by saying so");
    assert!(!ask(&format!("{end}:p_somebody_else"), &password));
    assert!(!ask(participant, SECRET));
}

/// A name and a password as the server gave them, and all that it gave.
fn turn_of(servers: &Value) -> (String, String) {
    let entries = servers["iceServers"].as_array().expect("a list");
    let turn = entries.iter().find(|entry| entry["username"].is_string()).expect("a TURN entry");
    (text(&turn["username"]), text(&turn["credential"]))
}

#[test]
fn what_a_participant_is_given_opens_the_turn_server() {
    let Some(coturn) = coturn(Peers::AsDeployed) else { return };
    let urls = WAYS.map(|way| coturn.url(way)).join(",");
    let settings = [("SANTRAL_TURN_URLS", urls.as_str()), ("SANTRAL_TURN_SECRET", SECRET)];
    let santral = room(&settings, &json!({"relayOnly": true}));
    let ada = Participant::join(&santral, "ada");
    let asked = ada.send(&santral, Request::get("/api/webrtc/ice-servers?roomId=r"));
    assert_eq!((asked.status, asked.header("cache-control")), (200, Some("no-store")), "{asked:?}");
    let asked: Value = asked.json().expect("servers are JSON");
    for servers in [&ada.joined, &asked] {
        let (user, password) = turn_of(servers);
        assert!(user.ends_with(&format!(":{}", ada.id)), "{user}");
        let said = coturn.bind(IpAddr::from([10, 0, 0, 1]), &user, &password).expect("the client ends");
        assert!(said.contains("Received relay addr"), "{said}\n{}", coturn.log());
        assert_eq!(servers["iceServers"].as_array().map(Vec::len), Some(1), "no STUN where all is relayed: {servers}");
    }
    assert_eq!((&asked["ttlSec"], &asked["relayOnly"]), (&3600.into(), &true.into()));
    assert!(asked["refreshAt"].is_string());
    assert_eq!(santral.get("/api/webrtc/ice-servers?roomId=r").status, 401, "for participants only");
}

/// The first and the last address of each range of IANA's registries of special-purpose addresses, and what
/// else leads to such an address. Against coturn before 4.9.0 the line for `::ffff:0:0/96` is all there is.
#[test]
fn nobody_is_relayed_to_a_special_address() {
    let Some(coturn) = coturn(Peers::AsDeployed) else { return };
    let (user, password) = handed_out(&config(&coturn, SECRET), Duration::ZERO);
    let bind = |peer: IpAddr| coturn.bind(peer, &user, &password).expect("the client ends");
    let ends = SPECIAL.iter().flat_map(|range| {
        let range: IpNet = range.parse().expect("a range");
        [range.network(), range.broadcast()]
    });
    let others = EMBEDDED.iter().map(|address| address.parse().expect("an address"));
    let reached: Vec<_> = ends.chain(others).filter(|peer| !bind(*peer).contains("403 (Forbidden IP)")).collect();
    assert!(reached.is_empty(), "{reached:?} can be reached:\n{}", coturn.log());
    // Else a server that refuses everything would pass, as 4.6.1 does with a range that begins with `::`.
    for peer in PUBLIC {
        let said = bind(peer.parse().expect("an address"));
        let bound = said.lines().any(|line| line.contains("success: 0x"));
        assert!(bound && !said.contains("403"), "{peer}: {said}");
    }
}

const SPECIAL: [&str; 32] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
];

/// IPv4 addresses inside IPv6 ones, loopback, and multicast.
const EMBEDDED: [&str; 9] = [
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "169.254.169.254",
];

/// The neighbours of what is refused. Nothing is sent to them, and nothing could be from loopback.
const PUBLIC: [&str; 6] = ["9.255.255.255", "11.0.0.0", "223.255.255.255", "2000::1", "2001:200::1", "2600::1"];
