//! What 20 readers that never read do to 200 that do, and to the server's memory.
//!
//! Publications are 2 KiB here, so that the stalled readers' backlog is far beyond what kernels
//! buffer. Afterwards the stalled readers read again, and it is counted how many have everything.

use std::time::Duration;

use super::{Bench, Stage};
use crate::error::Result;
use crate::payload::Payload;
use crate::report::{Figure, Section, median, number};
use crate::servers::{Durability, ServerKind};
use crate::verifier::Tally;

const READERS: usize = 220;
const STALLED: usize = 20;
const DATA_BYTES: usize = 2_048;
const RATE: u64 = 250;
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);
/// "Memory flat": growth over the run without stalled readers, against a backlog of 80 MiB.
const GROWTH_MAX_MIB: f64 = 2.0;

struct Sample {
    p50_ms: f64,
    p99_ms: f64,
    growth_mib: f64,
    tally: Tally,
    caught_up: usize,
    ended: usize,
}

/// Runs each server with and without stalled readers, in turn within each round.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    for kind in bench.event_stream_servers() {
        eprintln!("stalled readers: {}", kind.name());
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..bench.rounds {
            samples[0].push(sample(bench, kind, 0)?);
            samples[1].push(sample(bench, kind, STALLED)?);
        }
        rows.push(row(kind, 0, &samples[0]));
        rows.push(row(kind, STALLED, &samples[1]));
        if kind == ServerKind::Santral {
            figures = required(&samples);
        }
    }
    Ok(Section {
        title: "Stalled readers",
        note: format!(
            "{READERS} readers, {RATE} publications/s of {DATA_BYTES} bytes for {} s (Santral: \
             stored), with and without {STALLED} readers that never read; latency, check and \
             growth of VmRSS are taken while they stall, medians of {} rounds. *Caught up*: \
             stalled readers that had every publication {} s after they read again.",
            seconds(bench),
            bench.rounds,
            CATCH_UP_WITHIN.as_secs(),
        ),
        columns: vec![
            "server",
            "stalled",
            "others' p50 ms",
            "others' p99 ms",
            "RSS growth MiB",
            "check",
            "caught up",
            "ended by server",
        ],
        rows,
        figures,
    })
}

fn seconds(bench: &Bench) -> u64 {
    if bench.quick { 3 } else { 8 }
}

fn sample(bench: &Bench, kind: ServerKind, stalled: usize) -> Result<Sample> {
    let mut stage = bench.stage(kind, Payload::new(DATA_BYTES), 1)?;
    stage.open_readers(READERS)?;
    let mut publisher = stage.open_publisher(0, Durability::Stored)?;
    stage.publish_in_turn(&mut publisher, 100)?;
    stage.swarm.stall(0..stalled)?;
    stage.swarm.reset_latency();
    let rss_before = stage.processes().rss_bytes()?;
    let delivered_before = stage.swarm.delivered();
    let total = RATE * seconds(bench);
    let start_ns = stage.swarm.now_ns();
    for index in 0..total {
        let due_ns = start_ns + index * 1_000_000_000 / RATE;
        while stage.swarm.now_ns() < due_ns || publisher.pending(&stage.swarm) >= 64 {
            stage.swarm.turn_until(due_ns)?;
            while stage.swarm.next_completion().is_some() {}
        }
        publisher.publish_stamped(&mut stage.swarm, due_ns)?;
    }
    let expected = delivered_before + total * (READERS - stalled) as u64;
    stage.swarm.turn_while(DRAIN_WITHIN, |swarm| swarm.delivered() < expected)?;
    let rss_after = stage.processes().rss_bytes()?;
    let latency = stage.swarm.latency();
    let (p50_ms, p99_ms) = (latency.quantile_ms(0.5), latency.quantile_ms(0.99));
    let tally = stage.swarm.finish(stalled..READERS, &[publisher.sequence()]);
    let (caught_up, ended) = catch_up(&mut stage, stalled, publisher.sequence())?;
    let growth_mib = (rss_after as f64 - rss_before as f64) / 1024.0 / 1024.0;
    Ok(Sample { p50_ms, p99_ms, growth_mib, tally, caught_up, ended })
}

/// Lets the stalled readers read again; returns how many have all, and how many were cut off.
fn catch_up(stage: &mut Stage, stalled: usize, last: u64) -> Result<(usize, usize)> {
    stage.swarm.unstall(0..stalled)?;
    stage.swarm.turn_while(CATCH_UP_WITHIN, |swarm| {
        let (whole, ended) = swarm.caught_up(0..stalled, last);
        whole + ended < stalled
    })?;
    Ok(stage.swarm.caught_up(0..stalled, last))
}

fn medians(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(value).collect::<Vec<_>>())
}

fn total(samples: &[Sample]) -> Tally {
    let mut tally = Tally::default();
    samples.iter().for_each(|sample| tally.add(sample.tally));
    tally
}

fn row(kind: ServerKind, stalled: usize, samples: &[Sample]) -> Vec<String> {
    let all = stalled * samples.len();
    let caught_up: usize = samples.iter().map(|sample| sample.caught_up).sum();
    let ended: usize = samples.iter().map(|sample| sample.ended).sum();
    vec![
        kind.name().to_owned(),
        stalled.to_string(),
        number(medians(samples, |sample| sample.p50_ms)),
        number(medians(samples, |sample| sample.p99_ms)),
        number(medians(samples, |sample| sample.growth_mib)),
        total(samples).describe(),
        format!("{caught_up} of {all}"),
        ended.to_string(),
    ]
}

fn required(samples: &[Vec<Sample>; 2]) -> Vec<Figure> {
    let [without, with] = samples;
    let p99 = |samples| medians(samples, |sample| sample.p99_ms);
    let growth = |samples| medians(samples, |sample| sample.growth_mib);
    let slower = p99(with) / p99(without);
    let grown = growth(with) - growth(without);
    let mut tally = total(without);
    tally.add(total(with));
    vec![
        Figure::at_most("20 of 220 stalled: others' p99 ÷ without", slower, 1.2, " ×"),
        Figure::at_most("20 of 220 stalled: growth of RSS", grown, GROWTH_MAX_MIB, " MiB"),
        Figure::faultless("20 of 220 stalled: others' order and completeness", tally),
    ]
}
