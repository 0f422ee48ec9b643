//! The fault proxy against real sockets: each fault does what it says, and healing undoes it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use santral_testkit::fault_proxy::{Chaos, Cut, Direction, Fault, FaultProxy};

const TIMEOUT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);

/// Echoes every connection, each byte xor `mask`; tells how each connection ended.
fn echo(mask: u8) -> (SocketAddr, mpsc::Receiver<Option<ErrorKind>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let (ends, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ends = ends.clone();
            // The receiver is gone when the test is over.
            std::thread::spawn(move || ends.send(echo_one(stream, mask)).is_ok());
        }
    });
    (address, receiver)
}

fn echo_one(mut stream: TcpStream, mask: u8) -> Option<ErrorKind> {
    let mut buffer = [0; 4096];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) => return Some(error.kind()),
        };
        buffer[..count].iter_mut().for_each(|byte| *byte ^= mask);
        if let Err(error) = stream.write_all(&buffer[..count]) {
            return Some(error.kind());
        }
    }
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a fresh socket takes options");
    stream
}

fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).expect("the proxy reads");
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).expect("the echo comes");
    String::from_utf8(back).expect("the echo is the text")
}

/// Whether nothing comes for a little while.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SHORT)).expect("an open socket takes options");
    let read = stream.read(&mut [0; 64]);
    stream.set_read_timeout(Some(TIMEOUT)).expect("an open socket takes options");
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn without_faults_bytes_and_ends_pass() {
    let (server, ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let mut client = connect(&proxy);
    assert_eq!(exchange(&mut client, "hello"), "hello");
    client.shutdown(std::net::Shutdown::Write).expect("the socket is open");
    assert_eq!(ends.recv_timeout(TIMEOUT), Ok(None));
    assert_eq!(client.read(&mut [0; 8]).expect("the end comes back"), 0);
    assert!(proxy.wait_for_connections(0, TIMEOUT));
    let stats = proxy.stats();
    assert_eq!((stats.accepted, stats.bytes_to_server, stats.bytes_to_client), (1, 5, 5));
    assert_eq!(stats.cuts, 0);
}

#[test]
fn a_reset_of_one_side_resets_the_other() {
    let (server, ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let outer = FaultProxy::start(proxy.address()).expect("the proxy starts");
    let mut client = connect(&outer);
    exchange(&mut client, "x");
    outer.cut_open(Cut::Reset);
    assert_eq!(ends.recv_timeout(TIMEOUT), Ok(Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_cut_ends_both_sides_as_asked() {
    let (server, ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let mut reset = connect(&proxy);
    exchange(&mut reset, "x");
    proxy.cut_open(Cut::Reset);
    let error = reset.read(&mut [0; 8]).expect_err("a reset is an error");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(ends.recv_timeout(TIMEOUT), Ok(Some(ErrorKind::ConnectionReset)));

    let mut closed = connect(&proxy);
    exchange(&mut closed, "x");
    proxy.cut_open(Cut::Close);
    assert_eq!(closed.read(&mut [0; 8]).expect("a close is an end"), 0);
    assert_eq!(ends.recv_timeout(TIMEOUT), Ok(None));
    assert_eq!(proxy.stats().cuts, 2);

    let mut next = connect(&proxy);
    assert_eq!(exchange(&mut next, "still works"), "still works");
}

#[test]
fn a_close_is_orderly_even_with_bytes_unread() {
    let (server, ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let mut client = connect(&proxy);
    exchange(&mut client, "x");
    proxy.set_fault(Fault::Stall(Direction::Both));
    client.write_all(b"never read").expect("the kernel takes it");
    proxy.set_fault(Fault::Cut(Cut::Close));
    assert_eq!(client.read(&mut [0; 8]).expect("a close is an end"), 0);
    assert_eq!(ends.recv_timeout(TIMEOUT), Ok(None));
}

#[test]
fn new_connections_alone_can_be_refused_and_the_target_moved() {
    let ((first, _), (second, _)) = (echo(0), echo(1));
    let proxy = FaultProxy::start(first).expect("the proxy starts");
    let mut old = connect(&proxy);
    assert_eq!(exchange(&mut old, "ab"), "ab");
    proxy.set_fault_for_new(Fault::Cut(Cut::Reset));
    assert!(connect(&proxy).read(&mut [0; 8]).is_err());
    proxy.set_fault_for_new(Fault::None);
    proxy.set_target(second);
    assert_eq!(exchange(&mut connect(&proxy), "ab"), "`c", "the second server answers");
    assert_eq!(exchange(&mut old, "ab"), "ab", "the old connection stays where it was");
}

#[test]
fn a_stall_holds_one_direction_until_healed() {
    for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
        let (server, _ends) = echo(0);
        let proxy = FaultProxy::start(server).expect("the proxy starts");
        let mut client = connect(&proxy);
        exchange(&mut client, "x");
        proxy.set_fault(Fault::Stall(direction));
        client.write_all(b"held").expect("the kernel takes it");
        assert!(is_silent(&mut client), "{direction:?}");
        let deadline = Instant::now() + TIMEOUT;
        let is_open_upwards = direction == Direction::ToClient;
        while is_open_upwards && proxy.stats().bytes_to_server < 5 {
            assert!(Instant::now() < deadline, "the way to the server is not stalled");
            std::thread::yield_now();
        }
        assert_eq!(proxy.stats().bytes_to_server == 5, is_open_upwards, "{direction:?}");
        proxy.heal();
        let mut back = [0; 4];
        client.read_exact(&mut back).expect("it comes after healing");
        assert_eq!(&back, b"held");
    }
}

#[test]
fn one_connection_alone_can_be_stalled() {
    let (server, _ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let mut first = connect(&proxy);
    exchange(&mut first, "x");
    let mut second = connect(&proxy);
    exchange(&mut second, "x");
    assert_eq!(proxy.connections(), [1, 2]);
    assert!(proxy.set_fault_of(1, Fault::Stall(Direction::Both)));
    assert!(!proxy.set_fault_of(9, Fault::None));
    assert_eq!(exchange(&mut second, "y"), "y");
    first.write_all(b"z").expect("the kernel takes it");
    assert!(is_silent(&mut first));
}

#[test]
fn a_delay_shifts_bytes_without_thinning_them() {
    let (server, _ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let by = Duration::from_millis(80);
    proxy.set_fault(Fault::Delay { direction: Direction::ToClient, by });
    let mut client = connect(&proxy);
    let begin = Instant::now();
    for _ in 0..10 {
        client.write_all(b"0123456789").expect("the proxy reads");
    }
    let mut back = [0; 100];
    client.read_exact(&mut back).expect("the echo comes");
    let took = begin.elapsed();
    assert!(took >= by, "{took:?}");
    assert!(took < by * 8, "ten delayed writes overlap: {took:?}");
}

#[test]
fn slow_bytes_take_their_time() {
    let (server, _ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let every = Duration::from_millis(5);
    proxy.set_fault(Fault::SlowBytes { direction: Direction::ToServer, bytes: 2, every });
    let begin = Instant::now();
    assert_eq!(exchange(&mut connect(&proxy), "0123456789"), "0123456789");
    assert!(begin.elapsed() >= every * 4, "{:?}", begin.elapsed());
}

#[test]
fn a_truncation_lets_exactly_so_many_bytes_through() {
    let (server, _ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    for (after, cut) in [(0, Cut::Close), (7, Cut::Close), (7, Cut::Reset)] {
        proxy.set_fault(Fault::Truncate { direction: Direction::ToClient, after, cut });
        let mut client = connect(&proxy);
        let mut back = Vec::new();
        let mut result = Ok(0);
        // With nothing to go through the connection may end before the write.
        if client.write_all(b"0123456789").is_ok() {
            result = client.read_to_end(&mut back);
        }
        assert_eq!(back, &b"0123456789"[..back.len()]);
        assert_eq!(back.len() as u64, after);
        assert!(after == 0 || result.is_err() == (cut == Cut::Reset), "{cut:?} {result:?}");
    }
}

#[test]
fn half_open_connections_stay_so_whatever_happens() {
    let (server, ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let mut client = connect(&proxy);
    exchange(&mut client, "x");
    proxy.set_fault(Fault::HalfOpen);
    client.write_all(b"lost").expect("the kernel takes it");
    assert!(is_silent(&mut client));
    proxy.heal();
    assert!(is_silent(&mut client));
    drop(client);
    assert!(ends.recv_timeout(SHORT).is_err(), "the server does not learn of the client's end");
    assert_eq!(exchange(&mut connect(&proxy), "y"), "y", "new connections are whole");
    assert_eq!(proxy.connections()[0], 1);
    proxy.set_fault_of(1, Fault::Cut(Cut::Close));
    assert_eq!(ends.recv_timeout(TIMEOUT), Ok(None));
}

#[test]
fn chaos_ends_every_connection_and_healing_ends_the_chaos() {
    let (server, _ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let time_max = Duration::from_millis(40);
    proxy.set_chaos(Some(Chaos { seed: 11, time_max, bytes_max: 200, half_open: false }));
    for _ in 0..30 {
        let mut client = connect(&proxy);
        let mut buffer = [0; 16];
        while client.write_all(b"ping").is_ok() {
            if !client.read(&mut buffer).is_ok_and(|count| count > 0) {
                break;
            }
        }
    }
    assert!(proxy.wait_for_connections(0, TIMEOUT));
    assert_eq!(proxy.stats().cuts, 30);
    proxy.heal();
    let mut client = connect(&proxy);
    for _ in 0..5 {
        assert_eq!(exchange(&mut client, "calm"), "calm");
        std::thread::sleep(time_max / 2);
    }
}

#[test]
fn a_dropped_proxy_takes_its_connections_along() {
    let (server, ends) = echo(0);
    let proxy = FaultProxy::start(server).expect("the proxy starts");
    let mut client = connect(&proxy);
    exchange(&mut client, "x");
    let address = proxy.address();
    drop(proxy);
    assert!(ends.recv_timeout(TIMEOUT).is_ok());
    assert!(!client.read(&mut [0; 8]).is_ok_and(|count| count > 0));
    assert!(TcpStream::connect(address).is_err());
}
