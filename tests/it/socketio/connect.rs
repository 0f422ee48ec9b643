//! Joining and leaving namespaces, and in which state which packet may come.

use serde_json::json;

use super::target::{Kind, Options, Target};
use super::wire::{MOMENT, Polling, Socket};
use super::{Case, Seen, judge};

#[test]
fn npm_socket_io_connects_as_the_table_says() {
    let Some(reference) = Target::reference(IMPATIENT) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_connects_as_the_table_says() {
    judge(&Target::santral(IMPATIENT), CASES);
}

const IMPATIENT: Options = Options { connect_timeout_ms: Some(500), ..Options::DEFAULT };

const CASES: &[Case] = &[
    Case {
        name: "CONNECT to the root",
        play: |target| Socket::fresh(target).say("40").hear(),
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "CONNECT with an object",
        play: |target| Socket::fresh(target).say("40{\"anything\":[1]}").hear(),
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "the root by its name",
        play: |target| Socket::fresh(target).say("40/,").hear(),
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "another namespace",
        play: |target| Socket::fresh(target).say("40/chat,").hear(),
        seen: Seen::Same("text 40/chat,{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "another namespace without its comma",
        play: |target| Socket::fresh(target).say("40/chat").hear(),
        seen: Seen::Same("text 40/chat,{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "another namespace with an object",
        play: |target| Socket::fresh(target).say("40/chat,{\"a\":1}").hear(),
        seen: Seen::Same("text 40/chat,{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "a query would be part of the name, and clients send none",
        play: |target| Socket::fresh(target).say("40/chat?a=b,").hear(),
        seen: Seen::Same("text 44/chat?a=b,{\"message\":\"Invalid namespace\"}"),
    },
    Case {
        name: "several namespaces on one connection, each with its own id and its own events",
        play: |target| {
            let mut socket = Socket::joined(target);
            let second = socket.say("40/chat,").hear();
            format!("{second}, {}", socket.say("42/chat,[\"b\"]").say("42[\"a\"]").hear_all(2))
        },
        seen: Seen::Same("text 40/chat,{\"sid\":\"<id>\"}, text 42/chat,[\"b\"], text 42[\"a\"]"),
    },
    Case {
        name: "a namespace does not hear the other",
        play: |target| {
            let mut root = Socket::joined(target);
            let mut chat = Socket::fresh(target);
            chat.say("40/chat,").hear();
            target.broadcast(&json!({ "event": "chat only", "data": 1, "namespace": "/chat" }));
            target.broadcast(&json!({ "event": "root only", "data": 1 }));
            format!("{}, {}", chat.hear(), root.hear())
        },
        seen: Seen::Same("text 42/chat,[\"chat only\",1], text 42[\"root only\",1]"),
    },
    Case {
        name: "a namespace that does not exist",
        play: |target| Socket::fresh(target).say("40/nowhere,").hear(),
        seen: Seen::Same("text 44/nowhere,{\"message\":\"Invalid namespace\"}"),
    },
    Case {
        name: "behind that the connection lives",
        play: |target| Socket::fresh(target).say("40/nowhere,").say("40").hear_all(2),
        seen: Seen::Same("text 44/nowhere,{\"message\":\"Invalid namespace\"}, text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "a refused CONNECT names its reason in `message`, and a code in `data`",
        play: |target| {
            let refusal = Socket::fresh(target).say("40{\"token\":\"forged\"}").hear();
            let json = refusal.strip_prefix("text 44").expect("it is refused");
            let refusal: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
            format!("{} {}", refusal["message"], refusal["data"]["code"].is_string())
        },
        seen: Seen::Same("\"unauthorized\" true"),
    },
    Case {
        name: "a refused CONNECT may be tried again",
        play: |target| {
            let mut socket = Socket::fresh(target);
            socket.say("40{\"token\":\"forged\"}").hear();
            socket.say("40").hear()
        },
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "an EVENT before CONNECT closes",
        play: |target| Socket::fresh(target).say("42[\"a\"]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "an ACK before CONNECT closes",
        play: |target| Socket::fresh(target).say("431[]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a DISCONNECT before CONNECT closes",
        play: |target| Socket::fresh(target).say("41").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "an EVENT for a namespace that was not joined closes",
        play: |target| Socket::joined(target).say("42/chat,[\"a\"]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "an ACK for a namespace that was not joined closes",
        play: |target| Socket::joined(target).say("43/chat,1[]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a DISCONNECT from a namespace that was not joined closes",
        play: |target| Socket::joined(target).say("41/chat,").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a second CONNECT to the same namespace closes",
        play: |target| Socket::joined(target).say("40").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a CONNECT_ERROR of the client closes",
        play: |target| Socket::joined(target).say("44{\"message\":\"no\"}").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "behind DISCONNECT the connection lives, and may join again",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say("41");
            // The reference takes a moment to notice.
            std::thread::sleep(MOMENT);
            let again = socket.say("40").hear();
            format!("{again}, {}", socket.say("42[\"echo\"]").hear())
        },
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}, text 42[\"echo\"]"),
    },
    Case {
        name: "DISCONNECT from one namespace leaves the other",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say("40/chat,").hear();
            socket.say("41").say("42/chat,[\"echo\"]").hear()
        },
        seen: Seen::Same("text 42/chat,[\"echo\"]"),
    },
    Case {
        name: "behind DISCONNECT nothing comes any more",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say("40/chat,").hear();
            socket.say("41").say("42/chat,[\"echo\"]").hear();
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            socket.say("42/chat,[\"last\"]").hear()
        },
        seen: Seen::Same("text 42/chat,[\"last\"]"),
    },
    Case {
        name: "whoever joins nothing in time is closed",
        play: |target| Socket::fresh(target).is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "whoever was refused everything in time is closed as well",
        play: |target| {
            let mut socket = Socket::fresh(target);
            socket.say("40/nowhere,").hear();
            socket.is_closed()
        },
        seen: Seen::Same("closed"),
    },
    Case {
        name: "whoever has joined stays behind that time",
        play: |target| {
            let mut socket = Socket::joined(target);
            std::thread::sleep(MOMENT * 5);
            socket.say("42[\"echo\"]").hear()
        },
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case {
        name: "and whoever has left again as well",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say("41");
            std::thread::sleep(MOMENT * 5);
            socket.say("40").hear()
        },
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "the same over polling: join two, leave one",
        play: |target| {
            let session = Polling::joined(target);
            let join = format!("{}, {}", session.post("40/chat,"), session.poll());
            let leave = session.post("41/chat,\x1E42[\"echo\"]");
            format!("{join}, {leave}, {}", session.poll())
        },
        seen: Seen::Same("200 ok, 200 40/chat,{\"sid\":\"<id>\"}, 200 ok, 200 42[\"echo\"]"),
    },
    Case {
        name: "DISCONNECT with a payload closes",
        play: |target| Socket::joined(target).say("41{}").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "CONNECT with an array closes",
        play: |target| Socket::fresh(target).say("40[]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "CONNECT with text closes",
        play: |target| Socket::fresh(target).say("40\"token\"").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "CONNECT with `true` closes",
        play: |target| Socket::fresh(target).say("40/chat,true").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "CONNECT with broken JSON closes",
        play: |target| Socket::fresh(target).say("40{\"a\":").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "the server kicks a socket out of one namespace, and the connection lives",
        play: |target| {
            let mut socket = Socket::fresh(target);
            let id = socket.join("40");
            target.end_connection(&id);
            let kicked = match target.kind() {
                Kind::Santral => socket.hear_all(2),
                Kind::Reference => socket.hear(),
            };
            format!("{kicked}, {}", socket.say("40").hear())
        },
        seen: Seen::Differs {
            santral: "text 42[\"santral:kicked\",{\"reason\":\"kicked\"}], text 41, text 40{\"sid\":\"<id>\"}",
            reference: "text 41, text 40{\"sid\":\"<id>\"}",
            because: "whoever is told to leave should know why, and the protocol has no room for it",
        },
    },
];
