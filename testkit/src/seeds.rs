//! Plays a simulation with many seeds, and says which of them fails first.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that the environment sets.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many seeds a run plays: `SANTRAL_SIM_SEEDS`, or so many in CI, and a tenth elsewhere.
#[must_use]
pub fn count(in_ci: u64) -> u64 {
    let default = if std::env::var_os("CI").is_some() { in_ci } else { in_ci / 10 };
    number("SANTRAL_SIM_SEEDS").unwrap_or(default)
}

/// Does the work; a panic is a failure like any other.
///
/// # Errors
/// What the work returned, or the text of its panic.
pub fn caught(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(format!("a panic: {}", text_of(&*panic))))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Plays `count` seeds in two threads and returns the lowest seed among those found to fail, and why.
pub fn play_many(from: u64, count: u64, play: impl Fn(u64) -> Result<(), String> + Sync) -> Option<(u64, String)> {
    let next = AtomicU64::new(from);
    let failed_at = AtomicU64::new(u64::MAX);
    let work = || {
        let mut failure = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count || seed > failed_at.load(Ordering::Relaxed) {
                return failure;
            }
            if let Err(violation) = play(seed) {
                failed_at.fetch_min(seed, Ordering::Relaxed);
                failure = Some((seed, violation));
            }
        }
    };
    let failures = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.map(|worker| worker.join().expect("a worker does not panic"))
    });
    failures.into_iter().flatten().min_by_key(|(seed, _)| *seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_seed_that_fails_is_named() {
        let play = |seed| if seed < 30 { Ok(()) } else { Err(format!("seed {seed}")) };
        assert_eq!(play_many(10, 100, play), Some((30, "seed 30".to_owned())));
        assert_eq!(play_many(10, 20, play), None);
        assert_eq!(caught(|| panic!("so {}", 1)), Err("a panic: so 1".to_owned()));
    }
}
