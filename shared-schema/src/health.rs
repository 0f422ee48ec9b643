//! What health checks answer.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// Answer of `GET /health`.
#[derive(Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// In one word.
    pub status: HealthStatus,
    /// The version of the server.
    pub version: String,
    /// The node.
    pub node: String,
    /// Whether everybody may do everything because no accounts are configured.
    pub open: bool,
    /// How storage does.
    pub storage: StorageHealth,
    /// Open streams on this node.
    #[ts(type = "number")]
    pub streams: usize,
    /// Since the start, in seconds.
    #[ts(type = "number")]
    pub uptime_seconds: u64,
}

/// How the server does, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// Streams and volatile messages go on; stored messages are refused for now.
    Degraded,
    /// The server is about to stop.
    Draining,
}

/// How storage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageHealth {
    /// The last commit succeeded.
    Ok,
    /// The last commit met a lock.
    Busy,
    /// The last commit found no room.
    Full,
    /// The last commit failed.
    Failed,
}
