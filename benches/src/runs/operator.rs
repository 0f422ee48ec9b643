//! What the operator waits for while as many clients are connected as the machine allows.
//!
//! Each question is asked one at a time over a connection of its own, with the streams idle.

use std::time::Duration;

use super::{Bench, Stage};
use crate::clock::nanoseconds;
use crate::error::{BenchError, Result};
use crate::histogram::Histogram;
use crate::http;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Figure, Section, number};
use crate::servers::ServerKind;

/// As many as 20,000 descriptors on each side allow beside the server's plain connections and reserve.
const STREAMS: usize = 15_000;
const ASKED: usize = 50;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The questions: what is asked, and how.
const QUESTIONS: [(&str, &str); 6] = [
    ("first page of 100", "/api/connections"),
    ("page of 1,000", "/api/connections?limit=1000"),
    ("filter by channel", "/api/connections?channel=bench"),
    ("filter that finds nobody", "/api/connections?user=nobody"),
    ("filter by network", "/api/connections?ip=203.0.113.0/24"),
    ("search that finds nobody", "/api/connections?q=no-such-program"),
];

/// Measures the answers to each question.
///
/// # Errors
/// When the server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    let streams = bench.scaled(STREAMS);
    let mut rows = Vec::new();
    let mut slowest = 0.0_f64;
    eprintln!("the operator's questions beside {streams} streams");
    if bench.servers.contains(&ServerKind::Santral) {
        let mut stage = bench.stage(ServerKind::Santral, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
        stage.open_readers(streams)?;
        for (what, path) in QUESTIONS {
            let latency = ask(&mut stage, path)?;
            let max_ms = latency.max_ns() as f64 / 1e6;
            slowest = slowest.max(max_ms);
            rows.push(vec![what.to_owned(), number(latency.quantile_ms(0.5)), number(max_ms)]);
        }
    }
    Ok(Section {
        title: "The operator's questions",
        note: format!(
            "GET /api/connections with {} open streams, {ASKED} times each, one after the other.",
            number(streams as f64)
        ),
        columns: vec!["question", "p50 ms", "max ms"],
        figures: vec![Figure::at_most("slowest list, filter or search of connections", slowest, 200.0, " ms")],
        rows,
    })
}

fn ask(stage: &mut Stage, path: &str) -> Result<Histogram> {
    let request = http::get(path, "application/json");
    let mut latency = Histogram::default();
    for _ in 0..ASKED {
        let swarm = &mut stage.swarm;
        let requester = swarm.open_requester()?;
        let sent_ns = swarm.now_ns();
        swarm.request(requester, &request, sent_ns)?;
        let deadline_ns = sent_ns + nanoseconds(ANSWER_WITHIN);
        while swarm.pending(requester) > 0 {
            if swarm.now_ns() > deadline_ns {
                return Err(BenchError::Timeout { what: "a list of connections" });
            }
            swarm.turn(Duration::from_millis(10))?;
        }
        while let Some(completion) = swarm.next_completion() {
            latency.record(completion.done_ns - completion.sent_ns);
        }
    }
    Ok(latency)
}
