//! A log-linear histogram of durations.
//!
//! Each power of two is cut into 64 equal steps, so a quantile is at most 1.6 % too high, and
//! recording is one shift and one addition. No allocation after construction.

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// Values from 2^42 ns (73 minutes) on share the last step.
const VALUE_BITS: u32 = 42;
const BUCKETS: usize = (VALUE_BITS - STEP_BITS + 1) as usize * STEPS;

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    /// How many durations were added.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The longest duration, in nanoseconds, exactly.
    pub fn max_ns(&self) -> u64 {
        self.max
    }

    /// The duration that `fraction` (0 to 1) of all do not exceed, in nanoseconds; 0 when empty.
    pub fn quantile_ns(&self, fraction: f64) -> u64 {
        let rank = ((self.total as f64 * fraction).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(index).min(self.max);
            }
        }
        0
    }

    /// The quantile in milliseconds.
    pub fn quantile_ms(&self, fraction: f64) -> f64 {
        self.quantile_ns(fraction) as f64 / 1e6
    }
}

fn bucket(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    if value < STEPS as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - STEP_BITS;
    let step = (value >> shift) as usize - STEPS;
    (shift as usize + 1) * STEPS + step
}

/// The largest value that falls into a bucket.
fn upper_bound(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    let step = (index % STEPS + STEPS) as u64;
    ((step + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, bucket, upper_bound};

    #[test]
    fn every_bucket_ends_just_before_the_next_begins() {
        for index in 0..BUCKETS - 1 {
            let end = upper_bound(index);
            assert_eq!(bucket(end), index);
            assert_eq!(bucket(end + 1), index + 1);
        }
    }

    #[test]
    fn quantiles_agree_with_a_sorted_list_within_two_percent() {
        let mut histogram = Histogram::default();
        let mut values: Vec<u64> = (1..=10_000u64).map(|number| number * number * 37 % 90_000_017).collect();
        for &value in &values {
            histogram.record(value);
        }
        values.sort_unstable();
        for fraction in [0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[((values.len() as f64 * fraction).ceil() as usize).max(1) - 1];
            let found = histogram.quantile_ns(fraction);
            assert!(found >= exact, "{fraction}: {found} < {exact}");
            assert!(found as f64 <= exact as f64 * 1.02 + 1.0, "{fraction}: {found} > {exact}");
        }
        assert_eq!(histogram.max_ns(), values[values.len() - 1]);
    }

    #[test]
    fn an_empty_histogram_and_huge_values_do_no_harm() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ns(0.99), 0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.count(), 1);
        assert_eq!(histogram.max_ns(), u64::MAX);
    }
}
