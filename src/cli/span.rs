//! Time spans on the command line: seconds, or a number with a unit, as in the settings.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads `90`, `90s`, `15m` or `2h` when it lies in this range of seconds.
pub(super) fn parser(seconds: RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync {
    move |text| {
        let span = parse(text).filter(|span| seconds.contains(&span.as_secs()));
        span.ok_or_else(|| {
            format!("expected seconds, or a number with s, m or h, from {} s to {} s", seconds.start(), seconds.end())
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unit = [("s", 1), ("m", 60), ("h", 3_600)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1));
    let digits = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_within_their_range() {
        let read = parser(1..=900);
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "16m", "-1", "+1", "1d", "1.5", "99999999999999999999h"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
