//! What a session opens with.

use std::collections::BTreeSet;

use santral_testkit::http::Request;
use serde_json::Value;

use super::target::{Options, Target};
use super::wire::{POLLING, Polling, Socket, WEBSOCKET, handshake};
use super::{Case, Seen, judge};

#[test]
fn npm_socket_io_shakes_hands_as_the_table_says() {
    let Some(reference) = Target::reference(QUICK) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_shakes_hands_as_the_table_says() {
    judge(&Target::santral(QUICK), CASES);
}

const QUICK: Options = Options { is_quick: true, ..Options::DEFAULT };

const CASES: &[Case] = &[
    Case {
        name: "over polling: exactly five keys, the settings in milliseconds, an upgrade to come",
        play: |target| described(&target.send(&Request::get(POLLING)).text()),
        seen: Seen::Same(r#"maxPayload=1000000 pingInterval=300 pingTimeout=200 sid=text upgrades=["websocket"]"#),
    },
    Case {
        name: "over WebSocket: the same as the first text frame, and no upgrade",
        play: |target| {
            let mut socket = Socket::open(target, WEBSOCKET);
            let first = socket.raw.next_message(crate::support::deadline()).expect("a frame comes");
            let Some(santral_testkit::websocket::Message::Text(text)) = first else { panic!("{first:?}") };
            described(&text)
        },
        seen: Seen::Same("maxPayload=1000000 pingInterval=300 pingTimeout=200 sid=text upgrades=[]"),
    },
    Case {
        name: "a sid is URL-safe, has 120 random bits and comes once",
        play: |target| {
            let sids: BTreeSet<String> = (0..20).map(|_| Polling::open(target).sid).collect();
            let is_safe = |sid: &String| sid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            // Of six bits each.
            format!("{} {} {}", sids.len(), sids.iter().all(is_safe), sids.iter().all(|sid| sid.len() >= 20))
        },
        seen: Seen::Same("20 true true"),
    },
    Case {
        name: "the socket's public id is not the session's secret one",
        play: |target| {
            let session = Polling::open(target);
            session.post("40");
            let answer = target.send(&Request::get(&session.path("polling"))).text();
            let connect: Value = serde_json::from_str(&answer[2..]).expect("CONNECT carries JSON");
            let id = connect["sid"].as_str().expect("an id is text");
            format!("{} {}", id == session.sid, id.len() >= 20)
        },
        seen: Seen::Same("false true"),
    },
    Case {
        name: "no cookie is set",
        play: |target| format!("{:?}", target.send(&Request::get(POLLING)).header("set-cookie")),
        seen: Seen::Same("None"),
    },
];

fn described(packet: &str) -> String {
    let opening = handshake(packet);
    let keys = opening.as_object().expect("it is an object");
    let mut shown: Vec<String> = keys
        .iter()
        .map(|(key, value)| match value.is_string() {
            true => format!("{key}=text"),
            false => format!("{key}={value}"),
        })
        .collect();
    shown.sort();
    shown.join(" ")
}
