//! A stand-in for a server: answers each request by a function, to show what no real server does.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Answers by `respond`, which gets the request line and the header lines, on a free port, for as long
/// as the test runs.
pub(super) fn stand_in(respond: impl Fn(&str, &[String]) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let respond = std::sync::Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = std::sync::Arc::clone(&respond);
            std::thread::spawn(move || serve(&stream, &*respond));
        }
    });
    address
}

fn serve(mut stream: &TcpStream, respond: &dyn Fn(&str, &[String]) -> String) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let mut head: Vec<_> = lines.collect();
    if head.is_empty() {
        return;
    }
    let request = head.remove(0);
    let answer = respond(&request, &head);
    // Whoever asked may be gone. A stream stays open, and silent, until they are.
    let written = stream.write_all(answer.as_bytes());
    if written.is_ok() && answer.contains("text/event-stream") {
        let _ = io::copy(&mut stream, &mut io::sink());
    }
}

/// A whole answer with a JSON body.
pub(super) fn json(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// What `/health` of a server that asks who somebody is says.
pub(super) const HEALTH: &str =
    r#"{"status":"ok","version":"9.9.9","node":"n","open":false,"storage":"ok","streams":0,"uptimeSeconds":1}"#;
