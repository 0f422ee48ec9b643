//! What is new in the reports of one participant, and when the others are told of its score.

use std::time::Duration;

use santral_schema::call_quality::{CallScore, LinkState};

use super::{Candidate, Link, Report, call_score, link_score};
use crate::limits::QUALITY_EVENT_INTERVAL;
use crate::time::Moment;

/// What is remembered of one participant's reports; no more than the last one said.
#[derive(Debug, Default)]
pub struct QualityWatch {
    seen: Vec<Seen>,
    /// Of the last report alone.
    last: Option<CallScore>,
    score: Option<CallScore>,
    told: Option<CallScore>,
    told_at: Option<Moment>,
}

#[derive(Debug)]
struct Seen {
    peer: Box<str>,
    state: LinkState,
    route: Option<Candidate>,
    freezes: Option<u32>,
    setup: Option<Duration>,
}

/// What came of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// How the call goes for the participant; `None` while there is no link to judge.
    pub score: Option<CallScore>,
    /// What the others should be told now, if anything.
    pub event: Option<CallScore>,
    /// Each link.
    pub links: Vec<LinkNews>,
}

/// What a report says of one link, without what earlier ones have said.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkNews {
    /// Round trip, where media can flow.
    pub rtt: Option<Duration>,
    /// Part of the packets that were lost, from 0 to 1, where media can flow.
    pub loss: Option<f64>,
    /// How long the setup took, once for each.
    pub setup: Option<Duration>,
    /// By which way the link came up, or to which it moved.
    pub came_up: Option<Candidate>,
    /// Whether it has failed since.
    pub has_failed: bool,
}

impl QualityWatch {
    /// Takes the next report.
    pub fn observe(&mut self, report: &Report, now: Moment) -> Observation {
        let judge = |link: &Link| {
            let before = self.seen.iter().find(|seen| seen.peer == link.peer);
            (link_score(link, new_freezes(link, before)), news(link, before))
        };
        let (scores, links): (Vec<_>, Vec<_>) = report.links().iter().map(judge).unzip();
        let score = call_score(scores.into_iter().flatten());
        self.seen = report.links().iter().map(Seen::of).collect();
        self.score = score.map(|score| steadied(score, self.last));
        self.last = score;
        Observation { score: self.score, event: self.poll(now), links }
    }

    /// What the others should be told now, if anything: a change, no sooner than
    /// [`QUALITY_EVENT_INTERVAL`] after the last one. [`QualityWatch::due`] says when to ask.
    pub fn poll(&mut self, now: Moment) -> Option<CallScore> {
        let Some(score) = self.score else {
            // Who begins anew is told of anew.
            self.told = None;
            return None;
        };
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        (self.told, self.told_at) = (Some(score), Some(now));
        Some(score)
    }

    /// When the others should be told of a change; `None` when they know.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        let score = self.score?;
        // Also for who begins anew, else others could be told as often as somebody reports.
        let earliest = self.told_at.map_or(Moment::default(), |at| at + QUALITY_EVENT_INTERVAL);
        (self.told != Some(score)).then_some(earliest)
    }

    /// How the call goes for the participant, as far as it has said.
    #[must_use]
    pub fn score(&self) -> Option<CallScore> {
        self.score
    }
}

impl Seen {
    fn of(link: &Link) -> Self {
        Self {
            peer: link.peer.clone(),
            state: link.state,
            route: route_in_use(link),
            freezes: link.freezes,
            setup: link.setup,
        }
    }
}

/// Worse at once, better when two reports say so: what comes and goes is not good. What was lost and is back
/// is back.
fn steadied(score: CallScore, last: Option<CallScore>) -> CallScore {
    match last {
        None | Some(CallScore::Lost) => score,
        Some(last @ (CallScore::Good | CallScore::Fair | CallScore::Poor)) => score.max(last),
    }
}

/// Freezes since the last report. A count that has become less began anew; the first one says nothing of
/// when they were.
fn new_freezes(link: &Link, before: Option<&Seen>) -> u32 {
    let (Some(now), Some(before)) = (link.freezes, before.and_then(|seen| seen.freezes)) else { return 0 };
    now.checked_sub(before).unwrap_or(now)
}

fn news(link: &Link, before: Option<&Seen>) -> LinkNews {
    let is_connected = link.state == LinkState::Connected;
    let was_failed = before.is_some_and(|seen| seen.state == LinkState::Failed);
    LinkNews {
        rtt: link.rtt.filter(|_| is_connected),
        loss: link.loss.filter(|_| is_connected),
        setup: link.setup.filter(|_| before.is_none_or(|seen| seen.setup != link.setup)),
        came_up: route_in_use(link).filter(|route| before.is_none_or(|seen| seen.route != Some(*route))),
        has_failed: link.state == LinkState::Failed && !was_failed,
    }
}

/// A link that is connected has a way, even if nobody says which.
fn route_in_use(link: &Link) -> Option<Candidate> {
    let is_connected = link.state == LinkState::Connected;
    is_connected.then(|| link.route.map_or(Candidate::Unknown, |route| route.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call_quality::Route;
    use CallScore::{Fair, Good, Lost, Poor};

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    fn link(state: LinkState) -> Link {
        Link { peer: "p".into(), state, route: None, rtt: None, jitter: None, loss: None, freezes: None, setup: None }
    }

    fn rated(score: CallScore) -> Report {
        let link = match score {
            Good => link(LinkState::Connected),
            Fair => Link { loss: Some(0.02), ..link(LinkState::Connected) },
            Poor => Link { loss: Some(0.2), ..link(LinkState::Connected) },
            Lost => link(LinkState::Failed),
        };
        Report { links: vec![link] }
    }

    /// Takes reports ten seconds apart and lists what they came to.
    fn scores(reports: &[CallScore]) -> Vec<CallScore> {
        let mut watch = QualityWatch::default();
        let observe =
            |(number, score): (usize, &CallScore)| watch.observe(&rated(*score), at(10 * number as u64)).score;
        reports.iter().enumerate().filter_map(observe).collect()
    }

    #[test]
    fn a_call_is_worse_at_once_and_better_after_two_reports() {
        assert_eq!(scores(&[Good, Poor, Good, Good]), [Good, Poor, Poor, Good]);
        assert_eq!(scores(&[Good, Poor, Good, Poor, Good]), [Good, Poor, Poor, Poor, Poor]);
        assert_eq!(scores(&[Poor, Fair, Good, Good]), [Poor, Poor, Fair, Good]);
        assert_eq!(scores(&[Good, Lost, Good]), [Good, Lost, Good], "back is back");
    }

    #[test]
    fn others_are_told_of_changes_only_and_not_too_often() {
        let mut watch = QualityWatch::default();
        assert_eq!((watch.due(), watch.poll(at(0))), (None, None), "nothing was said");
        assert_eq!(watch.observe(&rated(Good), at(10)).event, Some(Good));
        assert_eq!(watch.observe(&rated(Good), at(20)).event, None);
        assert_eq!(watch.observe(&rated(Poor), at(30)).event, Some(Poor));
        let too_soon = watch.observe(&rated(Lost), at(32));
        assert_eq!((too_soon.score, too_soon.event), (Some(Lost), None));
        assert_eq!(watch.due(), Some(at(35)));
        assert_eq!((watch.poll(at(34)), watch.poll(at(35)), watch.poll(at(40))), (None, Some(Lost), None));
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn a_change_that_is_taken_back_in_time_is_not_told() {
        let mut watch = QualityWatch::default();
        watch.observe(&rated(Good), at(10));
        watch.observe(&rated(Lost), at(11));
        assert_eq!(watch.observe(&rated(Good), at(12)).event, None);
        assert_eq!((watch.due(), watch.poll(at(60))), (None, None));
    }

    #[test]
    fn who_is_alone_has_no_score_and_begins_anew() {
        let mut watch = QualityWatch::default();
        assert_eq!(watch.observe(&rated(Poor), at(10)).event, Some(Poor));
        let alone = watch.observe(&Report { links: Vec::new() }, at(20));
        assert_eq!((alone.score, alone.event, watch.score()), (None, None, None));
        let again = watch.observe(&rated(Poor), at(21));
        assert_eq!((again.score, again.event), (Some(Poor), Some(Poor)), "the same, told anew");
        watch.observe(&Report { links: Vec::new() }, at(22));
        assert_eq!(watch.observe(&rated(Good), at(23)).event, None, "not too often all the same");
        assert_eq!(watch.due(), Some(at(26)));
    }

    #[test]
    fn freezes_count_from_report_to_report() {
        let mut watch = QualityWatch::default();
        let mut observe = |freezes, seconds| {
            let link = Link { freezes: Some(freezes), ..link(LinkState::Connected) };
            watch.observe(&Report { links: vec![link] }, at(seconds));
            watch.last
        };
        // The first count says nothing of when they were.
        assert_eq!(observe(50, 0), Some(Good));
        assert_eq!(observe(51, 10), Some(Fair));
        assert_eq!(observe(51, 20), Some(Good));
        assert_eq!(observe(60, 30), Some(Poor));
        // A new link counts anew.
        assert_eq!(observe(1, 40), Some(Fair));
    }

    #[test]
    fn setups_ways_and_failures_are_news_once() {
        let mut watch = QualityWatch::default();
        let mut observe = |link: Link| watch.observe(&Report { links: vec![link] }, at(0)).links.remove(0);
        let (setup, way) = (Some(Duration::from_millis(700)), |text| Some(Route::parse(text)));
        let quiet = LinkNews { rtt: None, loss: None, setup: None, came_up: None, has_failed: false };
        assert_eq!(observe(link(LinkState::Connecting)), quiet);
        let up = Link { setup, route: way("host/udp→host/udp"), ..link(LinkState::Connected) };
        assert_eq!(observe(up.clone()), LinkNews { setup, came_up: Some(Candidate::Host), ..quiet.clone() });
        assert_eq!(observe(up.clone()), quiet);
        let moved = Link { route: way("relay/tcp→host/udp"), ..up.clone() };
        assert_eq!(observe(moved.clone()), LinkNews { came_up: Some(Candidate::RelayTcp), ..quiet.clone() });
        let failed = Link { state: LinkState::Failed, rtt: Some(Duration::from_secs(1)), loss: Some(1.0), ..moved };
        assert_eq!(observe(failed.clone()), LinkNews { has_failed: true, ..quiet.clone() });
        assert_eq!(observe(failed), quiet);
        let again = Link { setup: Some(Duration::from_millis(300)), rtt: setup, loss: Some(0.5), ..up };
        let expected =
            LinkNews { setup: again.setup, rtt: setup, loss: Some(0.5), came_up: Some(Candidate::Host), ..quiet };
        assert_eq!(observe(again), expected);
        assert_eq!(observe(link(LinkState::Connected)).came_up, Some(Candidate::Unknown));
    }
}
