//! What stats say of calls.

use santral_core::call_quality::Candidate;
use santral_schema::call_quality::CallScore;
use santral_schema::stats::{CallStats, RouteCount, ScoreCount};

use super::window::Window;
use crate::telemetry::metrics::Metrics;

/// What was reported over the last minutes.
pub(super) struct Calls {
    setup: Window,
    rtt: Window,
}

impl Calls {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { setup: Window::new(&metrics.call_setup), rtt: Window::new(&metrics.call_rtt) }
    }

    pub(super) fn advance(&mut self, metrics: &Metrics) {
        self.setup.advance(&metrics.call_setup);
        self.rtt.advance(&metrics.call_rtt);
    }

    pub(super) fn stats(&self, metrics: &Metrics) -> CallStats {
        let reports = |score| ScoreCount { score, total: metrics.call_scores.of(score).get() };
        let links =
            |route: Candidate| RouteCount { route: route.name().to_owned(), total: metrics.call_links.of(route).get() };
        CallStats {
            by_score: CallScore::ALL.map(reports).to_vec(),
            links_total: metrics.call_links.total(),
            by_route: Candidate::ALL.map(links).to_vec(),
            failed_total: metrics.call_link_failures.get(),
            setup: self.setup.latency(),
            rtt: self.rtt.latency(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_reported_is_shown_by_score_and_way() {
        let metrics = Metrics::default();
        let mut calls = Calls::new(&metrics);
        metrics.call_scores.of(CallScore::Poor).inc_by(2);
        metrics.call_links.of(Candidate::RelayTls).inc();
        metrics.call_links.of(Candidate::Host).inc_by(3);
        metrics.call_link_failures.inc();
        metrics.call_setup.observe_duration(Duration::from_millis(900));
        calls.advance(&metrics);
        let stats = serde_json::to_value(calls.stats(&metrics)).expect("stats are JSON");
        assert_eq!(stats["byScore"][2], serde_json::json!({"score": "poor", "total": 2}));
        assert_eq!(stats["byRoute"][6], serde_json::json!({"route": "relay_tls", "total": 1}));
        assert_eq!((&stats["linksTotal"], &stats["failedTotal"]), (&4.into(), &1.into()));
        assert_eq!((&stats["setup"]["count"], &stats["setup"]["maxMs"]), (&1.into(), &900.0.into()));
        assert_eq!(stats["rtt"]["count"], 0);
    }
}
