//! Santral's own WebSocket and long polls beside its event streams; nothing is required of them.

use super::Bench;
use super::crowds::{self, Crowd};
use crate::dialect::Transport;
use crate::error::Result;
use crate::report::{Figure, Section};
use crate::servers::ServerKind;

const GROUPS: [&[(Transport, usize)]; 4] = [
    &[(Transport::EventStream, 1_000)],
    &[(Transport::WebSocket, 1_000)],
    &[(Transport::EventStream, 200)],
    &[(Transport::LongPoll, 200)],
];

/// Measures Santral with each transport.
///
/// # Errors
/// When a server or the generator fails.
pub fn run(bench: &Bench) -> Result<Vec<Section>> {
    eprintln!("Santral's transports");
    let server = ServerKind::Santral;
    let crowds = GROUPS.map(|groups| Crowd { server, groups });
    let all = crowds::measure(bench, &crowds)?;
    let mut deliveries = crowds::deliveries_section(bench, "Santral's transports: CPU per delivery", &all);
    for measured in &all {
        for (index, in_flight) in crowds::IN_FLIGHT.into_iter().enumerate() {
            let name = format!("{}, {in_flight} in flight: order and completeness", measured.crowd.clients());
            deliveries.figures.push(Figure::faultless(name, measured.deliveries[index].tally));
        }
    }
    let clients = crowds::clients_section(bench, "Santral's transports: idle clients and connects", &all);
    Ok(vec![deliveries, clients])
}
