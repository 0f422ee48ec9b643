//! What the operating system says of this process, read from `/proc/self` (proc(5)).
//!
//! On systems without it, and where it cannot be read, the values are unknown.

use std::fs;

use rustix::process::{Resource, getrlimit};

use santral_schema::stats::ProcessStats;

/// Reads everything. Costs some system calls: once a second is often enough.
#[must_use]
pub fn read() -> ProcessStats {
    let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
    let status = text("status").unwrap_or_default();
    ProcessStats {
        rss_bytes: status_field(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024),
        open_fds: open_fds(),
        max_fds: getrlimit(Resource::Nofile).current,
        cpu_seconds: text("stat").as_deref().and_then(cpu_seconds),
        threads: status_field(&status, "Threads:"),
    }
}

/// A number of `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}

/// `utime` and `stime` of `/proc/self/stat`: the 12th and 13th field behind the name, which stands
/// in parentheses and may hold anything, parentheses included.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut times = behind_name.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(ticks as f64 / TICKS_PER_SECOND)
}

/// Linux says how many there are as the size of the folder since 6.2; before, they must be counted.
fn open_fds() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        0 => fs::read_dir(FOLDER).ok().map(|entries| entries.count() as u64),
        count => Some(count),
    }
}

/// `USER_HZ`, which Linux has fixed for programs, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_its_names() {
        let status = "Name:\tsantral\nVmHWM:\t   99 kB\nVmRSS:\t   12345 kB\nThreads:\t7\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(12_345));
        assert_eq!(status_field(status, "Threads:"), Some(7));
        assert_eq!(status_field(status, "VmSwap:"), None);
        assert_eq!(status_field("Threads:\tmany\n", "Threads:"), None);
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat =
            "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 7 0 100 1000 10 18446744073709551615";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (santral) S 1 42"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_all_and_a_file_that_is_opened_counts() {
        let before = read();
        assert!(before.rss_bytes.is_some_and(|bytes| bytes > 1024 * 1024), "{before:?}");
        assert!(before.threads.is_some_and(|threads| threads >= 1), "{before:?}");
        assert!(before.cpu_seconds.is_some_and(|seconds| seconds >= 0.0), "{before:?}");
        assert!(before.max_fds.is_none_or(|max| Some(max) >= before.open_fds), "{before:?}");
        // Other tests open and close files meanwhile, but not so many.
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").expect("it can be opened")).collect();
        let after = read();
        assert!(after.open_fds > before.open_fds.map(|fds| fds + 100), "{before:?}, {after:?}");
        drop(files);
    }
}
