//! Binary events: a text that announces attachments, and the attachments.

use super::target::{Options, Target};
use super::wire::{Polling, Socket};
use super::{Case, Seen, judge};

#[test]
fn npm_socket_io_takes_attachments_as_the_table_says() {
    let Some(reference) = Target::reference(Options::DEFAULT) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_takes_attachments_as_the_table_says() {
    judge(&Target::santral(Options::DEFAULT), CASES);
}

const ONE: &str = r#"451-["x",{"_placeholder":true,"num":0}]"#;

const CASES: &[Case] = &[
    Case {
        name: "one attachment",
        play: |target| Socket::joined(target).say(ONE).send_bytes(&[0, 255]).hear_all(2),
        seen: Seen::Same(r#"text 451-["x",{"_placeholder":true,"num":0}], binary [0, 255]"#),
    },
    Case {
        name: "an empty attachment",
        play: |target| Socket::joined(target).say(ONE).send_bytes(&[]).hear_all(2),
        seen: Seen::Same(r#"text 451-["x",{"_placeholder":true,"num":0}], binary []"#),
    },
    Case {
        name: "several attachments, deep in the arguments, keep their places",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"453-["x",{"a":{"_placeholder":true,"num":0}},[{"_placeholder":true,"num":1}],{"_placeholder":true,"num":2}]"#);
            socket.send_bytes(&[1]).send_bytes(&[2]).send_bytes(&[3]).hear_all(4)
        },
        seen: Seen::Same(
            r#"text 453-["x",{"a":{"_placeholder":true,"num":0}},[{"_placeholder":true,"num":1}],{"_placeholder":true,"num":2}], binary [1], binary [2], binary [3]"#,
        ),
    },
    Case {
        name: "attachments out of order in the text find their places",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"452-["x",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#);
            socket.send_bytes(&[1]).send_bytes(&[2]).hear_all(3)
        },
        seen: Seen::Same(
            r#"text 452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}], binary [2], binary [1]"#,
        ),
    },
    Case {
        name: "in a namespace",
        play: |target| {
            let mut socket = Socket::fresh(target);
            socket.say("40/chat,").hear();
            socket.say(r#"451-/chat,["x",{"_placeholder":true,"num":0}]"#).send_bytes(&[7]).hear_all(2)
        },
        seen: Seen::Same(r#"text 451-/chat,["x",{"_placeholder":true,"num":0}], binary [7]"#),
    },
    Case {
        name: "with an ack",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(r#"451-9["x",{"_placeholder":true,"num":0}]"#).send_bytes(&[7]);
            let heard = [socket.hear(), socket.hear(), socket.hear()];
            heard.iter().any(|frame| frame.starts_with(r#"text 439[{"ok":true"#)).to_string()
        },
        seen: Seen::Same("true"),
    },
    Case {
        name: "ten attachments are the most",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(&announced(10));
            for byte in 0..10 {
                socket.send_bytes(&[byte]);
            }
            let text = socket.hear();
            format!("{}, {}", &text[..9], socket.hear_all(10))
        },
        seen: Seen::Same(
            "text 4510, binary [0], binary [1], binary [2], binary [3], binary [4], binary [5], binary [6], binary [7], binary [8], binary [9]",
        ),
    },
    Case {
        name: "eleven close",
        play: |target| Socket::joined(target).say(&announced(11)).is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "none close",
        play: |target| Socket::joined(target).say("450-[\"x\"]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a count that is no number closes",
        play: |target| Socket::joined(target).say("45x-[\"x\"]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "no count closes",
        play: |target| Socket::joined(target).say("45[\"x\"]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a text message instead of an attachment closes",
        play: |target| Socket::joined(target).say(ONE).say("42[\"echo\"]").is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "an attachment that nothing announced closes",
        play: |target| Socket::joined(target).send_bytes(&[1]).is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "one attachment too many closes",
        play: |target| {
            let mut socket = Socket::joined(target);
            socket.say(ONE).send_bytes(&[1]).send_bytes(&[2]);
            // The event itself is taken before; whether its echo still goes out is a matter of timing.
            let mut heard = socket.hear();
            while heard.starts_with("text 451-") || heard.starts_with("binary") {
                heard = socket.hear();
            }
            (heard == "end" || heard.starts_with("close")).to_string()
        },
        seen: Seen::Same("true"),
    },
    Case {
        name: "a place of an attachment that does not come closes",
        play: |target| {
            Socket::joined(target).say(r#"451-["x",{"_placeholder":true,"num":1}]"#).send_bytes(&[1]).is_closed()
        },
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a place before the first closes",
        play: |target| {
            Socket::joined(target).say(r#"451-["x",{"_placeholder":true,"num":-1}]"#).send_bytes(&[1]).is_closed()
        },
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a place that is no number closes",
        play: |target| {
            Socket::joined(target).say(r#"451-["x",{"_placeholder":true,"num":"0"}]"#).send_bytes(&[1]).is_closed()
        },
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a reserved name closes, attachments or not",
        play: |target| Socket::joined(target).say(r#"451-["disconnect",{"_placeholder":true,"num":0}]"#).is_closed(),
        seen: Seen::Same("closed"),
    },
    Case {
        name: "a heartbeat between the text and its attachment is no message, and does no harm",
        play: |target| Socket::joined(target).say(ONE).say("3").send_bytes(&[1]).hear_all(2),
        seen: Seen::Same(r#"text 451-["x",{"_placeholder":true,"num":0}], binary [1]"#),
    },
    Case {
        name: "over polling the attachment may come in a later post",
        play: |target| {
            let session = Polling::joined(target);
            let posts = format!("{} {}", session.post(ONE), session.post("bAQI="));
            format!("{posts}, {}", session.poll())
        },
        seen: Seen::Same(r#"200 ok 200 ok, 200 451-["x",{"_placeholder":true,"num":0}] bAQI="#),
    },
    Case {
        name: "what is bytes to one is bytes to all, over each transport",
        play: |target| {
            let session = Polling::joined(target);
            let mut other = Socket::joined(target);
            Socket::joined(target).say(ONE).send_bytes(&[1, 2]).hear_all(2);
            format!("{}, {}", session.poll(), other.hear_all(2))
        },
        seen: Seen::Same(
            r#"200 451-["x",{"_placeholder":true,"num":0}] bAQI=, text 451-["x",{"_placeholder":true,"num":0}], binary [1, 2]"#,
        ),
    },
    Case {
        name: "a client that vanishes between the text and its attachment leaves no trace",
        play: |target| {
            let mut other = Socket::joined(target);
            Socket::joined(target).say(ONE);
            std::thread::sleep(super::wire::MOMENT);
            other.say("42[\"echo\"]").hear()
        },
        seen: Seen::Same("text 42[\"echo\"]"),
    },
];

/// An event that announces so many attachments.
fn announced(count: usize) -> String {
    let places: Vec<String> = (0..count).map(|place| format!(r#"{{"_placeholder":true,"num":{place}}}"#)).collect();
    format!(r#"45{count}-["x",{}]"#, places.join(","))
}
