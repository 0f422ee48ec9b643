//! What a report about the quality of a call adds to the metrics.

use santral_core::call_quality::Observation;

use crate::telemetry::metrics::Metrics;

/// Counts one report.
pub fn record(metrics: &Metrics, observation: &Observation) {
    if let Some(score) = observation.score {
        metrics.call_scores.of(score).inc();
    }
    for link in &observation.links {
        if let Some(route) = link.came_up {
            metrics.call_links.of(route).inc();
        }
        if link.has_failed {
            metrics.call_link_failures.inc();
        }
        if let Some(setup) = link.setup {
            metrics.call_setup.observe_duration(setup);
        }
        if let Some(rtt) = link.rtt {
            metrics.call_rtt.observe_duration(rtt);
        }
        if let Some(loss) = link.loss {
            metrics.call_loss.observe_ratio(loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use santral_core::call_quality::{QualityWatch, Report};
    use santral_core::time::Moment;
    use santral_schema::call_quality::StatsReport;

    use super::*;

    #[test]
    fn what_a_participant_reports_is_counted_once() {
        let metrics = Metrics::default();
        let mut watch = QualityWatch::default();
        let mut report = |seconds: u64, peers: &str| {
            let body: StatsReport =
                serde_json::from_str(&format!(r#"{{"roomId":"r","peers":[{peers}]}}"#)).expect("the test's reports");
            let report = Report::parse(&body.peers).expect("the test's reports are valid");
            record(&metrics, &watch.observe(&report, Moment(seconds * 1_000_000)));
        };
        let up =
            r#"{"peer":"a","state":"connected","pair":"relay/tcp→host/udp","rttMs":120,"lossPct":2,"setupMs":800}"#;
        let failed = r#"{"peer":"b","state":"failed"}"#;
        report(0, up);
        report(10, &format!("{up},{failed}"));
        report(20, &format!("{up},{failed}"));
        report(30, "");
        let text = metrics.open_metrics();
        for line in [
            r#"santral_call_scores_total{score="fair"} 1"#,
            r#"santral_call_scores_total{score="lost"} 2"#,
            r#"santral_call_links_total{route="relay_tcp"} 1"#,
            r#"santral_call_links_total{route="host"} 0"#,
            "santral_call_link_failures_total 1",
            "santral_call_setup_seconds_count 1",
            "santral_call_setup_seconds_sum 0.8",
            "santral_call_rtt_seconds_count 3",
            r#"santral_call_rtt_seconds_bucket{le="0.1"} 0"#,
            r#"santral_call_rtt_seconds_bucket{le="0.15"} 3"#,
            r#"santral_call_loss_ratio_bucket{le="0.01"} 0"#,
            r#"santral_call_loss_ratio_bucket{le="0.02"} 3"#,
        ] {
            assert!(text.lines().any(|each| each == line), "no {line} in {text}");
        }
    }
}
