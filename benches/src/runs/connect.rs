//! CPU to open and close one stream: streams come and go in waves.

use std::time::Duration;

use super::Bench;
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, median, number};
use crate::servers::ServerKind;

const CONNECTS: usize = 20_000;
const WAVE: usize = 500;
/// Time for a server to notice that a wave left.
const SETTLE: Duration = Duration::from_millis(300);

/// Measures all servers in turn within each round.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    eprintln!("connect and disconnect");
    let mut costs: Vec<(ServerKind, Vec<f64>)> =
        bench.event_stream_servers().into_iter().map(|kind| (kind, Vec::new())).collect();
    for _ in 0..bench.rounds {
        for (kind, micros) in &mut costs {
            micros.push(measure(bench, *kind)?);
        }
    }
    let cost = |wanted: ServerKind| {
        let found = costs.iter().find(|(kind, _)| *kind == wanted);
        found.map_or(f64::NAN, |(_, micros)| median(micros))
    };
    let mut figures = Vec::new();
    if bench.servers.contains(&ServerKind::Santral) {
        let ratio = cost(ServerKind::Santral) / cost(ServerKind::Nchan);
        figures.push(Figure::at_most("connect + disconnect: CPU ÷ nchan", ratio, 1.5, " ×"));
    }
    let rows = costs.iter().map(|(kind, micros)| vec![kind.name().to_owned(), number(median(micros))]).collect();
    Ok(Section {
        title: "Connect and disconnect",
        note: format!(
            "{} streams in waves of {WAVE}, each closed by the client after the response head; \
             CPU of the server until it has noticed, median of {} rounds.",
            number(bench.scaled(CONNECTS) as f64),
            bench.rounds,
        ),
        columns: vec!["server", "µs per stream"],
        rows,
        figures,
    })
}

/// Microseconds of CPU for one stream.
fn measure(bench: &Bench, kind: ServerKind) -> Result<f64> {
    let mut stage = bench.stage(kind, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    let wave = |stage: &mut super::Stage| -> Result<()> {
        stage.open_readers(WAVE)?;
        stage.swarm.close_readers();
        stage.swarm.turn_while(SETTLE, |_| true)?;
        Ok(())
    };
    wave(&mut stage)?;
    let before = stage.processes().cpu_seconds()?;
    let waves = bench.scaled(CONNECTS / WAVE);
    for _ in 0..waves {
        wave(&mut stage)?;
    }
    let cpu = stage.processes().cpu_seconds()? - before;
    Ok(cpu * 1e6 / (waves * WAVE) as f64)
}
