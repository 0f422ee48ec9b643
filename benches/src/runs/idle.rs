//! Memory per idle stream: 10,000 streams that receive nothing.

use std::time::Duration;

use super::Bench;
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, number};
use crate::servers::{Durability, ServerKind};

const STREAMS: usize = 10_000;
/// Streams opened and closed first, so that what a server allocates once is in the base.
const WARM_UP_STREAMS: usize = 200;
const SETTLE: Duration = Duration::from_secs(2);

/// Measures resident memory with and without the streams.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    let streams = bench.scaled(STREAMS);
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    eprintln!("memory of {streams} idle streams");
    for kind in bench.event_stream_servers() {
        let [base, open, closed] = measure(bench, kind, streams)?;
        let per_stream = (open as f64 - base as f64) / streams as f64 / 1024.0;
        rows.push(vec![
            kind.name().to_owned(),
            mebibytes(base),
            mebibytes(open),
            mebibytes(closed),
            number(per_stream),
        ]);
        if kind == ServerKind::Santral {
            let name = "RSS per idle stream above base";
            figures.push(Figure::at_most(name, per_stream, 1.0, " KiB"));
        }
    }
    Ok(Section {
        title: "Memory per idle stream",
        note: format!(
            "VmRSS of the server's processes: base after {WARM_UP_STREAMS} streams and a \
             publication came and went, then with {} idle streams, then with these closed. \
             The kernel's socket memory is not in it.",
            number(streams as f64),
        ),
        columns: vec!["server", "base MiB", "open MiB", "closed MiB", "KiB per stream"],
        rows,
        figures,
    })
}

fn measure(bench: &Bench, kind: ServerKind, streams: usize) -> Result<[u64; 3]> {
    let mut stage = bench.stage(kind, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    stage.open_readers(WARM_UP_STREAMS)?;
    let mut publisher = stage.open_publisher(0, Durability::Volatile)?;
    stage.publish_in_turn(&mut publisher, 5)?;
    stage.swarm.close_readers();
    let settle = |stage: &mut super::Stage| stage.swarm.turn_while(SETTLE, |_| true);
    settle(&mut stage)?;
    let base = stage.processes().rss_bytes()?;
    stage.open_readers(streams)?;
    settle(&mut stage)?;
    let open = stage.processes().rss_bytes()?;
    stage.swarm.close_readers();
    settle(&mut stage)?;
    Ok([base, open, stage.processes().rss_bytes()?])
}

fn mebibytes(bytes: u64) -> String {
    number(bytes as f64 / 1024.0 / 1024.0)
}
