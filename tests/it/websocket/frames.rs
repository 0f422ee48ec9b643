//! Frames as a browser never sends them, in the manner of the Autobahn test suite: what is valid comes
//! back unchanged however it is cut, and what is not ends this connection, with the code that says why.
//!
//! Each text is published and read back, so that all of it is seen to have arrived.

use std::time::Duration;

use santral_testkit::websocket::{Frame, Message, Opcode, WebSocket};
use serde_json::{Value, json};

use super::Client;
use crate::support::{Santral, deadline, memory_kib};

/// Bytes in pieces, one frame each, as one text message.
fn fragments(text: &[u8], cuts: &[usize]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = text;
    for cut in cuts {
        let (piece, behind) = rest.split_at(*cut);
        frames.push(piece);
        rest = behind;
    }
    frames.push(rest);
    let last = frames.len() - 1;
    let frame = |(place, piece): (usize, &[u8])| {
        let opcode = if place == 0 { Opcode::TEXT } else { Opcode::CONTINUATION };
        Frame { is_final: place == last, ..Frame::new(opcode, piece) }
    };
    frames.into_iter().enumerate().map(frame).collect()
}

/// A command that publishes this to the channel `a`.
fn publish(data: &Value) -> String {
    json!({ "publish": { "channel": "a", "data": data } }).to_string()
}

fn open(santral: &Santral) -> Client {
    Client::open(santral, "/api/v1/ws?channel=a&broadcast=0").0
}

impl Client {
    fn send_frames(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        self.0.send_raw(&bytes, deadline()).expect("the line lives");
    }

    /// The pongs that come before the next text message, and the text message.
    fn next_with_pongs(&mut self) -> (Vec<Vec<u8>>, Value) {
        let mut pongs = Vec::new();
        loop {
            match self.0.next_message(deadline()).expect("the line lives") {
                Some(Message::Pong(payload)) => pongs.push(payload),
                Some(Message::Text(text)) => return (pongs, serde_json::from_str(&text).expect("it is JSON")),
                other => panic!("a pong or a text is due: {other:?}"),
            }
        }
    }
}

/// Shows WS-4: masks are only masks.
#[test]
fn every_mask_is_taken_off() {
    let santral = Santral::start();
    let mut client = open(&santral);
    for mask in [[0; 4], [0xFF; 4], [1, 2, 3, 4], *b"{\"a\"", [0, 0, 0, 1]] {
        for length in [0, 1, 3, 4, 5, 125, 126, 1_000] {
            let data = json!("m".repeat(length));
            client.send_frames(&[Frame { mask: Some(mask), ..Frame::text(&publish(&data)) }]);
            assert_eq!(client.next()["data"], data, "{mask:?}, {length}");
        }
    }
}

#[test]
fn every_length_arrives_whole() {
    let santral = Santral::start();
    let mut client = open(&santral);
    let around = publish(&json!("")).len();
    for length in [around, 125, 126, 127, 128, 65_000, 65_534, 65_535, 65_536, 65_537] {
        let data = json!("l".repeat(length - around));
        let text = publish(&data);
        assert_eq!(text.len(), length);
        client.send(&text);
        assert_eq!(client.next()["data"], data, "{length}");
    }
}

#[test]
fn a_message_may_be_cut_anywhere() {
    let santral = Santral::start();
    let mut client = open(&santral);
    // Each character has a length of its own in UTF-8, and each is cut at each of its bytes.
    let data = json!("aş€𝄞\u{10FFFF}\u{0}");
    let text = publish(&data);
    for cut in 0..=text.len() {
        client.send_frames(&fragments(text.as_bytes(), &[cut]));
        assert_eq!(client.next()["data"], data, "cut at {cut}");
    }
    let cuts = vec![1; text.len() - 1];
    client.send_frames(&fragments(text.as_bytes(), &cuts));
    assert_eq!(client.next()["data"], data, "one byte a frame");
    client.send_frames(&fragments(text.as_bytes(), &[0, 0, text.len(), 0]));
    assert_eq!(client.next()["data"], data, "empty frames");
}

#[test]
fn bytes_may_come_one_by_one() {
    let santral = Santral::start();
    let mut client = open(&santral);
    let data = json!("drop by drop €");
    let frames = fragments(publish(&data).as_bytes(), &[10, 7]);
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    client.0.send_slowly(&bytes, 1, Duration::from_millis(1), deadline()).expect("the line lives");
    assert_eq!(client.next()["data"], data);
}

#[test]
fn many_messages_in_one_write_are_taken_in_order() {
    let santral = Santral::start();
    let mut client = open(&santral);
    let frames: Vec<Frame> = (0..500).map(|number| Frame::text(&publish(&json!(number)))).collect();
    client.send_frames(&frames);
    for number in 0..500 {
        assert_eq!(client.next()["data"], number);
    }
}

/// Shows WS-5: a ping is answered with its own bytes, also between the frames of a message.
#[test]
fn pings_are_answered_wherever_they_come() {
    let santral = Santral::start();
    let mut client = open(&santral);
    let longest = [7; 125];
    let mut frames = vec![Frame::new(Opcode::PING, ""), Frame::new(Opcode::PING, longest)];
    frames.push(Frame::new(Opcode::PONG, "nobody asked"));
    for (place, frame) in fragments(publish(&json!("between")).as_bytes(), &[3, 5, 9]).into_iter().enumerate() {
        frames.push(Frame::new(Opcode::PING, format!("{place}")));
        frames.push(frame);
    }
    client.send_frames(&frames);
    let (pongs, message) = client.next_with_pongs();
    assert_eq!(message["data"], "between");
    let expected: Vec<Vec<u8>> =
        [vec![], longest.to_vec()].into_iter().chain((0..4).map(|place| format!("{place}").into_bytes())).collect();
    assert_eq!(pongs, expected);
    // A server may answer the latest ping only, but must answer that.
    let flood: Vec<Frame> = (0..1_000).map(|number| Frame::new(Opcode::PING, format!("{number}"))).collect();
    client.send_frames(&flood);
    client.send(&publish(&json!("behind")));
    let (pongs, message) = client.next_with_pongs();
    assert_eq!(message["data"], "behind");
    assert_eq!(pongs.last().map(Vec::as_slice), Some(b"999".as_slice()), "{} pongs", pongs.len());
}

/// Shows WS-6: each rule of RFC 6455 that a client can break, alone on a connection of its own.
#[test]
fn each_broken_rule_ends_its_own_connection_and_no_other() {
    let santral = Santral::start();
    let mut bystander = open(&santral);
    let text = |bytes: &[u8]| Frame::new(Opcode::TEXT, bytes);
    let more = |bytes: &[u8]| Frame::new(Opcode::CONTINUATION, bytes);
    let cases: Vec<(&str, Vec<Frame>, u16)> = vec![
        ("no mask", vec![text(b"{}").unmasked()], 1002),
        ("no mask on a ping", vec![Frame::new(Opcode::PING, "").unmasked()], 1002),
        ("RSV1", vec![text(b"{}").reserved(4)], 1002),
        ("RSV2", vec![text(b"{}").reserved(2)], 1002),
        ("RSV3", vec![text(b"{}").reserved(1)], 1002),
        ("all reserved bits", vec![text(b"{}").reserved(7)], 1002),
        ("RSV1 on a ping", vec![Frame::new(Opcode::PING, "").reserved(4)], 1002),
        ("RSV1 within a message", vec![text(b"{").unfinished(), more(b"}").reserved(4)], 1002),
        ("a data opcode to come", vec![Frame::new(Opcode(3), "")], 1002),
        ("the last data opcode", vec![Frame::new(Opcode(7), "")], 1002),
        ("a control opcode to come", vec![Frame::new(Opcode(11), "")], 1002),
        ("the last control opcode", vec![Frame::new(Opcode(15), "")], 1002),
        ("a ping in fragments", vec![Frame::new(Opcode::PING, "").unfinished()], 1002),
        ("a close in fragments", vec![Frame::close(1000, "").unfinished()], 1002),
        ("a ping of 126 bytes", vec![Frame::new(Opcode::PING, [7; 126])], 1002),
        ("a close of 126 bytes", vec![Frame::close(1000, &"x".repeat(124))], 1002),
        ("a continuation of nothing", vec![more(b"{}")], 1002),
        ("a continuation of nothing that goes on", vec![more(b"{").unfinished()], 1002),
        ("a text within a text", vec![text(b"{").unfinished(), text(b"}")], 1002),
        ("a continuation behind the end", vec![text(b"{\"ping\":{}}"), more(b"{}")], 1002),
        ("a close of one byte", vec![Frame::new(Opcode::CLOSE, [3])], 1002),
        ("the close code 0", vec![Frame::close(0, "")], 1002),
        ("the close code 999", vec![Frame::close(999, "")], 1002),
        ("the close code 1004", vec![Frame::close(1004, "")], 1002),
        ("the close code 1005", vec![Frame::close(1005, "")], 1002),
        ("the close code 1006", vec![Frame::close(1006, "")], 1002),
        ("the close code 1015", vec![Frame::close(1015, "")], 1002),
        ("the close code 2999", vec![Frame::close(2999, "")], 1002),
        ("the close code 5000", vec![Frame::close(5000, "")], 1002),
        ("a close reason that is no UTF-8", vec![Frame::new(Opcode::CLOSE, [3, 0xE8, 0xFF])], 1007),
        ("bytes", vec![Frame::new(Opcode::BINARY, "{}")], 1003),
        ("the begin of bytes", vec![Frame::new(Opcode::BINARY, "{").unfinished()], 1003),
        ("no UTF-8", vec![text(b"\xFF")], 1007),
        ("a surrogate", vec![text(b"\xED\xA0\x80")], 1007),
        ("an overlong slash", vec![text(b"\xC0\xAF")], 1007),
        ("behind the last character", vec![text(b"\xF4\x90\x80\x80")], 1007),
        ("half a character at the end", vec![text(b"\xE2\x82")], 1007),
        ("half a character at the end of fragments", vec![text(b"\"\xE2").unfinished(), more(b"\x82")], 1007),
        ("half a character, then another", vec![text(b"\xE2\x82").unfinished(), more(b"a")], 1007),
        // Nobody need wait for the end of a message that is broken already.
        ("no UTF-8 in a message that goes on", vec![text(b"\xFF").unfinished()], 1007),
        ("4 GiB to come", vec![text(b"{").claiming(1 << 32)], 1009),
        ("more than there can be", vec![text(b"{").claiming(u64::MAX)], 1002),
        ("the highest bit of a length", vec![text(b"{").claiming(1 << 63)], 1002),
        ("4 MiB and a byte", vec![text(b"{").claiming((4 << 20) + 1)], 1009),
    ];
    for (number, (name, frames, code)) in cases.into_iter().enumerate() {
        let mut client = open(&santral);
        client.send_frames(&frames);
        let (closed, reason) = client.closed();
        assert_eq!(closed, code, "{name}: {reason}");
        assert_eq!(client.0.next_frame(deadline()).expect("the end comes"), None, "{name}");
        bystander.send(&publish(&json!(number)));
        assert_eq!(bystander.next()["data"], number, "{name} disturbs another");
    }
    assert!(!santral.server.output().contains("panicked"), "{}", santral.server.output());
}

/// Shows WS-6: a length may be written in more bytes than it needs, but not by a client that we know of.
#[test]
fn a_length_in_too_many_bytes_is_refused() {
    let santral = Santral::start();
    for head in [&[0x81, 0xFE, 0, 2][..], &[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 2]] {
        let mut client = open(&santral);
        let bytes = [head, &[0, 0, 0, 0], b"{}"].concat();
        client.0.send_raw(&bytes, deadline()).expect("the line lives");
        assert_eq!(client.closed().0, 1002);
    }
}

#[test]
fn the_close_handshake_is_answered_with_the_same_code() {
    let santral = Santral::start();
    for (frame, code) in [
        (Frame::new(Opcode::CLOSE, ""), None),
        (Frame::close(1000, ""), Some(1000)),
        (Frame::close(1001, "I leave"), Some(1001)),
        (Frame::close(1000, &"x".repeat(123)), Some(1000)),
        (Frame::close(3000, ""), Some(3000)),
        (Frame::close(4999, "mine"), Some(4999)),
    ] {
        let mut client = open(&santral);
        // Nothing behind a close frame is read.
        client.send_frames(&[frame.clone(), Frame::text(&publish(&json!("too late")))]);
        let answer = client.0.next_message(deadline()).expect("an answer comes");
        let Some(Message::Close { code: answered, .. }) = answer else { panic!("{frame:?}: {answer:?}") };
        assert!(answered == code || answered == Some(1000), "{frame:?}: {answered:?}");
        assert_eq!(client.0.next_frame(deadline()).expect("the end comes"), None, "{frame:?}");
    }
    let history = santral.get("/api/channels/a/history").json().expect("a history is JSON");
    assert_eq!(history["entries"], json!([]));
}

/// Shows WS-6: fragments of one byte are bounded, and cost little while they come.
#[test]
fn a_hundred_thousand_fragments_of_one_byte_cost_no_memory() {
    let santral = Santral::start();
    let resident = || memory_kib(santral.server.pid(), "VmRSS");
    // What is taken on first use is taken.
    let mut client = open(&santral);
    client.send_frames(&fragments(publish(&json!("x".repeat(1_000))).as_bytes(), &[1; 500]));
    client.next();
    let before = resident();
    let mut most = before;
    let mut attackers: Vec<Client> = (0..20).map(|_| open(&santral)).collect();
    let first = Frame::new(Opcode::TEXT, "\"").unfinished().encode();
    let thousand = Frame::new(Opcode::CONTINUATION, "x").unfinished().encode().repeat(1_000);
    for attacker in &mut attackers {
        attacker.0.send_raw(&first, deadline()).expect("the line lives");
    }
    for _ in 0..100 {
        for attacker in &mut attackers {
            // Closed on the way, which is read below.
            let _ = attacker.0.send_raw(&thousand, deadline());
        }
        most = most.max(resident());
    }
    for mut attacker in attackers {
        match attacker.0.next_message(deadline()) {
            Ok(Some(Message::Close { code, reason })) => assert_eq!(code, Some(1009), "{reason}"),
            // What was still under way when the server closed makes the end a reset.
            Err(santral_testkit::http::HttpError::Broken(_)) | Ok(None) => {}
            other => panic!("{other:?}"),
        }
    }
    let grown = most.saturating_sub(before);
    println!("{before} KiB before, {most} KiB at most");
    // 20 × 16,384 bytes are 320 KiB; 100,000 frames that were kept would be tens of MiB.
    assert!(grown < 8 * 1024, "from {before} KiB to {most} KiB");
    client.send(&publish(&json!("still here")));
    assert_eq!(client.next()["data"], "still here");
}

/// Shows WS-6: an announced length reserves nothing, not even addresses.
#[test]
fn promised_bytes_that_never_come_cost_no_memory() {
    let santral = Santral::start();
    let data = || memory_kib(santral.server.pid(), "VmData");
    drop(open(&santral));
    let before = data();
    let mut waiting: Vec<Client> = (0..100).map(|_| open(&santral)).collect();
    for client in &mut waiting {
        client.send_frames(&[Frame::new(Opcode::TEXT, "{").claiming(4 << 20)]);
    }
    // An answer on a later connection shows that what was sent before has been read.
    let mut last = open(&santral);
    last.send(&publish(&json!(1)));
    last.next();
    let after = data();
    println!("{before} KiB before, {after} KiB with 100 promises of 4 MiB");
    // The allocator may take up a region of 64 MiB for another thread.
    assert!(after.saturating_sub(before) < 200 * 1024, "from {before} KiB to {after} KiB");
}

/// Whoever opens a WebSocket and says nothing is no burden, and whoever vanishes leaves nothing behind.
#[test]
fn an_end_in_the_middle_of_a_frame_is_an_end() {
    let santral = Santral::start();
    let frame = Frame::text(&publish(&json!("never"))).encode();
    for length in [0, 1, 2, 5, 6, frame.len() - 1] {
        let mut client = open(&santral);
        client.0.send_raw(&frame[..length], deadline()).expect("the line lives");
        client.0.stream().shutdown(std::net::Shutdown::Both).expect("the socket is open");
    }
    let history = santral.get("/api/channels/a/history").json().expect("a history is JSON");
    assert_eq!(history["entries"], json!([]));
    let give_up = deadline();
    while santral.get("/api/stats").json().expect("stats are JSON")["connections"]["byTransport"]["websocket"] != 0 {
        assert!(std::time::Instant::now() < give_up, "connections stay behind");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A client is to wait for the 101, but whoever does not loses nothing.
#[test]
fn frames_right_behind_the_handshake_are_read() {
    let santral = Santral::start();
    let frame = Frame::text(&publish(&json!("early"))).encode();
    let (head, tail) = frame.split_at(7);
    for pieces in [&[frame.as_slice()][..], &[b"", &frame], &[head, tail], &[b"", head, tail]].repeat(20) {
        let path = "/api/v1/ws?channel=a&broadcast=0";
        let opened = WebSocket::open_hastily(santral.address, path, pieces, deadline());
        let mut early = Client(opened.expect("the WebSocket opens"));
        assert_eq!(early.next()["event"], "hello");
        assert_eq!(early.next()["data"], "early", "{} pieces", pieces.len());
    }
}
