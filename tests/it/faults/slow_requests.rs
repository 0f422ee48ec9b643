//! Clients that take their time with a request, while others are served.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::node::{Node, Plan, eventually_within};

#[test]
fn a_request_body_that_dribbles_in_is_refused_with_408_while_others_are_served() {
    let node = Plan::new().start();
    let head =
        "POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n";
    let answer = dribble(node.address, head.as_bytes(), b"1", || drop(node.broadcast("1")));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
}

#[test]
fn a_request_head_that_dribbles_in_is_ended_while_others_are_served() {
    let node = Plan::new().start();
    let answer = dribble(node.address, b"GET /health HTTP/1.1\r\nX-Slow: ", b"x", || drop(node.broadcast("1")));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_second_request_head_that_dribbles_in_is_ended_too() {
    let node = Plan::new().start();
    let start = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nX-Slow: ";
    let answer = dribble(node.address, start.as_bytes(), b"x", || drop(node.broadcast("1")));
    assert!(answer.starts_with("HTTP/1.1 200 "), "the first request is answered: {answer}");
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let node = Plan::new().start();
    let answer = dribble(node.address, b"", b"", || drop(node.broadcast("1")));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn an_answer_that_nobody_reads_is_given_up_while_others_are_served() {
    assert_shed(|_| ());
}

#[test]
fn an_answer_that_is_read_byte_by_byte_is_given_up_while_others_are_served() {
    assert_shed(|stream| {
        let mut byte = [0];
        // Nothing may be there yet; what counts is that it takes its time.
        let _ = stream.read(&mut byte);
    });
}

/// Asks for a large answer and reads it at its own pace, until the server has closed its side.
fn assert_shed(mut read: impl FnMut(&mut TcpStream)) {
    let node = Plan::new().start();
    // The healthy one asks anew for each answer, so it holds no socket between two of them.
    let before = open_sockets(&node);
    let message = format!("\"{}\"", "x".repeat(60_000));
    for _ in 0..100 {
        node.broadcast(&message);
    }
    let mut stream = reader_of_little(node.address);
    let request = "GET /api/channels/broadcast/history?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request fits into the socket");
    let mut head = [0; 12];
    stream.read_exact(&mut head).expect("the answer begins");
    assert_eq!(&head, b"HTTP/1.1 200");
    assert!(open_sockets(&node) > before, "the server holds its side");
    stream.set_nonblocking(true).expect("a socket takes its mode");
    eventually_within("the server closes its side", ENDED_WITHIN, || {
        read(&mut stream);
        // Before the healthy one asks: right behind an answer the server may still hold that socket.
        let is_closed = open_sockets(&node) <= before;
        node.broadcast("1");
        is_closed.then_some(())
    });
}

/// A client with a window of a few KiB.
fn reader_of_little(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is a socket");
    socket.set_recv_buffer_size(4_096).expect("a fresh socket takes options");
    socket.connect(&address.into()).expect("the server accepts");
    socket.into()
}

/// Each counts once, however many descriptors it has: every runtime keeps one of the socket that tells
/// of signals, also one that starts late on a busy machine.
fn open_sockets(node: &Node) -> usize {
    let folder = format!("/proc/{}/fd", node.server.pid());
    let files = std::fs::read_dir(folder).expect("a running process has files").flatten();
    let targets: BTreeSet<_> = files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
    targets.iter().filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Sends the start of a request, then its next bytes one by one, until the server has ended the
/// connection; returns what it said. Others are served all the time.
fn dribble(address: SocketAddr, start: &[u8], next: &[u8], serve_another: impl Fn()) -> String {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.write_all(start).expect("a request fits into the socket");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket takes a timeout");
    let end = Instant::now() + ENDED_WITHIN;
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            // Bytes that came behind the end are answered with a reset.
            Err(_) => break,
        }
        assert!(Instant::now() < end, "the server never ended it: {}", String::from_utf8_lossy(&answer));
        serve_another();
        // It may be ended by now; then the next read says so.
        let _ = stream.write_all(next);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A body may take ten seconds.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
