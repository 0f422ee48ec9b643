//! Events and acknowledgements: what may be said, what closes, and what comes back.

use serde_json::{Value, json};

use super::target::{Options, Target};
use super::wire::{Polling, Socket};
use super::{Case, Seen, judge};

#[test]
fn npm_socket_io_takes_events_as_the_table_says() {
    let Some(reference) = Target::reference(Options::DEFAULT) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_takes_events_as_the_table_says() {
    judge(&Target::santral(Options::DEFAULT), CASES);
}

const CASES: &[Case] = &[
    Case {
        name: "an event without arguments",
        play: |target| says(target, r#"42["a"]"#),
        seen: Seen::Same(r#"text 42["a"]"#),
    },
    Case {
        name: "arguments of every kind, in their order",
        play: |target| says(target, r#"42["a",1,"2",[3],{"four":4.5},null,true]"#),
        seen: Seen::Same(r#"text 42["a",1,"2",[3],{"four":4.5},null,true]"#),
    },
    Case {
        name: "one argument that is an array stays one",
        play: |target| says(target, r#"42["a",[1,2]]"#),
        seen: Seen::Same(r#"text 42["a",[1,2]]"#),
    },
    Case {
        name: "a name with spaces and Unicode",
        play: |target| says(target, r#"42["chat message ✓",1]"#),
        seen: Seen::Same(r#"text 42["chat message ✓",1]"#),
    },
    Case {
        name: "a name that SSE has for itself",
        play: |target| says(target, r#"42["bye",1]"#),
        seen: Seen::Same(r#"text 42["bye",1]"#),
    },
    Case {
        name: "a placeholder in a plain event is data like any other",
        play: |target| says(target, r#"42["a",{"_placeholder":true,"num":0}]"#),
        seen: Seen::Same(r#"text 42["a",{"_placeholder":true,"num":0}]"#),
    },
    Case { name: "an empty array closes", play: |target| closes(target, "42[]"), seen: Seen::Same("closed") },
    Case { name: "an object closes", play: |target| closes(target, "42{}"), seen: Seen::Same("closed") },
    Case { name: "a string closes", play: |target| closes(target, "42\"a\""), seen: Seen::Same("closed") },
    Case { name: "broken JSON closes", play: |target| closes(target, "42[\"a\""), seen: Seen::Same("closed") },
    Case {
        name: "something behind the JSON closes",
        play: |target| closes(target, "42[\"a\"]x"),
        seen: Seen::Same("closed"),
    },
    Case { name: "a name that is null closes", play: |target| closes(target, "42[null]"), seen: Seen::Same("closed") },
    Case {
        name: "a name that is an object closes",
        play: |target| closes(target, "42[{}]"),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a name that is a number is allowed",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say("42[7]").say("42[\"echo\"]");
            // Whether it is relayed is another matter.
            let mut heard = socket.hear();
            while heard.contains('7') {
                heard = socket.hear();
            }
            heard
        },
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case {
        name: "`connect` is no event of a client",
        play: |target| closes(target, "42[\"connect\"]"),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "nor is `connect_error`",
        play: |target| closes(target, "42[\"connect_error\"]"),
        seen: Seen::Same("closed"),
    },
    Case { name: "nor `disconnect`", play: |target| closes(target, "42[\"disconnect\"]"), seen: Seen::Same("closed") },
    Case {
        name: "nor `disconnecting`",
        play: |target| closes(target, "42[\"disconnecting\"]"),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "nor `newListener`",
        play: |target| closes(target, "42[\"newListener\"]"),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "nor `removeListener`",
        play: |target| closes(target, "42[\"removeListener\"]"),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "an event without any payload is passed over",
        play: |target| Socket::joined(target).say("42").say("42[\"echo\"]").hear(),
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case { name: "an unknown type closes", play: |target| closes(target, "47[\"a\"]"), seen: Seen::Same("closed") },
    Case { name: "a type that is no digit closes", play: |target| closes(target, "4x"), seen: Seen::Same("closed") },
    Case { name: "an empty message closes", play: |target| closes(target, "4"), seen: Seen::Same("closed") },
    Case {
        name: "an ack has the id of its event, and is one object that says `ok`",
        play: |target| {
            let mut socket = Socket::joined(target);
            ack(&socket.say(r#"427["join","acks"]"#).hear())
        },
        seen: Seen::Same("7 true"),
    },
    Case {
        name: "ids of acks need not be in order, and may come twice",
        play: |target| {
            let mut socket = Socket::joined(target);
            let ids = [0, 41, 3, 3];
            let acks = ids.map(|id| ack(&socket.say(&format!(r#"42{id}["join","acks"]"#)).hear()));
            acks.join(", ")
        },
        seen: Seen::Same("0 true, 41 true, 3 true, 3 true"),
    },
    Case {
        name: "the largest id that JavaScript counts to",
        play: |target| ack(&Socket::joined(target).say(r#"429007199254740991["join","acks"]"#).hear()),
        seen: Seen::Same("9007199254740991 true"),
    },
    Case {
        name: "an id of 22 digits",
        play: |target| {
            let heard = Socket::joined(target).say(r#"421000000000000000000000["join","acks"]"#).hear();
            if heard == "end" || heard.starts_with("close") { "closed".to_owned() } else { ack(&heard) }
        },
        seen: Seen::Differs {
            santral: "closed",
            reference: "1e+21 true",
            because: "the reference answers with an id that is none",
        },
    },
    Case {
        name: "an ack in a namespace",
        play: |target| {
            let mut socket = Socket::fresh(target);
            socket.say("40/chat,").hear();
            let heard = socket.say(r#"42/chat,12["join","acks"]"#).hear();
            heard.chars().take("text 43/chat,12[{\"ok\":true".len()).collect()
        },
        seen: Seen::Same("text 43/chat,12[{\"ok\":true"),
    },
    Case {
        name: "an event that the server relays is acknowledged too, if that is asked for",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"425["echo",1]"#);
            let mut heard = [socket.hear(), socket.hear()]
                .map(|frame| if frame.starts_with("text 43") { ack(&frame) } else { frame });
            heard.sort();
            heard.join(", ")
        },
        seen: Seen::Same(r#"5 true, text 42["echo",1]"#),
    },
    Case {
        name: "an ack that the server did not ask for is passed over",
        play: |target| Socket::joined(target).say("43123[\"x\"]").say("42[\"echo\"]").hear(),
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case {
        name: "an ack without an id is passed over",
        play: |target| Socket::joined(target).say("43[\"x\"]").say("42[\"echo\"]").hear(),
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case { name: "an ack that is no array closes", play: |target| closes(target, "431{}"), seen: Seen::Same("closed") },
    Case {
        name: "an event of a back end reaches everyone",
        play: |target| {
            let mut sockets = [(); 3].map(|()| Socket::joined(target));
            target.broadcast(&json!({ "event": "all", "data": { "a": 1 } }));
            sockets.each_mut().map(Socket::hear).join(", ")
        },
        seen: Seen::Same(r#"text 42["all",{"a":1}], text 42["all",{"a":1}], text 42["all",{"a":1}]"#),
    },
    Case {
        name: "the same over polling",
        play: |target| {
            let session = Polling::joined(target);
            target.broadcast(&json!({ "event": "all", "data": { "a": 1 } }));
            session.poll()
        },
        seen: Seen::Same(r#"200 42["all",{"a":1}]"#),
    },
    Case {
        name: "a join is in force once it is acknowledged",
        play: |target| {
            let mut inside = Socket::joined(target);
            inside.say(r#"421["join","room-1"]"#).hear();
            let mut outside = Socket::joined(target);
            target.broadcast(&json!({ "channel": "room-1", "event": "in", "data": 1 }));
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            format!("{}, {}", inside.hear_all(2), outside.hear())
        },
        seen: Seen::Same(r#"text 42["in",1], text 42["all",1], text 42["all",1]"#),
    },
    Case {
        name: "a leave as well",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"421["join","room2"]"#).hear();
            socket.say(r#"422["leave","room2"]"#).hear();
            target.broadcast(&json!({ "channel": "room2", "event": "in", "data": 1 }));
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            socket.hear()
        },
        seen: Seen::Same(r#"text 42["all",1]"#),
    },
    Case {
        name: "a socket is in a room of its own id",
        play: |target| {
            let mut socket = Socket::fresh(target);
            let id = socket.join("40");
            let mut other = Socket::joined(target);
            target.broadcast(&json!({ "connection": id, "event": "you", "data": 1 }));
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            format!("{}, {}", socket.hear_all(2), other.hear())
        },
        seen: Seen::Same(r#"text 42["you",1], text 42["all",1], text 42["all",1]"#),
    },
    Case {
        name: "a union of rooms reaches whoever is in both once",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"421["join","union-a"]"#).hear();
            socket.say(r#"422["join","union-b"]"#).hear();
            target.broadcast(&json!({ "channels": ["union-a", "union-b"], "event": "in", "data": 1 }));
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            socket.hear_all(2)
        },
        seen: Seen::Same(r#"text 42["in",1], text 42["all",1]"#),
    },
    Case {
        name: "except leaves out who is in that room",
        play: |target| {
            let mut both = Socket::joined(target);
            both.say(r#"421["join","some"]"#).hear();
            both.say(r#"422["join","muted"]"#).hear();
            let mut one = Socket::joined(target);
            one.say(r#"421["join","some"]"#).hear();
            target.broadcast(&json!({ "channel": "some", "except": ["muted"], "event": "in", "data": 1 }));
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            format!("{}, {}", both.hear(), one.hear_all(2))
        },
        seen: Seen::Same(r#"text 42["all",1], text 42["in",1], text 42["all",1]"#),
    },
    Case {
        name: "publish reaches the others in the room",
        play: |target| {
            let mut sender = Socket::joined(target);
            sender.say(r#"421["join","club"]"#).hear();
            let mut other = Socket::joined(target);
            other.say(r#"421["join","club"]"#).hear();
            let done = ack(&sender.say(r#"422["publish","club","news",1,"two"]"#).hear());
            sender.say(r#"42["echo"]"#);
            format!("{done}, {}, {}", sender.hear(), other.hear_all(2))
        },
        seen: Seen::Same(r#"2 true, text 42["echo"], text 42["news",1,"two"], text 42["echo"]"#),
    },
    Case {
        name: "a back end's several arguments stay several",
        play: |target| {
            let mut socket = Socket::joined(target);
            target.broadcast(&json!({ "event": "many", "args": [1, "two", { "three": 3 }] }));
            socket.hear()
        },
        seen: Seen::Same(r#"text 42["many",1,"two",{"three":3}]"#),
    },
    Case {
        name: "a back end asks for acks, and gets them",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"421["join","asked"]"#).hear();
            let answers = std::thread::scope(|scope| {
                let ask = scope.spawn(|| {
                    target.broadcast(&json!({ "channel": "asked", "event": "q", "data": 1, "ackTimeoutMs": 10_000 }))
                });
                let question = socket.hear();
                let id: String = question["text 42".len()..].chars().take_while(char::is_ascii_digit).collect();
                assert_eq!(question, format!(r#"text 42{id}["q",1]"#));
                socket.say(&format!("43{id}[{{\"answer\":42}}]"));
                // A second answer to the same is one too many, and passed over.
                socket.say(&format!("43{id}[\"again\"]"));
                ask.join().expect("the question is answered")
            });
            answers["responses"].to_string()
        },
        seen: Seen::Same(r#"[{"answer":42}]"#),
    },
];

/// What comes back of a packet in a joined session.
fn says(target: &Target, packet: &str) -> String {
    Socket::joined(target).say(packet).hear()
}

/// What a packet in a joined session does, when the session is asked for a sign of life behind it.
fn closes(target: &Target, packet: &str) -> String {
    Socket::joined(target).say(packet).say("42[\"echo\"]").is_closed()
}

/// The id of an ack, and what it says in `ok`.
fn ack(frame: &str) -> String {
    let packet = frame.strip_prefix("text 43").unwrap_or_else(|| panic!("no ack: {frame}"));
    let (id, json) = packet.split_at(packet.find('[').expect("an ack carries an array"));
    let answer: Value = serde_json::from_str(json).expect("an ack carries JSON");
    format!("{id} {}", answer[0]["ok"])
}
