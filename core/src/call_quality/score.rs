//! How good a link is, and a call.
//!
//! The bounds come from what people were found to notice, not from what networks usually do:
//!
//! * Delay: ITU-T G.114 (05/2003) wants one way from mouth to ear below 150 ms, where nearly everybody is
//!   content, and at most 400 ms. Half of a round trip is the network's part of it; capture, codec and
//!   jitter buffer need about 50 ms of the shorter and 100 ms of the longer one.
//! * Loss: ITU-T G.1010 (11/2001), table I.1, has less than 1 % for videophones and less than 3 % for speech.
//! * Jitter: ITU-T Y.1541 (12/2011), table 1, has 50 ms for real-time classes. Twice that, buffers no longer
//!   hide it without making the delay worse than above.

use std::time::Duration;

use santral_schema::call_quality::{CallScore, LinkState};

use super::Link;

/// How good a link is, with so many freezes since the last report. `None` while there is nothing to judge:
/// it is being set up, or was ended on purpose.
#[must_use]
pub fn link_score(link: &Link, freezes: u32) -> Option<CallScore> {
    match link.state {
        LinkState::New | LinkState::Connecting | LinkState::Closed => None,
        LinkState::Disconnected | LinkState::Failed => Some(CallScore::Lost),
        LinkState::Connected => {
            let of_span = |span: Option<Duration>, good, fair| span.map(|span| rated(span, good, fair));
            let parts = [
                of_span(link.rtt, RTT_GOOD, RTT_FAIR),
                of_span(link.jitter, JITTER_GOOD, JITTER_FAIR),
                link.loss.map(|loss| rated(loss, LOSS_GOOD, LOSS_FAIR)),
                Some(rated(freezes, FREEZES_GOOD, FREEZES_FAIR)),
            ];
            parts.into_iter().flatten().max()
        }
    }
}

/// How a call goes whose links are so good: as badly as half of them or more. Trouble of the participant
/// shows on all its links, that of another on one. `None` without a link to judge.
#[must_use]
pub fn call_score(links: impl IntoIterator<Item = CallScore>) -> Option<CallScore> {
    let mut scores: Vec<_> = links.into_iter().collect();
    scores.sort_unstable();
    scores.get(scores.len() / 2).copied()
}

fn rated<T: PartialOrd>(value: T, good: T, fair: T) -> CallScore {
    if value <= good {
        CallScore::Good
    } else if value <= fair {
        CallScore::Fair
    } else {
        CallScore::Poor
    }
}

/// 100 ms there, and 50 for the devices.
const RTT_GOOD: Duration = Duration::from_millis(200);

/// 300 ms there, and 100 for the devices.
const RTT_FAIR: Duration = Duration::from_millis(600);

const JITTER_GOOD: Duration = Duration::from_millis(50);

const JITTER_FAIR: Duration = Duration::from_millis(100);

const LOSS_GOOD: f64 = 0.01;

const LOSS_FAIR: f64 = 0.03;

/// Between two reports, ten seconds apart: one that stands still is seen by everybody.
const FREEZES_GOOD: u32 = 0;

/// Our own choice: no recommendation speaks of them.
const FREEZES_FAIR: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(state: LinkState) -> Link {
        Link { peer: "p".into(), state, route: None, rtt: None, jitter: None, loss: None, freezes: None, setup: None }
    }

    #[test]
    fn a_link_is_as_good_as_the_worst_of_its_numbers() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (rtt, jitter, loss, freezes, score) in [
            (None, None, None, 0, CallScore::Good),
            (millis(200), millis(50), Some(0.01), 0, CallScore::Good),
            (millis(201), None, None, 0, CallScore::Fair),
            (millis(600), millis(100), Some(0.03), 2, CallScore::Fair),
            (millis(601), millis(1), Some(0.0), 0, CallScore::Poor),
            (millis(1), millis(51), Some(0.0), 0, CallScore::Fair),
            (millis(1), millis(101), Some(0.0), 0, CallScore::Poor),
            (millis(1), millis(1), Some(0.011), 0, CallScore::Fair),
            (millis(1), millis(1), Some(0.031), 0, CallScore::Poor),
            (millis(1), millis(1), Some(0.0), 1, CallScore::Fair),
            (millis(1), millis(1), Some(0.0), 3, CallScore::Poor),
        ] {
            let link = Link { rtt, jitter, loss, ..link(LinkState::Connected) };
            assert_eq!(link_score(&link, freezes), Some(score), "{link:?} {freezes}");
        }
    }

    #[test]
    fn a_link_without_media_is_lost_unless_it_never_had_or_should_not_have_any() {
        for (state, score) in [
            (LinkState::New, None),
            (LinkState::Connecting, None),
            (LinkState::Disconnected, Some(CallScore::Lost)),
            (LinkState::Failed, Some(CallScore::Lost)),
            (LinkState::Closed, None),
        ] {
            assert_eq!(link_score(&link(state), 0), score);
        }
    }

    #[test]
    fn the_trouble_of_one_other_is_not_that_of_the_call() {
        use CallScore::{Fair, Good, Lost, Poor};
        for (links, score) in [
            (&[][..], None),
            (&[Poor], Some(Poor)),
            (&[Good, Lost], Some(Lost)),
            (&[Lost, Good, Good], Some(Good)),
            (&[Poor, Lost, Good], Some(Poor)),
            (&[Good, Fair, Good, Lost], Some(Fair)),
        ] {
            assert_eq!(call_score(links.iter().copied()), score, "{links:?}");
        }
    }
}
