//! The power fails: what was acknowledged, or delivered to anybody, is on the disk.
//!
//! The real server runs under strace while four publishers publish and a client listens. From its
//! system calls the testkit rebuilds the files as a disk may hold them after a cut at any moment,
//! and each such image is opened with the real store.
//!
//! `POWER_CUT_IMAGES=10000 cargo test --release --test it power_cut -- --nocapture` cuts more often.

use std::collections::HashSet;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;
use rustix::process::{Pid, Signal, kill_process};

use santral::ports::store::{Durability, PageQuery};
use santral::store::{StoreOptions, open};
use santral_testkit::power_cut::{Marker, Tally, Trace, TraceOptions, http_ids, trace_command};
use santral_testkit::sse::{Item, Parser};

use crate::faults::node::{Node, Plan, data_up_to};
use crate::support::{PATIENCE, post_json};

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged_or_delivered() {
    let Some(tally) = cut_power("disk", promised_on_disk, Durability::Disk) else { return };
    assert!(tally.is_sound(), "{tally}");
    assert!(tally.acks_checked > 10_000, "{tally}");
}

/// The detector at work: without waiting for the disk, the same server loses what it acknowledged.
/// It says so in its receipts, and nothing is torn.
#[test]
fn with_durability_os_a_power_cut_takes_acknowledged_messages_and_leaves_the_rest_whole() {
    let Some(tally) = cut_power("os", promised_by_the_system, Durability::Os) else { return };
    assert!(tally.lossy * 2 >= tally.images, "{tally}");
    assert_eq!(tally.corrupt, 0, "{tally}");
}

fn cut_power(durability: &str, marker: Marker, opened_as: Durability) -> Option<Tally> {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let (trace, data_dir) = (folder.path().join("trace"), folder.path().join("data"));
    let command = trace_command(&trace, Path::new(env!("CARGO_BIN_EXE_santral")))?;
    let plan = Plan::new().set("SANTRAL_DURABILITY", durability).set("SANTRAL_RETENTION_MESSAGES", "100000");
    let mut node = plan.start_command(command, &data_dir);
    let acked = publish(&node, durability);
    end(&mut node);
    let trace = Trace::parse(&trace, &TraceOptions { data_dir, base: None, marker }).expect("the trace is whole");
    let promises = trace.acks_before(*trace.cut_points().end()).len() as u64;
    assert!(promises >= acked + acked / 2, "the trace has {promises} promises of {acked} acknowledgements");
    let tally = trace.judge(images(), 1, |image| stored_in(image, opened_as)).expect("there are promises");
    println!("durability {durability}: {tally}");
    Some(tally)
}

/// Publishes from four threads, one by one and in batches, while somebody listens.
fn publish(node: &Node, durability: &str) -> u64 {
    let mut listener = node.listen("/api/events");
    std::thread::scope(|scope| {
        let publishers: Vec<_> =
            (0..PUBLISHERS).map(|publisher| scope.spawn(move || publish_rounds(node, durability, publisher))).collect();
        let reader = scope.spawn(|| data_up_to(&mut listener, END).len() as u64);
        let acked: u64 = publishers.into_iter().map(|thread| thread.join().expect("publishers end")).sum();
        node.broadcast(END);
        let delivered = reader.join().expect("the listener hears the end");
        assert_eq!(delivered, acked + 1);
        acked + 1
    })
}

/// Publishes one by one and in batches; returns how many messages were acknowledged.
fn publish_rounds(node: &Node, durability: &str, publisher: usize) -> u64 {
    let mut acked = 0;
    for round in 0..ROUNDS {
        let item = |number| {
            let text = "x".repeat((round * 37 + number) % 900);
            format!(r#"{{"channel":"broadcast","data":"{publisher}-{round}-{text}"}}"#)
        };
        let count = if round % 5 == 0 { 20 } else { 1 };
        let batch = format!("[{}]", (0..count).map(item).collect::<Vec<_>>().join(","));
        let answer = post_json("/api/publish", &batch).send(node.address, PATIENCE).expect("the server answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().contains(&format!(r#""durability":"{durability}""#)), "{answer:?}");
        acked += count as u64;
    }
    acked
}

/// Ends the traced server; its tracer ends with it and so writes the whole trace.
fn end(node: &mut Node) {
    let tracer = node.server.pid();
    let children = std::fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).expect("it runs");
    let server = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    kill_process(server.expect("the tracer has one child"), Signal::TERM).expect("the server runs");
    let status = node.server.wait_exit(PATIENCE).expect("the server stops");
    assert!(status.success(), "{}", node.server.output());
}

/// The positions of all messages in an image, as the real store reads them.
fn stored_in(image: &Path, durability: Durability) -> Result<HashSet<String>, String> {
    let file = image.join("santral.db");
    let url = format!("sqlite:{}", file.display());
    let log = open(&StoreOptions { url, durability, readers: 1 }).map_err(|error| error.to_string())?;
    let query =
        PageQuery { selectors: Vec::new(), after: 0, upto: log.state.head, entries_max: 100_000, bytes_max: 1 << 30 };
    let page = log.reader.page(&query).map_err(|error| error.to_string())?;
    drop(log);
    check_integrity(&file)?;
    let position = |entry: &std::sync::Arc<santral_core::entry::Entry>| entry.position().map(|place| place.to_string());
    Ok(page.entries.iter().filter_map(position).collect())
}

fn check_integrity(file: &Path) -> Result<(), String> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    let mut connection = SqliteConnection::establish(&file.display().to_string()).map_err(|error| error.to_string())?;
    // A connection of the store that is just being closed may hold the file for a moment.
    connection.batch_execute("PRAGMA busy_timeout = 10000").map_err(|error| error.to_string())?;
    let found: Found = diesel::sql_query("PRAGMA integrity_check(1)")
        .get_result(&mut connection)
        .map_err(|error| error.to_string())?;
    match found.integrity_check.as_str() {
        "ok" => Ok(()),
        _ => Err(found.integrity_check),
    }
}

/// What a server says to anybody about stored messages: receipts, and messages on streams, since a
/// position that a client has seen must never be given out again.
fn promised_on_disk(written: &[u8]) -> Vec<String> {
    let mut promises = http_ids(written);
    let stream = match written.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(head_end) if written.starts_with(b"HTTP/1.1 ") => &written[head_end + 4..],
        _ => written,
    };
    promises.extend(Parser::new().feed(stream).into_iter().filter_map(|item| match item {
        Item::Event(event) if event.event_type == "message" => Some(event.last_event_id),
        Item::Event(_) | Item::Empty { .. } | Item::Comment(_) => None,
    }));
    promises
}

fn promised_by_the_system(written: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(written).replace(r#""durability":"os""#, r#""durability":"disk""#);
    promised_on_disk(text.as_bytes())
}

fn images() -> usize {
    std::env::var("POWER_CUT_IMAGES").ok().map_or(IMAGES, |text| text.parse().expect("POWER_CUT_IMAGES is a number"))
}

/// Images per durability unless `POWER_CUT_IMAGES` says more.
const IMAGES: usize = 300;

const PUBLISHERS: usize = 4;

/// Enough that SQLite moves its write-ahead log into the database in between.
const ROUNDS: usize = 120;

/// The last message.
const END: &str = "\"end\"";
