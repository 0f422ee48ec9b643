//! The bounds of video rooms and calls.

use std::time::Duration;

/// Most participants that a room may ever be set to have: their list goes to everyone who joins, and each reports
/// about its links to all others.
pub const PARTICIPANTS_MAX: usize = 32;

/// Participants that a room may be made for (default of a setting).
pub const ROOM_PARTICIPANTS_MAX: usize = 12;

/// Participants whose media go from each to each (default of a setting): each encodes and sends for all others.
pub const MESH_PARTICIPANTS_MAX: usize = 10;

/// Rooms of one principal at the same time (default of a setting).
pub const ROOMS_PER_PRINCIPAL: usize = 50;

/// Rooms at the same time (default of a setting).
pub const ROOMS_MAX: usize = 10_000;

/// Shortest lifetime of a password for the TURN servers: a call must be set up and refreshed within half of it.
pub const TURN_CREDENTIAL_LIFETIME_MIN: Duration = Duration::from_secs(60);

/// How long a password for the TURN servers is good (default of a setting).
pub const TURN_CREDENTIAL_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Longest lifetime of a password for the TURN servers: nothing takes one back.
pub const TURN_CREDENTIAL_LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest id of a participant, in bytes.
pub const PARTICIPANT_ID_BYTES_MAX: usize = 64;

/// Largest report about the links of a participant, in bytes: 32 links, each with everything, need 9 KiB.
pub const CALL_REPORT_BYTES_MAX: usize = 16 * 1024;

/// Longest description of a pair of candidates, in bytes.
pub const CALL_PAIR_BYTES_MAX: usize = 64;

/// Longest time span in a report, in milliseconds: who waits longer has given up.
pub const CALL_MILLISECONDS_MAX: f64 = 600_000.0;

/// Highest bitrate in a report, in kilobits a second.
pub const CALL_KBPS_MAX: f64 = 10_000_000.0;

/// Most frames a second in a report.
pub const CALL_FPS_MAX: f64 = 1_000.0;

/// Widest and highest picture in a report, in pixels.
pub const CALL_PIXELS_MAX: f64 = 32_768.0;

/// Shortest time between two events about the quality of one participant's call.
pub const QUALITY_EVENT_INTERVAL: Duration = Duration::from_secs(5);
