//! The heartbeat of 300 and 200 ms: who is pinged when, and what happens to whoever does not answer.
//!
//! A row may take longer on a busy machine, but never sees anything earlier than it is due.

use std::thread::sleep;
use std::time::{Duration, Instant};

use santral_testkit::http::Request;

use super::target::{Kind, Options, Target};
use super::wire::{Polling, Socket, finish, told};
use super::{Case, Seen, judge};
use crate::support::{PATIENCE, deadline};

#[test]
fn npm_socket_io_beats_as_the_table_says() {
    let Some(reference) = Target::reference(QUICK) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_beats_as_the_table_says() {
    judge(&Target::santral(QUICK), CASES);
}

pub(super) const QUICK: Options = Options { is_quick: true, ..Options::DEFAULT };

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);

const UNKNOWN_SESSION: &str = r#"400 {"code":1,"message":"Session ID unknown"}"#;

const CASES: &[Case] = &[
    Case {
        name: "the first ping comes an interval behind the handshake, not at once",
        play: |target| {
            let begin = Instant::now();
            let session = Polling::open(target);
            let poll = session.poll();
            format!("{poll}, too early: {}", begin.elapsed() < INTERVAL)
        },
        seen: Seen::Same("200 2, too early: false"),
    },
    Case {
        name: "the same over WebSocket",
        play: |target| {
            let begin = Instant::now();
            let ping = Socket::fresh(target).hear();
            format!("{ping}, too early: {}", begin.elapsed() < INTERVAL)
        },
        seen: Seen::Same("text 2, too early: false"),
    },
    Case {
        name: "the next ping comes an interval behind the pong",
        play: |target| {
            let mut socket = Socket::fresh(target);
            let mut heard = vec![socket.hear()];
            for _ in 0..3 {
                let pong = Instant::now();
                heard.push(socket.say("3").hear());
                heard.push(format!("too early: {}", pong.elapsed() < INTERVAL));
            }
            heard.join(", ")
        },
        seen: Seen::Same("text 2, text 2, too early: false, text 2, too early: false, text 2, too early: false"),
    },
    Case {
        name: "the same over polling",
        play: |target| {
            let session = Polling::open(target);
            let mut heard = vec![session.poll()];
            for _ in 0..3 {
                let pong = Instant::now();
                heard.extend([session.post("3"), session.poll()]);
                heard.push(format!("too early: {}", pong.elapsed() < INTERVAL));
            }
            heard.join(", ")
        },
        seen: Seen::Same(
            "200 2, 200 ok, 200 2, too early: false, 200 ok, 200 2, too early: false, 200 ok, 200 2, too early: false",
        ),
    },
    Case {
        name: "no pong ends the session over WebSocket",
        play: |target| {
            let mut socket = Socket::fresh(target);
            let (ping, pinged) = (socket.hear(), Instant::now());
            // The ping has been under way for a while.
            format!("{ping}, {}, too early: {}", socket.is_closed(), pinged.elapsed() < TIMEOUT - LATE)
        },
        seen: Seen::Same("text 2, closed, too early: false"),
    },
    Case {
        name: "no pong ends the session over polling",
        play: |target| {
            let session = Polling::open(target);
            let (ping, pinged) = (session.poll(), Instant::now());
            let end = session.poll();
            format!("{ping}, {}, too early: {}", &end[..3], pinged.elapsed() < TIMEOUT - LATE)
        },
        seen: Seen::Same("200 2, 200, too early: false"),
    },
    Case {
        name: "exactly interval and timeout behind the handshake the session is gone, however busy the timers are",
        play: |target| {
            let session = Polling::open(target);
            // The reference waits for its timers, which are late on a busy machine.
            sleep(INTERVAL + TIMEOUT + if target.kind() == Kind::Reference { MARGIN * 6 } else { Duration::ZERO });
            session.poll()
        },
        seen: Seen::Same(UNKNOWN_SESSION),
    },
    Case {
        name: "a ping that is due while nobody polls waits for the next poll",
        play: |target| {
            let session = Polling::open(target);
            sleep(INTERVAL + MARGIN);
            session.poll()
        },
        seen: Seen::Same("200 2"),
    },
    Case {
        name: "whoever answers lives for many intervals",
        play: |target| {
            let mut socket = Socket::joined(target);
            let until = Instant::now() + INTERVAL * 6;
            let mut pings = 0;
            while Instant::now() < until {
                assert_eq!(socket.hear(), "text 2");
                socket.say("3");
                pings += 1;
            }
            format!("{}, {}", pings >= 3, socket.say("42[\"echo\"]").hear())
        },
        seen: Seen::Same("true, text 42[\"echo\"]"),
    },
    Case {
        name: "what a client says besides is no pong",
        play: |target| {
            let mut socket = Socket::joined(target);
            let begin = Instant::now();
            loop {
                socket.say("42[\"echo\"]");
                let heard = socket.hear();
                if heard == "end" || heard.starts_with("close") {
                    return "closed".to_owned();
                }
                assert!(begin.elapsed() < PATIENCE, "it never ends");
                sleep(Duration::from_millis(20));
            }
        },
        seen: Seen::Same("closed"),
    },
    Case {
        name: "pongs that nobody asked for keep nobody from being pinged",
        play: |target| {
            let mut socket = Socket::fresh(target);
            socket.say("3").say("3").hear()
        },
        seen: Seen::Same("text 2"),
    },
    Case {
        name: "a WebSocket pong is no pong of Engine.IO",
        play: |target| {
            let mut socket = Socket::fresh(target);
            let ping = socket.hear();
            let pong = santral_testkit::websocket::Frame::new(santral_testkit::websocket::Opcode::PONG, "");
            format!("{ping}, {}", socket.put(&pong).is_closed())
        },
        seen: Seen::Same("text 2, closed"),
    },
    Case {
        name: "a ping ends a held poll, so none lasts longer than an interval",
        play: |target| {
            let session = Polling::open(target);
            let poll = Request::get(&session.path("polling")).start(target.address(), PATIENCE);
            finish(poll.expect("the server takes a poll"))
        },
        seen: Seen::Same("200 2"),
    },
    Case {
        name: "the heartbeat goes on behind an upgrade",
        play: |target| {
            let session = Polling::open(target);
            let mut socket = session.probed();
            let heard = socket.say("5").hear();
            format!("{heard}, {}", socket.say("3").hear())
        },
        seen: Seen::Same("text 2, text 2"),
    },
    Case {
        name: "an upgrade does not put off the ping timeout",
        play: |target| {
            let session = Polling::open(target);
            let ping = session.poll();
            let mut socket = session.probed();
            let end = socket.say("5").hear_until(Instant::now() + INTERVAL * 5);
            let is_closed = end.is_some_and(|end| end == "end" || end.starts_with("close"));
            format!("{ping}, closed: {is_closed}")
        },
        seen: Seen::Differs {
            santral: "200 2, closed: true",
            reference: "200 2, closed: false",
            because: "the reference forgets at the upgrade that it waits for a pong, and then never pings again",
        },
    },
    Case {
        name: "a session that is gone is gone for each kind of request",
        play: |target| {
            let session = Polling::open(target);
            sleep(INTERVAL + TIMEOUT + MARGIN);
            let upgrade = santral_testkit::websocket::upgrade_request(&session.path("websocket"));
            let upgrade = upgrade.start(target.address(), PATIENCE).expect("the server takes it");
            let upgrade = told(&upgrade.finish(deadline()).expect("the server answers"));
            format!("{}, {}", session.post("3"), &upgrade[..3])
        },
        seen: Seen::Same(r#"400 {"code":1,"message":"Session ID unknown"}, 400"#),
    },
];

/// How long a ping may be under way.
const LATE: Duration = Duration::from_millis(100);

/// Behind a deadline, where "a moment later" is meant.
const MARGIN: Duration = Duration::from_millis(50);
