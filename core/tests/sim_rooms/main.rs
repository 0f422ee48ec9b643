//! The simulator of video rooms: rooms, shards, their sessions, clients and their requests in one thread
//! from one seed.
//!
//! The engine is the real one: `rooms`. Around it stands what the switchboard, the hub and the edge do with
//! it, in small: mailboxes with delays, sessions that move and end, requests that overtake each other and
//! whose answers are lost, rows that are written a little later, servers that start anew. Clients behave as
//! an SDK in a browser would, and some participants are hostile. An oracle holds what everybody is told
//! against what was said.
//! A failure prints its seed and step; `SANTRAL_SIM_SEED=<seed>` plays it again and alone.
//! `SANTRAL_SIM_SEEDS=<count>` sets how many seeds a run plays, `SANTRAL_SIM_FROM` the first one.

mod bugs;
mod client;
mod edge;
mod facts;
mod hostile;
mod hub;
mod oracle;
mod plan;
mod posts;
mod requests;
#[path = "../sim/rng.rs"]
mod rng;
mod trouble;
mod view;
mod world;

use santral_testkit::seeds;

use bugs::Bug;
use world::{REACHED, World};

/// Plays one seed; the error says what was violated and at which step.
fn play(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    let mut world = World::new(seed, bug);
    let outcome = seeds::caught(|| world.run());
    outcome.map_err(|violation| {
        let World { step, now, plan, .. } = &world;
        format!("seed {seed}, step {step}, {now} us: {violation}\n  under {plan:?}")
    })
}

/// INV-10 under everything that the plan of a seed may bring.
#[test]
fn a_room_keeps_its_seats_and_its_signals_whatever_happens() {
    if let Some(seed) = seeds::number("SANTRAL_SIM_SEED") {
        play(seed, None).unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let from = seeds::number("SANTRAL_SIM_FROM").unwrap_or(0);
    if let Some((seed, violation)) = seeds::play_many(from, seeds::count(2_000), |seed| play(seed, None)) {
        panic!("{violation}\nrepeat with: SANTRAL_SIM_SEED={seed} cargo test -p santral-core --test sim_rooms keeps");
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
