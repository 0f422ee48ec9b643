//! Each rule of an Engine.IO connection's life, and the races between its requests.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::engineio::{ProbeVerdict, UpgradeVerdict, payload};

const TIMING: Timing = Timing {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_millis(1_000),
};

/// A connection and what it asked for.
struct Bench {
    connection: Connection,
    now: Moment,
}

impl Bench {
    fn polling() -> Self {
        Self { connection: Connection::polling(Moment(0), TIMING), now: Moment(0) }
    }

    fn websocket() -> Self {
        Self { connection: Connection::websocket(Moment(0), TIMING), now: Moment(0) }
    }

    /// A polling connection whose WebSocket was probed.
    fn probed() -> Self {
        let mut bench = Self::polling();
        assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::Probe);
        assert_eq!(bench.probe("2probe"), ProbeVerdict::Answer);
        bench
    }

    /// Moves the clock and lets the timers fire.
    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.connection.handle_timeout(self.now);
    }

    /// Moves the clock, but the timers are late.
    fn sleep(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn poll(&mut self) -> Result<(), Refusal> {
        self.connection.poll(self.now)
    }

    fn answer(&mut self) -> Option<PollAnswer> {
        self.connection.take_answer(self.now)
    }

    /// The packets of the held poll's answer, as the client sees them.
    fn packets(&mut self) -> String {
        match self.answer() {
            Some(PollAnswer::Packets(packets)) => shown(&packets),
            other => panic!("no packets but {other:?}"),
        }
    }

    fn receive(&mut self, text: &'static str) -> Result<Received<'static>, PacketError> {
        self.connection.receive(self.now, Packet::parse(text))
    }

    fn probe(&mut self, text: &str) -> ProbeVerdict {
        self.connection.probe(self.now, Some(text))
    }

    fn frames(&mut self, frames: &[&str]) -> usize {
        let frames: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame.as_bytes())).collect();
        self.connection.take_frames(&frames)
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.connection.poll_output()).collect()
    }

    /// The one reason with which the connection ended.
    fn ended(&mut self) -> Option<CloseReason> {
        let reason_of = |output| if let Output::Ended(reason) = output { Some(reason) } else { None };
        let reasons: Vec<_> = self.outputs().into_iter().filter_map(reason_of).collect();
        assert!(reasons.len() <= 1, "a connection ends once: {reasons:?}");
        assert_eq!(!self.connection.is_open(), !reasons.is_empty());
        reasons.first().copied()
    }
}

fn shown(packets: &[u8]) -> String {
    String::from_utf8_lossy(payload::answer(packets)).replace('\u{1e}', "|")
}

#[test]
fn the_handshake_has_five_keys() {
    let packet = super::super::open_packet("abc", true, &TIMING, 1_000_000);
    let json = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#;
    assert_eq!(packet, json);
    assert!(super::super::open_packet("abc", false, &TIMING, 1).contains(r#""upgrades":[],"#));
}

#[test]
fn a_poll_is_held_until_there_is_something() {
    let mut bench = Bench::polling();
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.outputs(), [Output::Writable]);
    assert_eq!(bench.answer(), None);
    assert_eq!(bench.frames(&["42[1]\x1e", "42[2]\x1e"]), 12);
    bench.connection.send(b"430[]\x1e");
    assert_eq!(bench.outputs(), [Output::PollReady], "told once");
    assert_eq!(bench.packets(), "42[1]|42[2]|430[]");
    assert_eq!(bench.answer(), None);
    assert_eq!(bench.frames(&["42[3]\x1e"]), 0, "frames wait in the log while no poll is held");
    bench.connection.send(b"431[]\x1e");
    assert_eq!(bench.outputs(), []);
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.outputs(), [Output::PollReady, Output::Writable]);
    assert_eq!(bench.packets(), "431[]");
}

#[test]
fn an_answer_is_bounded_by_whole_frames() {
    let mut bench = Bench::polling();
    assert_eq!(bench.poll(), Ok(()));
    let big = format!("4{}\x1e", "x".repeat(ENGINEIO_ANSWER_BYTES_MAX));
    assert_eq!(bench.frames(&["4a\x1e", &big, "4b\x1e"]), 3 + big.len());
    assert_eq!(bench.frames(&["4b\x1e"]), 0);
}

#[test]
fn a_second_poll_ends_the_connection() {
    let mut bench = Bench::polling();
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.poll(), Err(Refusal::BadRequest));
    assert_eq!(bench.packets(), "1");
    assert_eq!(bench.ended(), Some(CloseReason::TransportError));
    assert_eq!(bench.poll(), Err(Refusal::SessionUnknown));
    assert_eq!(bench.connection.post(bench.now), Err(Refusal::SessionUnknown));
    assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::Refused(Refusal::SessionUnknown));
}

#[test]
fn a_second_post_ends_the_connection() {
    let mut bench = Bench::polling();
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.connection.post(bench.now), Ok(()));
    bench.connection.post_ended();
    assert_eq!(bench.connection.post(bench.now), Ok(()));
    assert_eq!(bench.connection.post(bench.now), Err(Refusal::BadRequest));
    assert_eq!(bench.packets(), "1");
    assert_eq!(bench.ended(), Some(CloseReason::TransportError));
}

#[test]
fn a_client_that_goes_away_during_a_poll_is_gone() {
    let mut bench = Bench::polling();
    bench.connection.poll_gone();
    assert!(bench.connection.is_open(), "no poll was held");
    assert_eq!(bench.poll(), Ok(()));
    bench.connection.poll_gone();
    assert_eq!(bench.ended(), Some(CloseReason::TransportError));
    assert_eq!(bench.poll(), Err(Refusal::SessionUnknown));
}

#[test]
fn packets_mean_what_they_say() {
    let mut bench = Bench::polling();
    assert_eq!(bench.receive("4hello"), Ok(Received::Text("hello")));
    assert_eq!(bench.receive("bAQ=="), Ok(Received::Binary(Bytes::from_static(&[1]))));
    for ignored in ["0", "3", "5", "6"] {
        assert_eq!(bench.receive(ignored), Ok(Received::Nothing));
    }
    assert!(bench.connection.is_open());
    assert_eq!(bench.receive("x"), Err(PacketError::UnknownType));
    assert_eq!(bench.ended(), Some(CloseReason::ParseError));
    assert_eq!(bench.receive("4late"), Ok(Received::Nothing));
    let mut octets = Bench::polling();
    octets.connection.fail(octets.now);
    assert_eq!(octets.ended(), Some(CloseReason::TransportError));
    assert_eq!(octets.poll(), Err(Refusal::SessionUnknown));
    for mut bench in [Bench::polling(), Bench::websocket()] {
        assert_eq!(bench.receive("2"), Err(PacketError::WrongWay));
        assert_eq!(bench.ended(), Some(CloseReason::TransportError), "clients do not ping");
    }
}

#[test]
fn a_client_that_closes_has_its_poll_answered_by_a_noop() {
    let mut bench = Bench::polling();
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.connection.post(bench.now), Ok(()));
    assert_eq!(bench.receive("1"), Ok(Received::Nothing));
    assert_eq!(bench.packets(), "6");
    assert_eq!(bench.ended(), Some(CloseReason::TransportClose));
    assert_eq!(bench.poll(), Err(Refusal::SessionUnknown));
}

/// Race: the POST of a close and a poll that was sent with it are handled in the other order.
#[test]
fn a_poll_that_comes_just_after_the_clients_close_is_answered_once() {
    let mut bench = Bench::polling();
    assert_eq!(bench.receive("1"), Ok(Received::Nothing));
    assert_eq!(bench.ended(), Some(CloseReason::TransportClose));
    bench.wait(999);
    assert_eq!(bench.connection.post(bench.now), Err(Refusal::SessionUnknown));
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.packets(), "6");
    assert_eq!(bench.poll(), Err(Refusal::SessionUnknown));
    assert_eq!(bench.outputs(), [Output::PollReady, Output::Forget]);

    let mut late = Bench::polling();
    assert_eq!(late.receive("1"), Ok(Received::Nothing));
    late.sleep(1_000);
    assert_eq!(late.poll(), Err(Refusal::SessionUnknown));
}

#[test]
fn a_close_by_the_server_is_told_to_the_held_poll_or_the_next() {
    let mut held = Bench::polling();
    assert_eq!(held.poll(), Ok(()));
    held.connection.close(held.now, CloseReason::ForcedServerClose);
    assert_eq!(held.packets(), "1");
    assert_eq!(held.ended(), Some(CloseReason::ForcedServerClose));

    let mut next = Bench::polling();
    next.connection.send(b"41\x1e");
    next.connection.close(next.now, CloseReason::ForcedServerClose);
    assert_eq!(next.ended(), Some(CloseReason::ForcedServerClose));
    next.wait(29_999);
    assert_eq!(next.poll(), Ok(()));
    assert_eq!(next.packets(), "41|1");
    assert_eq!(next.poll(), Err(Refusal::SessionUnknown));

    let mut never = Bench::polling();
    never.connection.close(never.now, CloseReason::ForcedClose);
    assert_eq!(never.connection.next_timeout(), Some(Moment(30_000_000)));
    never.wait(30_000);
    assert_eq!(never.outputs().last(), Some(&Output::Forget));
    assert_eq!(never.connection.next_timeout(), None);
}

#[test]
fn pings_come_an_interval_after_the_handshake_and_after_each_pong() {
    let mut bench = Bench::polling();
    assert_eq!(bench.connection.next_timeout(), Some(Moment(300_000)));
    assert_eq!(bench.poll(), Ok(()));
    bench.wait(299);
    assert_eq!(bench.answer(), None);
    bench.wait(1);
    assert_eq!(bench.packets(), "2");
    bench.wait(199);
    assert_eq!(bench.receive("3"), Ok(Received::Nothing));
    assert_eq!(bench.connection.next_timeout(), Some(Moment(799_000)));
    // Unsolicited ones are legal; other traffic does not count.
    bench.wait(100);
    assert_eq!(bench.receive("3"), Ok(Received::Nothing));
    assert_eq!(bench.receive("4x"), Ok(Received::Text("x")));
    assert_eq!(bench.connection.next_timeout(), Some(Moment(899_000)));
}

#[test]
fn a_ping_that_nobody_polls_for_waits_and_its_deadline_runs() {
    let mut bench = Bench::polling();
    bench.wait(450);
    assert_eq!(bench.connection.next_timeout(), Some(Moment(500_000)));
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.packets(), "2");
    bench.wait(50);
    assert_eq!(bench.ended(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_request_at_the_deadline_finds_the_connection_gone_though_no_timer_fired() {
    let mut bench = Bench::polling();
    bench.sleep(500);
    assert_eq!(bench.poll(), Err(Refusal::SessionUnknown));
    assert_eq!(bench.ended(), Some(CloseReason::PingTimeout));

    let mut pong = Bench::websocket();
    pong.sleep(500);
    assert_eq!(pong.receive("3"), Ok(Received::Nothing));
    assert_eq!(pong.ended(), Some(CloseReason::PingTimeout));
}

#[test]
fn an_upgrade_moves_the_connection_and_keeps_the_order() {
    let mut bench = Bench::polling();
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::Probe);
    assert_eq!(bench.answer(), None, "the poll goes on until the probe");
    assert_eq!(bench.probe("2probe"), ProbeVerdict::Answer);
    assert_eq!(bench.packets(), "6");
    // Messages go on over polling.
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.frames(&["42[1]\x1e"]), 6);
    assert_eq!(bench.packets(), "42[1]");
    bench.connection.send(b"430[]\x1e");
    bench.outputs();
    assert_eq!(bench.probe("5"), ProbeVerdict::Upgraded);
    assert_eq!(bench.outputs(), [Output::Flush, Output::Writable]);
    assert_eq!(shown(&bench.connection.take_outgoing()), "430[]");
    assert!(bench.connection.is_websocket());
    assert_eq!(bench.poll(), Err(Refusal::BadRequest));
    assert_eq!(bench.connection.post(bench.now), Err(Refusal::BadRequest));
    // Its heartbeat goes on.
    assert_eq!(bench.connection.next_timeout(), Some(Moment(300_000)));
    bench.wait(300);
    assert_eq!(bench.outputs(), [Output::Flush]);
    assert_eq!(shown(&bench.connection.take_outgoing()), "2");
}

/// Race: the last message of the upgrade and a poll sent after it are handled in the other order.
#[test]
fn a_poll_during_an_upgrade_is_held_shortly_and_refused_when_it_completes() {
    let mut bench = Bench::probed();
    assert_eq!(bench.poll(), Ok(()));
    bench.wait(99);
    assert_eq!(bench.answer(), None);
    assert_eq!(bench.probe("5"), ProbeVerdict::Upgraded);
    assert_eq!(bench.answer(), Some(PollAnswer::Refused(Refusal::BadRequest)));
    assert!(bench.connection.is_open());

    let mut slow = Bench::probed();
    assert_eq!(slow.poll(), Ok(()));
    assert_eq!(slow.connection.next_timeout(), Some(Moment(100_000)));
    slow.wait(100);
    assert_eq!(slow.packets(), "6");
}

#[test]
fn what_a_poll_was_about_to_take_is_not_lost_by_an_upgrade() {
    let mut bench = Bench::probed();
    assert_eq!(bench.poll(), Ok(()));
    assert_eq!(bench.frames(&["42[1]\x1e"]), 6);
    assert_eq!(bench.probe("5"), ProbeVerdict::Upgraded);
    assert_eq!(bench.packets(), "42[1]");
    assert!(bench.connection.take_outgoing().is_empty());
}

#[test]
fn any_other_message_ends_the_probe_and_polling_goes_on() {
    for message in [None, Some("2"), Some("3probe"), Some("5"), Some("4x"), Some(""), Some("2probe2")] {
        let mut bench = Bench::polling();
        assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::Probe);
        assert_eq!(bench.connection.probe(bench.now, message), ProbeVerdict::Close, "{message:?}");
        assert!(bench.connection.is_open());
        assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::Probe, "another try is welcome");
    }
    let mut twice = Bench::probed();
    assert_eq!(twice.poll(), Ok(()));
    assert_eq!(twice.probe("2probe"), ProbeVerdict::Close);
    twice.wait(100);
    assert_eq!(twice.answer(), None, "a poll is held as long as ever");
}

#[test]
fn one_websocket_at_a_time_may_try_and_only_so_long() {
    let mut bench = Bench::polling();
    assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::Probe);
    assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::AcceptAndClose);
    assert_eq!(bench.probe("2probe"), ProbeVerdict::Answer);
    assert_eq!(bench.connection.upgrade(bench.now), UpgradeVerdict::AcceptAndClose);
    for _ in 0..4 {
        bench.wait(250);
        assert_eq!(bench.receive("3"), Ok(Received::Nothing));
    }
    assert_eq!(bench.outputs(), [Output::CloseCandidate]);
    assert!(bench.connection.is_open() && !bench.connection.is_websocket());
    assert_eq!(bench.probe("5"), ProbeVerdict::Close);

    let mut gone = Bench::polling();
    assert_eq!(gone.connection.upgrade(gone.now), UpgradeVerdict::Probe);
    gone.connection.candidate_gone();
    assert_eq!(gone.connection.upgrade(gone.now), UpgradeVerdict::Probe);

    assert_eq!(Bench::websocket().connection.upgrade(Moment(0)), UpgradeVerdict::AcceptAndClose);
}

#[test]
fn a_websocket_ends_at_once() {
    for (closed, reason) in [(true, CloseReason::TransportClose), (false, CloseReason::TransportError)] {
        let mut bench = Bench::websocket();
        bench.connection.websocket_gone(closed);
        assert_eq!(bench.ended(), Some(reason));
    }
    let mut closing = Bench::websocket();
    assert_eq!(closing.receive("1"), Ok(Received::Nothing));
    let outputs = closing.outputs();
    assert_eq!(outputs, [Output::Ended(CloseReason::TransportClose), Output::CloseWebSocket, Output::Forget]);
    closing.connection.websocket_gone(true);
    closing.connection.send(b"41\x1e");
    assert_eq!(closing.outputs(), []);
}

#[test]
fn the_end_of_a_connection_takes_a_websocket_in_probation_with_it() {
    let mut bench = Bench::probed();
    assert_eq!(bench.receive("1"), Ok(Received::Nothing));
    assert!(bench.outputs().contains(&Output::CloseCandidate));
    assert_eq!(bench.probe("5"), ProbeVerdict::Close);
    let mut bench = Bench::probed();
    bench.connection.close(bench.now, CloseReason::ServerShuttingDown);
    assert!(bench.outputs().contains(&Output::CloseCandidate));
}

#[test]
fn what_waits_for_a_client_holds_up_its_own_input() {
    let mut bench = Bench::polling();
    let answer = [b'x'; 1024];
    for _ in 0..ENGINEIO_OUTGOING_BYTES_MAX / 1024 {
        assert!(!bench.connection.is_congested());
        bench.connection.send(&answer);
    }
    assert!(bench.connection.is_congested());
    assert_eq!(bench.poll(), Ok(()));
    assert!(bench.answer().is_some());
    assert!(!bench.connection.is_congested());
}

#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
}
