//! The bounds of video rooms and calls.

use std::time::Duration;

/// Most participants that a room may ever be set to have: their list goes to everyone who joins.
pub const PARTICIPANTS_MAX: usize = 50;

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
