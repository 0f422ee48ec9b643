//! Connection state recovery: what a socket missed while it was away comes before it is told that it
//! is the same socket again.
//!
//! The reference is started with the option; a client asks Santral for it by `recover` in its `auth`.

use serde_json::{Value, json};

use super::target::{Options, Target};
use super::wire::{MOMENT, Polling, Socket};
use super::{Case, Seen, judge};
use crate::support::deadline;

#[test]
fn npm_socket_io_recovers_as_the_table_says() {
    let Some(reference) = Target::reference(RECOVERING) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_recovers_as_the_table_says() {
    judge(&Target::santral(RECOVERING), CASES);
}

const RECOVERING: Options = Options { has_recovery: true, ..Options::DEFAULT };

const CASES: &[Case] = &[
    Case {
        name: "CONNECT is answered with a secret pid beside the id",
        play: |target| {
            let socket = Recoverable::connect(target);
            format!("{} {} {}", socket.pid.len() >= 20, socket.id.len() >= 20, socket.id == socket.pid)
        },
        seen: Seen::Same("true true false"),
    },
    Case {
        name: "whoever does not ask for recovery has none",
        play: |target| Socket::fresh(target).say("40").hear(),
        seen: Seen::Differs {
            santral: r#"text 40{"sid":"<id>"}"#,
            reference: r#"text 40{"sid":"<id>","pid":"<id>"}"#,
            because: "it is one for all there; here each client chooses, and the others see plain Socket.IO",
        },
    },
    Case {
        name: "each event has its offset as one more argument",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            let first = socket.event();
            target.broadcast(&json!({ "event": "all", "args": ["a", "b"] }));
            let second = socket.event();
            format!("{} {}, offsets differ: {}", first.0, second.0, first.1 != second.1)
        },
        seen: Seen::Same(r#"["all",1] ["all","a","b"], offsets differ: true"#),
    },
    Case {
        name: "what was missed comes in order before CONNECT, with the old id and pid",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.vanish();
            for number in 1..=3 {
                target.broadcast(&json!({ "event": "missed", "data": number }));
            }
            socket.come_back(target, Some(&offset))
        },
        seen: Seen::Same(r#"["missed",1] ["missed",2] ["missed",3], same id: true, same pid: true"#),
    },
    Case {
        name: "nothing was missed",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.vanish();
            socket.come_back(target, Some(&offset))
        },
        seen: Seen::Same(", same id: true, same pid: true"),
    },
    Case {
        name: "rooms are kept, and what they missed comes as well",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            socket.join("rooms-kept");
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.vanish();
            target.broadcast(&json!({ "event": "in", "data": 1, "channel": "rooms-kept" }));
            target.broadcast(&json!({ "event": "elsewhere", "data": 2, "channel": "another-room" }));
            let back = socket.come_back(target, Some(&offset));
            target.broadcast(&json!({ "event": "in", "data": 3, "channel": "rooms-kept" }));
            format!("{back}, {}", socket.event().0)
        },
        seen: Seen::Same(r#"["in",1], same id: true, same pid: true, ["in",3]"#),
    },
    Case {
        name: "who was left out stays left out",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            socket.join("left-out");
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.vanish();
            target.broadcast(&json!({ "event": "not for you", "data": 1, "except": ["left-out"] }));
            target.broadcast(&json!({ "event": "for you", "data": 2 }));
            socket.come_back(target, Some(&offset))
        },
        seen: Seen::Same(r#"["for you",2], same id: true, same pid: true"#),
    },
    Case {
        name: "recovery before the first event",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            socket.vanish();
            target.broadcast(&json!({ "event": "missed", "data": 1 }));
            socket.come_back(target, None)
        },
        seen: Seen::Differs {
            santral: r#"["missed",1], same id: true, same pid: true"#,
            reference: ", same id: false, same pid: false",
            because: "without an offset the reference has nowhere to begin; the position at CONNECT is one",
        },
    },
    Case {
        name: "a pid that never was leads to a new socket",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.pid = "0123456789abcdefghijk".to_owned();
            socket.come_back(target, Some(&offset))
        },
        seen: Seen::Same(", same id: false, same pid: false"),
    },
    Case {
        name: "a socket is recovered once, not as often as its pid is shown",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            let (id, pid) = (socket.id.clone(), socket.pid.clone());
            socket.vanish();
            let once = socket.come_back(target, Some(&offset));
            let mut thief = Recoverable { socket: Socket::fresh(target), id, pid };
            let twice = thief.come_back(target, Some(&offset));
            let both = !once.contains("false") && !twice.contains("false") && socket.is_alive();
            format!("both are the same socket: {both}")
        },
        seen: Seen::Differs {
            santral: "both are the same socket: false",
            reference: "both are the same socket: true",
            because: "a session is attached to at most one connection",
        },
    },
    Case {
        name: "whoever has said goodbye is not recovered",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.socket.say("41");
            std::thread::sleep(MOMENT);
            socket.vanish();
            socket.come_back(target, Some(&offset))
        },
        seen: Seen::Same(", same id: false, same pid: false"),
    },
    Case {
        name: "over polling as well",
        play: |target| {
            let mut socket = Recoverable::connect(target);
            target.broadcast(&json!({ "event": "seen", "data": 0 }));
            let (_, offset) = socket.event();
            socket.vanish();
            target.broadcast(&json!({ "event": "missed", "data": 1 }));
            let session = Polling::open(target);
            let auth = json!({ "recover": true, "pid": socket.pid, "offset": offset });
            session.post(&format!("40{auth}"));
            let answer = session.poll();
            let (missed, connect) = answer.split_once(" 40").expect("CONNECT comes behind what was missed");
            format!("{} {connect}", &missed["200 42".len()..][..r#"["missed",1"#.len()])
        },
        seen: Seen::Same(r#"["missed",1 {"sid":"<id>","pid":"<id>"}"#),
    },
];

/// A socket that can be recovered.
struct Recoverable {
    socket: Socket,
    id: String,
    pid: String,
}

impl Recoverable {
    fn connect(target: &Target) -> Self {
        let mut socket = Socket::fresh(target);
        let answer = socket.connect(r#"40{"recover":true}"#).1;
        let of = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer}")).to_owned();
        let (id, pid) = (of("sid"), of("pid"));
        Self { socket, id, pid }
    }

    /// The next event without its offset, and its offset.
    fn event(&mut self) -> (String, String) {
        event(&self.socket.text())
    }

    fn join(&mut self, room: &str) {
        let join = json!(["join", room]);
        let heard = self.socket.say(&format!("420{join}")).hear();
        assert!(heard.starts_with(r#"text 430[{"ok":true"#), "{heard}");
    }

    /// The connection is lost, and the server has noticed.
    fn vanish(&mut self) {
        // A reset: nothing that the server could take for a goodbye.
        self.socket.raw.stream().shutdown(std::net::Shutdown::Both).expect("the socket is open");
        std::thread::sleep(MOMENT);
    }

    fn is_alive(&mut self) -> bool {
        let heard = self.socket.say(r#"429["join","alive"]"#).hear();
        heard.starts_with("text 439")
    }

    /// Comes back on a new connection; tells what came before CONNECT, and whether it is the same.
    fn come_back(&mut self, target: &Target, offset: Option<&str>) -> String {
        let mut auth = json!({ "recover": true, "pid": self.pid });
        if let Some(offset) = offset {
            auth["offset"] = json!(offset);
        }
        self.socket = Socket::fresh(target);
        let (missed, answer) = self.socket.connect(&format!("40{auth}"));
        let missed: Vec<String> = missed.iter().map(|frame| event(frame).0).collect();
        let (id, pid) = (answer["sid"] == json!(self.id), answer["pid"] == json!(self.pid));
        format!("{}, same id: {id}, same pid: {pid}", missed.join(" "))
    }
}

impl Socket {
    /// Says this CONNECT; what came before its answer, and the answer.
    fn connect(&mut self, connect: &str) -> (Vec<String>, Value) {
        self.say(connect);
        let mut before = Vec::new();
        loop {
            let text = self.text();
            let Some(json) = text.strip_prefix("40") else {
                before.push(text);
                continue;
            };
            return (before, serde_json::from_str(json).expect("the answer is JSON"));
        }
    }

    /// The next text frame as it is.
    fn text(&mut self) -> String {
        match self.raw.next_message(deadline()) {
            Ok(Some(santral_testkit::websocket::Message::Text(text))) => text,
            other => panic!("no text: {other:?}"),
        }
    }
}

fn event(frame: &str) -> (String, String) {
    let json = frame.strip_prefix("42").unwrap_or_else(|| panic!("no event: {frame}"));
    let mut arguments: Vec<Value> = serde_json::from_str(json).expect("an event carries an array");
    let offset = arguments.pop().and_then(|last| last.as_str().map(str::to_owned));
    let offset = offset.unwrap_or_else(|| panic!("no offset: {frame}"));
    (Value::from(arguments).to_string(), offset)
}
