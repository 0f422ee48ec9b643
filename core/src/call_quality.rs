//! How much the participants of a call should send.

use santral_schema::call_quality::Advice;

/// How much each of `participants` should send.
#[must_use]
pub fn advice(participants: usize) -> Advice {
    let (max_video_kbps, max_height, max_fps) = match participants {
        0..=3 => (1_200, 720, 30),
        4 => (600, 480, 30),
        5..=6 => (350, 360, 30),
        7..=8 => (180, 240, 15),
        _ => (120, 180, 15),
    };
    Advice { max_video_kbps, max_height, max_fps }
}
