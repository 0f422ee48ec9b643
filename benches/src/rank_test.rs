//! Whether two samples come from the same distribution: the test of Mann and Whitney (1947).
//!
//! It compares ranks, so neither the shape of the distributions nor a few outliers of a busy machine
//! matter. The statistic is taken for normal, which it nearly is from 20 measurements a side on.

/// How likely it is, if there is no difference, that two samples differ in rank at least as much as these,
/// in either direction. NaN when a sample is empty.
pub fn p_of_no_difference(first: &[f64], second: &[f64]) -> f64 {
    let (n1, n2) = (first.len() as f64, second.len() as f64);
    let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, true)).collect();
    all.extend(second.iter().map(|&value| (value, false)));
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0.0);
    for equals in all.chunk_by(|left, right| left.0.total_cmp(&right.0).is_eq()) {
        let count = equals.len() as f64;
        // Equal values share the mean of their ranks.
        let rank = before + f64::midpoint(1.0, count);
        rank_sum += rank * equals.iter().filter(|(_, is_first)| *is_first).count() as f64;
        ties += count * count * count - count;
        before += count;
    }
    let u = rank_sum - n1 * (n1 + 1.0) / 2.0;
    let n = n1 + n2;
    let deviation = (n1 * n2 / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)))).sqrt();
    // Half a step of the statistic, which takes whole numbers only.
    let distance = ((u - n1 * n2 / 2.0).abs() - 0.5).max(0.0);
    both_tails(distance / deviation)
}

/// The probability that a standard normal value is at least this far from zero.
fn both_tails(distance: f64) -> f64 {
    if !distance.is_finite() || distance > FARTHEST {
        return if distance.is_nan() { f64::NAN } else { 0.0 };
    }
    // Simpson's rule over the density from the distance outwards.
    let step = (FARTHEST - distance) / STEPS as f64;
    let density = |at: f64| (-at * at / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let inner = (1..STEPS).map(|index| {
        let weight = if index % 2 == 1 { 4.0 } else { 2.0 };
        weight * density(distance + index as f64 * step)
    });
    let sum = density(distance) + density(FARTHEST) + inner.sum::<f64>();
    (2.0 * sum * step / 3.0).min(1.0)
}

/// Beyond this nothing is left that a double could add to the sum.
const FARTHEST: f64 = 12.0;
const STEPS: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::{both_tails, p_of_no_difference};

    #[test]
    fn the_tails_are_those_of_the_tables() {
        for (distance, expected) in [(0.0, 1.0), (0.6745, 0.5), (1.96, 0.05), (2.5758, 0.01), (3.2905, 0.001)] {
            assert!((both_tails(distance) - expected).abs() < 1e-4, "{distance}: {}", both_tails(distance));
        }
        assert_eq!(both_tails(40.0), 0.0);
        assert!(both_tails(f64::NAN).is_nan());
    }

    #[test]
    fn the_same_sample_does_not_differ_and_a_shifted_one_does() {
        let sample: Vec<f64> = (0..200).map(|index| f64::from(index * 7_919 % 1_000)).collect();
        let shifted: Vec<f64> = sample.iter().map(|value| value + 300.0).collect();
        assert!(p_of_no_difference(&sample, &sample) > 0.99);
        assert!(p_of_no_difference(&sample, &shifted) < 1e-6);
        let p = p_of_no_difference(&shifted, &sample);
        assert!((p - p_of_no_difference(&sample, &shifted)).abs() < 1e-12, "the order of the samples is of no matter");
        assert!(p_of_no_difference(&[], &sample).is_nan());
    }

    /// The ranks of the first sum up to 30, so U is 9 of 36: (18 − 9 − 0.5) / 6.245 = 1.361 deviations.
    #[test]
    fn a_small_example_by_hand() {
        let p = p_of_no_difference(&[1.0, 2.0, 5.0, 6.0, 7.0, 9.0], &[3.0, 4.0, 8.0, 10.0, 11.0, 12.0]);
        assert!((p - both_tails(8.5 / 39.0_f64.sqrt())).abs() < 1e-9 && (p - 0.1735).abs() < 1e-3, "{p}");
    }
}
