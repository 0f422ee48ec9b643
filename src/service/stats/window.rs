//! What a histogram has measured over the last minutes.

use std::collections::VecDeque;

use santral_core::limits::STATS_SAMPLES_MAX;
use santral_schema::stats::{Latency, LatencyBucket};

use crate::telemetry::metrics::histogram::{Distribution, Histogram, Micros};

/// The readings of one histogram over the last minutes.
pub(super) struct Window {
    /// What the histogram said at each sample, oldest first; one more than there are samples.
    readings: VecDeque<Distribution>,
    /// The greatest value of each sample, in microseconds.
    peaks: VecDeque<u64>,
}

impl Window {
    pub(super) fn new(histogram: &Histogram<Micros>) -> Self {
        Self { readings: VecDeque::from([histogram.read()]), peaks: VecDeque::new() }
    }

    pub(super) fn advance(&mut self, histogram: &Histogram<Micros>) {
        if self.peaks.len() == STATS_SAMPLES_MAX {
            self.readings.pop_front();
            self.peaks.pop_front();
        }
        let peak = histogram.take_peak();
        self.readings.push_back(histogram.read());
        self.peaks.push_back(peak);
    }

    pub(super) fn latency(&self) -> Latency {
        let (Some(first), Some(last)) = (self.readings.front(), self.readings.back()) else {
            return latency_of(&Distribution::default(), 0);
        };
        latency_of(&last.since(first), self.peaks.iter().copied().max().unwrap_or(0))
    }

    /// Of the last sample alone.
    pub(super) fn last_p99_ms(&self) -> Option<f64> {
        let mut newest = self.readings.iter().rev();
        let (last, before) = (newest.next()?, newest.next()?);
        quantile_ms(&last.since(before), 0.99, self.peaks.back().copied().unwrap_or(0))
    }
}

fn latency_of(distribution: &Distribution, peak_us: u64) -> Latency {
    let quantile = |part| quantile_ms(distribution, part, peak_us);
    let milliseconds = |upto_us: u64| upto_us as f64 / 1_000.0;
    let bucket = |(upto_us, count): (Option<u64>, u64)| LatencyBucket { upto_ms: upto_us.map(milliseconds), count };
    Latency {
        count: distribution.count(),
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
        max_ms: (distribution.count() > 0).then(|| milliseconds(at_least(distribution, peak_us))),
        buckets: distribution.buckets().map(bucket).collect(),
    }
}

/// An estimate within a bucket may exceed what was truly measured, and beyond the last bound it
/// knows nothing: the peak knows better in both cases.
fn quantile_ms(distribution: &Distribution, part: f64, peak_us: u64) -> Option<f64> {
    let estimate = distribution.quantile(part)?;
    let peak_us = at_least(distribution, peak_us) as f64;
    let micros = if distribution.is_beyond(estimate) { peak_us } else { estimate.min(peak_us) };
    Some(rounded(micros / 1_000.0))
}

/// Buckets and peak are read one after the other, so a value may be in the former alone.
fn at_least(distribution: &Distribution, peak_us: u64) -> u64 {
    peak_us.max(distribution.highest_floor())
}

/// Three digits behind the point are all that anybody reads.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets_what_is_older_than_its_samples() {
        let histogram = Histogram::<Micros>::default();
        histogram.observe(9_000_000);
        let mut window = Window::new(&histogram);
        assert_eq!(window.latency().count, 0, "what came before the first sample is none of its business");
        let _ = histogram.take_peak();
        histogram.observe(4_000_000);
        window.advance(&histogram);
        assert_eq!((window.latency().count, window.latency().max_ms), (1, Some(4_000.0)));
        for _ in 0..STATS_SAMPLES_MAX - 1 {
            histogram.observe(80);
            window.advance(&histogram);
        }
        let latency = window.latency();
        assert_eq!((latency.count, latency.max_ms), (STATS_SAMPLES_MAX as u64, Some(4_000.0)));
        assert_eq!(latency.buckets.len(), 2);
        histogram.observe(80);
        window.advance(&histogram);
        let latency = window.latency();
        assert_eq!((latency.count, latency.max_ms), (STATS_SAMPLES_MAX as u64, Some(0.08)));
        assert_eq!((window.readings.len(), window.peaks.len()), (STATS_SAMPLES_MAX + 1, STATS_SAMPLES_MAX));
    }

    #[test]
    fn a_quantile_never_exceeds_what_was_measured_and_knows_what_is_beyond_the_bounds() {
        let histogram = Histogram::<Micros>::default();
        let mut window = Window::new(&histogram);
        window.advance(&histogram);
        assert_eq!((window.last_p99_ms(), window.latency().p50_ms, window.latency().max_ms), (None, None, None));
        histogram.observe(5_100);
        window.advance(&histogram);
        assert_eq!(window.last_p99_ms(), Some(5.1));
        histogram.observe(60_000_000);
        window.advance(&histogram);
        assert_eq!(window.last_p99_ms(), Some(60_000.0));
        let latency = window.latency();
        assert_eq!((latency.p99_ms, latency.max_ms), (Some(60_000.0), Some(60_000.0)));
        assert_eq!(latency.buckets.last().map(|bucket| (bucket.upto_ms, bucket.count)), Some((None, 1)));
        window.advance(&histogram);
        assert_eq!(window.last_p99_ms(), None, "nothing was measured in the last second");
    }
}
