//! The simulator of Socket.IO: clients, shards, requests and WebSockets in one thread from one seed.
//!
//! The engine is the real one: `shard`, `engineio`, `socketio`. Around it stands what the hub does with
//! them, in small. Requests overtake each other, lines break anywhere, clients misbehave. What a client
//! is sent is read by a parser of the test's own, and an oracle holds it against what was published.
//! A failure prints its seed and step; `SANTRAL_SIM_SEED=<seed>` plays it again and alone.
//! `SANTRAL_SIM_SEEDS=<count>` sets how many seeds a run plays, `SANTRAL_SIM_FROM` the first one.

mod bugs;
mod client;
mod dialog;
mod engine;
mod facts;
mod host;
mod joins;
mod line;
mod oracle;
mod plan;
mod reader;
mod requests;
#[path = "../sim/rng.rs"]
mod rng;
mod server;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use bugs::Bug;
use world::{REACHED, World};

/// Plays one seed; the error says what was violated and at which step.
fn play(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    let mut world = World::new(seed, bug);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let place = format!("seed {seed}, step {}, {} us", world.step, world.now);
    let plan = &world.plan;
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(violation)) => Err(format!("{place}: {violation}\n  under {plan:?}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("{place}: a panic: {}\n  under {plan:?}", text.unwrap_or_default()))
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays `count` seeds in two threads and returns the failure with the lowest seed among those found.
fn play_many(from: u64, count: u64) -> Option<String> {
    let next = AtomicU64::new(from);
    let failed_at = AtomicU64::new(u64::MAX);
    let work = || {
        let mut failure = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count || seed > failed_at.load(Ordering::Relaxed) {
                return failure;
            }
            if let Err(violation) = play(seed, None) {
                failed_at.fetch_min(seed, Ordering::Relaxed);
                failure = Some((seed, violation));
            }
        }
    };
    let failures = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.map(|worker| worker.join().expect("a worker does not panic"))
    });
    failures.into_iter().flatten().min_by_key(|(seed, _)| *seed).map(|(_, violation)| violation)
}

#[test]
fn socket_io_clients_get_what_they_must_whatever_the_network_does() {
    if let Some(seed) = number("SANTRAL_SIM_SEED") {
        play(seed, None).unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let default = if std::env::var_os("CI").is_some() { 20_000 } else { 2_000 };
    let count = number("SANTRAL_SIM_SEEDS").unwrap_or(default);
    if let Some(violation) = play_many(number("SANTRAL_SIM_FROM").unwrap_or(0), count) {
        let seed = violation.split([' ', ',']).nth(1).unwrap_or_default().to_owned();
        panic!("{violation}\nrepeat with: SANTRAL_SIM_SEED={seed} cargo test -p santral-core --test sim_socketio must");
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for (bug, name) in Bug::ALL {
        match (0..2_000).find_map(|seed| Some((seed, play(seed, Some(bug)).err()?))) {
            Some((seed, violation)) => {
                let violation = violation.lines().next().unwrap_or_default().to_owned();
                println!("{name}: found after {} seeds: {violation:.160}", seed + 1);
            }
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found within 2,000 seeds: {missed:?}");
}

#[test]
fn the_seeds_bring_every_kind_of_trouble() {
    let mut missing: Vec<_> = REACHED.to_vec();
    for seed in 0..2_000 {
        let mut world = World::new(seed, None);
        world.run().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        missing.retain(|what| !world.reached.contains(what));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never seen: {missing:#?}");
}

#[test]
fn a_seed_plays_the_same_every_time() {
    for seed in 0..20 {
        let run = |_| {
            let mut world = World::new(seed, None);
            let outcome = world.run();
            (outcome, world.step, world.now, world.rng.next())
        };
        assert_eq!(run(0), run(1), "seed {seed}");
    }
}
