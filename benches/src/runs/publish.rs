//! Stored publications a second, next to a bare insert loop on the same disk.
//!
//! 64 publishers on kept connections, each waiting for its receipt before it publishes again, and
//! one reader that checks that everything acknowledged arrives, in each publisher's order.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Bench, Publisher, Stage};
use crate::bare_insert;
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, median, number};
use crate::servers::{Durability, ServerKind};
use crate::verifier::Tally;

const PUBLISHERS: usize = 64;
const BATCH_ITEMS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
const DRAIN_WITHIN: Duration = Duration::from_secs(20);
/// Rows in a commit of the bare loop: what 64 publishers can have waiting, and a large batch.
const BARE_BATCHES: [usize; 2] = [PUBLISHERS, 1_024];
const REQUIRED_RATE: f64 = 20_000.0;
const REQUIRED_SHARE: f64 = 0.8;

/// One way to publish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Single(ServerKind),
    Batch,
}

struct Sample {
    rate: f64,
    cpu_micros: f64,
    p50_ms: f64,
    p99_ms: f64,
    tally: Tally,
}

struct Measured {
    variant: Variant,
    samples: Vec<Sample>,
}

/// Measures all variants and the bare loop in turn within each round.
///
/// # Errors
/// When a server, the database or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    eprintln!("publishes with {PUBLISHERS} publishers");
    let mut all: Vec<Measured> =
        variants(bench).into_iter().map(|variant| Measured { variant, samples: Vec::new() }).collect();
    let mut bare = BARE_BATCHES.map(|_| Vec::new());
    for _ in 0..bench.rounds {
        for measured in &mut all {
            let mut stage = bench.stage(measured.variant.kind(), Payload::new(EVENT_PAYLOAD_BYTES), PUBLISHERS)?;
            measured.samples.push(sample(bench, measured.variant, &mut stage)?);
            if measured.variant == Variant::Single(ServerKind::Santral) {
                stage.server.stop();
                bare_loops(bench, stage.server.directory(), &mut bare)?;
            }
        }
    }
    Ok(section(bench, &all, &bare.map(|rates| median(&rates))))
}

fn variants(bench: &Bench) -> Vec<Variant> {
    let kinds = bench.among(&[ServerKind::Santral, ServerKind::Nchan, ServerKind::Floor]);
    let mut variants: Vec<Variant> = kinds.into_iter().map(Variant::Single).collect();
    if bench.servers.contains(&ServerKind::Santral) {
        variants.insert(1, Variant::Batch);
    }
    variants
}

fn bare_loops(bench: &Bench, directory: &Path, rates: &mut [Vec<f64>; 2]) -> Result<()> {
    for (rates, batch) in rates.iter_mut().zip(BARE_BATCHES) {
        rates.push(bare_insert::run_child(&bench.launch, directory, batch, duration(bench))?);
    }
    Ok(())
}

fn duration(bench: &Bench) -> Duration {
    Duration::from_secs(if bench.quick { 2 } else { 8 })
}

fn sample(bench: &Bench, variant: Variant, stage: &mut Stage) -> Result<Sample> {
    stage.open_readers(1)?;
    let mut publishers = Vec::new();
    for publisher in 0..PUBLISHERS as u64 {
        publishers.push(match variant {
            Variant::Single(_) => stage.open_publisher(publisher, Durability::Stored)?,
            Variant::Batch => stage.open_batch_publisher(publisher, BATCH_ITEMS)?,
        });
    }
    for publisher in &mut publishers {
        publisher.publish(&mut stage.swarm)?;
    }
    publish_for(stage, &mut publishers, WARM_UP, |_| {})?;
    let cpu_before = stage.processes().cpu_seconds()?;
    let start = Instant::now();
    let mut receipts = crate::histogram::Histogram::default();
    publish_for(stage, &mut publishers, duration(bench), |nanoseconds| {
        receipts.record(nanoseconds);
    })?;
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = stage.processes().cpu_seconds()? - cpu_before;
    let publications = receipts.count() as f64 * variant.items() as f64;
    let expected: u64 = publishers.iter().map(Publisher::sequence).sum();
    stage.swarm.turn_while(DRAIN_WITHIN, |swarm| {
        swarm.delivered() < expected || publishers.iter().any(|one| one.pending(swarm) > 0)
    })?;
    let last: Vec<u64> = publishers.iter().map(Publisher::sequence).collect();
    Ok(Sample {
        rate: publications / elapsed,
        cpu_micros: cpu * 1e6 / publications,
        p50_ms: receipts.quantile_ms(0.5),
        p99_ms: receipts.quantile_ms(0.99),
        tally: stage.swarm.finish(0..1, &last),
    })
}

/// Keeps every publisher busy: each receipt starts its next publication.
fn publish_for(
    stage: &mut Stage,
    publishers: &mut [Publisher],
    span: Duration,
    mut on_receipt: impl FnMut(u64),
) -> Result<()> {
    let deadline = Instant::now() + span;
    while Instant::now() < deadline {
        stage.swarm.turn(Duration::from_millis(10))?;
        while let Some(receipt) = stage.swarm.next_completion() {
            on_receipt(receipt.done_ns.saturating_sub(receipt.sent_ns));
            // Requesters were opened in the order of the publishers, and no others were.
            publishers[receipt.requester].publish(&mut stage.swarm)?;
        }
    }
    Ok(())
}

impl Variant {
    fn kind(self) -> ServerKind {
        match self {
            Self::Single(kind) => kind,
            Self::Batch => ServerKind::Santral,
        }
    }

    fn items(self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Batch => BATCH_ITEMS,
        }
    }

    fn label(self) -> String {
        match self {
            Self::Single(ServerKind::Santral) => "santral, stored, one a POST".to_owned(),
            Self::Single(ServerKind::Nchan) => "nchan, in memory".to_owned(),
            Self::Single(kind) => format!("{}, not stored", kind.name()),
            Self::Batch => format!("santral, stored, {BATCH_ITEMS} a POST"),
        }
    }
}

impl Measured {
    fn median(&self, value: impl Fn(&Sample) -> f64) -> f64 {
        median(&self.samples.iter().map(value).collect::<Vec<_>>())
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.samples.iter().for_each(|sample| tally.add(sample.tally));
        tally
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.variant.label(),
            number(self.median(|sample| sample.rate)),
            number(self.median(|sample| sample.cpu_micros)),
            number(self.median(|sample| sample.p50_ms)),
            number(self.median(|sample| sample.p99_ms)),
            self.tally().describe(),
        ]
    }
}

fn section(bench: &Bench, all: &[Measured], bare: &[f64; 2]) -> Section {
    let mut rows: Vec<Vec<String>> = all.iter().map(Measured::row).collect();
    for (batch, rate) in BARE_BATCHES.iter().zip(bare).filter(|(_, rate)| !rate.is_nan()) {
        let label = format!("bare insert loop, {} rows a commit", number(*batch as f64));
        let none = || "–".to_owned();
        rows.push(vec![label, number(*rate), none(), none(), none(), none()]);
    }
    let single = Variant::Single(ServerKind::Santral);
    let figures = all
        .iter()
        .filter(|measured| measured.variant == single)
        .flat_map(|measured| figures(measured, bare[0]))
        .collect();
    Section {
        title: "Stored publications",
        note: format!(
            "{PUBLISHERS} publishers in closed loops on kept connections for {} s, SQLite with \
             `synchronous=FULL`; one reader checks that all acknowledged publications arrive. \
             The bare loop inserts the same rows into the same schema in the same directory, one \
             statement and one commit a batch. Medians of {} rounds.",
            duration(bench).as_secs(),
            bench.rounds,
        ),
        columns: vec!["server", "publications/s", "CPU µs each", "receipt p50 ms", "receipt p99 ms", "check"],
        rows,
        figures,
    }
}

/// 20,000 a second, or where the disk does not allow that, 0.8 of the bare loop's rate.
fn figures(measured: &Measured, bare: f64) -> Vec<Figure> {
    let rate = measured.median(|sample| sample.rate);
    let speed = if rate >= REQUIRED_RATE || bare.is_nan() {
        let name = "stored publishes with 64 publishers, SQLite FULL";
        Figure::at_least(name, rate, REQUIRED_RATE, "/s")
    } else {
        let name = "stored publishes with 64 publishers ÷ bare loop with 64 rows a commit";
        Figure::at_least(name, rate / bare, REQUIRED_SHARE, " ×")
    };
    vec![speed, Figure::faultless("stored publishes: order and completeness", measured.tally())]
}
