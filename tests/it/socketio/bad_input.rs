//! Malformed packets, one connection each, again and again: each closes its own connection and nothing
//! else, is told in the log in one line, and costs no memory.

use santral_testkit::http::Request;
use santral_testkit::websocket::{Frame, Opcode};

use super::target::{Options, Target};
use super::wire::{Polling, Socket};
use crate::support::{PATIENCE, deadline};

/// How often each is sent.
const ROUNDS: usize = 20;

/// What a joined client may say over WebSocket, and must not.
fn malformed() -> Vec<(&'static str, Vec<Frame>)> {
    let text = |text: &str| vec![Frame::text(text)];
    let place = r#"{"_placeholder":true,"num":0}"#;
    let announced = format!("4511-[\"x\",{}]", [place; 11].join(","));
    vec![
        ("an unknown packet", text("9")),
        ("an unknown type", text("49")),
        ("a ping of the client", text("2")),
        ("no packet", text("")),
        ("11 attachments", text(&announced)),
        ("a count of attachments with 22 digits", text("451000000000000000000000-[\"x\"]")),
        ("an ack id of 22 digits", text("421000000000000000000000[\"x\"]")),
        ("a namespace with a control character", text("40/a\u{1}b,")),
        ("a namespace with a line end", text("42/a\nb,[\"x\"]")),
        ("a namespace that never ends", text(&format!("42/{}", "n".repeat(500_000)))),
        ("JSON that never ends", text("42[\"x\"")),
        ("a name that is an object", text("42[{}]")),
        ("a reserved name", text("42[\"disconnect\"]")),
        ("a second CONNECT", text("40")),
        ("an attachment that nothing announced", vec![Frame::new(Opcode::BINARY, [1])]),
        (
            "a text instead of an attachment",
            vec![Frame::text(&format!("451-[\"x\",{place}]")), Frame::text("42[\"x\"]")],
        ),
        ("base64 that is none", vec![Frame::text(&format!("451-[\"x\",{place}]")), Frame::text("b!!!")]),
    ]
}

/// Shows SIO-11.
#[test]
fn each_malformed_packet_closes_its_own_connection_and_is_logged() {
    let target = Target::santral(Options::DEFAULT);
    let mut bystander = Socket::joined(&target);
    bystander.say(r#"421["join","bystander"]"#).hear();
    let mut wrong = Vec::new();
    for (name, frames) in malformed() {
        let logged = complaints(&target);
        for _ in 0..ROUNDS {
            let mut socket = Socket::joined(&target);
            frames.iter().for_each(|frame| {
                socket.put(frame);
            });
            let end = socket.hear_until(deadline()).unwrap_or_else(|| "nothing".to_owned());
            let is_closed = end == "end" || end.starts_with("close ");
            if !is_closed {
                wrong.push(format!("{name}: {end}"));
                break;
            }
        }
        let lines = complaints(&target) - logged;
        if lines != ROUNDS {
            wrong.push(format!("{name}: {lines} lines in the log for {ROUNDS} connections"));
        }
        let echo = bystander.say("42[\"still here\"]").hear();
        assert_eq!(echo, "text 42[\"still here\"]", "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!target.output().contains("panicked"), "{}", target.output());
}

/// Shows SIO-11: over polling, whatever a payload holds.
#[test]
fn payloads_of_nothing_but_separators_cost_no_memory() {
    let target = Target::santral(Options::DEFAULT);
    let send = |body: &str| {
        let session = Polling::joined(&target);
        let answer = session.post(body);
        assert!(answer.starts_with("400 "), "{answer}");
        assert!(session.poll().starts_with("400 "));
    };
    let separators = "\x1E".repeat(100_000);
    let noops = vec!["6"; 400_000].join("\x1E") + "\x1E";
    send(&separators);
    let before = target.resident_kib();
    for _ in 0..ROUNDS {
        send(&separators);
        send(&noops);
        send(&format!("4{separators}"));
    }
    let after = target.resident_kib();
    println!("{before} KiB before, {after} KiB after");
    assert!(after.saturating_sub(before) < 16 * 1024, "from {before} KiB to {after} KiB");
}

/// Shows SIO-11: what is too long is refused before it is read, or closes.
#[test]
fn oversize_is_refused_and_costs_no_memory() {
    let target = Target::santral(Options::DEFAULT);
    drop(Socket::joined(&target));
    let before = target.resident_kib();
    let mut sockets: Vec<Socket> = (0..100).map(|_| Socket::joined(&target)).collect();
    for socket in &mut sockets {
        socket.put(&Frame::text("4").claiming(1_000_001));
    }
    for socket in &mut sockets {
        let end = socket.hear();
        assert!(end.starts_with("close 1009"), "{end}");
    }
    let session = Polling::joined(&target);
    for _ in 0..100 {
        // Only said to be so long: nobody waits for the rest.
        let post = session.posting("4").header("Content-Length", "1000001");
        let answer = post.start(target.address(), PATIENCE).expect("the server takes it").finish(deadline());
        assert_eq!(answer.expect("it is refused at once").status, 413);
    }
    assert_eq!(session.post("42[\"echo\"]"), "200 ok");
    let after = target.resident_kib();
    println!("{before} KiB before, {after} KiB after");
    assert!(after.saturating_sub(before) < 16 * 1024, "from {before} KiB to {after} KiB");
}

/// What only Santral cannot store is refused, and the connection lives.
#[test]
fn an_event_that_is_far_too_deep_is_refused() {
    let target = Target::santral(Options::DEFAULT);
    let mut socket = Socket::joined(&target);
    let deep = format!("421[\"x\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let answer = socket.say(&deep).hear();
    assert!(answer.starts_with("text 431[{\"ok\":false"), "{answer}");
    assert_eq!(socket.say("42[\"echo\"]").hear(), "text 42[\"echo\"]");
}

/// Old clients, and proxies that take a header away: the log says what to do.
#[test]
fn requests_that_can_never_work_are_explained_in_the_log() {
    let target = Target::santral(Options::DEFAULT);
    for (path, words) in [
        ("/socket.io/?EIO=3&transport=polling", "Socket.IO 2"),
        ("/socket.io/1/?t=1", "Socket.IO 0.9"),
        ("/socket.io/?EIO=4&transport=websocket", "Upgrade"),
    ] {
        target.send(&Request::get(path));
        let said = || target.output().lines().any(|line| line.contains(words));
        let give_up = deadline();
        while !said() {
            assert!(std::time::Instant::now() < give_up, "{path}: no line says {words:?}:\n{}", target.output());
            std::thread::sleep(super::wire::MOMENT);
        }
    }
}

/// Lines about clients that broke the protocol.
fn complaints(target: &Target) -> usize {
    // The line is written before the connection is closed, and read by another thread.
    std::thread::sleep(super::wire::MOMENT);
    target.output().lines().filter(|line| line.contains("broke the protocol")).count()
}
