//! Which requests are let in, in the order of the rules: the first that fails decides.

use santral_testkit::http::{HttpError, Request, Response};
use santral_testkit::websocket::{WebSocket, upgrade_request};

use super::target::{Options, Target};
use super::wire::{POLLING, Polling, Socket, WEBSOCKET, told};
use super::{Case, Seen, judge};
use crate::support::PATIENCE;

#[test]
fn npm_socket_io_admits_as_the_table_says() {
    let Some(reference) = Target::reference(Options::DEFAULT) else { return };
    judge(&reference, CASES);
}

#[test]
fn santral_admits_as_the_table_says() {
    judge(&Target::santral(Options::DEFAULT), CASES);
}

const UNKNOWN_TRANSPORT: &str = r#"400 {"code":0,"message":"Transport unknown"}"#;
const UNKNOWN_SESSION: &str = r#"400 {"code":1,"message":"Session ID unknown"}"#;
const BAD_METHOD: &str = r#"400 {"code":2,"message":"Bad handshake method"}"#;
const BAD_REQUEST: &str = r#"400 {"code":3,"message":"Bad request"}"#;
const UNSUPPORTED: &str = r#"400 {"code":5,"message":"Unsupported protocol version"}"#;

const REFUSED_UPGRADE: &str = "a refused upgrade is answered like any other request, with JSON";

const CASES: &[Case] = &[
    Case {
        name: "rule 1: a transport must be named",
        play: |target| get(target, "/socket.io/?EIO=4"),
        seen: Seen::Same(UNKNOWN_TRANSPORT),
    },
    Case {
        name: "rule 1: no query at all",
        play: |target| get(target, "/socket.io/"),
        seen: Seen::Same(UNKNOWN_TRANSPORT),
    },
    Case {
        name: "rule 1: a transport that does not exist",
        play: |target| get(target, "/socket.io/?EIO=4&transport=abc"),
        seen: Seen::Same(UNKNOWN_TRANSPORT),
    },
    Case {
        name: "rule 1: a transport that is not enabled",
        play: |target| get(target, "/socket.io/?EIO=4&transport=webtransport"),
        seen: Seen::Same(UNKNOWN_TRANSPORT),
    },
    Case {
        name: "rule 1: a name out of a prototype is no transport",
        play: |target| get(target, "/socket.io/?EIO=4&transport=constructor"),
        seen: Seen::Same(UNKNOWN_TRANSPORT),
    },
    Case {
        name: "rule 1 comes before rule 3",
        play: |target| get(target, "/socket.io/?EIO=4&transport=abc&sid=nobody"),
        seen: Seen::Same(UNKNOWN_TRANSPORT),
    },
    Case {
        name: "rule 1: an unknown transport by WebSocket",
        play: |target| upgrade(target, "/socket.io/?EIO=4&transport=abc"),
        seen: Seen::Differs {
            santral: UNKNOWN_TRANSPORT,
            reference: "400 Transport unknown",
            because: REFUSED_UPGRADE,
        },
    },
    Case {
        name: "rule 2: an Origin with an illegal character",
        // The HTTP parsers below both servers refuse it before the rule is asked, each in its own words.
        play: |target| target.send(&Request::get(POLLING).header("Origin", "http://a\u{7F}b")).status.to_string(),
        seen: Seen::Same("400"),
    },
    Case {
        name: "rule 3: a session that never was",
        play: |target| get(target, "/socket.io/?EIO=4&transport=polling&sid=nobody"),
        seen: Seen::Same(UNKNOWN_SESSION),
    },
    Case {
        name: "rule 3: a post to a session that never was",
        play: |target| told(&target.send(&Request::post("/socket.io/?EIO=4&transport=polling&sid=nobody", "40"))),
        seen: Seen::Same(UNKNOWN_SESSION),
    },
    Case {
        name: "rule 3: a WebSocket to a session that never was",
        play: |target| upgrade(target, "/socket.io/?EIO=4&transport=websocket&sid=nobody"),
        seen: Seen::Differs { santral: UNKNOWN_SESSION, reference: "400 Session ID unknown", because: REFUSED_UPGRADE },
    },
    Case {
        name: "rule 3 comes before rule 9",
        play: |target| told(&target.send(&Request::new("PUT", "/socket.io/?EIO=4&transport=polling&sid=nobody"))),
        seen: Seen::Same(UNKNOWN_SESSION),
    },
    Case {
        name: "rule 3: the EIO of a request with sid is not looked at first",
        play: |target| get(target, "/socket.io/?EIO=3&transport=polling&sid=nobody"),
        seen: Seen::Same(UNKNOWN_SESSION),
    },
    Case {
        name: "rule 4: transport=websocket without Upgrade, as behind a proxy that strips it",
        play: |target| get(target, &Polling::open(target).path("websocket")),
        seen: Seen::Same(BAD_REQUEST),
    },
    Case {
        name: "rule 4: the session goes on after that",
        play: |target| {
            let session = Polling::open(target);
            get(target, &session.path("websocket"));
            format!("{}, {}", session.post("40"), session.poll())
        },
        seen: Seen::Same("200 ok, 200 40{\"sid\":\"<id>\"}"),
    },
    Case {
        name: "rule 4: a poll to a session over WebSocket",
        play: |target| {
            let mut socket = Socket::open(target, WEBSOCKET);
            let sid = first_sid(&mut socket);
            get(target, &format!("{POLLING}&sid={sid}"))
        },
        seen: Seen::Same(BAD_REQUEST),
    },
    Case {
        name: "rule 5: a session does not begin with POST",
        play: |target| told(&target.send(&Request::post(POLLING, "40"))),
        seen: Seen::Same(BAD_METHOD),
    },
    Case {
        name: "rule 5: nor with PUT",
        play: |target| told(&target.send(&Request::new("PUT", POLLING))),
        seen: Seen::Same(BAD_METHOD),
    },
    Case {
        name: "rule 5: nor with DELETE",
        play: |target| told(&target.send(&Request::new("DELETE", POLLING))),
        seen: Seen::Same(BAD_METHOD),
    },
    Case {
        name: "rule 5 comes before rule 6",
        play: |target| told(&target.send(&Request::post(WEBSOCKET, ""))),
        seen: Seen::Same(BAD_METHOD),
    },
    Case {
        name: "rule 5 comes before rule 8",
        play: |target| told(&target.send(&Request::post("/socket.io/?EIO=3&transport=polling", ""))),
        seen: Seen::Same(BAD_METHOD),
    },
    Case {
        name: "rule 6: a session over WebSocket without Upgrade",
        play: |target| get(target, WEBSOCKET),
        seen: Seen::Same(BAD_REQUEST),
    },
    Case {
        name: "rule 6 comes before rule 8",
        play: |target| get(target, "/socket.io/?EIO=3&transport=websocket"),
        seen: Seen::Same(BAD_REQUEST),
    },
    Case {
        name: "rule 8: no EIO",
        play: |target| get(target, "/socket.io/?transport=polling"),
        seen: Seen::Same(UNSUPPORTED),
    },
    Case {
        name: "rule 8: the EIO of Socket.IO 2",
        play: |target| get(target, "/socket.io/?EIO=3&transport=polling"),
        seen: Seen::Same(UNSUPPORTED),
    },
    Case {
        name: "rule 8: an EIO to come",
        play: |target| get(target, "/socket.io/?EIO=5&transport=polling"),
        seen: Seen::Same(UNSUPPORTED),
    },
    Case {
        name: "rule 8: an EIO that only looks like 4",
        play: |target| get(target, "/socket.io/?EIO=04&transport=polling"),
        seen: Seen::Same(UNSUPPORTED),
    },
    Case {
        name: "rule 8: an EIO that is no number",
        play: |target| get(target, "/socket.io/?EIO=abc&transport=polling"),
        seen: Seen::Same(UNSUPPORTED),
    },
    Case {
        name: "rule 8 by WebSocket",
        play: |target| upgrade(target, "/socket.io/?EIO=3&transport=websocket"),
        seen: Seen::Differs {
            santral: UNSUPPORTED,
            reference: "101",
            because: "the reference first accepts the WebSocket and then writes an HTTP answer into it",
        },
    },
    Case {
        name: "rule 9: a session is neither PUT",
        play: |target| told(&target.send(&Request::new("PUT", &Polling::open(target).path("polling")))),
        seen: Seen::Differs {
            santral: BAD_REQUEST,
            reference: "500",
            because: "a client's mistake is no fault of the server, and every error has a body",
        },
    },
    Case {
        name: "rule 9: nor DELETEd",
        play: |target| told(&target.send(&Request::new("DELETE", &Polling::open(target).path("polling")))),
        seen: Seen::Differs {
            santral: BAD_REQUEST,
            reference: "500",
            because: "a client's mistake is no fault of the server, and every error has a body",
        },
    },
    Case {
        name: "an error is JSON, and is not cached",
        play: |target| headers(&target.send(&Request::get("/socket.io/?EIO=4"))),
        seen: Seen::Differs {
            santral: "application/json, no-store",
            reference: "application/json, -",
            because: "a cached error would be handed to others as well",
        },
    },
    Case {
        name: "a handshake is plain text, and is not cached",
        play: |target| headers(&target.send(&Request::get(POLLING))),
        seen: Seen::Same("text/plain; charset=UTF-8, no-store"),
    },
    Case {
        name: "the path needs no slash at its end",
        play: |target| get(target, "/socket.io?EIO=4&transport=polling").chars().take(13).collect(),
        seen: Seen::Differs {
            santral: "200 0{\"sid\":\"",
            reference: "404 {}",
            because: "clients have an option `addTrailingSlash`, and proxies an opinion",
        },
    },
    Case {
        name: "unknown query keys are ignored",
        play: |target| {
            get(target, "/socket.io/?EIO=4&transport=polling&t=abc&b64=1&j=0&x=%22").chars().take(13).collect()
        },
        seen: Seen::Differs {
            santral: "200 0{\"sid\":\"",
            reference: "200 ___eio[0]",
            because: "there is no JSONP here: whatever `j` says is ignored",
        },
    },
    Case {
        name: "the letter case of the Upgrade header does not matter",
        play: |target| {
            let request = Request::get(WEBSOCKET).header("Connection", "keep-alive, UPGRADE");
            let request = request.header("Upgrade", "WebSocket").header("Sec-WebSocket-Version", "13");
            let request = request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
            let answer = request.start(target.address(), PATIENCE).expect("the server takes it");
            answer.finish(crate::support::deadline()).expect("the server answers").status.to_string()
        },
        seen: Seen::Same("101"),
    },
];

fn get(target: &Target, path: &str) -> String {
    told(&target.send(&Request::get(path)))
}

/// Asks for a WebSocket and tells how that is answered.
fn upgrade(target: &Target, path: &str) -> String {
    match WebSocket::open(target.address(), path, &[], PATIENCE) {
        Ok(_) => "101".to_owned(),
        Err(HttpError::NotUpgraded(answer)) => told(&answer),
        Err(error) => panic!("{error}: {:?}", upgrade_request(path)),
    }
}

fn headers(answer: &Response) -> String {
    let of = |name| answer.header(name).unwrap_or("-");
    format!("{}, {}", of("content-type"), of("cache-control"))
}

fn first_sid(socket: &mut Socket) -> String {
    let first = socket.raw.next_message(crate::support::deadline()).expect("a handshake comes");
    let Some(santral_testkit::websocket::Message::Text(text)) = first else { panic!("{first:?}") };
    super::wire::handshake(&text)["sid"].as_str().expect("a sid is text").to_owned()
}
