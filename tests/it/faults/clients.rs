//! Clients that stall or vanish, beside one that is well.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use santral_testkit::SseClient;
use santral_testkit::fault_proxy::{Fault, FaultProxy};

use super::node::{Node, Plan, allow_many_files, data_up_to, eventually_within};
use crate::support::{PATIENCE, deadline};

#[test]
fn a_thousand_clients_that_never_read_cost_little_and_slow_nobody() {
    allow_many_files();
    let node = Plan::new().start();
    let mut healthy = node.listen("/api/events");
    let stalled: Vec<TcpStream> = (0..STALLED).map(|_| stalled_client(node.address)).collect();
    node.wait_for_streams(STALLED + 1);
    let before = node.memory_kib();
    let mut sent = Vec::new();
    for number in 0..MESSAGES {
        let data = format!("\"{number}-{}\"", "x".repeat(MESSAGE_BYTES));
        node.broadcast(&data);
        sent.push(data);
    }
    let last = sent.last().expect("there were some").clone();
    let received = data_up_to(&mut healthy, &last);
    assert!(received == sent, "the healthy client has {} of {} messages", received.len(), sent.len());
    let grown = node.memory_kib().saturating_sub(before);
    println!("{STALLED} stalled clients took {grown} KiB");
    assert!(grown < STALLED * KIB_PER_STALLED_CLIENT, "{grown} KiB for {STALLED} stalled clients");
    // The kernel gives up on each after ten seconds (TCP_USER_TIMEOUT).
    let only_the_healthy_one_is_left = || (node.health()["streams"] == 1).then_some(());
    eventually_within("stalled clients are removed", REMOVED_WITHIN, only_the_healthy_one_is_left);
    drop(stalled);
    node.broadcast("\"still here\"");
    assert_eq!(data_up_to(&mut healthy, "\"still here\"").len(), 1);
}

#[test]
fn a_client_that_vanished_without_a_word_is_removed() {
    let node = Plan::new().set("SANTRAL_HEARTBEAT", "1s").start();
    let mut healthy = node.listen("/api/events");
    let proxy = FaultProxy::start(node.address).expect("the proxy starts");
    let vanished = SseClient::open(proxy.address(), "/api/events", &[], PATIENCE).expect("the stream opens");
    node.wait_for_streams(2);
    proxy.set_fault(Fault::HalfOpen);
    // No end is passed on. What the server sends fills the path to the proxy, and stays there.
    drop(vanished);
    let filler = format!("\"{}\"", "x".repeat(60_000));
    let gone = || {
        for _ in 0..5 {
            node.post("/api/broadcast?volatile=1", &filler);
        }
        node.broadcast("\"served\"");
        data_up_to(&mut healthy, "\"served\"");
        (node.health()["streams"] == 1).then_some(())
    };
    eventually_within("the vanished client is removed", REMOVED_WITHIN, gone);
}

#[test]
fn a_client_that_closes_is_noticed_without_any_message() {
    let node = Plan::new().start();
    let clients: Vec<SseClient> = (0..20).map(|_| node.listen("/api/events")).collect();
    node.wait_for_streams(20);
    drop(clients);
    node.wait_for_streams(0);
}

/// It was stalled, and not removed yet, when it begins to read: it has everything, in order.
#[test]
fn a_client_that_stalled_for_a_while_misses_nothing() {
    let node = Plan::new().start();
    let proxy = FaultProxy::start(node.address).expect("the proxy starts");
    let mut client = SseClient::open(proxy.address(), "/api/events", &[], PATIENCE).expect("the stream opens");
    client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
    proxy.set_fault(Fault::Stall(santral_testkit::fault_proxy::Direction::ToClient));
    let sent: Vec<String> = (0..400).map(|number| format!("\"{number}-{}\"", "x".repeat(MESSAGE_BYTES))).collect();
    sent.iter().for_each(|data| drop(node.broadcast(data)));
    proxy.heal();
    let received = data_up_to(&mut client, &sent[sent.len() - 1]);
    assert!(received == sent, "{} of {} messages", received.len(), sent.len());
}

/// A stream whose client takes no byte behind the first few.
fn stalled_client(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are descriptors left");
    socket.set_recv_buffer_size(4_096).expect("a fresh socket takes options");
    socket.connect(&address.into()).expect("the server accepts");
    let mut stream = TcpStream::from(socket);
    let request = format!("GET /api/events?client=stalled HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request fits into the socket");
    stream
}

impl Node {
    /// Waits until the server counts exactly so many streams.
    fn wait_for_streams(&self, count: u64) {
        eventually_within("so many streams", PATIENCE, || (self.health()["streams"] == count).then_some(()));
    }
}

const STALLED: u64 = 1_000;

/// In sum 1.6 MB: several times what the sockets of a stalled client hold.
const MESSAGES: usize = 400;
const MESSAGE_BYTES: usize = 4_000;

/// Beside the ring of recent messages, which all share. A queue of its own for each client would
/// take the whole 1,600 KiB.
const KIB_PER_STALLED_CLIENT: u64 = 16;

/// Ten seconds without a byte taken, and what it takes to fill the sockets.
const REMOVED_WITHIN: Duration = Duration::from_secs(60);
