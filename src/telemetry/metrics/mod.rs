//! Every metric of Santral, declared once: name, unit, meaning, kind and labels.
//!
//! The registry, the exported text and docs/metrics.md come from the declarations below. What
//! happens once for a request, a commit or a pass is counted here directly; what happens for each
//! delivery is counted by the shards in plain numbers, and carried over once a second
//! (`service::stats`).

pub mod cells;
pub mod histogram;
pub mod labels;

use prometheus_client::encoding::{EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as ExportedUnit};

use santral_core::call_quality::Candidate;
use santral_schema::call_quality::CallScore;
use santral_schema::events::GapReason;
use santral_schema::reason::DisconnectReason;

use cells::{BuildInfo, Counter, Declared, Gauge, Labelled, Reading};
use histogram::{Histogram, Items, Micros, Share};
use labels::{
    ConnectionRefusal, Door, MethodClass, Outcome, RefusalClass, StatusClass, StorageState, StoreFailure, Transport,
    WebhookTry,
};

/// In what a metric is measured. The base units end its name (OpenMetrics 1.0, section "Units and Base Units").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things that are counted.
    Of(&'static str),
}

impl Unit {
    /// The unit as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Of(things) => things,
        }
    }

    fn exported(self) -> Option<ExportedUnit> {
        match self {
            Self::Seconds => Some(ExportedUnit::Seconds),
            Self::Bytes => Some(ExportedUnit::Bytes),
            Self::Of(_) => None,
        }
    }
}

/// What is known of a metric before it has a value.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// The metric family as it is exported, with its unit, without `_total`.
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'static str,
    /// In what it is measured.
    pub unit: Unit,
    /// What it says.
    pub help: String,
    /// Its labels, each with every value that it takes.
    pub labels: Vec<(&'static str, Vec<&'static str>)>,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $cell:ty = $name:literal in $unit:expr;)+) => {
        /// The metrics of one server.
        #[derive(Debug)]
        pub struct Metrics {
            $($(#[doc = $help])+ pub $field: $cell,)+
            registry: Registry,
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::default();
                $(let $field = <$cell>::default();
                register(&mut registry, $name, $unit, concat!($($help),+), $field.clone());)+
                Self { $($field,)+ registry }
            }
        }

        impl Metrics {
            /// Every metric, in the order in which they are exported.
            #[must_use]
            pub fn declarations() -> Vec<Declaration> {
                vec![$(declare(&<$cell>::default(), $name, $unit, concat!($($help),+)),)+]
            }
        }
    };
}

metrics! {
    /// The server that runs.
    build: BuildInfo = "santral_build" in Unit::Of("servers");
    /// Time since the start.
    uptime: Reading<false> = "santral_uptime" in Unit::Seconds;

    /// Streams that are open now.
    open_streams: Labelled<Transport, Gauge> = "santral_open_streams" in Unit::Of("streams");
    /// Sessions now, with and without a connection.
    sessions: Gauge = "santral_sessions" in Unit::Of("sessions");
    /// Channels and prefixes that are followed or have recent messages, counted on each thread anew.
    feeds: Gauge = "santral_feeds" in Unit::Of("feeds");
    /// Connections that were admitted.
    connections_started: Counter = "santral_connections_started" in Unit::Of("connections");
    /// Connections that ended, by the reason in docs/codes.md.
    connections_ended: Labelled<DisconnectReason, Counter> = "santral_connections_ended" in Unit::Of("connections");
    /// Clients that asked for a stream and were turned away.
    connections_refused: Labelled<ConnectionRefusal, Counter> = "santral_connections_refused" in Unit::Of("requests");

    /// Messages that were published. One that goes to several channels counts once.
    publishes: Labelled<(Door, Outcome), Counter> = "santral_publishes" in Unit::Of("messages");
    /// Requests to publish that were refused. A batch counts once.
    publish_refusals: Labelled<(Door, RefusalClass), Counter> = "santral_publish_refusals" in Unit::Of("requests");
    /// Data of the messages that were accepted, repeated ones left out.
    publish_bytes: Counter = "santral_publish" in Unit::Bytes;

    /// Messages and presence changes that were handed to connections. One to ten clients counts ten times.
    deliveries: Counter = "santral_deliveries" in Unit::Of("messages");
    /// What connections took, response heads and `hello` left out.
    delivered_bytes: Counter = "santral_delivered" in Unit::Bytes;
    /// Rounds of delivery.
    passes: Counter = "santral_passes" in Unit::Of("passes");
    /// From the acceptance of a publish to the end of the pass that wrote it to its followers. Once for
    /// each pass, of the message that waited longest.
    publish_to_write: Histogram<Micros> = "santral_publish_to_write" in Unit::Seconds;
    /// Gaps that clients were told of.
    gaps: Labelled<GapReason, Counter> = "santral_gaps" in Unit::Of("gaps");
    /// Clients whose connection takes no more for now.
    slow_consumers: Gauge = "santral_slow_consumers" in Unit::Of("connections");
    /// Times that a connection could take no more.
    blocked: Counter = "santral_blocked" in Unit::Of("times");
    /// Sessions that fell behind and wait for a page of the log.
    pages_awaited: Gauge = "santral_pages_awaited" in Unit::Of("sessions");
    /// Pages of the log that were asked for, for sessions which fell behind.
    pages: Counter = "santral_pages" in Unit::Of("pages");
    /// Pages of the log that could not be read when they were asked for.
    page_failures: Counter = "santral_page_failures" in Unit::Of("pages");

    /// Publishes that wait for the database.
    writer_queue: Gauge = "santral_writer_queue" in Unit::Of("requests");
    /// How long commits of messages took that succeeded.
    commit_duration: Histogram<Micros> = "santral_commit_duration" in Unit::Seconds;
    /// How many messages were stored in one commit.
    commit_size: Histogram<Items> = "santral_commit_size" in Unit::Of("messages");
    /// Commits of messages that failed.
    commit_failures: Labelled<StoreFailure, Counter> = "santral_commit_failures" in Unit::Of("commits");
    /// How storage does: 1 for the state that holds, else 0.
    storage_state: Labelled<StorageState, Gauge> = "santral_storage_state" in Unit::Of("states");
    /// The last offset of the log.
    log_head: Gauge = "santral_log_head" in Unit::Of("offsets");
    /// The offset of the oldest retained entry; one more than the head when there is none.
    log_oldest: Gauge = "santral_log_oldest" in Unit::Of("offsets");
    /// Entries that retention has left.
    log_entries: Gauge = "santral_log_entries" in Unit::Of("entries");

    /// Requests that were answered.
    http_requests: Labelled<(MethodClass, StatusClass), Counter> = "santral_http_requests" in Unit::Of("requests");
    /// From the head of a request to the head of its answer.
    http_request_duration: Labelled<MethodClass, Histogram<Micros>> = "santral_http_request_duration" in Unit::Seconds;

    /// Tries to deliver webhooks, by what came of them.
    webhook_tries: Labelled<WebhookTry, Counter> = "santral_webhook_tries" in Unit::Of("tries");
    /// Deliveries of webhooks that were given up: after a day of tries, by a 410, or because their address is gone.
    webhooks_given_up: Counter = "santral_webhooks_given_up" in Unit::Of("deliveries");
    /// Deliveries of webhooks that wait, counted every two seconds.
    webhooks_waiting: Gauge = "santral_webhooks_waiting" in Unit::Of("deliveries");
    /// Events that webhooks lost, because they came faster than they could be passed on.
    webhooks_lost: Counter = "santral_webhooks_lost" in Unit::Of("events");

    /// Video rooms that are not closed.
    rooms: Gauge = "santral_video_rooms" in Unit::Of("rooms");
    /// Seats in them that are taken.
    room_participants: Gauge = "santral_video_participants" in Unit::Of("participants");
    /// People who wait to be let into one.
    room_waiting: Gauge = "santral_video_waiting" in Unit::Of("participants");
    /// Signals that were passed on between participants.
    signals: Counter = "santral_video_signals" in Unit::Of("signals");
    /// Reports of participants of calls, by the score that came of them.
    call_scores: Labelled<CallScore, Counter> = "santral_call_scores" in Unit::Of("reports");
    /// Links between participants of calls that came up or moved to another way, by the longer way of the two
    /// ends. Each is reported by both of them, here and below.
    call_links: Labelled<Candidate, Counter> = "santral_call_links" in Unit::Of("links");
    /// Links between participants of calls that failed.
    call_link_failures: Counter = "santral_call_link_failures" in Unit::Of("links");
    /// From the first offer or answer to the link being connected.
    call_setup: Histogram<Micros> = "santral_call_setup" in Unit::Seconds;
    /// Round trips between participants of calls, of each link in each report.
    call_rtt: Histogram<Micros> = "santral_call_rtt" in Unit::Seconds;
    /// Part of the packets that were lost between participants of calls, of each link in each report.
    call_loss: Histogram<Share> = "santral_call_loss_ratio" in Unit::Of("ratio");

    /// Events that the event log lost, because they came faster than they could be stored.
    events_lost: Counter = "santral_event_log_lost" in Unit::Of("events");
    /// Lines that the server's own log lost, because nobody reads it fast enough.
    log_lines_lost: Counter = "santral_log_lines_lost" in Unit::Of("lines");
    /// Seconds in which a thread did not answer in time, so that its numbers are those of before.
    partial_samples: Counter = "santral_partial_samples" in Unit::Of("samples");

    /// Processor time that was used. Only where the operating system tells, as the next.
    process_cpu: Reading<true> = "process_cpu" in Unit::Seconds;
    /// Memory that is resident.
    process_resident_memory: Reading<false> = "process_resident_memory" in Unit::Bytes;
    /// Open file descriptors.
    process_open_fds: Reading<false> = "process_open_fds" in Unit::Of("descriptors");
    /// Most file descriptors that may be open.
    process_max_fds: Reading<false> = "process_max_fds" in Unit::Of("descriptors");
    /// Threads.
    process_threads: Reading<false> = "process_threads" in Unit::Of("threads");
    /// When the server started, since 1970.
    process_start_time: Reading<false> = "process_start_time" in Unit::Seconds;
}

impl Metrics {
    /// The Content-Type of [`Metrics::open_metrics`].
    pub const OPEN_METRICS: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The Content-Type of [`Metrics::prometheus`].
    pub const PROMETHEUS: &'static str = prometheus_text::CONTENT_TYPE;

    /// All values in the text format of OpenMetrics 1.0.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        let mut buffer = String::new();
        text::encode(&mut buffer, &self.registry).expect("a String takes all text");
        buffer
    }

    /// All values in the text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut buffer = String::new();
        prometheus_text::encode(&mut buffer, &self.registry).expect("a String takes all text");
        buffer
    }
}

fn register(
    registry: &mut Registry,
    name: &'static str,
    unit: Unit,
    help: &str,
    metric: impl EncodeMetric + std::fmt::Debug + Send + Sync + 'static,
) {
    match unit.exported() {
        Some(exported) => registry.register_with_unit(name, short(help), exported, metric),
        None => registry.register(name, short(help), metric),
    }
}

fn declare<M: EncodeMetric + Declared>(metric: &M, name: &str, unit: Unit, help: &str) -> Declaration {
    let kind = match metric.metric_type() {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
        MetricType::Info => "info",
        MetricType::Unknown => "unknown",
    };
    let name = match unit.exported() {
        Some(unit) => format!("{name}_{}", unit.as_str()),
        None => name.to_owned(),
    };
    Declaration { name, kind, unit, help: help.trim().to_owned(), labels: M::labels() }
}

/// Without the full stop, which the registry adds.
fn short(help: &str) -> &str {
    help.trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_declared_once_and_well_named() {
        let mut names = BTreeSet::new();
        for Declaration { name, kind, unit, help, labels } in Metrics::declarations() {
            assert!(names.insert(name.clone()), "{name} is declared twice");
            assert!(name.starts_with("santral_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!name.ends_with("_total") && kind != "unknown", "{name}");
            assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
            assert!(!unit.name().is_empty(), "{name}");
            for (label, values) in labels {
                assert!(!["user", "channel", "address", "le"].contains(&label), "{name}");
                assert!(!values.is_empty() && values.len() <= 40, "{name} by {label}");
            }
        }
    }

    #[test]
    fn an_unknown_reading_is_not_exported_and_a_known_one_is() {
        let metrics = Metrics::default();
        assert!(!metrics.open_metrics().contains("process_cpu"));
        metrics.process_cpu.set(Some(1.5));
        assert!(metrics.open_metrics().contains("\nprocess_cpu_seconds_total 1.5\n"));
        metrics.process_cpu.set(None);
        assert!(!metrics.open_metrics().contains("process_cpu"));
    }

    #[test]
    fn both_formats_show_the_same_numbers() {
        let metrics = Metrics::default();
        metrics.publishes.of((Door::Command, Outcome::Stored)).inc_by(3);
        metrics.commit_size.observe(5);
        let wanted = [
            "santral_publishes_total{door=\"command\",outcome=\"stored\"} 3\n",
            "santral_publishes_total{door=\"rest\",outcome=\"stored\"} 0\n",
            "santral_commit_size_bucket{le=\"+Inf\"} 1\n",
            "santral_commit_size_sum 5.0\n",
        ];
        for text in [metrics.open_metrics(), metrics.prometheus()] {
            for line in wanted {
                assert!(text.contains(line), "{line} in {text}");
            }
        }
        let text = metrics.open_metrics();
        assert!(text.contains("santral_commit_size_bucket{le=\"4.0\"} 0\nsantral_commit_size_bucket{le=\"8.0\"} 1\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}
