//! The first packet of a connection.

use crate::engineio::Timing;

/// Tells a client its connection's id and times: these five keys and no other, since clients check.
///
/// `upgrades` says whether a WebSocket may take over. Not closed: it is an answer, or a message, of its own.
#[must_use]
pub fn open_packet(sid: &str, upgrades: bool, timing: &Timing, payload_bytes_max: u32) -> String {
    let upgrades = if upgrades { "[\"websocket\"]" } else { "[]" };
    format!(
        "0{{\"sid\":\"{sid}\",\"upgrades\":{upgrades},\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{payload_bytes_max}}}",
        timing.ping_interval.as_millis(),
        timing.ping_timeout.as_millis(),
    )
}
