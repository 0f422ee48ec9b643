//! How much the participants of a call should send.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// How much to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// Kilobits a second of one camera.
    pub max_video_kbps: u32,
    /// Lines of its picture.
    pub max_height: u32,
    /// Pictures a second.
    pub max_fps: u32,
}
