//! What clients of one transport or more cost a server: a delivery, an idle client, a connect.
//!
//! Shared by the runs that compare transports. Publications are stored where the server stores.

use std::time::Duration;

use super::{Bench, Publisher, Stage};
use crate::dialect::{Entrance, Transport};
use crate::error::Result;
use crate::payload::{EVENT_PAYLOAD_BYTES, Payload};
use crate::report::{Section, median, number};
use crate::servers::{Durability, ServerKind};
use crate::verifier::Tally;

/// Publications in one measurement of deliveries, however many are in flight.
const PUBLICATIONS: usize = 400;
/// Publications before it, as a part of these: a rival compiles as it runs.
const WARM_UP_PART: usize = 4;
/// Clients opened and closed first, so that what a server allocates once is in the base; few, since the
/// memory that they leave is used again.
const WARM_UP_CLIENTS: usize = 20;
const SETTLE: Duration = Duration::from_secs(2);
/// Waves of clients that come and go.
const WAVES: usize = 10;
/// Most clients of a wave.
const WAVE_MAX: usize = 500;
/// Time for a server to notice that a wave left.
const WAVE_SETTLE: Duration = Duration::from_millis(300);

/// How many publications are in flight.
pub const IN_FLIGHT: [usize; 2] = [1, 10];

/// A server and its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// The server.
    pub server: ServerKind,
    /// How many clients of which transports.
    pub groups: &'static [(Transport, usize)],
}

/// All rounds of one crowd.
#[derive(Debug)]
pub struct Measured {
    /// Who was measured.
    pub crowd: Crowd,
    /// For each of [`IN_FLIGHT`].
    pub deliveries: [Deliveries; 2],
    /// KiB of RSS for an idle client, of each round; only of crowds with one transport.
    pub client_kib: Vec<f64>,
    /// Microseconds of CPU for a client that comes and goes, of each round; only of crowds with one transport.
    pub connect_micros: Vec<f64>,
}

/// All rounds of deliveries.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// CPU-seconds for a million deliveries, of each round.
    pub cpu: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    /// What was found in all rounds.
    pub tally: Tally,
}

/// Measures all crowds in turn within each round.
///
/// # Errors
/// When a server or the generator fails.
pub fn measure(bench: &Bench, crowds: &[Crowd]) -> Result<Vec<Measured>> {
    let mut all: Vec<Measured> = crowds.iter().map(|&crowd| Measured::new(crowd)).collect();
    for round in 1..=bench.rounds {
        eprintln!("round {round}");
        for measured in &mut all {
            if let &[(transport, clients)] = measured.crowd.groups {
                let kib = client_kib(bench, measured.crowd, clients)?;
                let micros = connect_micros(bench, measured.crowd.server, transport, clients)?;
                let who = measured.crowd.clients();
                eprintln!("    {who}: {} KiB per client, {} µs per connect", number(kib), number(micros));
                measured.client_kib.push(kib);
                measured.connect_micros.push(micros);
            }
        }
        for (index, in_flight) in IN_FLIGHT.into_iter().enumerate() {
            for measured in &mut all {
                let crowd = measured.crowd;
                crowd.deliver(bench, in_flight, &mut measured.deliveries[index])?;
            }
        }
    }
    Ok(all)
}

impl Crowd {
    /// The clients in words.
    pub fn clients(&self) -> String {
        let group = |&(transport, count): &(Transport, usize)| format!("{} {}", number(count as f64), transport.name());
        self.groups.iter().map(group).collect::<Vec<_>>().join(" + ")
    }

    fn open(&self, bench: &Bench, publishers: usize) -> Result<Stage> {
        let mut stage = bench.stage(self.server, Payload::new(EVENT_PAYLOAD_BYTES), publishers)?;
        for &(transport, clients) in self.groups {
            stage.open_clients(transport, clients)?;
        }
        Ok(stage)
    }

    fn deliver(&self, bench: &Bench, in_flight: usize, deliveries: &mut Deliveries) -> Result<()> {
        let mut stage = self.open(bench, in_flight)?;
        let mut publishers: Vec<Publisher> = (0..in_flight as u64)
            .map(|number| stage.open_publisher(number, Durability::Stored))
            .collect::<Result<_>>()?;
        let each = bench.scaled(PUBLICATIONS / in_flight);
        stage.publish_in_flight(&mut publishers, (each / WARM_UP_PART).max(3) as u64)?;
        stage.swarm.reset_latency();
        let before = stage.processes().cpu_seconds()?;
        stage.publish_in_flight(&mut publishers, each as u64)?;
        let cpu = stage.processes().cpu_seconds()? - before;
        let clients = stage.swarm.readers();
        let latency = stage.swarm.latency();
        let cpu_per_million = cpu * 1e6 / (each * in_flight * clients) as f64;
        eprintln!("    {}, {in_flight} in flight: {} CPU-s/10⁶", self.clients(), number(cpu_per_million));
        deliveries.cpu.push(cpu_per_million);
        deliveries.p50_ms.push(latency.quantile_ms(0.5));
        deliveries.p99_ms.push(latency.quantile_ms(0.99));
        let last: Vec<u64> = publishers.iter().map(Publisher::sequence).collect();
        deliveries.tally.add(stage.swarm.finish(0..clients, &last));
        Ok(())
    }
}

fn client_kib(bench: &Bench, crowd: Crowd, clients: usize) -> Result<f64> {
    let mut stage = bench.stage(crowd.server, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    for &(transport, _) in crowd.groups {
        stage.open_clients(transport, WARM_UP_CLIENTS)?;
    }
    let mut publishers = [stage.open_publisher(0, Durability::Stored)?];
    stage.publish_in_flight(&mut publishers, 5)?;
    stage.swarm.close_readers();
    stage.settle(SETTLE)?;
    let base = stage.processes().rss_bytes()?;
    for &(transport, clients) in crowd.groups {
        stage.open_clients(transport, clients)?;
    }
    stage.settle(SETTLE)?;
    let open = stage.processes().rss_bytes()?;
    Ok((open as f64 - base as f64) / clients as f64 / 1024.0)
}

/// A client counts as connected when it is let in; a Socket.IO client joins no room here.
fn connect_micros(bench: &Bench, server: ServerKind, transport: Transport, clients: usize) -> Result<f64> {
    let mut stage = bench.stage(server, Payload::new(EVENT_PAYLOAD_BYTES), 1)?;
    let entrance = Entrance { room: None, ..server.entrance(transport) };
    let clients = clients.min(WAVE_MAX);
    let wave = |stage: &mut Stage| -> Result<()> {
        stage.swarm.open_readers(&entrance, clients)?;
        stage.swarm.close_readers();
        stage.swarm.turn_while(WAVE_SETTLE, |_| true)?;
        Ok(())
    };
    // The first clients of a server cost more, above all where code is compiled as it runs.
    wave(&mut stage)?;
    wave(&mut stage)?;
    let before = stage.processes().cpu_seconds()?;
    let waves = bench.scaled(WAVES);
    for _ in 0..waves {
        wave(&mut stage)?;
    }
    let cpu = stage.processes().cpu_seconds()? - before;
    Ok(cpu * 1e6 / (waves * clients) as f64)
}

impl Measured {
    fn new(crowd: Crowd) -> Self {
        Self { crowd, deliveries: Default::default(), client_kib: Vec::new(), connect_micros: Vec::new() }
    }
}

/// The table of deliveries.
pub fn deliveries_section(bench: &Bench, title: &'static str, all: &[Measured]) -> Section {
    let row = |measured: &Measured, index: usize| {
        let deliveries: &Deliveries = &measured.deliveries[index];
        vec![
            measured.crowd.clients(),
            IN_FLIGHT[index].to_string(),
            measured.crowd.server.name().to_owned(),
            number(median(&deliveries.cpu)),
            runs(&deliveries.cpu),
            number(median(&deliveries.p50_ms)),
            number(median(&deliveries.p99_ms)),
            deliveries.tally.describe(),
        ]
    };
    let rows = (0..IN_FLIGHT.len()).flat_map(|index| all.iter().map(move |measured| row(measured, index)));
    Section {
        title,
        note: format!(
            "CPU-seconds of the server per million deliveries of {} publications, by 1 or 10 publishers each of \
             which goes on when all clients have its last publication; Santral stores each. Median and all of \
             {} rounds.",
            number(bench.scaled(PUBLICATIONS) as f64),
            bench.rounds,
        ),
        columns: vec!["clients", "in flight", "server", "CPU-s/10⁶", "runs", "p50 ms", "p99 ms", "check"],
        rows: rows.collect(),
        figures: Vec::new(),
    }
}

/// The table of idle clients and connects.
pub fn clients_section(bench: &Bench, title: &'static str, all: &[Measured]) -> Section {
    let single = all.iter().filter(|measured| !measured.client_kib.is_empty());
    let row = |measured: &Measured| {
        vec![
            measured.crowd.clients(),
            measured.crowd.server.name().to_owned(),
            number(median(&measured.client_kib)),
            runs(&measured.client_kib),
            number(median(&measured.connect_micros)),
            runs(&measured.connect_micros),
        ]
    };
    Section {
        title,
        note: format!(
            "VmRSS of as many idle clients above that after {WARM_UP_CLIENTS} clients came and went; and CPU of \
             the server for clients that come, in {} waves of at most {WAVE_MAX}, until they are let in, and go. \
             Median and all of {} rounds.",
            bench.scaled(WAVES),
            bench.rounds,
        ),
        columns: vec!["clients", "server", "KiB per client", "runs", "µs per connect", "runs"],
        rows: single.map(row).collect(),
        figures: Vec::new(),
    }
}

fn runs(values: &[f64]) -> String {
    values.iter().map(|&value| number(value)).collect::<Vec<_>>().join(", ")
}
