//! What the engine alone costs per delivery: one channel against 100,000 channels.
//!
//! Runs the shard in this process with links that take everything, so that nothing but the search
//! for followers and frames is measured. The comparison is with the floor's cost of a delivery.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use santral_core::client::Client;
use santral_core::entry::{Entry, Publication, Timestamp};
use santral_core::format::Format;
use santral_core::names::{ChannelName, ConnectionId, Selector, SessionToken};
use santral_core::position::{Epoch, Position};
use santral_core::session::SessionKey;
use santral_core::shard::{AttachRequest, Links, Progress, Shard, ShardConfig, Written};
use santral_core::time::Moment;

use super::Bench;
use crate::error::Result;
use crate::payload::EVENT_PAYLOAD_BYTES;
use crate::report::{Figure, Section, median, number};

const SESSIONS: usize = 3_000;
const FOLLOWERS: usize = 3;
const CHANNELS: usize = 100_000;

/// What a delivery may cost more with many channels: about a twentieth of what writing it to a socket costs.
const EXTRA_NANOSECONDS_MAX: f64 = 250.0;

/// Takes everything and counts frames.
#[derive(Debug, Default)]
struct Sink {
    frames: u64,
}

impl Links for Sink {
    fn write(&mut self, _session: SessionKey, frames: &[IoSlice<'_>]) -> Written {
        self.frames += frames.len() as u64;
        Written::All
    }
}

/// Measures both, in turn within each round.
///
/// # Errors
/// None of its own; the type is that of all runs.
pub fn run(bench: &Bench) -> Result<Section> {
    eprintln!("the engine with one channel and with {CHANNELS}");
    let publications = bench.scaled(CHANNELS);
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        one.push(nanoseconds_per_delivery(1, publications));
        many.push(nanoseconds_per_delivery(CHANNELS, publications));
    }
    let (one, many) = (median(&one), median(&many));
    Ok(Section {
        title: "Engine: one channel and 100,000 channels",
        note: format!(
            "{} publications to {FOLLOWERS} followers each, one pass for each; CPU of the shard without sockets, \
             medians of {} rounds.",
            number(publications as f64),
            bench.rounds,
        ),
        columns: vec!["channels", "CPU ns per delivery"],
        rows: vec![vec!["1".to_owned(), number(one)], vec!["100,000".to_owned(), number(many)]],
        figures: vec![Figure::at_most(
            "100,000 channels: extra CPU per delivery",
            many - one,
            EXTRA_NANOSECONDS_MAX,
            " ns",
        )],
    })
}

fn nanoseconds_per_delivery(channels: usize, publications: usize) -> f64 {
    let mut shard = Shard::new(Moment(1), ShardConfig::new(Epoch(1), 0, 0));
    let mut sink = Sink::default();
    attach_all(&mut shard, channels);
    drive(&mut shard, &mut sink);
    let entries: Vec<_> = (0..publications).map(|number| entry(number, channels)).collect();
    // Encoding is once per entry, whatever the number of channels.
    entries.iter().for_each(|entry| drop(entry.frame(Format::Raw).clone()));
    sink.frames = 0;
    let before = thread_time();
    for entry in &entries {
        shard.publish(entry);
        drive(&mut shard, &mut sink);
    }
    let took = thread_time().saturating_sub(before);
    took.as_nanos() as f64 / sink.frames as f64
}

/// Each channel gets [`FOLLOWERS`] sessions, spread evenly.
fn attach_all(shard: &mut Shard, channels: usize) {
    let mut follows = vec![Vec::new(); SESSIONS];
    for channel in 0..channels {
        for follower in 0..FOLLOWERS {
            follows[(channel * FOLLOWERS + follower) % SESSIONS].push(Selector::Channel(name(channel)));
        }
    }
    for (number, selectors) in follows.into_iter().enumerate() {
        let request = AttachRequest {
            token: SessionToken::parse(&format!("session-{number:014}")).expect("22 characters of the grammar"),
            resumable: false,
            is_new: true,
            connection: ConnectionId::parse(&format!("connect-{number:014}")).expect("22 characters of the grammar"),
            client: Arc::new(Client::guest("sse", "127.0.0.1".into(), Timestamp(0))),
            expires: None,
            format: Format::Raw,
            selectors,
            presence: false,
            resume: None,
            requested: None,
            committed: 0,
            legacy: None,
            restored: Vec::new(),
        };
        let attached = shard.attach(Moment(1), request);
        shard.link_up(Moment(1), attached.session);
    }
}

fn drive(shard: &mut Shard, sink: &mut Sink) {
    while shard.run_slice(Moment(1), sink) == Progress::More {}
    while shard.poll_effect().is_some() {}
}

fn entry(number: usize, channels: usize) -> Arc<Entry> {
    let data = format!("{:0width$}", 1, width = EVENT_PAYLOAD_BYTES);
    let publication = Publication::new(name(number % channels), data);
    Arc::new(Entry::stored(Position::new(Epoch(1), number as u64 + 1), Timestamp(0), publication))
}

fn name(channel: usize) -> ChannelName {
    ChannelName::parse(&format!("channel.{channel}")).expect("keeps to the grammar")
}

/// CPU time of this thread: other programs on the machine do not count.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}
