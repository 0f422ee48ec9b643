//! The highest rate to 1,000 readers that a server keeps up with on one core.
//!
//! Publications are due at fixed times whether or not the server is ready (open loop) and are
//! stamped with the time at which they were due, so a server that falls behind shows it. The
//! publisher pipelines on one connection, which keeps its order.

use std::time::Duration;

use super::Bench;
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, number};
use crate::servers::{Durability, ServerKind};
use crate::verifier::Tally;

const READERS: usize = 1_000;
/// Requests on the way at once; more are held back and sent late.
const PIPELINE_MAX: usize = 64;
/// Rate at which Santral must keep up, in publications a second.
const REQUIRED_RATE: u64 = 1_000;
/// A run keeps up when it ends at most this much late …
const LATE_MAX: Duration = Duration::from_millis(500);
/// … and 99 of 100 deliveries come within this.
const P99_MAX_MS: f64 = 500.0;
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// Growth of the rate from step to step while a server's limit is sought.
const STEP: f64 = 1.25;

struct Step {
    rate: u64,
    kept_up: bool,
    deliveries_per_second: f64,
    cpu_per_million: f64,
    cpu_share: f64,
    p50_ms: f64,
    p99_ms: f64,
    tally: Tally,
}

/// Finds each server's limit, and checks Santral at the required rate.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    let mut rows = Vec::new();
    let mut best_of_nchan = f64::NAN;
    let mut required = Vec::new();
    for kind in bench.among(&[ServerKind::Floor, ServerKind::Nchan, ServerKind::Santral]) {
        eprintln!("sustained rate to {READERS}: {}", kind.name());
        let is_santral = kind == ServerKind::Santral;
        let start = if is_santral { REQUIRED_RATE } else { 100 };
        for step in climb(bench, kind, start)? {
            rows.push(step.row(kind));
            if kind == ServerKind::Nchan && step.tally.is_clean() {
                best_of_nchan = best_of_nchan.max(step.deliveries_per_second);
            }
            if is_santral && step.rate == REQUIRED_RATE {
                required.push(step);
            }
        }
    }
    let figures = required.iter().flat_map(|step| figures(step, best_of_nchan)).collect();
    Ok(Section {
        title: "Sustained rate to 1,000 readers",
        note: format!(
            "Publications due at a fixed rate for {} s, pipelined on one connection, latency from \
             the time at which each was due. *Kept up*: all delivered in order, the last at most \
             {} ms late, p99 at most {P99_MAX_MS} ms. The rate grows until a server fails twice; \
             `deliveries/s` of a failed step is what the server does under overload.",
            duration(bench).as_secs(),
            LATE_MAX.as_millis(),
        ),
        columns: vec![
            "server",
            "offered/s",
            "kept up",
            "deliveries/s",
            "CPU-s/10⁶",
            "CPU",
            "p50 ms",
            "p99 ms",
            "check",
        ],
        rows,
        figures,
    })
}

fn figures(step: &Step, best_of_nchan: f64) -> Vec<Figure> {
    let kept_up = if step.kept_up { 1.0 } else { 0.0 };
    let ratio = step.deliveries_per_second / best_of_nchan;
    vec![
        Figure::at_least("1,000/s to 1,000 readers on one core kept up with", kept_up, 1.0, ""),
        Figure::faultless("1,000/s to 1,000 readers: order and completeness", step.tally),
        Figure::at_least("sustained deliveries ÷ nchan's best rate", ratio, 4.0, " ×"),
    ]
}

fn climb(bench: &Bench, kind: ServerKind, start: u64) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rate = start;
    let mut failures = 0;
    while failures < 2 && steps.len() < 16 {
        let step = measure(bench, kind, rate)?;
        failures = if step.kept_up { 0 } else { failures + 1 };
        steps.push(step);
        rate = (rate as f64 * STEP) as u64;
    }
    Ok(steps)
}

fn duration(bench: &Bench) -> Duration {
    Duration::from_secs(if bench.quick { 2 } else { 8 })
}

fn measure(bench: &Bench, kind: ServerKind, rate: u64) -> Result<Step> {
    let mut stage = bench.stage(kind, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    stage.open_readers(READERS)?;
    let mut publisher = stage.open_publisher(0, Durability::Volatile)?;
    stage.publish_in_turn(&mut publisher, 20)?;
    let warm_up = stage.swarm.delivered();
    stage.swarm.reset_latency();
    let total = rate * duration(bench).as_secs();
    let interval_ns = 1e9 / rate as f64;
    let cpu_before = stage.processes().cpu_seconds()?;
    let start_ns = stage.swarm.now_ns();
    for index in 0..total {
        let due_ns = start_ns + (index as f64 * interval_ns) as u64;
        while stage.swarm.now_ns() < due_ns || publisher.pending(&stage.swarm) >= PIPELINE_MAX {
            stage.swarm.turn_until(due_ns)?;
            while stage.swarm.next_completion().is_some() {}
        }
        publisher.publish_stamped(&mut stage.swarm, due_ns)?;
    }
    let expected = warm_up + total * READERS as u64;
    stage.swarm.turn_while(DRAIN_WITHIN, |swarm| swarm.delivered() < expected)?;
    let elapsed = Duration::from_nanos(stage.swarm.now_ns() - start_ns);
    let cpu = stage.processes().cpu_seconds()? - cpu_before;
    let delivered = stage.swarm.delivered() - warm_up;
    let latency = stage.swarm.latency();
    let (p50_ms, p99_ms) = (latency.quantile_ms(0.5), latency.quantile_ms(0.99));
    let tally = stage.swarm.finish(0..READERS, &[publisher.sequence()]);
    let in_time = elapsed <= duration(bench) + LATE_MAX && p99_ms <= P99_MAX_MS;
    Ok(Step {
        rate,
        kept_up: in_time && tally.is_clean(),
        deliveries_per_second: delivered as f64 / elapsed.as_secs_f64(),
        cpu_per_million: cpu * 1e6 / delivered as f64,
        cpu_share: cpu / elapsed.as_secs_f64(),
        p50_ms,
        p99_ms,
        tally,
    })
}

impl Step {
    fn row(&self, kind: ServerKind) -> Vec<String> {
        vec![
            kind.name().to_owned(),
            number(self.rate as f64),
            if self.kept_up { "yes" } else { "no" }.to_owned(),
            number(self.deliveries_per_second),
            number(self.cpu_per_million),
            format!("{:.0} %", self.cpu_share * 100.0),
            number(self.p50_ms),
            number(self.p99_ms),
            self.tally.describe(),
        ]
    }
}
