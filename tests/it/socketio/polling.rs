//! Long polling: one poll and one post at a time, what ends a session, and how its end is told.

use std::time::Duration;

use santral_testkit::http::{Exchange, HttpError, Request, Response};
use serde_json::json;

use super::target::{Options, Target};
use super::wire::{MOMENT, Polling, finish, told};
use super::{Case, Seen, judge};
use crate::support::{PATIENCE, deadline};

#[test]
fn npm_socket_io_polls_as_the_table_says() {
    let Some(reference) = Target::reference(SMALL) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_polls_as_the_table_says() {
    judge(&Target::santral(SMALL), CASES);
}

const SMALL: Options = Options { max_payload: Some(100_000), ..Options::DEFAULT };

const UNKNOWN_SESSION: &str = r#"400 {"code":1,"message":"Session ID unknown"}"#;

const CASES: &[Case] = &[
    Case {
        name: "what waits is answered at once, all of it",
        play: |target| {
            let session = Polling::joined(target);
            session.post("42[\"a\"]");
            session.post("42[\"b\"]");
            session.poll()
        },
        seen: Seen::Same(r#"200 42["a"] 42["b"]"#),
    },
    Case {
        name: "without anything to say the poll is held until there is",
        play: |target| {
            let session = Polling::joined(target);
            let poll = session.hold();
            format!("{}, {}", session.post("42[\"a\"]"), finish(poll))
        },
        seen: Seen::Same(r#"200 ok, 200 42["a"]"#),
    },
    Case {
        name: "a second poll closes the session",
        play: |target| {
            let session = Polling::joined(target);
            let first = session.hold();
            let second = session.poll();
            format!("{second}, {}, {}", finish(first), session.poll())
        },
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 200 1, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"400, 200 1, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: "every error has a body",
        },
    },
    Case {
        name: "a second post closes the session",
        play: |target| {
            let session = Polling::joined(target);
            // The first is not whole yet.
            let body = session.posting("42[\"a\"]").header("Content-Length", "100");
            let first = body.start(target.address(), PATIENCE).expect("the server takes a part");
            std::thread::sleep(MOMENT);
            let second = session.post("42[\"b\"]");
            drop(first);
            format!("{second}, {}", session.poll())
        },
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"400, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: "every error has a body",
        },
    },
    Case {
        name: "a post goes while a poll is held",
        play: |target| {
            let session = Polling::joined(target);
            let poll = session.hold();
            let posts = format!("{} {}", session.post("3"), session.post("42[\"a\"]"));
            format!("{posts}, {}", finish(poll))
        },
        seen: Seen::Same(r#"200 ok 200 ok, 200 42["a"]"#),
    },
    Case {
        name: "a body in octets closes the session",
        play: |target| {
            let session = Polling::joined(target);
            let post = Request::post(&session.path("polling"), "42[\"a\"]");
            let answer = target.send(&post.header("Content-Type", "application/octet-stream"));
            format!("{}, {}", answer.status, session.poll())
        },
        seen: Seen::Same(r#"400, 400 {"code":1,"message":"Session ID unknown"}"#),
    },
    Case {
        name: "a body that is too long is refused, and the session goes on",
        play: |target| {
            let session = Polling::joined(target);
            let long = format!("42[\"{}\"]", "x".repeat(100_001));
            let refused = broken_or_status(session.posting(&long).send(target.address(), PATIENCE));
            format!("{refused}, {}, {}", session.post("42[\"a\"]"), session.poll())
        },
        seen: Seen::Same(r#"413, 200 ok, 200 42["a"]"#),
    },
    Case {
        name: "a body that only turns out to be too long as well",
        play: |target| {
            let session = Polling::joined(target);
            let chunk = "x".repeat(60_000);
            let body = format!("{0:x}\r\n{chunk}\r\n{0:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len());
            let post = session.posting(&body).header("Transfer-Encoding", "chunked");
            let refused = broken_or_status(post.send(target.address(), PATIENCE));
            format!("{refused}, {}, {}", session.post("42[\"a\"]"), session.poll())
        },
        seen: Seen::Same(r#"413, 200 ok, 200 42["a"]"#),
    },
    Case {
        name: "a body of exactly the largest size is taken",
        play: |target| {
            let session = Polling::joined(target);
            let text = format!("42[\"a\",\"{}\"]", "x".repeat(100_000 - 10));
            let taken = session.post(&text);
            format!("{taken}, {} bytes", session.poll().len() - "200 ".len())
        },
        seen: Seen::Same("200 ok, 100000 bytes"),
    },
    Case {
        name: "a post is answered `ok` as text that nobody caches",
        play: |target| {
            let answer = target.send(&Polling::joined(target).posting("3"));
            let of = |name| answer.header(name).unwrap_or("-");
            format!("{}, {}, {}", told(&answer), of("content-type"), of("cache-control"))
        },
        seen: Seen::Same("200 ok, text/html, no-store"),
    },
    Case {
        name: "a poll is answered as text that nobody caches",
        play: |target| {
            let session = Polling::joined(target);
            session.post("42[\"a\"]");
            let answer = target.send(&Request::get(&session.path("polling")));
            let of = |name| answer.header(name).unwrap_or("-");
            format!("{}, {}, {}", told(&answer), of("content-type"), of("cache-control"))
        },
        seen: Seen::Same(r#"200 42["a"], text/plain; charset=UTF-8, no-store"#),
    },
    Case {
        name: "a body that is no UTF-8",
        play: |target| {
            let session = Polling::joined(target);
            let post = Request::post(&session.path("polling"), b"42[\"\xFF\"]".as_slice());
            let answer = told(&target.send(&post.header("Content-Type", "text/plain;charset=UTF-8")));
            format!("{answer}, {}", session.poll())
        },
        seen: Seen::Differs {
            santral: r#"400 {"code":3,"message":"Bad request"}, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: "200 ok, 200 42[\"\u{FFFD}\"]",
            because: "the reference delivers another text than was meant",
        },
    },
    Case {
        name: "a client that goes away during a poll ends the session",
        play: |target| {
            let session = Polling::joined(target);
            drop(session.hold());
            eventually(|| session.post("3"), UNKNOWN_SESSION)
        },
        seen: Seen::Same(UNKNOWN_SESSION),
    },
    Case {
        name: "`1` closes the session: the poll gets a noop, the post `ok`, and then nothing is known of it",
        play: |target| {
            let session = Polling::joined(target);
            let poll = session.hold();
            format!("{}, {}, {}", session.post("1"), finish(poll), session.poll())
        },
        seen: Seen::Same(r#"200 ok, 200 6, 400 {"code":1,"message":"Session ID unknown"}"#),
    },
    Case {
        name: "the server's close is told to the poll that waits",
        play: |target| {
            let session = Polling::open(target);
            let poll = session.hold();
            // Not a CONNECT: against the state rules of Socket.IO.
            let said = session.post("42[\"a\"]");
            format!("{said}, {}, {}", finish(poll), session.poll())
        },
        seen: Seen::Same(r#"200 ok, 200 1, 400 {"code":1,"message":"Session ID unknown"}"#),
    },
    Case {
        name: "the server's close waits for the next poll",
        play: |target| {
            let session = Polling::open(target);
            let said = session.post("42[\"a\"]");
            format!("{said}, {}, {}", session.poll(), session.poll())
        },
        seen: Seen::Differs {
            santral: r#"200 ok, 200 1, 400 {"code":1,"message":"Session ID unknown"}"#,
            reference: r#"200 ok, 200 6 1, 400 {"code":1,"message":"Session ID unknown"}"#,
            because: "the noop before it says nothing",
        },
    },
    Case {
        name: "small answers are never compressed",
        play: |target| encoding(target, 1_000),
        seen: Seen::Same("None"),
    },
    Case {
        name: "large answers are compressed for whoever wants it",
        play: |target| encoding(target, 2_000),
        seen: Seen::Same("Some(\"gzip\")"),
    },
    Case {
        name: "a held poll costs nothing to the others",
        play: |target| {
            let sessions: Vec<_> = (0..20).map(|_| Polling::joined(target)).collect();
            let start = |session: &Polling| Request::get(&session.path("polling")).start(target.address(), PATIENCE);
            let polls: Vec<Exchange> = sessions.iter().map(|session| start(session).expect("it is taken")).collect();
            std::thread::sleep(MOMENT);
            target.broadcast(&json!({ "event": "all", "data": 1 }));
            let mut answers: Vec<String> = polls.into_iter().map(finish).collect();
            answers.dedup();
            answers.join(", ")
        },
        seen: Seen::Same(r#"200 42["all",1]"#),
    },
];

/// Asks again until this is the answer, or for as long as one waits for anything.
fn eventually(ask: impl Fn() -> String, wanted: &str) -> String {
    let deadline = deadline();
    loop {
        let answer = ask();
        if answer == wanted || std::time::Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server may close before it has read all of a body that it refuses.
fn broken_or_status(answer: Result<Response, HttpError>) -> String {
    match answer {
        Ok(answer) => answer.status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// How a poll is compressed that carries an event of so many bytes.
fn encoding(target: &Target, bytes: usize) -> String {
    let session = Polling::joined(target);
    session.post(&format!("42[\"a\",\"{}\"]", "x".repeat(bytes)));
    let poll = Request::get(&session.path("polling")).header("Accept-Encoding", "gzip, deflate");
    format!("{:?}", target.send(&poll).header("content-encoding"))
}
