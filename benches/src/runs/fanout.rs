//! CPU per delivery: one publication to 1,000 and to 10,000 readers.
//!
//! Each publication is sent some time after the one before has reached every reader, so no server
//! can put several into one write and every delivery is a send of its own.

use std::time::Duration;

use super::Bench;
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, median, number};
use crate::servers::{Durability, ServerKind};
use crate::verifier::Tally;

const DELIVERIES: usize = 600_000;
/// Default time between a publication's last receipt and the next publication.
pub const PAUSE_MS: u64 = 10;

/// A server and what it does with a publication.
type Variant = (ServerKind, Durability);

/// All rounds of one variant at one size.
struct Measured {
    variant: Variant,
    clients: usize,
    cpu: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    tally: Tally,
}

struct Sample {
    cpu_per_million: f64,
    p50_ms: f64,
    p99_ms: f64,
    tally: Tally,
}

/// Runs all servers at all sizes, in turn within each round, with a pause after each pass.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench, sizes: &[usize], pause: Duration) -> Result<Section> {
    let mut results = Vec::new();
    for &clients in sizes {
        eprintln!("fan-out to {clients}");
        let mut group: Vec<Measured> =
            variants(bench).into_iter().map(|variant| Measured::new(variant, clients)).collect();
        for _ in 0..bench.rounds {
            for measured in &mut group {
                measured.add(sample(bench, measured.variant, clients, pause)?);
            }
        }
        results.extend(group);
    }
    Ok(section(bench, &results, pause))
}

fn variants(bench: &Bench) -> Vec<Variant> {
    let all = [
        (ServerKind::Floor, Durability::Volatile),
        (ServerKind::Santral, Durability::Volatile),
        (ServerKind::Santral, Durability::Stored),
        (ServerKind::Nchan, Durability::Volatile),
        (ServerKind::Express, Durability::Volatile),
    ];
    all.into_iter().filter(|(kind, _)| bench.servers.contains(kind)).collect()
}

fn sample(bench: &Bench, variant: Variant, clients: usize, pause: Duration) -> Result<Sample> {
    let (kind, durability) = variant;
    let mut stage = bench.stage(kind, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    stage.open_readers(clients)?;
    let mut publisher = stage.open_publisher(0, durability)?;
    let publications = bench.scaled(DELIVERIES / clients);
    stage.publish_in_turn(&mut publisher, (publications / 20).max(3))?;
    stage.swarm.reset_latency();
    let before = stage.processes().cpu_seconds()?;
    stage.publish_with_pauses(&mut publisher, publications, pause)?;
    let cpu = stage.processes().cpu_seconds()? - before;
    let millions = (publications * clients) as f64 / 1e6;
    let latency = stage.swarm.latency();
    let (p50_ms, p99_ms) = (latency.quantile_ms(0.5), latency.quantile_ms(0.99));
    let tally = stage.swarm.finish(0..clients, &[publisher.sequence()]);
    Ok(Sample { cpu_per_million: cpu / millions, p50_ms, p99_ms, tally })
}

impl Measured {
    fn new(variant: Variant, clients: usize) -> Self {
        let tally = Tally::default();
        Self { variant, clients, cpu: Vec::new(), p50_ms: Vec::new(), p99_ms: Vec::new(), tally }
    }

    fn add(&mut self, sample: Sample) {
        self.cpu.push(sample.cpu_per_million);
        self.p50_ms.push(sample.p50_ms);
        self.p99_ms.push(sample.p99_ms);
        self.tally.add(sample.tally);
    }

    fn row(&self, floor: f64) -> Vec<String> {
        let cpu = median(&self.cpu);
        let low = self.cpu.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.cpu.iter().copied().fold(0.0, f64::max);
        vec![
            number(self.clients as f64),
            label(self.variant).to_owned(),
            number(cpu),
            format!("{}–{}", number(low), number(high)),
            number(cpu / floor),
            number(median(&self.p50_ms)),
            number(median(&self.p99_ms)),
            self.tally.describe(),
        ]
    }
}

fn label(variant: Variant) -> &'static str {
    match variant {
        (ServerKind::Floor, _) => "floor",
        (ServerKind::Santral, Durability::Volatile) => "santral, volatile",
        (ServerKind::Santral, Durability::Stored) => "santral, stored",
        (ServerKind::Nchan, _) => "nchan, stored in memory",
        (ServerKind::Express, _) => "express + loop",
        (kind @ (ServerKind::SocketIo | ServerKind::PeerJs), _) => kind.name(),
    }
}

fn section(bench: &Bench, results: &[Measured], pause: Duration) -> Section {
    let cost = |kind: ServerKind, clients: usize| {
        let found =
            results.iter().find(|result| result.clients == clients && result.variant == (kind, Durability::Volatile));
        found.map_or(f64::NAN, |result| median(&result.cpu))
    };
    let mut figures = Vec::new();
    for result in results.iter().filter(|result| result.variant.0 == ServerKind::Santral) {
        let clients = result.clients;
        let name = format!("{} to {}", label(result.variant), number(clients as f64));
        let cpu = median(&result.cpu);
        let to_floor = cpu / cost(ServerKind::Floor, clients);
        let to_nchan = cpu / cost(ServerKind::Nchan, clients);
        let nchan_bound = if clients >= 10_000 { 0.68 } else { 0.75 };
        figures.push(Figure::at_most(format!("{name}: CPU ÷ floor"), to_floor, 1.25, " ×"));
        figures.push(Figure::at_most(format!("{name}: CPU ÷ nchan"), to_nchan, nchan_bound, " ×"));
        figures.push(Figure::faultless(format!("{name}: order and completeness"), result.tally));
    }
    let rows = results.iter().map(|result| result.row(cost(ServerKind::Floor, result.clients))).collect();
    Section {
        title: "Fan-out: CPU per delivery",
        note: format!(
            "CPU-seconds of the server per million deliveries, median of {} rounds of {} \
             deliveries; each publication is sent {} ms after all readers have the one before.",
            bench.rounds,
            number(bench.scaled(DELIVERIES) as f64),
            pause.as_millis(),
        ),
        columns: vec!["readers", "server", "CPU-s/10⁶", "range", "÷ floor", "p50 ms", "p99 ms", "check"],
        rows,
        figures,
    }
}
