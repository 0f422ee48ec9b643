//! How long a small GET waits while the same worker serves 10,000 readers.
//!
//! GETs are due every millisecond whether or not the last was answered (open loop, many
//! connections), so that a server that is blocked for 70 ms yields 70 late answers, not one.
//! Only GETs that were due during a pass count: from the publish to the last reader's receipt.

use std::time::Duration;

use super::{Bench, PASS_WITHIN, Publisher};
use crate::clock::nanoseconds;
use crate::error::{BenchError, Result};
use crate::histogram::Histogram;
use crate::http;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, number};
use crate::servers::{Durability, ServerKind};
use crate::swarm::Swarm;

const READERS: usize = 10_000;
const PASSES: usize = 60;
const CONNECTIONS: usize = 128;
const GET_EVERY_NS: u64 = 1_000_000;
/// Between passes, so that late answers of one never fall into the next.
const PAUSE: Duration = Duration::from_millis(150);

struct Probe {
    connections: Vec<usize>,
    next: usize,
    request: Vec<u8>,
    latency: Histogram,
}

/// Measures GETs during passes.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    let mut rows = Vec::new();
    let mut p99_of = [f64::NAN; 2];
    eprintln!("GET during passes over {READERS} readers");
    for kind in bench.event_stream_servers() {
        let (during, pass) = measure(bench, kind)?;
        rows.push(vec![
            kind.name().to_owned(),
            during.count().to_string(),
            number(during.quantile_ms(0.5)),
            number(during.quantile_ms(0.99)),
            number(during.max_ns() as f64 / 1e6),
            number(pass.quantile_ms(0.5)),
        ]);
        match kind {
            ServerKind::Santral => p99_of[0] = during.quantile_ms(0.99),
            ServerKind::Nchan => p99_of[1] = during.quantile_ms(0.99),
            ServerKind::Floor | ServerKind::Express | ServerKind::SocketIo | ServerKind::PeerJs => {}
        }
    }
    let mut figures = Vec::new();
    if bench.servers.contains(&ServerKind::Santral) {
        let name = "p99 of a GET during passes over 10,000 readers ÷ nchan's";
        figures.push(Figure::at_most(name, p99_of[0] / p99_of[1], 0.1, " ×"));
    }
    Ok(Section {
        title: "REST on the same worker during a pass",
        note: format!(
            "GET /health/live, one due each ms over {CONNECTIONS} connections, counted if due \
             during one of {} passes over {} readers, latency from when it was due. *Pass*: from \
             publish to the last reader's receipt.",
            bench.scaled(PASSES),
            number(READERS as f64),
        ),
        columns: vec!["server", "GETs", "p50 ms", "p99 ms", "max ms", "pass p50 ms"],
        rows,
        figures,
    })
}

fn measure(bench: &Bench, kind: ServerKind) -> Result<(Histogram, Histogram)> {
    let mut stage = bench.stage(kind, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    stage.open_readers(READERS)?;
    let mut publisher = stage.open_publisher(0, Durability::Volatile)?;
    stage.publish_in_turn(&mut publisher, 3)?;
    let mut probe = Probe {
        connections: (0..CONNECTIONS).map(|_| stage.swarm.open_requester()).collect::<Result<_>>()?,
        next: 0,
        request: http::get("/health/live", "*/*"),
        latency: Histogram::default(),
    };
    let mut passes = Histogram::default();
    for _ in 0..bench.scaled(PASSES) {
        passes.record(probe.one_pass(&mut stage.swarm, &mut publisher)?);
    }
    Ok((probe.latency, passes))
}

impl Probe {
    /// Publishes once and probes until all readers have it; returns how long that took.
    fn one_pass(&mut self, swarm: &mut Swarm, publisher: &mut Publisher) -> Result<u64> {
        publisher.publish(swarm)?;
        let expected = publisher.sequence() * swarm.readers() as u64;
        let start_ns = swarm.now_ns();
        let deadline_ns = start_ns + nanoseconds(PASS_WITHIN);
        let mut due_ns = start_ns;
        while swarm.delivered() < expected {
            while swarm.now_ns() >= due_ns {
                let connection = self.connections[self.next % self.connections.len()];
                self.next += 1;
                swarm.request(connection, &self.request, due_ns)?;
                due_ns += GET_EVERY_NS;
            }
            swarm.turn(Duration::ZERO)?;
            self.take_answers(swarm, publisher);
            if swarm.now_ns() > deadline_ns {
                return Err(BenchError::Timeout { what: "a pass" });
            }
        }
        let end_ns = swarm.now_ns();
        let resume_ns = end_ns + nanoseconds(PAUSE);
        while swarm.now_ns() < resume_ns {
            swarm.turn_until(resume_ns)?;
            self.take_answers(swarm, publisher);
        }
        Ok(end_ns - start_ns)
    }

    fn take_answers(&mut self, swarm: &mut Swarm, publisher: &Publisher) {
        while let Some(answer) = swarm.next_completion() {
            if !publisher.owns(&answer) {
                self.latency.record(answer.done_ns.saturating_sub(answer.sent_ns));
            }
        }
    }
}
