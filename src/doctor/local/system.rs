//! What the operating system allows.

use std::fs;

use crate::config::{Config, Loaded, Origin, Setting};
use crate::doctor::bytes_text;
use crate::doctor::check::Check;
use crate::doctor::report::Finding;

/// Whether the limit on open files allows the streams that are wanted.
pub(super) fn open_files(loaded: &Loaded) -> Finding {
    let (wanted, shares) = (loaded.config.max_connections, loaded.config.descriptors);
    let is_wanted = |setting: &Setting| setting.key == "max_connections" && setting.origin != Origin::Default;
    let remedy = "raise the hard limit: LimitNOFILE=1048576 in the unit, `ulimit -n`, or --ulimit nofile of the \
                  container engine";
    let found = format!(
        "room for {} streams beside {} plain connections, {} in reserve",
        shares.streams, shares.http_connections, shares.reserve
    );
    if shares.streams < wanted {
        return Finding::warn(Check::OpenFiles, format!("max_connections is {wanted}, but there is {found}"), remedy);
    }
    if shares.streams < FEW_STREAMS && !loaded.settings.iter().any(is_wanted) {
        return Finding::warn(Check::OpenFiles, format!("{found}, which is few"), remedy);
    }
    Finding::ok(Check::OpenFiles, found)
}

/// What the kernel allows in connections.
pub(super) fn kernel(config: &Config) -> Finding {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/{name}")).ok();
    let number = |name: &str| read(name)?.trim().parse().ok();
    let ports = read("ipv4/ip_local_port_range").and_then(|text| ports_in(&text));
    judge_kernel(
        config.descriptors.streams as u64,
        number("core/somaxconn"),
        number("netfilter/nf_conntrack_max"),
        ports,
    )
}

fn judge_kernel(streams: u64, accept_queue: Option<u64>, tracked: Option<u64>, ports: Option<u64>) -> Finding {
    if let Some(queue) = accept_queue.filter(|queue| *queue < ACCEPT_QUEUE_WANTED) {
        return Finding::warn(
            Check::Kernel,
            format!(
                "the accept queue holds {queue} connections (net.core.somaxconn): a crowd that comes back is dropped"
            ),
            format!("sysctl -w net.core.somaxconn={ACCEPT_QUEUE_WANTED}"),
        );
    }
    if let Some(tracked) = tracked.filter(|tracked| *tracked < streams.saturating_mul(2).min(TRACKED_WANTED)) {
        return Finding::warn(
            Check::Kernel,
            format!("the firewall tracks {tracked} connections (nf_conntrack_max), and there may be {streams} streams"),
            format!("sysctl -w net.netfilter.nf_conntrack_max={}", streams.saturating_mul(2).min(TRACKED_WANTED)),
        );
    }
    let Some(ports) = ports else {
        return Finding::skipped(Check::Kernel, "this system does not say what it allows");
    };
    let found = format!("a proxy on this machine can hold {ports} connections to the server (ip_local_port_range)");
    // Many more are wanted only where somebody raised limits on purpose.
    if ports < PORTS_WANTED.min(streams) {
        return Finding::warn(Check::Kernel, found, "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"");
    }
    Finding::ok(Check::Kernel, found)
}

/// How many ports lie in "32768\t60999".
fn ports_in(text: &str) -> Option<u64> {
    let mut ends = text.split_whitespace().map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    last.checked_sub(first).map(|count| count + 1)
}

/// Memory for the streams that are wanted.
pub(super) fn memory(config: &Config) -> Finding {
    let free = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let allowed = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    judge_memory(config.descriptors.streams as u64, free, allowed)
}

fn judge_memory(streams: u64, free: Option<u64>, allowed: Option<u64>) -> Finding {
    let Some(usable) = [free, allowed].into_iter().flatten().min() else {
        return Finding::skipped(Check::Memory, "this system does not say how much there is");
    };
    let needed = BASE_BYTES + streams.saturating_mul(STREAM_BYTES);
    let found = format!("{} usable, and {streams} streams need about {}", bytes_text(usable), bytes_text(needed));
    if usable >= needed {
        return Finding::ok(Check::Memory, found);
    }
    let fitting = usable.saturating_sub(BASE_BYTES) / STREAM_BYTES;
    Finding::warn(
        Check::Memory,
        found,
        format!("give it more memory, or set max_connections to at most {}", fitting.max(1)),
    )
}

/// "MemAvailable:   12345 kB", in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// The default limit of 1,024 open files leaves fewer.
const FEW_STREAMS: usize = 1_000;

/// The kernel's own default since Linux 5.4.
const ACCEPT_QUEUE_WANTED: u64 = 4_096;

/// Beyond this, whoever has so many connections has set up the firewall for it.
const TRACKED_WANTED: u64 = 262_144;

/// The kernel's own default range.
const PORTS_WANTED: u64 = 28_232;

/// The process, its database and the rings of recent entries.
const BASE_BYTES: u64 = 160 * 1024 * 1024;

/// One idle stream: the session, and its socket in the kernel.
const STREAM_BYTES: u64 = 6 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Outcome;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(ports_in("32768\t60999\n"), Some(28_232));
        assert_eq!(ports_in("9 1"), None);
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn limits_that_are_too_low_are_told() {
        for (streams, queue, tracked, ports, outcome) in [
            (1_000, Some(4_096), None, Some(28_232), Outcome::Ok),
            (1_000, Some(128), None, Some(28_232), Outcome::Warn),
            (50_000, Some(4_096), Some(65_536), Some(28_232), Outcome::Warn),
            (50_000, Some(4_096), Some(262_144), Some(28_232), Outcome::Ok),
            (50_000, Some(4_096), None, Some(1_000), Outcome::Warn),
            (50_000, None, None, None, Outcome::Skipped),
        ] {
            let finding = judge_kernel(streams, queue, tracked, ports);
            assert_eq!(finding.outcome, outcome, "{finding:?}");
        }
    }

    #[test]
    fn memory_that_does_not_do_is_told_with_what_would_fit() {
        assert_eq!(judge_memory(10_000, Some(1 << 30), None).outcome, Outcome::Ok);
        let tight = judge_memory(100_000, Some(8 << 30), Some(256 << 20));
        assert_eq!(tight.outcome, Outcome::Warn);
        assert!(tight.remedy.as_ref().is_some_and(|remedy| remedy.ends_with("16384")), "{tight:?}");
    }
}
