//! The figures of an Admin UI: what there is, and what happened in each second.

use serde::Serialize;

use santral_core::socketio::Namespace;
use santral_schema::reason::DisconnectReason;
use santral_schema::stats::Stats;

use crate::hub::Hub;
use crate::hub::shard_thread::Sightings;

/// What the page is told of the server. The names are those of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerStats {
    server_id: String,
    hostname: String,
    pid: u32,
    /// Seconds.
    uptime: f64,
    clients_count: usize,
    polling_clients_count: usize,
    aggregated_events: Vec<AggregatedEvent>,
    namespaces: Vec<NamespaceStats>,
}

/// What happened in one second.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedEvent {
    /// The second, in milliseconds since 1970.
    timestamp: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_type: Option<&'static str>,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceStats {
    name: String,
    sockets_count: usize,
}

impl ServerStats {
    pub(super) fn new(hub: &Hub, seen: &[Sightings], events: &mut Events) -> Self {
        let mut namespaces = std::collections::BTreeMap::<Namespace, usize>::new();
        let (mut clients, mut polled) = (0, 0);
        for part in seen {
            let on_engines: usize = part.engines.sockets.values().sum();
            let others = part.connections.saturating_sub(on_engines);
            clients += others + part.engines.connections;
            polled += part.polled + part.engines.polled;
            // All other transports are in the usual namespace.
            *namespaces.entry(Namespace::ROOT).or_default() += others;
            for (name, sockets) in &part.engines.sockets {
                *namespaces.entry(name.clone()).or_default() += sockets;
            }
        }
        let node = hub.options.node.clone();
        let named =
            |(name, sockets_count): (Namespace, usize)| NamespaceStats { name: name.to_string(), sockets_count };
        Self {
            server_id: node.clone(),
            hostname: node,
            pid: std::process::id(),
            uptime: hub.uptime().as_secs_f64(),
            clients_count: clients,
            polling_clients_count: polled,
            aggregated_events: std::mem::take(&mut events.collected),
            namespaces: namespaces.into_iter().map(named).collect(),
        }
    }
}

/// Collects what happened, second by second.
#[derive(Debug, Default)]
pub(super) struct Events {
    before: Option<Totals>,
    collected: Vec<AggregatedEvent>,
}

/// Totals since the start of the server.
#[derive(Debug, Clone, Copy)]
struct Totals {
    started: u64,
    ended: [u64; DisconnectReason::ALL.len()],
    /// Messages and bytes, in and out.
    traffic: [u64; 4],
}

/// What [`Totals::traffic`] counts, in its order.
const TRAFFIC: [&str; 4] = ["packetsIn", "packetsOut", "bytesIn", "bytesOut"];

impl Events {
    /// Notes what the latest figures say that happened since those before.
    pub(super) fn note(&mut self, hub: &Hub, stats: &Stats) {
        let ended = DisconnectReason::ALL.map(|reason| hub.metrics.connections_ended.of(reason).get());
        let traffic = [
            stats.messages.in_total,
            stats.deliveries.total,
            stats.messages.bytes_in_total,
            stats.deliveries.bytes_total,
        ];
        let now = Totals { started: stats.connections.started_total, ended, traffic };
        let second = Hub::wall_clock().0.div_euclid(1_000_000) * 1_000;
        self.add(now, second);
    }

    fn add(&mut self, now: Totals, timestamp: i64) {
        // What was before the page came is none of its business.
        let Some(before) = self.before.replace(now) else { return };
        let mut push = |kind, sub_type, now: u64, before: u64| {
            let count = now.saturating_sub(before);
            if count > 0 {
                self.collected.push(AggregatedEvent { timestamp, kind, sub_type, count });
            }
        };
        push("rawConnection", None, now.started, before.started);
        for reason in DisconnectReason::ALL {
            let index = reason.index();
            push("rawDisconnection", Some(reason.name()), now.ended[index], before.ended[index]);
        }
        for (index, kind) in TRAFFIC.into_iter().enumerate() {
            push(kind, None, now.traffic[index], before.traffic[index]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_tells_what_it_added_to_the_totals() {
        let mut events = Events::default();
        let mut totals = Totals { started: 7, ended: [1; DisconnectReason::ALL.len()], traffic: [5; 4] };
        events.add(totals, 1_000);
        events.add(totals, 2_000);
        assert_eq!(events.collected, [], "nothing has happened since the page came");
        totals.started += 2;
        totals.ended[DisconnectReason::Kicked.index()] += 1;
        totals.traffic = [5, 6, 5, 105];
        events.add(totals, 3_000);
        let event = |kind, sub_type, count| AggregatedEvent { timestamp: 3_000, kind, sub_type, count };
        let expected = [
            event("rawConnection", None, 2),
            event("rawDisconnection", Some("kicked"), 1),
            event("packetsOut", None, 1),
            event("bytesOut", None, 100),
        ];
        assert_eq!(events.collected, expected);
    }
}
