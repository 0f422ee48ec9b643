//! Socket.IO clients on Santral and on npm socket.io, both in one run.

use super::Bench;
use super::crowds::{self, Crowd, Deliveries, Measured};
use crate::dialect::Transport;
use crate::error::Result;
use crate::report::{Figure, Section, median};
use crate::servers::{self, ServerKind};

const WEBSOCKETS: (Transport, usize) = (Transport::SocketIoWebSocket, 1_000);
const POLLING: (Transport, usize) = (Transport::SocketIoPolling, 200);
const GROUPS: [&[(Transport, usize)]; 3] = [&[WEBSOCKETS], &[POLLING], &[WEBSOCKETS, POLLING]];

/// CPU per delivery with as many publications in flight as [`crowds::IN_FLIGHT`] says.
const CPU_MAX: [f64; 2] = [0.8, 0.35];
const MEMORY_MAX: f64 = 0.7;
const CONNECT_MAX: f64 = 0.25;

/// Measures both servers with each crowd.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Vec<Section>> {
    eprintln!("Socket.IO clients");
    let servers = bench.among(&[ServerKind::SocketIo, ServerKind::Santral]);
    let crowds: Vec<Crowd> =
        GROUPS.iter().flat_map(|&groups| servers.iter().map(move |&server| Crowd { server, groups })).collect();
    let all = crowds::measure(bench, &crowds)?;
    let mut deliveries = crowds::deliveries_section(bench, "Socket.IO: CPU per delivery", &all);
    let versions = servers::socketio_versions(&bench.launch);
    deliveries.note = format!("{} The rival: {versions}.", deliveries.note);
    let mut clients = crowds::clients_section(bench, "Socket.IO: idle clients and connects", &all);
    for (rival, santral) in pairs(&all) {
        add_figures(rival, santral, &mut deliveries, &mut clients);
    }
    Ok(vec![deliveries, clients])
}

/// The rival and Santral with the same clients.
fn pairs(all: &[Measured]) -> impl Iterator<Item = (&Measured, &Measured)> {
    let of = |server: ServerKind| all.iter().filter(move |measured| measured.crowd.server == server);
    of(ServerKind::SocketIo).zip(of(ServerKind::Santral))
}

fn add_figures(rival: &Measured, santral: &Measured, deliveries: &mut Section, clients: &mut Section) {
    let who = santral.crowd.clients();
    for (index, in_flight) in crowds::IN_FLIGHT.into_iter().enumerate() {
        let of = |measured: &Measured| median(&measured.deliveries[index].cpu);
        let name = format!("Socket.IO, {who}, {in_flight} in flight");
        let ratio = of(santral) / of(rival);
        deliveries.figures.push(Figure::at_most(
            format!("{name}: CPU per delivery ÷ npm"),
            ratio,
            CPU_MAX[index],
            " ×",
        ));
        let Deliveries { tally, .. } = santral.deliveries[index];
        deliveries.figures.push(Figure::faultless(format!("{name}: order and completeness"), tally));
    }
    let [(transport, _)] = santral.crowd.groups else {
        return;
    };
    let memory = median(&santral.client_kib) / median(&rival.client_kib);
    if *transport == Transport::SocketIoWebSocket {
        clients.figures.push(Figure::at_most(format!("Socket.IO, {who}: memory ÷ npm"), memory, MEMORY_MAX, " ×"));
    }
    let connect = median(&santral.connect_micros) / median(&rival.connect_micros);
    clients.figures.push(Figure::at_most(format!("Socket.IO, {who}: connect ÷ npm"), connect, CONNECT_MAX, " ×"));
}
