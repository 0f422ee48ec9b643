//! `santral doctor`: looks for what keeps a server, or the way to it, from working, and says what to do.
//!
//! | file | what |
//! |---|---|
//! | `check`, `report` | the checks by name, and what was found |
//! | `local/` | this machine: files, disk, database, clock, limits, address |
//! | `remote/` | a public address from outside, by real HTTP |
//! | `client`, `event_stream` | HTTP and streams as a client sees them |
//! | `culprit` | which proxy is on the way, and the line that mends it |
//!
//! Changes nothing but a scratch file, and logs nothing. The command line calls it and brings what it
//! may not reach itself: the configuration, and what the store says of the database.

mod check;
mod client;
mod culprit;
mod event_stream;
pub mod local;
pub mod remote;
mod report;

pub use check::{Check, Place, reference};
pub use report::{Finding, Outcome, Report};

/// As people read it: microseconds, milliseconds or seconds.
fn span_text(span: std::time::Duration) -> String {
    match span.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        micros @ 10_000..1_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// As people read it: a number of bytes in binary units.
fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1_024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// The middle of so many measurements; `None` of none.
fn median(mut times: Vec<std::time::Duration>) -> Option<std::time::Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn spans_and_sizes_read_well() {
        let spans = [12, 1_250, 35_000, 35_400_000].map(|micros| span_text(Duration::from_micros(micros)));
        assert_eq!(spans, ["12 µs", "1.2 ms", "35 ms", "35.4 s"]);
        let sizes = [512, 1_536, 3 << 30, 5 << 40].map(bytes_text);
        assert_eq!(sizes, ["0.5 KiB", "1.5 KiB", "3.0 GiB", "5.0 TiB"]);
    }

    #[test]
    fn the_median_is_the_middle() {
        let times = [5, 1, 9].map(Duration::from_millis);
        assert_eq!(median(times.to_vec()), Some(Duration::from_millis(5)));
        assert_eq!(median(Vec::new()), None);
    }
}
