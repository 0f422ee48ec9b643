//! CPU to relay one volatile POST to one reader: the cost of a unicast.

use super::Bench;
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, median, number};
use crate::servers::{Durability, ServerKind};
use crate::verifier::Tally;

const RELAYS: usize = 50_000;

struct Measured {
    kind: ServerKind,
    micros: Vec<f64>,
    p50_micros: Vec<f64>,
    p99_micros: Vec<f64>,
    tally: Tally,
}

/// Measures all servers in turn within each round.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    eprintln!("relay of one POST to one reader");
    let mut all: Vec<Measured> = bench.event_stream_servers().into_iter().map(Measured::new).collect();
    for _ in 0..bench.rounds {
        for measured in &mut all {
            measured.add_round(bench)?;
        }
    }
    let cost = |wanted: ServerKind| {
        let found = all.iter().find(|measured| measured.kind == wanted);
        found.map_or(f64::NAN, |measured| median(&measured.micros))
    };
    let mut figures = Vec::new();
    for santral in all.iter().filter(|measured| measured.kind == ServerKind::Santral) {
        let ratio = cost(ServerKind::Santral) / cost(ServerKind::Floor);
        figures.push(Figure::at_most("relay POST → one event: CPU ÷ floor", ratio, 1.3, " ×"));
        figures.push(Figure::faultless("relay: order and completeness", santral.tally));
    }
    Ok(Section {
        title: "Relay of one POST to one reader",
        note: format!(
            "{} volatile publications, each sent when the one before was answered and received; \
             latency from before the POST to the event's receipt; medians of {} rounds.",
            number(bench.scaled(RELAYS) as f64),
            bench.rounds,
        ),
        columns: vec!["server", "CPU µs per relay", "p50 µs", "p99 µs", "check"],
        rows: all.iter().map(Measured::row).collect(),
        figures,
    })
}

impl Measured {
    fn new(kind: ServerKind) -> Self {
        Self { kind, micros: Vec::new(), p50_micros: Vec::new(), p99_micros: Vec::new(), tally: Tally::default() }
    }

    fn add_round(&mut self, bench: &Bench) -> Result<()> {
        let mut stage = bench.stage(self.kind, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
        stage.open_readers(1)?;
        let mut publisher = stage.open_publisher(0, Durability::Volatile)?;
        let relays = bench.scaled(RELAYS);
        stage.publish_in_turn(&mut publisher, relays / 20)?;
        stage.swarm.reset_latency();
        let before = stage.processes().cpu_seconds()?;
        stage.publish_in_turn(&mut publisher, relays)?;
        let cpu = stage.processes().cpu_seconds()? - before;
        let latency = stage.swarm.latency();
        self.micros.push(cpu * 1e6 / relays as f64);
        self.p50_micros.push(latency.quantile_ns(0.5) as f64 / 1e3);
        self.p99_micros.push(latency.quantile_ns(0.99) as f64 / 1e3);
        self.tally.add(stage.swarm.finish(0..1, &[publisher.sequence()]));
        Ok(())
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.kind.name().to_owned(),
            number(median(&self.micros)),
            number(median(&self.p50_micros)),
            number(median(&self.p99_micros)),
            self.tally.describe(),
        ]
    }
}
