//! Histograms with fixed bounds: the one source of the exported buckets and of our own quantiles.
//!
//! Six bounds a decade keep an estimated quantile within a quarter of the true one.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// What a histogram measures, and in which buckets.
pub trait Scale: Debug + Send + Sync + 'static {
    /// The upper bounds of all buckets but the last, ascending; a value at a bound is below it.
    const BOUNDS: &'static [u64];

    /// How many of what is measured make one of the exported unit.
    const PER_UNIT: f64;
}

/// Durations in microseconds, exported in seconds: 50 µs to 10 s.
#[derive(Debug)]
pub struct Micros;

impl Scale for Micros {
    #[rustfmt::skip]
    const BOUNDS: &'static [u64] = &[
        50, 70,
        100, 150, 200, 300, 500, 700,
        1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
        10_000, 15_000, 20_000, 30_000, 50_000, 70_000,
        100_000, 150_000, 200_000, 300_000, 500_000, 700_000,
        1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000, 7_000_000,
        10_000_000,
    ];
    const PER_UNIT: f64 = 1e6;
}

/// Numbers of things that are done at once: 1 to what one commit takes.
#[derive(Debug)]
pub struct Items;

impl Scale for Items {
    const BOUNDS: &'static [u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096];
    const PER_UNIT: f64 = 1.0;
}

/// Parts of a whole in ten thousandths, exported as ratios: 0.1 % to all of it.
#[derive(Debug)]
pub struct Share;

impl Scale for Share {
    const BOUNDS: &'static [u64] = &[10, 20, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000];
    const PER_UNIT: f64 = 1e4;
}

/// A histogram that many threads may add to. Adding costs three relaxed atomics.
#[derive(Debug)]
pub struct Histogram<S: Scale> {
    cells: Arc<Cells>,
    scale: PhantomData<S>,
}

#[derive(Debug)]
struct Cells {
    /// One more than there are bounds.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    peak: AtomicU64,
}

impl<S: Scale> Default for Histogram<S> {
    fn default() -> Self {
        let counts = (0..=S::BOUNDS.len()).map(|_| AtomicU64::new(0)).collect();
        let cells = Cells { counts, sum: AtomicU64::new(0), peak: AtomicU64::new(0) };
        Self { cells: Arc::new(cells), scale: PhantomData }
    }
}

impl<S: Scale> Clone for Histogram<S> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), scale: PhantomData }
    }
}

impl<S: Scale> Histogram<S> {
    /// Adds one value.
    pub fn observe(&self, value: u64) {
        let bucket = S::BOUNDS.partition_point(|&bound| bound < value);
        self.cells.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.cells.sum.fetch_add(value, Ordering::Relaxed);
        self.cells.peak.fetch_max(value, Ordering::Relaxed);
    }

    /// All that was added since the start.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let counts = self.cells.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution { bounds: S::BOUNDS, counts }
    }

    /// The greatest value since the last call; 0 when there was none.
    #[must_use]
    pub fn take_peak(&self) -> u64 {
        self.cells.peak.swap(0, Ordering::Relaxed)
    }
}

impl Histogram<Micros> {
    /// Adds a duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

impl Histogram<Share> {
    /// Adds a part of a whole, from 0 to 1.
    pub fn observe_ratio(&self, ratio: f64) {
        // Saturates, should it ever lie outside.
        self.observe((ratio * Share::PER_UNIT).round() as u64);
    }
}

impl<S: Scale> EncodeMetric for Histogram<S> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let Distribution { bounds, counts } = self.read();
        let uppers = bounds.iter().map(|&bound| bound as f64 / S::PER_UNIT).chain([f64::INFINITY]);
        let buckets: Vec<_> = uppers.zip(counts.iter().copied()).collect();
        let sum = self.cells.sum.load(Ordering::Relaxed) as f64 / S::PER_UNIT;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// How values are spread over the buckets of a histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    bounds: &'static [u64],
    counts: Vec<u64>,
}

impl Distribution {
    /// What came since `earlier`, a reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then));
        Self { bounds: self.bounds, counts: counts.collect() }
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value that this part of all (0 to 1) does not exceed, estimated on a straight line between
    /// the bounds of its bucket; the last bound when it lies beyond; `None` when there is no value.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (part * count as f64).max(1.0);
        let mut below = 0;
        for (bucket, &in_bucket) in self.counts.iter().enumerate() {
            if (below + in_bucket) as f64 >= rank && in_bucket > 0 {
                let lower = bucket.checked_sub(1).map_or(0, |before| self.bounds[before]) as f64;
                let upper = self.bounds.get(bucket).map_or(lower, |&bound| bound as f64);
                return Some(lower + (upper - lower) * (rank - below as f64) / in_bucket as f64);
            }
            below += in_bucket;
        }
        self.bounds.last().map(|&bound| bound as f64)
    }

    /// The bound that some value exceeds, of the highest bucket that has any; 0 for the lowest.
    #[must_use]
    pub fn highest_floor(&self) -> u64 {
        let highest = self.counts.iter().rposition(|&count| count > 0);
        highest.and_then(|bucket| bucket.checked_sub(1)).map_or(0, |before| self.bounds[before])
    }

    /// Whether a quantile says no more than that it lies beyond the last bound.
    #[must_use]
    pub fn is_beyond(&self, quantile: f64) -> bool {
        self.bounds.last().is_some_and(|&bound| quantile >= bound as f64)
    }

    /// Each bucket that has values: its upper bound (`None` = beyond the last), and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let uppers = self.bounds.iter().copied().map(Some).chain([None]);
        uppers.zip(self.counts.iter().copied()).filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend() {
        assert!(Micros::BOUNDS.is_sorted_by(|one, next| one < next));
        assert!(Items::BOUNDS.is_sorted_by(|one, next| one < next));
        assert!(Share::BOUNDS.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::<Items>::default();
        for value in [0, 1, 2, 3, 4, 4_096, 4_097, u64::MAX / 2] {
            histogram.observe(value);
        }
        let buckets: Vec<_> = histogram.read().buckets().collect();
        assert_eq!(buckets, [(Some(1), 2), (Some(2), 1), (Some(4), 2), (Some(4_096), 1), (None, 2)]);
        assert_eq!(histogram.take_peak(), u64::MAX / 2);
        assert_eq!(histogram.take_peak(), 0, "a peak is taken once");
    }

    #[test]
    fn quantiles_are_within_a_quarter_of_the_truth() {
        let histogram = Histogram::<Micros>::default();
        // Of many sizes: squares from 60 µs to 9 s.
        let values: Vec<u64> = (0..3_000_u64).map(|number| 60 + number * number).collect();
        values.iter().for_each(|&value| histogram.observe(value));
        let all = histogram.read();
        for part in [0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999] {
            let truth = values[(part * values.len() as f64) as usize] as f64;
            let estimate = all.quantile(part).expect("there are values");
            assert!((estimate / truth - 1.0).abs() < 0.25, "{part}: {estimate} for {truth}");
        }
    }

    #[test]
    fn what_came_since_is_told_apart_and_nothing_has_no_quantile() {
        let histogram = Histogram::<Micros>::default();
        assert_eq!(histogram.read().quantile(0.5), None);
        histogram.observe_duration(Duration::from_secs(3));
        let earlier = histogram.read();
        assert_eq!(histogram.read().since(&earlier).count(), 0);
        histogram.observe_duration(Duration::from_micros(90));
        let since = histogram.read().since(&earlier);
        assert_eq!(since.buckets().collect::<Vec<_>>(), [(Some(100), 1)]);
        let median = since.quantile(0.5).expect("there is a value");
        assert!(median > 70.0 && median <= 100.0, "{median}");
        assert_eq!(since.highest_floor(), 70);
        histogram.observe_duration(Duration::from_secs(3600));
        assert_eq!(histogram.read().quantile(1.0), Some(1e7), "beyond the last bound");
    }
}
