//! The bounds of webhooks, and of what they are told of.

use std::time::Duration;

/// Addresses that webhooks may go to: each has its share of [`WEBHOOK_SENDERS_MAX`].
pub const WEBHOOK_URLS_MAX: usize = 8;

/// Longest address of webhooks, in bytes.
pub const WEBHOOK_URL_BYTES_MAX: usize = 1_024;

/// Deliveries of webhooks that are under way at the same time: each is a thread that mostly waits.
pub const WEBHOOK_SENDERS_MAX: usize = 8;

/// How long one try of a delivery may take, from the look-up of the name to the head of the answer: a
/// receiver that does its work before it answers is doing it wrong.
pub const WEBHOOK_TRY_DEADLINE: Duration = Duration::from_secs(5);

/// From the first failed try of a delivery to the second; twice as long after each further one.
pub const WEBHOOK_RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause between two tries of a delivery.
pub const WEBHOOK_RETRY_MAX: Duration = Duration::from_secs(60 * 60);

/// A delivery that fails is given up when its event is older than that: a night and a working day.
pub const WEBHOOK_TRIES_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Deliveries that wait in the database, about 100 MB; events beyond it are counted as lost.
pub const WEBHOOK_ROWS_MAX: u64 = 100_000;

/// Events that wait to be stored; more are counted as lost, since nobody waits for webhooks.
pub const WEBHOOK_QUEUE_MAX: usize = 8_192;

/// Deliveries of one subject that are taken from the database at once; then others have a turn.
pub const WEBHOOK_RUN_MAX: usize = 16;

/// Rows that are looked at to find what is due.
pub const WEBHOOK_SCAN_ROWS_MAX: usize = 64;

/// Looks at [`WEBHOOK_SCAN_ROWS_MAX`] rows, one after the other, each without the subjects found before.
pub const WEBHOOK_SCANS_MAX: usize = 16;

/// How often it is looked for deliveries that are due, beside whenever a new one is stored.
pub const WEBHOOK_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often the deliveries are counted that wait.
pub const WEBHOOK_COUNT_INTERVAL: Duration = Duration::from_secs(2);

/// How often deliveries are deleted whose address is not set any more.
pub const WEBHOOK_PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// What is read of a receiver's answer, in bytes, and thrown away.
pub const WEBHOOK_ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Longest reason of a failed try that is kept, in bytes.
pub const WEBHOOK_ERROR_BYTES_MAX: usize = 256;

/// How long a channel must be left alone before it counts as vacated: a page that is reloaded is back by then.
pub const OCCUPANCY_QUIET: Duration = Duration::from_secs(2);

/// How long a channel that is never left alone waits to be looked at.
pub const OCCUPANCY_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether channels were occupied or vacated.
pub const OCCUPANCY_INTERVAL: Duration = Duration::from_millis(250);

/// Channels whose followers came or went, and channels that are known to be occupied: about 10 MB. Beyond it
/// all are looked at anew, and those that find no room are not told of.
pub const OCCUPANCY_CHANNELS_MAX: usize = 100_000;

/// Channels that are looked at in one go.
pub const OCCUPANCY_LOOKS_MAX: usize = 1_000;
