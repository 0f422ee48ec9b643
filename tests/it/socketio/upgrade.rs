//! From polling to WebSocket: the probe, what goes on meanwhile, and every way in which it can fail.

use santral_testkit::http::{HttpError, Request};
use santral_testkit::websocket::{Frame, Opcode, WebSocket};
use serde_json::json;

use super::target::{Options, Target};
use super::wire::{MOMENT, Polling, Socket, WEBSOCKET, finish, told};
use super::{Case, Seen, judge};
use crate::support::PATIENCE;

#[test]
fn npm_socket_io_upgrades_as_the_table_says() {
    let Some(reference) = Target::reference(IMPATIENT) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_upgrades_as_the_table_says() {
    judge(&Target::santral(IMPATIENT), CASES);
}

const IMPATIENT: Options = Options { upgrade_timeout_ms: Some(400), ..Options::DEFAULT };

const CASES: &[Case] = &[
    Case {
        name: "probe, answer, upgrade: the WebSocket is the transport",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            socket.say("5").say("42[\"echo\"]").hear()
        },
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case {
        name: "behind the upgrade there is no polling",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            socket.say("5").say("42[\"echo\"]").hear();
            format!("{}, {}", session.poll(), session.post("42[\"echo\"]"))
        },
        seen: Seen::Same(r#"400 {"code":3,"message":"Bad request"}, 400 {"code":3,"message":"Bad request"}"#),
    },
    Case {
        name: "and that harms the session in no way",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            socket.say("5").say("42[\"one\"]").hear();
            session.poll();
            socket.say("42[\"two\"]").hear()
        },
        seen: Seen::Same("text 42[\"two\"]"),
    },
    Case {
        name: "a poll that is held is let go with a noop once the probe has come",
        play: |target| {
            let session = Polling::joined(target);
            let poll = session.hold();
            let mut socket = session.probed();
            let let_go = finish(poll);
            format!("{let_go}, {}", socket.say("5").say("42[\"echo\"]").hear())
        },
        seen: Seen::Same("200 6, text 42[\"echo\"]"),
    },
    Case {
        name: "a poll that comes between probe and upgrade is let go with a noop",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let let_go = session.poll();
            format!("{let_go}, {}", socket.say("5").say("42[\"echo\"]").hear())
        },
        seen: Seen::Same("200 6, text 42[\"echo\"]"),
    },
    Case {
        name: "messages go on over polling until the upgrade",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let post = session.post("42[\"echo\"]");
            let poll = session.poll();
            format!("{post}, {poll}, {}", socket.say("5").say("42[\"then\"]").hear())
        },
        seen: Seen::Same("200 ok, 200 42[\"echo\"], text 42[\"then\"]"),
    },
    Case {
        name: "what waits is flushed into the WebSocket, in order",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let posts = format!("{} {}", session.post("42[\"a\"]"), session.post("42[\"b\"]\x1E42[\"c\"]"));
            format!("{posts}, {}", socket.say("5").say("42[\"d\"]").hear_all(4))
        },
        seen: Seen::Same("200 ok 200 ok, text 42[\"a\"], text 42[\"b\"], text 42[\"c\"], text 42[\"d\"]"),
    },
    Case {
        name: "a binary message that waits is flushed as a frame",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            session.post("451-[\"x\",{\"_placeholder\":true,\"num\":0}]\x1EbAQIDBA==");
            socket.say("5").hear_all(2)
        },
        seen: Seen::Same(r#"text 451-["x",{"_placeholder":true,"num":0}], binary [1, 2, 3, 4]"#),
    },
    Case {
        name: "an upgrade before any namespace is joined",
        play: |target| {
            let session = Polling::open(target);
            let mut socket = session.probed();
            socket.say("5").say("40").hear()
        },
        seen: Seen::Same("text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "a second WebSocket to a session that upgrades is taken and then closed",
        play: |target| {
            let session = Polling::joined(target);
            let mut first = session.probed();
            let second = session.websocket().is_closed();
            format!("{second}, {}", first.say("5").say("42[\"echo\"]").hear())
        },
        seen: Seen::Same("closed, text 42[\"echo\"]"),
    },
    Case {
        name: "and one to a session that has upgraded",
        play: |target| {
            let session = Polling::joined(target);
            let mut first = session.probed();
            first.say("5").say("42[\"echo\"]").hear();
            let second = session.websocket().is_closed();
            format!("{second}, {}", first.say("42[\"echo\"]").hear())
        },
        seen: Seen::Same("closed, text 42[\"echo\"]"),
    },
    Case {
        name: "and one to a session that began over WebSocket",
        play: |target| {
            let mut socket = Socket::open(target, WEBSOCKET);
            let first = socket.raw.next_message(crate::support::deadline()).expect("a frame comes");
            let Some(santral_testkit::websocket::Message::Text(text)) = first else { panic!("{first:?}") };
            let sid = super::wire::handshake(&text)["sid"].as_str().expect("a sid is text").to_owned();
            let second = Socket::open(target, &format!("{WEBSOCKET}&sid={sid}")).is_closed();
            format!("{second}, {}", socket.say("40").hear())
        },
        seen: Seen::Same("closed, text 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "another word than the probe closes that WebSocket, and polling goes on",
        play: |target| fails(target, &[Frame::text("4hello")]),
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "`5` without a probe",
        play: |target| {
            let session = Polling::joined(target);
            let heard = session.websocket().say("5").say("42[\"echo\"]").hear();
            let is_closed = heard == "end" || heard.starts_with("close");
            if is_closed { format!("closed, {}", lives(&session)) } else { heard }
        },
        seen: Seen::Differs {
            santral: FAILED,
            reference: "text 42[\"echo\"]",
            because: "without a probe nobody knows whether the way back is open",
        },
    },
    Case {
        name: "a ping that is no probe",
        play: |target| fails(target, &[Frame::text("2")]),
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "a probe in a binary frame",
        play: |target| fails(target, &[Frame::new(Opcode::BINARY, "2probe")]),
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "an empty frame instead of a probe",
        play: |target| fails(target, &[Frame::text("")]),
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "a message between probe and upgrade",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let end = socket.say("42[\"early\"]").is_closed();
            format!("{end}, {}", lives(&session))
        },
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "a second probe",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let again = socket.say("2probe").hear();
            drop(socket);
            std::thread::sleep(MOMENT);
            let again = if again == "end" || again.starts_with("close") { "closed" } else { "answered" };
            format!("{again}, {}", lives(&session))
        },
        seen: Seen::Differs {
            santral: FAILED,
            reference: "answered, 200 ok, 200 42[\"echo\"]",
            because: "no client probes twice on one WebSocket",
        },
    },
    Case {
        name: "a WebSocket that goes away before the probe",
        play: |target| {
            let session = Polling::joined(target);
            drop(session.websocket());
            std::thread::sleep(MOMENT);
            lives(&session)
        },
        seen: Seen::Same("200 ok, 200 42[\"echo\"]"),
    },
    Case {
        name: "a WebSocket that goes away between probe and upgrade",
        play: |target| {
            let session = Polling::joined(target);
            drop(session.probed());
            std::thread::sleep(MOMENT);
            lives(&session)
        },
        seen: Seen::Same("200 ok, 200 42[\"echo\"]"),
    },
    Case {
        name: "behind a failed upgrade another one succeeds",
        play: |target| {
            let session = Polling::joined(target);
            session.websocket().say("4nonsense").is_closed();
            drop(session.probed());
            std::thread::sleep(MOMENT);
            session.probed().say("5").say("42[\"echo\"]").hear()
        },
        seen: Seen::Same("text 42[\"echo\"]"),
    },
    Case {
        name: "an upgrade that takes too long is given up, and polling goes on",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            format!("{}, {}", socket.is_closed(), lives(&session))
        },
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "a WebSocket that says nothing as well",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.websocket();
            format!("{}, {}", socket.is_closed(), lives(&session))
        },
        seen: Seen::Same(FAILED),
    },
    Case {
        name: "the upgrade's end is the session's end",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            socket.say("5").say("42[\"echo\"]").hear();
            drop(socket);
            std::thread::sleep(MOMENT);
            session.poll()
        },
        seen: Seen::Same(r#"400 {"code":1,"message":"Session ID unknown"}"#),
    },
    Case {
        name: "the session's end over polling is the upgrade's end",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let post = session.post("1");
            format!("{post}, {}", socket.is_closed())
        },
        seen: Seen::Same("200 ok, closed"),
    },
    Case {
        name: "a broadcast in the middle of an upgrade comes once",
        play: |target| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            target.broadcast(&json!({ "event": "between", "data": 1 }));
            socket.say("5").say("42[\"echo\"]").hear_all(2)
        },
        seen: Seen::Same("text 42[\"between\",1], text 42[\"echo\"]"),
    },
    Case {
        name: "a WebSocket with a broken handshake is no WebSocket",
        play: |target| {
            let session = Polling::joined(target);
            let request = Request::get(&session.path("websocket"));
            let request = request.header("Connection", "Upgrade").header("Upgrade", "websocket");
            let refused = told(&target.send(&request.header("Sec-WebSocket-Version", "13")));
            format!("{}, {}", &refused[..3], lives(&session))
        },
        seen: Seen::Same("400, 200 ok, 200 42[\"echo\"]"),
    },
    Case {
        name: "a WebSocket of polling's transport is no upgrade",
        play: |target| {
            let session = Polling::joined(target);
            let opened = WebSocket::open(target.address(), &session.path("polling"), &[], PATIENCE);
            let refused = match opened {
                // Whether it is refused, or taken and closed, is all the same to the client.
                Err(HttpError::NotUpgraded(answer)) if answer.status == 400 => "closed".to_owned(),
                Err(error) => panic!("{error}"),
                Ok(socket) => Socket { raw: socket }.is_closed(),
            };
            format!("{refused}, {}", lives(&session))
        },
        seen: Seen::Same(FAILED),
    },
];

const FAILED: &str = "closed, 200 ok, 200 42[\"echo\"]";

/// Opens a WebSocket to a session, says this, and tells how it ends and that polling goes on.
fn fails(target: &Target, frames: &[Frame]) -> String {
    let session = Polling::joined(target);
    let mut socket = session.websocket();
    for frame in frames {
        socket.put(frame);
    }
    format!("{}, {}", socket.is_closed(), lives(&session))
}

/// An echo over polling.
fn lives(session: &Polling) -> String {
    format!("{}, {}", session.post("42[\"echo\"]"), session.poll())
}
