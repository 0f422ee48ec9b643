//! Engine.IO packets over both transports: what is taken, what is passed over, what ends a session.

use santral_testkit::websocket::{Frame, Opcode};

use super::target::{Options, Target};
use super::wire::{Polling, Socket};
use super::{Case, Seen, judge};

#[test]
fn npm_socket_io_reads_packets_as_the_table_says() {
    let Some(reference) = Target::reference(Options::DEFAULT) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_reads_packets_as_the_table_says() {
    judge(&Target::santral(Options::DEFAULT), CASES);
}

/// What shows that a session lives: it echoes an event.
const ECHO: &str = r#"42["echo",1]"#;

const OK_TO_A_BAD_PACKET: &str = "the reference says `ok` to a payload that it has just closed the session for";

const CASES: &[Case] = &[
    Case {
        name: "several packets in one payload, in order",
        play: |target| {
            let session = Polling::joined(target);
            format!("{}, {}", session.post("42[\"a\"]\x1E42[\"b\"]\x1E42[\"c\"]"), session.poll())
        },
        seen: Seen::Same(r#"200 ok, 200 42["a"] 42["b"] 42["c"]"#),
    },
    Case {
        name: "a binary message in a payload is base64",
        play: |target| {
            let session = Polling::joined(target);
            format!(
                "{}, {}",
                session.post("451-[\"x\",{\"_placeholder\":true,\"num\":0}]\x1EbAQIDBA=="),
                session.poll()
            )
        },
        seen: Seen::Same(r#"200 ok, 200 451-["x",{"_placeholder":true,"num":0}] bAQIDBA=="#),
    },
    Case {
        name: "a binary message is a binary frame over WebSocket",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"451-["x",{"_placeholder":true,"num":0}]"#).send_bytes(&[1, 2, 3, 4]).hear_all(2)
        },
        seen: Seen::Same(r#"text 451-["x",{"_placeholder":true,"num":0}], binary [1, 2, 3, 4]"#),
    },
    Case {
        name: "`b` and base64 in a text frame is a binary message as well",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"451-["x",{"_placeholder":true,"num":0}]"#).say("bAQIDBA==").hear_all(2)
        },
        seen: Seen::Same(r#"text 451-["x",{"_placeholder":true,"num":0}], binary [1, 2, 3, 4]"#),
    },
    Case {
        name: "an unknown type in a payload closes the session",
        play: |target| after_post(target, "abc"),
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"200 ok, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: OK_TO_A_BAD_PACKET,
        },
    },
    Case {
        name: "an empty payload closes the session",
        play: |target| after_post(target, ""),
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"200 ok, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: OK_TO_A_BAD_PACKET,
        },
    },
    Case {
        name: "an empty packet between two others closes the session",
        play: |target| after_post(target, "42[\"a\"]\x1E\x1E42[\"b\"]"),
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"200 ok, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: OK_TO_A_BAD_PACKET,
        },
    },
    Case {
        name: "packets before a bad one are taken",
        play: |target| {
            let mut other = Socket::joined(target);
            let session = Polling::joined(target);
            session.post("42[\"before\"]\x1Eabc\x1E42[\"behind\"]");
            // What a row before this one has said may still be under way.
            let mut heard = other.hear();
            while !heard.contains("before") && !heard.contains("behind") {
                heard = other.hear();
            }
            other.say(ECHO);
            format!("{heard}, {}", other.hear())
        },
        seen: Seen::Same(r#"text 42["before"], text 42["echo",1]"#),
    },
    Case {
        name: "an unknown type in a frame closes the session",
        play: |target| Socket::joined(target).say("abc").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "an empty frame closes the session",
        play: |target| Socket::joined(target).say("").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "`1` over WebSocket closes the session",
        play: |target| Socket::joined(target).say("1").say(ECHO).is_closed(),
        seen: Seen::Differs {
            santral: "closed",
            reference: r#"text 42["echo",1]"#,
            because: "the reference takes no notice, and ends the session only when no pong comes",
        },
    },
    Case {
        name: "a ping of the client is the wrong way round and closes the session",
        play: |target| Socket::joined(target).say("2").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a ping of the client in a payload as well",
        play: |target| after_post(target, "2").split_once(", ").expect("there are two answers").1.to_owned(),
        seen: Seen::Same(r#"400 {"code":1,"message":"Session ID unknown"}"#),
    },
    Case {
        name: "open, upgrade and noop are passed over",
        play: |target| Socket::joined(target).say("0").say("5").say("6").say("0{}").say(ECHO).hear(),
        seen: Seen::Same(r#"text 42["echo",1]"#),
    },
    Case {
        name: "open, upgrade and noop in a payload as well",
        play: |target| {
            let session = Polling::joined(target);
            format!("{}, {}", session.post("0\x1E5\x1E6\x1E42[\"echo\",1]"), session.poll())
        },
        seen: Seen::Same(r#"200 ok, 200 42["echo",1]"#),
    },
    Case {
        name: "a pong that nobody asked for is fine",
        play: |target| Socket::joined(target).say("3").say("3").say(ECHO).hear(),
        seen: Seen::Same(r#"text 42["echo",1]"#),
    },
    Case {
        name: "text keeps its Unicode",
        play: |target| Socket::joined(target).say("42[\"€\",\"ş𝄞\\u0000\"]").hear(),
        seen: Seen::Same("text 42[\"€\",\"ş𝄞\\u0000\"]"),
    },
    Case {
        name: "a message in fragments is put together",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.put(&Frame::text("42[\"e").unfinished());
            socket.put(&Frame::new(Opcode::PING, "?"));
            socket.put(&Frame::new(Opcode::CONTINUATION, "cho\",").unfinished());
            socket.put(&Frame::new(Opcode::CONTINUATION, "1]"));
            socket.hear_all(2)
        },
        seen: Seen::Same(r#"pong [63], text 42["echo",1]"#),
    },
    Case {
        name: "compression is not negotiated",
        play: |target| {
            let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
            let socket = santral_testkit::websocket::WebSocket::open(
                target.address(),
                super::wire::WEBSOCKET,
                &offer,
                crate::support::PATIENCE,
            );
            format!("{:?}", socket.expect("the server takes it").header("sec-websocket-extensions"))
        },
        seen: Seen::Same("None"),
    },
    Case {
        name: "1e5 separators in one payload close the session and nothing else",
        play: |target| after_post(target, &"\x1E".repeat(100_000)),
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"200 ok, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: OK_TO_A_BAD_PACKET,
        },
    },
    Case {
        name: "base64 that is none closes the session",
        play: |target| after_post(target, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]\x1Eb!!!!"),
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"200 ok, 200 451-["x",{"_placeholder":true,"num":0}] b"#,
            because: "the reference passes over what is no base64, and delivers other bytes than were meant",
        },
    },
];

/// The answer to a post in a joined session, and to the poll behind it.
fn after_post(target: &Target, body: &str) -> String {
    let session = Polling::joined(target);
    format!("{}, {}", session.post(body), session.poll())
}
