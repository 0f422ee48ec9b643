//! Stats: sampled once a second, shown on request, as a stream, and as metrics.

mod calls;
mod sampler;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use santral_core::limits::STATS_INTERVAL;
use santral_schema::stats::{Stats, StatsRing};

use super::Refusal;
use crate::hub::Hub;
use crate::hub::admission::Full;
use crate::hub::board::Posted;
use sampler::Sampler;

/// What others know and the sampler asks each time.
pub struct Sources {
    /// Whether everybody may do everything.
    pub is_open: Box<dyn Fn() -> bool>,
    /// Events that the event log has lost since the start.
    pub events_lost: Box<dyn Fn() -> u64>,
}

/// Samples once every [`STATS_INTERVAL`], the first time at once. Never ends by itself: whoever
/// started it ends it after the last stream. Cancel-safe.
pub async fn run(hub: Arc<Hub>, sources: Sources) {
    let mut sampler = Sampler::new(&hub);
    let mut ticks = interval(STATS_INTERVAL);
    // After a pause of the whole process, seconds that nobody saw are not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        sampler.sample(&hub, &sources).await;
    }
}

/// The latest stats, with the samples of the last minutes where they are asked for.
///
/// # Errors
/// [`Refusal::Stopped`] when nothing was sampled yet and nothing comes within [`FIRST_DEADLINE`].
pub async fn latest(hub: &Hub, with_samples: bool) -> Result<Stats, Refusal> {
    let mut stats = posted(hub).await?.stats.clone();
    stats.samples = with_samples.then(|| hub.board.samples());
    Ok(stats)
}

/// Begins to follow the stats; the latest come at once, behind the samples where they are asked for.
///
/// # Errors
/// [`Refusal::Draining`] while the server stops, [`Refusal::Full`] when too many others follow.
pub fn follow(hub: &Arc<Hub>, with_ring: bool) -> Result<Follower, Refusal> {
    if hub.is_draining() {
        return Err(Refusal::Draining);
    }
    let mut latest = hub.board.follow().ok_or(Refusal::Full(Full::Total))?;
    latest.mark_changed();
    Ok(Follower { hub: Arc::clone(hub), latest, wants_ring: with_ring })
}

/// One event of a stream of stats.
#[derive(Debug, Clone)]
pub struct StatsEvent {
    /// `ring` or `stats`.
    pub name: &'static str,
    /// A [`StatsRing`] or [`Stats`] without samples, as JSON.
    pub json: Arc<str>,
}

/// Somebody who follows the stats.
pub struct Follower {
    hub: Arc<Hub>,
    latest: watch::Receiver<Option<Arc<Posted>>>,
    wants_ring: bool,
}

impl Follower {
    /// The next event; `None` at the end, which comes when the server begins to stop. Who is slow
    /// misses the stats between. Cancel-safe.
    pub async fn next(&mut self) -> Option<StatsEvent> {
        if std::mem::take(&mut self.wants_ring) {
            let ring = StatsRing { samples: self.hub.board.samples() };
            let json = serde_json::to_string(&ring).expect("stats have string keys and no failing serializer");
            return Some(StatsEvent { name: "ring", json: json.into() });
        }
        loop {
            self.latest.changed().await.ok()?;
            if self.hub.is_draining() {
                return None;
            }
            let posted = self.latest.borrow_and_update().clone();
            if let Some(posted) = posted {
                return Some(StatsEvent { name: "stats", json: posted.json() });
            }
        }
    }
}

/// The first sample comes a moment after the start; a request may be earlier.
const FIRST_DEADLINE: Duration = Duration::from_secs(3);

async fn posted(hub: &Hub) -> Result<Arc<Posted>, Refusal> {
    let mut latest = hub.board.look();
    let first = timeout(FIRST_DEADLINE, latest.wait_for(Option::is_some)).await;
    let posted = first.map_err(|_| Refusal::Stopped)?.map_err(|_| Refusal::Stopped)?;
    posted.as_ref().map(Arc::clone).ok_or(Refusal::Stopped)
}
