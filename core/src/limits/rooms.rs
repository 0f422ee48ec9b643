//! The bounds of rooms, their participants and their signals.

use std::time::Duration;

/// Longest id of a room, in bytes.
pub const ROOM_ID_BYTES_MAX: usize = 64;

/// Longest name of a room and of a participant, in characters.
pub const ROOM_NAME_CHARACTERS_MAX: usize = 120;

/// Largest metadata of a room or a participant, in bytes of JSON text: each goes to everybody in the room.
pub const ROOM_METADATA_BYTES_MAX: usize = 4 * 1024;

/// Who waits in one lobby at the same time.
pub const LOBBY_MAX: usize = 64;

/// How long somebody waits to be let in.
pub const LOBBY_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long a seat is kept whose page was closed: long enough for a reload.
pub const PAGE_CLOSED_GRACE: Duration = Duration::from_secs(5);

/// How long somebody who was sent away is kept out.
pub const KICK_PAUSE: Duration = Duration::from_secs(10 * 60);

/// People who are kept out of one room at the same time; the oldest bar goes first.
pub const BARS_MAX: usize = 1_000;

/// After so long a silence a client that reports how its call is counts as gone: it reports every ten seconds.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// How long before its end a room says so.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(60);

/// Seconds for which a seat may be kept.
pub const GRACE_SECONDS: std::ops::RangeInclusive<u32> = 5..=120;

/// Longest time that may be set for a room, in seconds: 30 days.
pub const ROOM_SECONDS_MAX: u32 = 30 * 24 * 60 * 60;

/// Participants that one signal names.
pub const SIGNAL_TARGETS_MAX: usize = 16;

/// Signals of one request.
pub const SIGNALS_MAX: usize = 64;

/// Largest data of one signal, in bytes; offers of browsers have up to 6 KB.
pub const SIGNAL_BYTES_MAX: usize = 64 * 1024;

/// Largest request with signals, in bytes.
pub const SIGNAL_REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Levels that the data of a signal may nest.
pub const SIGNAL_DEPTH_MAX: usize = 8;

/// Longest negotiation id, in bytes.
pub const NEGOTIATION_ID_BYTES_MAX: usize = 64;

/// How far a signal may be ahead of those that it has overtaken.
pub const SIGNALS_AHEAD_MAX: u64 = 64;

/// Signals that wait for those which they have overtaken, in bytes.
pub const PARKED_BYTES_MAX: usize = 256 * 1024;

/// Refused signals of one participant whose repetition is answered alike: more than it may send in the seconds
/// within which clients repeat.
pub const REFUSED_SIGNALS_MAX: usize = 512;

/// How long they wait.
pub const PARKED_PATIENCE: Duration = Duration::from_secs(2);

/// Signals a second of one participant: one who enters a call of ten sends about a hundred.
pub const SIGNALS_PER_SECOND: u32 = 50;

/// Signals that one participant may send at once.
pub const SIGNALS_BURST: u32 = 200;

/// Signals a second of one room.
pub const ROOM_SIGNALS_PER_SECOND: u32 = 1_000;

/// Signals that one room may take at once.
pub const ROOM_SIGNALS_BURST: u32 = 2_000;

/// Events that wait for one participant, or may be asked for again.
pub const ROOM_BUFFER_EVENTS_MAX: usize = 512;

/// The same in bytes.
pub const ROOM_BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// Events that are kept for a participant after they were sent.
pub const ROOM_REPLAY_EVENTS_MAX: usize = 128;

/// How long they are kept.
pub const ROOM_REPLAY_WINDOW: Duration = Duration::from_secs(120);

/// Events for one participant that go to its shard at once.
pub const DELIVERY_BATCH_MAX: usize = 64;

/// Participant tokens that are good no more and still recognised, so that their bearer hears why.
pub const DEAD_TOKENS_MAX: usize = 10_000;

/// How long an answer waits until what it says is in the database; after that it goes out all the same.
pub const ROOM_SAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Events for webhooks that wait for the database with the rows of rooms; more wait in the queue of all others.
pub const ROOM_DELIVERIES_MAX: usize = 10_000;

/// How often rooms that are over for long are forgotten.
pub const ROOM_PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// News of connections that wait for the thread of the rooms; beyond that it looks for itself.
pub const ROOM_NEWS_MAX: usize = 16_384;

/// Requests that wait for the thread of the rooms.
pub const ROOM_REQUESTS_MAX: usize = 4_096;

/// Video rooms that one principal, or one guest's address, makes a minute. Who runs the server is not counted.
pub const ROOMS_MADE_PER_MINUTE: u32 = 10;

/// Whose video rooms are counted at the same time.
pub const ROOM_MAKERS_MAX: usize = 50_000;

/// Characters of a room's password: those who share it chose it.
pub const ROOM_PASSWORD_CHARACTERS_MAX: usize = 128;

/// How often a minute the password of one room is tried from one address.
pub const ROOM_PASSWORD_TRIES_PER_MINUTE: u32 = 5;

/// Longest id of a user that a room names as its host, in bytes: that of a token's subject.
pub const HOST_ID_BYTES_MAX: usize = 64;

/// Seconds for which an invitation is good.
pub const INVITATION_SECONDS: std::ops::RangeInclusive<u32> = 60..=ROOM_SECONDS_MAX;

/// Seconds for which an invitation is good that nobody said more of: a day.
pub const INVITATION_SECONDS_DEFAULT: u32 = 24 * 60 * 60;

/// How many rooms a page of the list has at most, and if nobody asks for another number.
pub const ROOM_PAGE_MAX: usize = 200;

/// See [`ROOM_PAGE_MAX`].
pub const ROOM_PAGE_DEFAULT: usize = 50;

/// Seats of a room that nobody said more of.
pub const ROOM_SEATS_DEFAULT: u32 = 6;

/// Seats above which whoever makes a room is told that a mesh of so many asks much of their devices.
pub const ROOM_SEATS_EASY: u32 = 6;

/// After so long a room is closed to which nobody has ever come, if nobody said more.
pub const ROOM_EMPTY_TIMEOUT: Duration = Duration::from_secs(300);

/// After so long a room is closed that everybody has left, if nobody said more.
pub const ROOM_DEPARTURE_TIMEOUT: Duration = Duration::from_secs(60);

/// For so long a seat is kept whose line is down, if nobody said more.
pub const ROOM_GRACE: Duration = Duration::from_secs(20);

/// Largest body of a request about a room, in bytes.
pub const ROOM_BODY_BYTES_MAX: usize = 16 * 1024;

/// How many may come in with an invitation that is for so many.
pub const INVITATION_USES: std::ops::RangeInclusive<u32> = 1..=10_000;
