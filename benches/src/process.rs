//! What a server process costs: CPU time and resident memory, from `/proc`.
//!
//! Also names the machine for the report and pins this process to its core.

use std::fs;
use std::process::{Child, Command};

use rustix::thread::CpuSet;

use crate::error::{During, Result};

/// Descendants counted of one server; nginx has two processes, the others one.
const DESCENDANTS_MAX: usize = 64;

/// A server process and all that it started.
#[derive(Debug, Clone, Copy)]
pub struct ProcessTree {
    root: u32,
}

impl ProcessTree {
    /// The tree under a child of ours.
    pub fn of(child: &Child) -> Self {
        Self { root: child.id() }
    }

    /// User and system time of all processes so far, in seconds; resolution 10 ms.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = 0;
        for pid in self.pids() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).during("read CPU time")?;
            ticks += cpu_ticks(&stat);
        }
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident memory of all processes, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn rss_bytes(&self) -> Result<u64> {
        let mut kibibytes = 0;
        for pid in self.pids() {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).during("read RSS")?;
            kibibytes += status_value(&status, "VmRSS:");
        }
        Ok(kibibytes * 1024)
    }

    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.root];
        let mut at = 0;
        while at < pids.len() && pids.len() < DESCENDANTS_MAX {
            let pid = pids[at];
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            at += 1;
        }
        pids
    }
}

/// Fields 14 and 15; the second field, the name, may contain anything but ends the last `)`.
fn cpu_ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn status_value(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Pins this process to one core, so that the generator never competes with the server.
///
/// # Errors
/// When the machine has no such core.
pub fn pin_self(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).during("pin the generator to its core")
}

/// Raises this process's descriptor limit to its hard limit, which children inherit.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).during("raise the descriptor limit")
}

/// One line about the machine: processor, cores, memory, kernel.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or("unknown processor", str::trim);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gibibytes = status_value(&memory, "MemTotal:").div_ceil(1024 * 1024);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {gibibytes} GiB, Linux {}", kernel.trim())
}

/// The commit of the tree, with `+ changes` when it is not clean.
pub fn commit() -> String {
    let hash = output_of("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = !output_of("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    let suffix = if changed { " + changes" } else { "" };
    if hash.is_empty() { "unknown".to_owned() } else { format!("{hash}{suffix}") }
}

/// The first line that a program prints about its version, or nothing when it is not there.
pub fn output_of(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return String::new();
    };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{cpu_ticks, status_value};

    #[test]
    fn cpu_time_is_read_past_a_name_with_blanks_and_brackets() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 120 34 5 6 20 0 3";
        assert_eq!(cpu_ticks(stat), 154);
    }

    #[test]
    fn resident_memory_is_read_in_kibibytes() {
        assert_eq!(status_value("Name:\tx\nVmRSS:\t    1234 kB\n", "VmRSS:"), 1234);
    }
}
