//! What to send at most, by how many there are.

use santral_schema::call_quality::Advice;

/// What each of so many participants should send at most to each of the others.
///
/// In a mesh everybody encodes and sends once for each of the others, so the sum must fit into an uplink and
/// a processor: about 2.4 Mbit/s for three, and about 1.1 for ten. An encoder of a browser needs about 350
/// kbit/s for 640×480 and 150 for 320×240, at 15 frames a second (VP8, measured in Chromium).
#[must_use]
pub fn advice(participants: usize) -> Advice {
    let (max_video_kbps, max_height, max_fps) = match participants {
        ..=3 => (1_200, 720, 30),
        4 => (600, 480, 30),
        5..=6 => (350, 360, 24),
        7..=8 => (180, 240, 15),
        9.. => (120, 180, 15),
    };
    Advice { max_video_kbps, max_height, max_fps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PARTICIPANTS_MAX;

    #[test]
    fn the_more_there_are_the_less_each_sends() {
        let steps: Vec<_> = [1, 3, 4, 5, 6, 7, 8, 9, 10].map(|count| advice(count).max_video_kbps).into();
        assert_eq!(steps, [1_200, 1_200, 600, 350, 350, 180, 180, 120, 120]);
        assert_eq!(advice(6), Advice { max_video_kbps: 350, max_height: 360, max_fps: 24 });
        for count in 1..PARTICIPANTS_MAX {
            let (fewer, more) = (advice(count), advice(count + 1));
            assert!(more.max_video_kbps <= fewer.max_video_kbps, "{count}");
            assert!(more.max_height <= fewer.max_height && more.max_fps <= fewer.max_fps, "{count}");
        }
    }
}
