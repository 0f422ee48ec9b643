//! Two requests of one session at the same moment, again and again: whichever is handled first, the
//! session ends, goes on or changes its transport as the rules say.
//!
//! The requests of a round are written to connections that are open already, so that nothing but the
//! server decides which of them is first.

use std::collections::BTreeMap;
use std::time::Instant;

use santral_testkit::http::{Exchange, Request};
use santral_testkit::random::SplitMix64;

use super::target::{Kind, Options, Target};
use super::wire::{Polling, finish};
use crate::support::PATIENCE;

/// How often each race is run.
const ROUNDS: u64 = 500;

#[test]
fn npm_socket_io_stands_its_races() {
    let Some(reference) = Target::reference(Options::DEFAULT) else { return };
    race_all(&reference);
}

#[test]
fn santral_stands_its_races() {
    race_all(&Target::santral(Options::DEFAULT));
}

fn race_all(target: &Target) {
    for (name, play, allowed) in RACES {
        let begin = Instant::now();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut random = SplitMix64::new(7);
        for _ in 0..ROUNDS {
            *seen.entry(play(target, &mut random)).or_default() += 1;
        }
        println!("{name}: {ROUNDS} rounds in {:?}: {seen:#?}", begin.elapsed());
        let allowed = allowed(target.kind());
        let wrong: Vec<_> = seen.keys().filter(|seen| !allowed.contains(&seen.as_str())).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?} of {seen:#?}");
    }
}

/// A race, how one round of it is played, and what may be seen of it.
type Race = (&'static str, fn(&Target, &mut SplitMix64) -> String, fn(Kind) -> &'static [&'static str]);

const RACES: &[Race] = &[
    (
        "the client's close and its next poll",
        |target, random| {
            let session = Polling::joined(target);
            let close = || start(target, &session.posting("1"));
            let poll = || start(target, &Request::get(&session.path("polling")));
            let (close, poll) = either_first(random, close, poll);
            format!("{}, {}, then {}", finish(close), finish(poll), session.poll())
        },
        // The poll is told of the end if it is the first behind it; it never hangs, and never is taken for
        // one of a session that goes on.
        |kind| match kind {
            Kind::Santral => &[r#"200 ok, 200 6, then 400 {"code":1,"message":"Session ID unknown"}"#],
            Kind::Reference => &[
                r#"200 ok, 200 6, then 400 {"code":1,"message":"Session ID unknown"}"#,
                r#"200 ok, 400 {"code":1,"message":"Session ID unknown"}, then 400 {"code":1,"message":"Session ID unknown"}"#,
            ],
        },
    ),
    (
        "the end of an upgrade and another poll",
        |target, random| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let poll = match random.one_in(2) {
                true => {
                    socket.say("5");
                    start(target, &Request::get(&session.path("polling")))
                }
                false => {
                    let poll = start(target, &Request::get(&session.path("polling")));
                    socket.say("5");
                    poll
                }
            };
            let poll = finish(poll);
            format!("{poll}, then {}, {}", socket.say("42[\"echo\"]").hear(), session.poll())
        },
        // Either the poll came before the upgrade, then it is let go, or it came behind it. The reference
        // may tell the poll that its transport closes, which its own client takes for the session's end.
        |kind| match kind {
            Kind::Santral => &[
                r#"200 6, then text 42["echo"], 400 {"code":3,"message":"Bad request"}"#,
                r#"400 {"code":3,"message":"Bad request"}, then text 42["echo"], 400 {"code":3,"message":"Bad request"}"#,
            ],
            Kind::Reference => &[
                r#"200 1, then text 42["echo"], 400 {"code":3,"message":"Bad request"}"#,
                r#"200 6, then text 42["echo"], 400 {"code":3,"message":"Bad request"}"#,
                r#"400 {"code":3,"message":"Bad request"}, then text 42["echo"], 400 {"code":3,"message":"Bad request"}"#,
            ],
        },
    ),
    (
        "a message by post and the end of an upgrade",
        |target, random| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let post = match random.one_in(2) {
                true => {
                    socket.say("5");
                    start(target, &session.posting("42[\"posted\"]"))
                }
                false => {
                    let post = start(target, &session.posting("42[\"posted\"]"));
                    socket.say("5");
                    post
                }
            };
            let post = finish(post);
            let count = if post == "200 ok" { 2 } else { 1 };
            // What was taken is echoed, once and first.
            format!("{post}, then {}", socket.say("42[\"echo\"]").hear_all(count))
        },
        |_| {
            &[
                r#"200 ok, then text 42["posted"], text 42["echo"]"#,
                r#"400 {"code":3,"message":"Bad request"}, then text 42["echo"]"#,
            ]
        },
    ),
    (
        "two upgrades of one session",
        |target, random| {
            let session = Polling::joined(target);
            let (mut first, mut second) = (session.websocket(), session.websocket());
            if random.one_in(2) {
                std::mem::swap(&mut first, &mut second);
            }
            first.say("2probe");
            second.say("2probe");
            let heard = [first.hear(), second.hear()];
            let won = heard.iter().position(|frame| frame == "text 3probe");
            let Some(won) = won else { return format!("nobody: {heard:?}") };
            let mut winner = if won == 0 { first } else { second };
            let lost = if heard[1 - won] == "text 3probe" { "answered" } else { "closed" };
            format!("the other is {lost}, {}", winner.say("5").say("42[\"echo\"]").hear())
        },
        |_| &[r#"the other is closed, text 42["echo"]"#],
    ),
    (
        "the end of a session and of its upgrade",
        |target, random| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let post = match random.one_in(2) {
                true => {
                    socket.say("5");
                    start(target, &session.posting("1"))
                }
                false => {
                    let post = start(target, &session.posting("1"));
                    socket.say("5");
                    post
                }
            };
            let post = finish(post);
            // Behind the upgrade a close by post is refused, and the session goes on.
            let heard = socket.say("42[\"echo\"]").hear();
            let is_closed = heard == "end" || heard.starts_with("close");
            format!("{post}, {}", if is_closed { "closed" } else { &heard })
        },
        |_| &["200 ok, closed", r#"400 {"code":3,"message":"Bad request"}, text 42["echo"]"#],
    ),
    (
        "two polls at once",
        |target, random| {
            let session = Polling::joined(target);
            let poll = || start(target, &Request::get(&session.path("polling")));
            let (first, second) = either_first(random, poll, poll);
            let mut answers = [finish(first), finish(second)].map(|answer| answer.trim_end().to_owned());
            answers.sort();
            format!("{}, then {}", answers.join(" and "), session.poll())
        },
        |kind| match kind {
            Kind::Santral => &[
                r#"200 1 and 400 {"code":3,"message":"Bad request"}, then 400 {"code":1,"message":"Session ID unknown"}"#,
            ],
            Kind::Reference => &[r#"200 1 and 400, then 400 {"code":1,"message":"Session ID unknown"}"#],
        },
    ),
    (
        "a broadcast and an upgrade",
        |target, random| {
            let session = Polling::joined(target);
            let mut socket = session.probed();
            let message = target.broadcasting(&serde_json::json!({ "event": "all", "data": 1 }));
            let receipt = match random.one_in(2) {
                true => {
                    socket.say("5");
                    start(target, &message)
                }
                false => {
                    let receipt = start(target, &message);
                    socket.say("5");
                    receipt
                }
            };
            // What the round before said to everyone may still come: whoever joins begins where its thread
            // stands in the log.
            let mut heard = socket.hear();
            while heard.contains("echo") {
                heard = socket.hear();
            }
            finish(receipt);
            format!("{heard}, {}", socket.say("42[\"echo\"]").hear())
        },
        |_| &[r#"text 42["all",1], text 42["echo"]"#],
    ),
];

/// Sends one of the two first.
fn either_first(
    random: &mut SplitMix64,
    one: impl Fn() -> Exchange,
    two: impl Fn() -> Exchange,
) -> (Exchange, Exchange) {
    if random.one_in(2) {
        let one = one();
        (one, two())
    } else {
        let two = two();
        (one(), two)
    }
}

fn start(target: &Target, request: &Request) -> Exchange {
    request.start(target.address(), PATIENCE).expect("the server takes it")
}
