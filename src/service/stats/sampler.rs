//! One sample: what was counted, turned into totals, rates, quantiles and metrics.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use santral_schema::events::GapReason;
use santral_schema::health::StorageHealth;
use santral_schema::reason::DisconnectReason;
use santral_schema::stats::{
    BacklogStats, ConnectionStats, DeliveryStats, GapCount, GapStats, LatencyStats, LogStats, MessageStats,
    ProcessStats, SlowConsumerStats, Stats, StatsSample, TransportStats, VideoStats,
};

use super::Sources;
use super::calls::Calls;
use super::window::{Window, rounded};
use crate::config::Transport;
use crate::hub::Hub;
use crate::hub::census::{Census, CensusTaker};
use crate::ports::store::StoreError;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::cells::{set_counter, set_gauge};
use crate::telemetry::metrics::labels::{Door, Label, Outcome, StorageState, Transport as TransportLabel};
use crate::telemetry::{self, process};

/// Makes a sample each time it is asked to.
pub(super) struct Sampler {
    census: CensusTaker,
    before: Totals,
    publish_to_write: Window,
    commit: Window,
    calls: Calls,
    video: VideoStats,
}

/// How long figures wait for those of the rooms; then those of before are shown.
const ROOMS_PATIENCE: Duration = Duration::from_millis(100);

/// What rates are made of.
#[derive(Debug, Clone, Copy)]
struct Totals {
    at: Instant,
    messages: u64,
    bytes_in: u64,
    deliveries: u64,
    bytes_out: u64,
    cpu_seconds: Option<f64>,
}

/// What a sample is made of.
struct Measured {
    census: Census,
    process: ProcessStats,
    totals: Totals,
    storage: StorageHealth,
    writer_queue: u64,
    is_open: bool,
    events_lost: u64,
    video: VideoStats,
}

impl Sampler {
    pub(super) fn new(hub: &Hub) -> Self {
        let nothing =
            Totals { at: Instant::now(), messages: 0, bytes_in: 0, deliveries: 0, bytes_out: 0, cpu_seconds: None };
        Self {
            census: CensusTaker::new(hub),
            before: nothing,
            publish_to_write: Window::new(&hub.metrics.publish_to_write),
            commit: Window::new(&hub.metrics.commit_duration),
            calls: Calls::new(&hub.metrics),
            video: VideoStats::default(),
        }
    }

    /// Measures, and shows what it found on the hub's board and in its metrics.
    pub(super) async fn sample(&mut self, hub: &Hub, sources: &Sources) {
        let census = self.census.take(hub).await;
        let video = self.count_rooms(hub).await;
        let measured = measure(hub, sources, census, video);
        export(hub, &measured);
        self.publish_to_write.advance(&hub.metrics.publish_to_write);
        self.commit.advance(&hub.metrics.commit_duration);
        self.calls.advance(&hub.metrics);
        let stats = self.stats(hub, &measured);
        let sample = self.summary(&stats, &measured);
        self.before = measured.totals;
        hub.board.post(stats, sample);
    }

    /// Rooms are never the reason why figures come late.
    async fn count_rooms(&mut self, hub: &Hub) -> VideoStats {
        let count = hub.switchboard.call(|rooms, _| (rooms.census(), rooms.signals_passed_on()));
        if let Ok(Some(((rooms, participants, waiting), signals_total))) = timeout(ROOMS_PATIENCE, count).await {
            let [rooms, participants, waiting] = [rooms, participants, waiting].map(|count| count as u64);
            self.video = VideoStats { rooms, participants, waiting, signals_total };
        }
        self.video
    }

    fn stats(&self, hub: &Hub, measured: &Measured) -> Stats {
        let Measured { census, totals, .. } = measured;
        let rate = |now: u64, before: u64| totals.per_second(&self.before, (now - before) as f64);
        let gauges = census.gauges;
        Stats {
            at: Hub::wall_clock().to_rfc3339(),
            node: hub.options.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: hub.started_at().to_rfc3339(),
            uptime_seconds: hub.uptime().as_secs(),
            open: measured.is_open,
            draining: hub.is_draining(),
            storage: measured.storage,
            partial: census.is_partial,
            connections: connections(hub, census),
            sessions: gauges.sessions,
            channels: census.feeds_max,
            messages: MessageStats {
                in_total: totals.messages,
                in_per_second: rate(totals.messages, self.before.messages),
                bytes_in_total: totals.bytes_in,
                bytes_in_per_second: rate(totals.bytes_in, self.before.bytes_in),
                stored_total: published(&hub.metrics, Outcome::Stored),
                volatile_total: published(&hub.metrics, Outcome::Volatile),
                repeated_total: published(&hub.metrics, Outcome::Repeated),
                refused_total: hub.metrics.publish_refusals.total(),
            },
            deliveries: DeliveryStats {
                total: totals.deliveries,
                per_second: rate(totals.deliveries, self.before.deliveries),
                bytes_total: totals.bytes_out,
                bytes_per_second: rate(totals.bytes_out, self.before.bytes_out),
            },
            backlog: BacklogStats {
                pages_awaited: gauges.pages_awaited,
                pages_total: census.counters.pages,
                writer_queue: measured.writer_queue,
            },
            gaps: gaps(census),
            slow_consumers: SlowConsumerStats { now: gauges.blocked, blocked_total: census.counters.blocked },
            latency: LatencyStats { publish_to_write: self.publish_to_write.latency(), commit: self.commit.latency() },
            video: measured.video,
            calls: self.calls.stats(&hub.metrics),
            log: log_stats(hub),
            process: measured.process,
            samples: None,
        }
    }

    fn summary(&self, stats: &Stats, measured: &Measured) -> StatsSample {
        let Measured { totals, process, .. } = measured;
        let used = totals.cpu_seconds.zip(self.before.cpu_seconds).map(|(now, before)| now - before);
        StatsSample {
            at: stats.at.clone(),
            partial: stats.partial,
            connections: stats.connections.total,
            sessions: stats.sessions,
            messages_total: totals.messages,
            messages_per_second: stats.messages.in_per_second,
            bytes_in_per_second: stats.messages.bytes_in_per_second,
            deliveries_total: totals.deliveries,
            deliveries_per_second: stats.deliveries.per_second,
            bytes_out_per_second: stats.deliveries.bytes_per_second,
            gaps_total: stats.gaps.total,
            slow_consumers: stats.slow_consumers.now,
            writer_queue: measured.writer_queue,
            publish_to_write_p99_ms: self.publish_to_write.last_p99_ms(),
            commit_p99_ms: self.commit.last_p99_ms(),
            rss_bytes: process.rss_bytes,
            cpu: used.map(|used| totals.per_second(&self.before, used)),
        }
    }
}

impl Totals {
    /// A difference to `before` as a rate; 0 when no time has passed.
    fn per_second(&self, before: &Self, difference: f64) -> f64 {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        if seconds > 0.0 { rounded(difference / seconds) } else { 0.0 }
    }
}

fn measure(hub: &Hub, sources: &Sources, census: Census, video: VideoStats) -> Measured {
    let process = process::read();
    let metrics = &hub.metrics;
    let totals = Totals {
        at: Instant::now(),
        messages: published(metrics, Outcome::Stored) + published(metrics, Outcome::Volatile),
        bytes_in: metrics.publish_bytes.get(),
        deliveries: census.counters.deliveries,
        bytes_out: census.counters.bytes_out,
        cpu_seconds: process.cpu_seconds,
    };
    Measured {
        census,
        process,
        totals,
        storage: storage(hub),
        writer_queue: hub.writer.waiting() as u64,
        is_open: (sources.is_open)(),
        events_lost: (sources.events_lost)(),
        video,
    }
}

fn published(metrics: &Metrics, outcome: Outcome) -> u64 {
    Door::all().iter().map(|&door| metrics.publishes.of((door, outcome)).get()).sum()
}

fn storage(hub: &Hub) -> StorageHealth {
    match hub.writer.health() {
        Ok(()) => StorageHealth::Ok,
        Err(StoreError::Busy) => StorageHealth::Busy,
        Err(StoreError::Full) => StorageHealth::Full,
        Err(StoreError::Failed) => StorageHealth::Failed,
    }
}

fn connections(hub: &Hub, census: &Census) -> ConnectionStats {
    let open = hub.streams() as u64;
    let of = |transport| hub.admission.streams_by(transport) as u64;
    ConnectionStats {
        total: open,
        by_transport: TransportStats {
            sse: of(Transport::Sse),
            websocket: of(Transport::WebSocket),
            poll: of(Transport::LongPoll),
            socketio: of(Transport::SocketIo),
        },
        started_total: census.counters.connections_started,
        ended_total: census.counters.connections_ended.iter().sum(),
        refused_total: hub.metrics.connections_refused.total(),
    }
}

fn gaps(census: &Census) -> GapStats {
    let count = |reason: GapReason| GapCount { reason, total: census.counters.gaps[reason.index()] };
    GapStats { total: census.counters.gaps.iter().sum(), by_reason: GapReason::ALL.map(count).to_vec() }
}

fn log_stats(hub: &Hub) -> LogStats {
    // Read in this order, since what is removed was committed before.
    let trimmed_to = hub.trimmed_to();
    let head = hub.committed();
    LogStats {
        epoch: hub.log_start.epoch.to_string(),
        head,
        oldest: (trimmed_to < head).then_some(trimmed_to + 1),
        entries: head.saturating_sub(trimmed_to),
    }
}

/// Carries into the metrics what others count.
fn export(hub: &Hub, measured: &Measured) {
    let metrics = &hub.metrics;
    export_shards(metrics, &measured.census);
    for (transport, label) in Transport::ALL.into_iter().zip(TransportLabel::all()) {
        set_gauge(metrics.open_streams.of(*label), hub.admission.streams_by(transport) as u64);
    }
    set_gauge(&metrics.writer_queue, measured.writer_queue);
    set_gauge(&metrics.rooms, measured.video.rooms);
    set_gauge(&metrics.room_participants, measured.video.participants);
    set_gauge(&metrics.room_waiting, measured.video.waiting);
    set_counter(&metrics.signals, measured.video.signals_total);
    let state = match measured.storage {
        StorageHealth::Ok => StorageState::Ok,
        StorageHealth::Busy => StorageState::Busy,
        StorageHealth::Full => StorageState::Full,
        StorageHealth::Failed => StorageState::Failed,
    };
    for &each in StorageState::all() {
        set_gauge(metrics.storage_state.of(each), u64::from(each == state));
    }
    let (trimmed_to, head) = (hub.trimmed_to(), hub.committed());
    set_gauge(&metrics.log_head, head);
    set_gauge(&metrics.log_oldest, trimmed_to + 1);
    set_gauge(&metrics.log_entries, head.saturating_sub(trimmed_to));
    set_counter(&metrics.events_lost, measured.events_lost);
    set_counter(&metrics.log_lines_lost, telemetry::lost_lines());
    metrics.partial_samples.inc_by(u64::from(measured.census.is_partial));
    metrics.uptime.set(Some(hub.uptime().as_secs_f64()));
    metrics.process_start_time.set(Some(hub.started_at().0 as f64 / 1e6));
    export_process(metrics, &measured.process);
}

fn export_shards(metrics: &Metrics, census: &Census) {
    let Census { counters, gauges, .. } = census;
    set_gauge(&metrics.sessions, gauges.sessions);
    set_gauge(&metrics.feeds, gauges.feeds);
    set_gauge(&metrics.slow_consumers, gauges.blocked);
    set_gauge(&metrics.pages_awaited, gauges.pages_awaited);
    set_counter(&metrics.connections_started, counters.connections_started);
    for reason in DisconnectReason::ALL {
        set_counter(metrics.connections_ended.of(reason), counters.connections_ended[reason.index()]);
    }
    for reason in GapReason::ALL {
        set_counter(metrics.gaps.of(reason), counters.gaps[reason.index()]);
    }
    set_counter(&metrics.deliveries, counters.deliveries);
    set_counter(&metrics.delivered_bytes, counters.bytes_out);
    set_counter(&metrics.passes, counters.passes);
    set_counter(&metrics.blocked, counters.blocked);
    set_counter(&metrics.pages, counters.pages);
    set_counter(&metrics.page_failures, counters.page_failures);
}

fn export_process(metrics: &Metrics, process: &ProcessStats) {
    let float = |value: Option<u64>| value.map(|value| value as f64);
    metrics.process_cpu.set(process.cpu_seconds);
    metrics.process_resident_memory.set(float(process.rss_bytes));
    metrics.process_open_fds.set(float(process.open_fds));
    metrics.process_max_fds.set(float(process.max_fds));
    metrics.process_threads.set(float(process.threads));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_those_of_the_time_that_passed() {
        let before =
            Totals { at: Instant::now(), messages: 0, bytes_in: 0, deliveries: 0, bytes_out: 0, cpu_seconds: None };
        let now = Totals { at: before.at + Duration::from_millis(2_500), ..before };
        assert_eq!(now.per_second(&before, 10.0), 4.0);
        assert_eq!(before.per_second(&before, 10.0), 0.0);
    }
}
