//! Who shares which limit: addresses that are forged, named by a proxy, or real.
//!
//! Every address of 127.0.0.0/8 is this machine's, so a test can come from several.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use santral_testkit::http::{HttpError, Request, Response, SseClient};

use crate::faults::node::{Plan, eventually};
use crate::support::contract::{json, next, problem, send};
use crate::support::{PATIENCE, Santral, post_json};

/// Loopback is limited like any other network.
const NOBODY_SPARED: (&str, &str) = ("SANTRAL_UNLIMITED_ADDRESSES", "192.0.2.0/24");
const BEHIND_A_PROXY: (&str, &str) = ("SANTRAL_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8");
const HEADERS: [&str; 4] = ["X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "Forwarded"];

/// Opens a stream as an SDK would, with one header more.
fn open(santral: &Santral, name: &str, value: &str) -> Result<SseClient, Response> {
    match SseClient::open(santral.address, "/api/events?client=test", &[(name, value)], PATIENCE) {
        Ok(client) => Ok(client),
        Err(HttpError::NotAStream(answer)) => Err(*answer),
        Err(error) => panic!("{name}: {value}: {error}"),
    }
}

/// How many of these clients are let in at the same time; the others are told why not.
fn let_in(santral: &Santral, headers: impl Iterator<Item = (&'static str, String)>) -> Vec<SseClient> {
    let mut inside = Vec::new();
    for (name, value) in headers {
        match open(santral, name, &value) {
            Ok(client) => inside.push(client),
            Err(answer) => {
                let told = (answer.status, problem(&answer));
                assert_eq!(told, (429, "too_many_connections_of_address".to_owned()), "{name}: {value}");
                assert!(
                    answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
                    "{answer:?}"
                );
            }
        }
    }
    inside
}

/// Shows EDG-4, EDG-5, SSE-15.
#[test]
fn streams_with_forged_addresses_share_one_limit() {
    let limit = ("SANTRAL_CONNECTIONS_PER_ADDRESS", "20");
    let rate = ("SANTRAL_RATE_BURST_PER_ADDRESS", "100000");
    let santral = Santral::start_with(&[NOBODY_SPARED, limit, rate]);
    let forged = (0..240).map(|number| {
        let name = HEADERS[number % HEADERS.len()];
        let address = format!("203.0.113.{number}");
        (name, if name == "Forwarded" { format!("for={address}") } else { address })
    });
    let inside = let_in(&santral, forged);
    assert_eq!(inside.len(), 20);
    let mut native = SseClient::open(santral.address, "/api/events", &[], PATIENCE).expect("it is no error");
    let bye = next(&mut native);
    assert_eq!((bye.event_type.as_str(), &json(&bye.data)["name"]), ("bye", &json("\"limit_reached\"")));
    let elsewhere = ask(from([127, 0, 0, 2], santral.address), "GET /api/events?client=test");
    assert!(elsewhere.starts_with("HTTP/1.1 200"), "{elsewhere}");
    drop(inside);
    eventually("there is room again", || open(&santral, "Via", "x").ok());
}

/// Shows EDG-4, EDG-5. All at once, each still open while the others ask.
#[test]
fn five_thousand_connections_with_forged_addresses_share_one_limit() {
    let settings = [
        NOBODY_SPARED,
        ("SANTRAL_CONNECTIONS_PER_ADDRESS", "100"),
        ("SANTRAL_RATE_PER_ADDRESS", "1000000"),
        ("SANTRAL_RATE_BURST_PER_ADDRESS", "1000000"),
    ];
    let santral = Santral::start_with(&settings);
    // Other tests run beside this one.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let forgers = FORGERS.min(usize::try_from(files / 4).expect("a number of files"));
    let mut connections: Vec<TcpStream> = (0..forgers)
        .map(|number| {
            let mut stream = from([127, 0, 0, 1], santral.address);
            let client = format!("{}.{}.{}.{}", 11 + number % 200, number / 200, number % 250, number % 241);
            let forged = HEADERS.map(|name| match name {
                "Forwarded" => format!("{name}: for={client}\r\n"),
                _ => format!("{name}: {client}\r\n"),
            });
            let head = format!("GET /api/events?client=test HTTP/1.1\r\nHost: x\r\n{}\r\n", forged.concat());
            // A server that refuses may have closed already.
            let _ = stream.write_all(head.as_bytes());
            stream
        })
        .collect();
    let mut statuses = std::collections::BTreeMap::<String, usize>::new();
    for stream in &mut connections {
        let mut start = [0; 12];
        let read = stream.read_exact(&mut start);
        let status = read.map_or_else(|error| error.kind().to_string(), |()| String::from_utf8_lossy(&start).into());
        *statuses.entry(status).or_default() += 1;
    }
    assert_eq!(statuses.get("HTTP/1.1 200"), Some(&100), "{statuses:?}");
    assert_eq!(statuses.get("HTTP/1.1 429"), Some(&(forgers - 100)), "{statuses:?}");
    let elsewhere = ask(from([127, 0, 0, 2], santral.address), "GET /api/events?client=test");
    assert!(elsewhere.starts_with("HTTP/1.1 200"), "{elsewhere}");
    drop(connections);
    eventually("there is room again", || open(&santral, "Via", "x").ok());
}

/// As many descriptors are needed here, and as many again in the server; with fewer there are fewer forgers.
const FORGERS: usize = 5_000;

/// Shows EDG-4, EDG-5.
#[test]
fn each_client_of_a_trusted_proxy_has_a_limit_of_its_own_whatever_it_claims() {
    let santral = Santral::start_with(&[BEHIND_A_PROXY, ("SANTRAL_CONNECTIONS_PER_ADDRESS", "5")]);
    let claims = |client: &'static str| {
        (0..15).map(move |number| ("X-Forwarded-For", format!("203.0.113.{number}, {client}, 10.0.0.{number}")))
    };
    let first = let_in(&santral, claims("198.51.100.7"));
    let second = let_in(&santral, claims("198.51.100.8"));
    assert_eq!((first.len(), second.len()), (5, 5));
    // One customer has a whole /64.
    let household = let_in(&santral, (1..15).map(|number| ("X-Forwarded-For", format!("[2001:db8::{number:x}]:4711"))));
    assert_eq!(household.len(), 5);
    let neighbour = let_in(&santral, std::iter::once(("X-Forwarded-For", "2001:db8:0:1::1".to_owned())));
    assert_eq!(neighbour.len(), 1);
    // What the proxy says cannot be read, so all of these count as the proxy.
    let garbled = ["unknown", "", "198.51.100.9, evil", "_hidden", "198.51.100.256", "10.0.0.1, -"];
    let unclear =
        let_in(&santral, garbled.into_iter().cycle().take(15).map(|value| ("X-Forwarded-For", value.to_owned())));
    assert!(unclear.len() <= 5, "{}", unclear.len());
    // Nobody between: the machine itself is spared.
    let own: Vec<_> = (0..20).map(|_| santral.listen("/api/events")).collect();
    drop((first, second, household, neighbour, unclear, own));
}

/// Shows EDG-4.
#[test]
fn forwarded_is_believed_where_it_is_named_and_nothing_else_is() {
    let header = ("SANTRAL_FORWARDED_HEADER", "forwarded");
    let santral = Santral::start_with(&[BEHIND_A_PROXY, header, ("SANTRAL_CONNECTIONS_PER_ADDRESS", "3")]);
    let named = |client: &'static str| {
        (0..8).map(move |number| ("Forwarded", format!("for=203.0.113.{number}, for={client};proto=https")))
    };
    assert_eq!(let_in(&santral, named("\"[2001:db8::7]:4711\"")).len(), 3);
    assert_eq!(let_in(&santral, named("198.51.100.7")).len(), 3);
    let others = (0..9).map(|number| (HEADERS[number % 3], format!("203.0.113.{number}")));
    assert_eq!(let_in(&santral, others).len(), 3);
}

/// Shows EDG-5.
#[test]
fn a_full_server_is_told_apart_from_a_full_address() {
    let santral = Santral::start_with(&[("SANTRAL_MAX_CONNECTIONS", "1")]);
    let place = santral.listen("/api/events");
    let refused = open(&santral, "Via", "x").expect_err("the server is full");
    assert_eq!((refused.status, problem(&refused)), (503, "too_many_connections".to_owned()));
    drop(place);
}

/// Shows EDG-6, SSE-15, ERR-3.
#[test]
fn a_flood_is_answered_with_429_while_others_are_served() {
    let rate = [("SANTRAL_RATE_PER_ADDRESS", "1"), ("SANTRAL_RATE_BURST_PER_ADDRESS", "10")];
    let santral =
        Santral::start_with(&[BEHIND_A_PROXY, rate[0], rate[1], ("SANTRAL_CORS_ORIGINS", "https://good.com")]);
    let flood = |request: Request| {
        let request =
            request.header("X-Forwarded-For", "203.0.113.1, 198.51.100.7").header("Origin", "https://good.com");
        send(&santral, &request)
    };
    let first = flood(Request::get("/api/channels"));
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), Some(r#""address";q=10;w=10"#));
    assert_eq!(first.header("ratelimit"), Some(r#""address";r=9;t=1"#));
    let refused = (0..100).map(|_| flood(post_json("/api/broadcast", "1"))).find(|answer| answer.status != 200);
    let refused = refused.expect("a hundred are too many");
    assert_eq!((refused.status, problem(&refused)), (429, "rate_limited".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit"), Some(r#""address";r=0;t=1"#));
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://good.com"), "the page may know");
    assert!((0..20).all(|_| flood(Request::get("/health")).status == 200), "health is never limited");
    let status_in_the_flood = |request: &dyn Fn() -> Request| {
        let end = (0..100).map(|_| flood(request())).find(|answer| answer.status == 429);
        end.map(|answer| problem(&answer))
    };
    let limited = Some("rate_limited".to_owned());
    assert_eq!(status_in_the_flood(&|| Request::get("/api/channels").header("Authorization", "Bearer x")), limited);
    assert_eq!(
        status_in_the_flood(&|| Request::get("/api/events?client=test").header("Accept", "text/event-stream")),
        limited
    );
    let native = Request::get("/api/events").header("Accept", "text/event-stream");
    let turned_away = eventually("an EventSource is turned away", || {
        flood(Request::get("/api/channels"));
        let request = native.clone().header("X-Forwarded-For", "198.51.100.7");
        let mut stream = SseClient::open_with(santral.address, &request, PATIENCE).expect("it is no error");
        Some(next(&mut stream)).filter(|event| event.event_type == "bye")
    });
    assert_eq!(json(&turned_away.data)["name"], "limit_reached");
    let another = send(&santral, &post_json("/api/broadcast", "1").header("X-Forwarded-For", "198.51.100.8"));
    assert_eq!(another.status, 200);
    assert!((0..30).all(|_| santral.get("/api/channels").header("ratelimit").is_none()), "this machine is spared");
}

/// Shows EDG-5.
#[test]
fn one_address_cannot_take_all_plain_connections() {
    let node = Plan::new().set(NOBODY_SPARED.0, NOBODY_SPARED.1);
    let node = node.under(&["sh", "-c", r#"ulimit -n 256; exec "$0""#]).start();
    let mut silent: Vec<TcpStream> = (0..60).map(|_| from([127, 0, 0, 1], node.address)).collect();
    let answer = ask(from([127, 0, 0, 2], node.address), "GET /health");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let refusal = eventually("some are refused", || silent.iter_mut().find_map(what_has_come));
    assert!(refusal.starts_with("HTTP/1.1 429 "), "{refusal}");
    assert!(refusal.contains(r#""code":"too_many_connections_of_address""#), "{refusal}");
}

/// What the server has said so far, if anything.
fn what_has_come(stream: &mut TcpStream) -> Option<String> {
    stream.set_nonblocking(true).expect("a socket takes its mode");
    let mut answer = [0; 4_096];
    let count = stream.read(&mut answer).ok().filter(|&count| count > 0)?;
    Some(String::from_utf8_lossy(&answer[..count]).into_owned())
}

/// A connection from one of this machine's many addresses.
fn from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is a socket");
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(source)), 0);
    socket.bind(&source.into()).expect("all of 127.0.0.0/8 is this machine's");
    socket.connect(&address.into()).expect("the server accepts");
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    stream
}

/// Sends a request without a body and returns the start of the answer.
fn ask(mut stream: TcpStream, line: &str) -> String {
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request fits into the socket");
    let mut start = [0; 4_096];
    let count = stream.read(&mut start).expect("the server answers");
    String::from_utf8_lossy(&start[..count]).into_owned()
}
