//! 1,000 calls of four: each participant sends signals to the three others, on Santral and on npm `peer`.

use std::time::Duration;

use super::Bench;
use crate::error::Result;
use crate::payload::Payload;
use crate::report::{Figure, Section, median, number};
use crate::servers::{self, Server, ServerKind};
use crate::signalling::{Hall, PER_ROOM, ROOMS, Way};
use crate::verifier::Tally;

/// The mean of what browsers send: of 2,141 signals of real calls 14 in 100 were offers and answers of up to 5.8 KB,
/// the rest candidates and their ends.
const SIGNAL_BYTES: usize = 800;
/// Each participant sends one a second: as after a restart of everything, when all negotiate anew, for long.
const PER_SECOND: u64 = 4_000;
const SECONDS: u64 = 20;
const WARM_UP_SECONDS: u64 = 2;
/// Before memory and after joining: until what joining has left behind is gone.
const REST: Duration = Duration::from_secs(2);

struct Measured {
    way: Way,
    micros: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    idle_kib: Vec<f64>,
    loaded_mib: Vec<f64>,
    tally: Tally,
}

/// Measures all ways in turn within each round.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Section> {
    eprintln!("signals between participants of calls");
    let is_asked = |way: &Way| bench.servers.contains(&way.server());
    let mut all: Vec<Measured> = Way::ALL.into_iter().filter(is_asked).map(Measured::new).collect();
    for _ in 0..bench.rounds {
        for measured in &mut all {
            measured.add_round(bench)?;
        }
    }
    Ok(Section {
        title: "Signals between participants of calls",
        note: format!(
            "{} rooms of {PER_ROOM}; everybody sends {SIGNAL_BYTES}-byte signals to the three others in turn, {} a second in \
             all for {SECONDS} s; latency from when a signal was due to its receipt; medians of {} rounds. With SSE \
             and POST, the posts come over 64 kept connections, as behind a proxy. The rival: {}.",
            number(bench.scaled(ROOMS) as f64),
            number(per_second(bench) as f64),
            bench.rounds,
            servers::peerjs_versions(&bench.launch),
        ),
        columns: vec![
            "server",
            "CPU µs per signal",
            "p50 ms",
            "p99 ms",
            "KiB per participant",
            "MiB after all",
            "check",
        ],
        rows: all.iter().map(Measured::row).collect(),
        figures: figures(&all),
    })
}

fn figures(all: &[Measured]) -> Vec<Figure> {
    let mut figures = Vec::new();
    let rival = all.iter().find(|measured| measured.way.server() == ServerKind::PeerJs);
    for santral in all.iter().filter(|measured| measured.way.server() == ServerKind::Santral) {
        let name = santral.way.name();
        figures.push(Figure::faultless(format!("signals, {name}: order and completeness"), santral.tally));
        if let (Way::WebSocket, Some(rival)) = (santral.way, rival) {
            let ratio = median(&santral.micros) / median(&rival.micros);
            figures.push(Figure::at_most(format!("signals, {name}: CPU ÷ npm peer"), ratio, 1.0, " ×"));
            let memory = median(&santral.loaded_mib) / median(&rival.loaded_mib);
            figures.push(Figure::at_most(format!("signals, {name}: memory ÷ npm peer"), memory, 1.0, " ×"));
        }
    }
    figures
}

/// A quick run has fewer rooms; each participant is as busy.
fn per_second(bench: &Bench) -> u64 {
    bench.scaled(PER_SECOND as usize) as u64
}

impl Measured {
    fn new(way: Way) -> Self {
        Self {
            way,
            micros: Vec::new(),
            p50_ms: Vec::new(),
            p99_ms: Vec::new(),
            idle_kib: Vec::new(),
            loaded_mib: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn add_round(&mut self, bench: &Bench) -> Result<()> {
        eprintln!("  {} …", self.way.name());
        let mut launch = bench.launch.clone();
        launch.santral_env.extend(ROOM_FOR_ALL.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let server = Server::start(self.way.server(), &launch)?;
        let processes = server.processes();
        let (rooms, per_second) = (bench.scaled(ROOMS), per_second(bench));
        let empty = processes.rss_bytes()? as f64;
        let mut hall = Hall::new(server.address(), self.way, Payload::new(SIGNAL_BYTES))?;
        hall.open(rooms)?;
        hall.rest(REST)?;
        let idle = processes.rss_bytes()? as f64;
        hall.signal(per_second * WARM_UP_SECONDS, per_second)?;
        hall.take_latency();
        let before = processes.cpu_seconds()?;
        hall.signal(per_second * SECONDS, per_second)?;
        let cpu = processes.cpu_seconds()? - before;
        let latency = hall.take_latency();
        self.micros.push(cpu * 1e6 / (per_second * SECONDS) as f64);
        self.p50_ms.push(latency.quantile_ms(0.5));
        self.p99_ms.push(latency.quantile_ms(0.99));
        self.idle_kib.push((idle - empty) / 1024.0 / (rooms * PER_ROOM) as f64);
        self.loaded_mib.push(processes.rss_bytes()? as f64 / 1024.0 / 1024.0);
        self.tally.add(hall.finish());
        Ok(())
    }

    fn row(&self) -> Vec<String> {
        let numbers = [&self.micros, &self.p50_ms, &self.p99_ms, &self.idle_kib, &self.loaded_mib];
        let numbers = numbers.map(|values| number(median(values)));
        [self.way.name().to_owned()].into_iter().chain(numbers).chain([self.tally.describe()]).collect()
    }
}

/// All rooms are made by the same nobody.
const ROOM_FOR_ALL: [(&str, &str); 1] = [("SANTRAL_VIDEO_ROOMS_PER_PRINCIPAL", "1000")];
