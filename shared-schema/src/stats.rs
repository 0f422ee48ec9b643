//! Stats: how the server does, now and over the last minutes.
//!
//! Totals count since the start of the server. Rates are those of the last second.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::call_quality::CallScore;
use crate::events::GapReason;
use crate::health::StorageHealth;

/// Answer of `GET /api/stats`, and content of each `event: stats` of `GET /api/stats/stream`.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// When this was measured, RFC 3339 in UTC.
    pub at: String,
    /// The node.
    pub node: String,
    /// The version of the server.
    pub version: String,
    /// When the server started, RFC 3339 in UTC.
    pub started_at: String,
    /// Since the start, in seconds.
    #[ts(type = "number")]
    pub uptime_seconds: u64,
    /// Whether everybody may do everything because no accounts are configured.
    pub open: bool,
    /// Whether the server is about to stop.
    pub draining: bool,
    /// How storage does.
    pub storage: StorageHealth,
    /// Whether a part of the server did not answer in time: its numbers are those of before.
    pub partial: bool,
    /// Connections.
    pub connections: ConnectionStats,
    /// Sessions, with and without a connection.
    #[ts(type = "number")]
    pub sessions: u64,
    /// Channels and prefixes that are followed or have recent messages, on the thread that has most.
    #[ts(type = "number")]
    pub channels: u64,
    /// What came in.
    pub messages: MessageStats,
    /// What went out.
    pub deliveries: DeliveryStats,
    /// What waits.
    pub backlog: BacklogStats,
    /// What clients were told that they missed.
    pub gaps: GapStats,
    /// Clients whose connection takes no more for now.
    pub slow_consumers: SlowConsumerStats,
    /// How long things took over the last minutes.
    pub latency: LatencyStats,
    /// Video rooms.
    pub video: VideoStats,
    /// How calls go, as their participants report.
    pub calls: CallStats,
    /// Where the log stands.
    pub log: LogStats,
    /// What the operating system says of the process.
    pub process: ProcessStats,
    /// The last minutes, one sample a second, oldest first; absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub samples: Option<Vec<StatsSample>>,
}

/// Connections.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStats {
    /// Open now.
    #[ts(type = "number")]
    pub total: u64,
    /// Open now, by transport.
    pub by_transport: TransportStats,
    /// Admitted since the start.
    #[ts(type = "number")]
    pub started_total: u64,
    /// Ended since the start.
    #[ts(type = "number")]
    pub ended_total: u64,
    /// Turned away since the start.
    #[ts(type = "number")]
    pub refused_total: u64,
}

/// Video rooms.
#[derive(Debug, Clone, Copy, Default, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VideoStats {
    /// Rooms that are not closed.
    #[ts(type = "number")]
    pub rooms: u64,
    /// Seats that are taken.
    #[ts(type = "number")]
    pub participants: u64,
    /// People who wait to be let in.
    #[ts(type = "number")]
    pub waiting: u64,
    /// Signals that were passed on since the start.
    #[ts(type = "number")]
    pub signals_total: u64,
}

/// A number for each transport.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransportStats {
    /// Server-Sent Events.
    #[ts(type = "number")]
    pub sse: u64,
    /// WebSockets.
    #[ts(type = "number")]
    pub websocket: u64,
    /// Sessions that are polled.
    #[ts(type = "number")]
    pub poll: u64,
    /// Socket.IO.
    #[ts(type = "number")]
    pub socketio: u64,
}

/// What came in. A message counts once, to however many channels it goes.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStats {
    /// Messages that were accepted.
    #[ts(type = "number")]
    pub in_total: u64,
    /// Messages a second.
    pub in_per_second: f64,
    /// Bytes of their data.
    #[ts(type = "number")]
    pub bytes_in_total: u64,
    /// Bytes a second.
    pub bytes_in_per_second: f64,
    /// Of these, messages that were stored.
    #[ts(type = "number")]
    pub stored_total: u64,
    /// Of these, messages that were not to be stored.
    #[ts(type = "number")]
    pub volatile_total: u64,
    /// Messages that were here before, with the same idempotency key; not accepted again.
    #[ts(type = "number")]
    pub repeated_total: u64,
    /// Requests to publish that were refused.
    #[ts(type = "number")]
    pub refused_total: u64,
}

/// What went out. A message to ten clients counts ten times.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStats {
    /// Messages and presence changes that were handed to connections.
    #[ts(type = "number")]
    pub total: u64,
    /// Deliveries a second.
    pub per_second: f64,
    /// Bytes that connections took, neither response heads nor `hello`.
    #[ts(type = "number")]
    pub bytes_total: u64,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// What waits.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacklogStats {
    /// Sessions that wait for a page of the log.
    #[ts(type = "number")]
    pub pages_awaited: u64,
    /// Pages of the log that were read for sessions which fell behind.
    #[ts(type = "number")]
    pub pages_total: u64,
    /// Publishes that wait for the database.
    #[ts(type = "number")]
    pub writer_queue: u64,
}

/// What clients were told that they missed.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GapStats {
    /// `gap` events.
    #[ts(type = "number")]
    pub total: u64,
    /// `gap` events, by reason.
    pub by_reason: Vec<GapCount>,
}

/// The `gap` events of one reason.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GapCount {
    /// Why.
    pub reason: GapReason,
    /// How many.
    #[ts(type = "number")]
    pub total: u64,
}

/// Clients whose connection takes no more for now.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlowConsumerStats {
    /// How many there are.
    #[ts(type = "number")]
    pub now: u64,
    /// How often that happened.
    #[ts(type = "number")]
    pub blocked_total: u64,
}

/// How long things took over the last minutes.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyStats {
    /// From the acceptance of a publish to the end of the pass that wrote it to its followers; of
    /// each pass the message that waited longest.
    pub publish_to_write: Latency,
    /// Commits of the log.
    pub commit: Latency,
}

/// How calls go, as their participants report. Each link is reported by both of its ends.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallStats {
    /// Reports, by the score that came of them.
    pub by_score: Vec<ScoreCount>,
    /// Links that came up or moved to another way.
    #[ts(type = "number")]
    pub links_total: u64,
    /// The same, by way.
    pub by_route: Vec<RouteCount>,
    /// Links that failed.
    #[ts(type = "number")]
    pub failed_total: u64,
    /// From the first offer or answer to the link being connected, over the last minutes.
    pub setup: Latency,
    /// Round trips over the last minutes.
    pub rtt: Latency,
}

/// The reports of one score.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScoreCount {
    /// How the call went.
    pub score: CallScore,
    /// How many.
    #[ts(type = "number")]
    pub total: u64,
}

/// The links that went one way.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteCount {
    /// The longer way of the two ends: `host`, `prflx`, `srflx`, `relay_udp`, `relay_tcp`, `relay_tls` or
    /// `unknown`.
    pub route: String,
    /// How many.
    #[ts(type = "number")]
    pub total: u64,
}

/// How long something took. Quantiles are estimated between the bounds of the buckets.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// How often it was measured.
    #[ts(type = "number")]
    pub count: u64,
    /// Half were faster, in milliseconds; `null` when it was not measured.
    #[schema(required)]
    pub p50_ms: Option<f64>,
    /// 95 of 100 were faster.
    #[schema(required)]
    pub p95_ms: Option<f64>,
    /// 99 of 100 were faster.
    #[schema(required)]
    pub p99_ms: Option<f64>,
    /// The slowest.
    #[schema(required)]
    pub max_ms: Option<f64>,
    /// The buckets that are not empty, fastest first.
    pub buckets: Vec<LatencyBucket>,
}

/// How often something took so long.
#[derive(Debug, Clone, Copy, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyBucket {
    /// At most this, in milliseconds, and more than the bucket before; `null` = longer than any bound.
    #[schema(required)]
    pub upto_ms: Option<f64>,
    /// How often.
    #[ts(type = "number")]
    pub count: u64,
}

/// Where the log stands.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogStats {
    /// Its incarnation.
    pub epoch: String,
    /// Its last offset; 0 when it never had an entry.
    #[ts(type = "number")]
    pub head: u64,
    /// The offset of its oldest retained entry; `null` when there is none.
    #[schema(required)]
    #[ts(type = "number | null")]
    pub oldest: Option<u64>,
    /// Offsets that retention has left.
    #[ts(type = "number")]
    pub entries: u64,
}

/// What the operating system says of the process; `null` where it does not.
#[derive(Debug, Clone, Copy, Default, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStats {
    /// Memory that is resident, in bytes.
    #[schema(required)]
    #[ts(type = "number | null")]
    pub rss_bytes: Option<u64>,
    /// Open file descriptors.
    #[schema(required)]
    #[ts(type = "number | null")]
    pub open_fds: Option<u64>,
    /// Most file descriptors that may be open; `null` also where there is no limit.
    #[schema(required)]
    #[ts(type = "number | null")]
    pub max_fds: Option<u64>,
    /// Processor time that was used since the start, in seconds.
    #[schema(required)]
    pub cpu_seconds: Option<f64>,
    /// Threads.
    #[schema(required)]
    #[ts(type = "number | null")]
    pub threads: Option<u64>,
}

/// One second. Rates are those since the sample before.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsSample {
    /// When it ended, RFC 3339 in UTC.
    pub at: String,
    /// Whether a part of the server did not answer in time: its numbers are those of before.
    pub partial: bool,
    /// Open connections.
    #[ts(type = "number")]
    pub connections: u64,
    /// Sessions, with and without a connection.
    #[ts(type = "number")]
    pub sessions: u64,
    /// Messages that were accepted since the start.
    #[ts(type = "number")]
    pub messages_total: u64,
    /// Messages a second.
    pub messages_per_second: f64,
    /// Bytes of message data a second.
    pub bytes_in_per_second: f64,
    /// Deliveries since the start.
    #[ts(type = "number")]
    pub deliveries_total: u64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Bytes that connections took a second.
    pub bytes_out_per_second: f64,
    /// `gap` events since the start.
    #[ts(type = "number")]
    pub gaps_total: u64,
    /// Clients whose connection took no more.
    #[ts(type = "number")]
    pub slow_consumers: u64,
    /// Publishes that waited for the database.
    #[ts(type = "number")]
    pub writer_queue: u64,
    /// See [`LatencyStats::publish_to_write`], in milliseconds; `null` when nothing was measured.
    #[schema(required)]
    pub publish_to_write_p99_ms: Option<f64>,
    /// See [`LatencyStats::commit`], in milliseconds; `null` when nothing was measured.
    #[schema(required)]
    pub commit_p99_ms: Option<f64>,
    /// Memory that was resident, in bytes.
    #[schema(required)]
    #[ts(type = "number | null")]
    pub rss_bytes: Option<u64>,
    /// Processor time used a second, in seconds: 1 is one busy core.
    #[schema(required)]
    pub cpu: Option<f64>,
}

/// Content of `event: ring`, the first of a stats stream that was asked for with `ring=1`.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsRing {
    /// The last minutes, one sample a second, oldest first.
    pub samples: Vec<StatsSample>,
}
