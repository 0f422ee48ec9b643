//! How a call goes: what a participant reports of its links, and what is made of it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Body of `POST /api/webrtc/stats`: one report of one participant, about every ten seconds.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatsReport {
    /// The room.
    pub room_id: String,
    /// Each of the others once.
    #[schema(max_items = 32)]
    pub peers: Vec<PeerReport>,
}

/// The link to one other participant, from the numbers of `RTCPeerConnection.getStats()`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerReport {
    /// The other's participant id.
    pub peer: String,
    /// How the link does.
    pub state: LinkState,
    /// The candidates in use, its own first: type and protocol, for a relay that to the TURN server. Words
    /// that nobody knows count as unknown.
    #[serde(default)]
    #[ts(optional)]
    #[schema(examples("relay/tls→host/udp"), max_length = 64)]
    pub pair: Option<String>,
    /// Round trip, in milliseconds.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 600_000)]
    pub rtt_ms: Option<f64>,
    /// Jitter of what arrives (RFC 3550, section 6.4.1), in milliseconds.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 600_000)]
    pub jitter_ms: Option<f64>,
    /// Packets that were lost since the last report, in percent.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 100)]
    pub loss_pct: Option<f64>,
    /// What came in since the last report, in kilobits a second.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 10_000_000)]
    pub kbps_in: Option<f64>,
    /// What went out since the last report, in kilobits a second.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 10_000_000)]
    pub kbps_out: Option<f64>,
    /// Frames a second that were decoded.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 1_000)]
    pub fps: Option<f64>,
    /// Width of what was decoded, in pixels.
    #[serde(default)]
    #[ts(optional)]
    #[schema(maximum = 32_768)]
    pub width: Option<u32>,
    /// Height of what was decoded, in pixels.
    #[serde(default)]
    #[ts(optional)]
    #[schema(maximum = 32_768)]
    pub height: Option<u32>,
    /// Freezes since the link began, as `freezeCount` counts them.
    #[serde(default)]
    #[ts(optional)]
    pub freezes: Option<u32>,
    /// From the first offer or answer to the link being connected, in milliseconds. The same number again
    /// counts once.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 0, maximum = 600_000)]
    pub setup_ms: Option<f64>,
}

/// How a link does: `RTCPeerConnectionState` of WebRTC 1.0, section 4.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Nothing has happened yet.
    New,
    /// A way is being looked for.
    Connecting,
    /// Media can flow.
    Connected,
    /// Nothing arrives any more; it may come back by itself.
    Disconnected,
    /// No way was found, or the last one is lost for good.
    Failed,
    /// It was ended on purpose.
    Closed,
}

/// How a call goes for a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallScore {
    /// Nobody notices anything.
    Good,
    /// One notices, and can talk.
    Fair,
    /// Talking is hard.
    Poor,
    /// Nothing comes through.
    Lost,
}

impl CallScore {
    /// Every score, each at its place by [`CallScore::index`].
    pub const ALL: [Self; 4] = [Self::Good, Self::Fair, Self::Poor, Self::Lost];

    /// Its place in [`CallScore::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As it is written in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
            Self::Lost => "lost",
        }
    }
}

/// Answer of `POST /api/webrtc/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScoreAnswer {
    /// How the call goes for whoever reported; absent while there is no link to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub score: Option<CallScore>,
}

/// What a participant should send at most to each of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// Bitrate of video, in kilobits a second.
    pub max_video_kbps: u32,
    /// Height of video, in pixels.
    pub max_height: u32,
    /// Frames of video a second.
    pub max_fps: u32,
}
