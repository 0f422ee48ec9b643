//! The sum of what all shards have counted. Shards count in plain numbers of their own threads, so
//! somebody has to go round and ask.

use tokio::time::timeout;

use santral_core::limits::STATS_ANSWER_DEADLINE;
use santral_core::shard::{Counters, Gauges};

use super::Hub;

/// What all shards have counted, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Running totals.
    pub counters: Counters,
    /// How the shards stand. A channel that is followed on two shards counts as two feeds.
    pub gauges: Gauges,
    /// The feeds of the shard that has most.
    pub feeds_max: u64,
    /// Whether a shard did not answer in time: its numbers are those of before.
    pub is_partial: bool,
}

/// Goes round the shards, and remembers what each said last, so that no total ever goes back.
#[derive(Debug)]
pub struct CensusTaker {
    last: Vec<(Counters, Gauges)>,
}

impl CensusTaker {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        Self { last: vec![Default::default(); hub.options.workers] }
    }

    /// Asks every shard at the same time and waits at most [`STATS_ANSWER_DEADLINE`].
    pub async fn take(&mut self, hub: &Hub) -> Census {
        let ask = |shard| {
            let answer = hub.call(shard, |shard, _| (shard.counters(), shard.gauges()));
            async { timeout(STATS_ANSWER_DEADLINE, answer).await.ok().flatten() }
        };
        let answers = futures_util::future::join_all((0..self.last.len()).map(ask)).await;
        self.add_up(&answers)
    }

    fn add_up(&mut self, answers: &[Option<(Counters, Gauges)>]) -> Census {
        let mut census = Census::default();
        for (last, answer) in self.last.iter_mut().zip(answers) {
            census.is_partial |= answer.is_none();
            *last = answer.unwrap_or(*last);
            census.counters += last.0;
            census.gauges += last.1;
            census.feeds_max = census.feeds_max.max(last.1.feeds);
        }
        census
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(deliveries: u64, feeds: u64) -> Option<(Counters, Gauges)> {
        let counters = Counters { deliveries, gaps: [deliveries; 5], ..Counters::default() };
        Some((counters, Gauges { feeds, ..Gauges::default() }))
    }

    #[test]
    fn a_shard_that_does_not_answer_keeps_its_numbers_and_makes_the_census_partial() {
        let mut taker = CensusTaker { last: vec![Default::default(); 2] };
        let census = taker.add_up(&[answer(3, 1), answer(4, 9)]);
        assert_eq!((census.counters.deliveries, census.counters.gaps[4]), (7, 7));
        assert_eq!((census.gauges.feeds, census.feeds_max, census.is_partial), (10, 9, false));
        let census = taker.add_up(&[answer(5, 1), None]);
        assert_eq!((census.counters.deliveries, census.is_partial), (9, true));
        let census = taker.add_up(&[answer(5, 1), answer(6, 9)]);
        assert_eq!((census.counters.deliveries, census.is_partial), (11, false));
    }
}
