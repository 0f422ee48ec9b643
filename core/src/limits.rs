//! Every bound, with its unit and the reason for its value (INV-12).
//!
//! What an operator may change is a setting whose default stands here; the rest is fixed.

use std::time::Duration;

/// Longest channel name, in bytes: fits an index key and a log line.
pub const CHANNEL_NAME_BYTES_MAX: usize = 128;

/// Longest event name, in bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 128;

/// Shortest session token, in bytes: 22 characters of base64url carry 128 bits.
pub const SESSION_TOKEN_BYTES_MIN: usize = 22;

/// Longest session token, in bytes.
pub const SESSION_TOKEN_BYTES_MAX: usize = 64;

/// Largest message data, in bytes of JSON text (default of a setting).
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of message data: no parser on the way recurses deeper.
pub const JSON_DEPTH_MAX: usize = 32;

/// Most items in one publish: what one commit takes without holding up the others.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// Largest body of a publish, in bytes: a batch of messages is bounded by this, not by items × size.
pub const PUBLISH_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest body of any other request, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// How long a request body may take in all: slower clients hold memory for nothing.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How long a request head may take in all, and an idle kept-alive connection may wait for one.
pub const REQUEST_HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Most channels and prefixes that one session follows: each costs memory in its shard.
pub const SUBSCRIPTIONS_PER_SESSION_MAX: usize = 1_000;

/// Entries that a shard keeps at hand behind the head: what a client may be behind without a read of the log.
pub const RING_ENTRIES_MAX: usize = 16 * 1024;

/// Bytes of entries that a shard keeps at hand; the entries themselves are shared by all shards.
pub const RING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Direct messages that wait in or are remembered by one session's inbox.
pub const INBOX_MESSAGES_MAX: usize = 256;

/// Bytes of direct messages in one session's inbox.
pub const INBOX_BYTES_MAX: usize = 256 * 1024;

/// Previous connections of a session that `except` still honours in a replay.
pub const REMEMBERED_CONNECTIONS_MAX: usize = 8;

/// How long a resumable session outlives its connection.
pub const SESSION_GRACE: Duration = Duration::from_secs(60);

/// How long an admitted stream may take to hand over its socket after the response head.
pub const ATTACH_DEADLINE: Duration = Duration::from_secs(15);

/// Resumable sessions without a connection that one shard keeps; the oldest goes first.
pub const DETACHED_SESSIONS_MAX: usize = 20_000;

/// Entries in one page of the log that is read for a client that fell behind.
pub const PAGE_ENTRIES_MAX: usize = 256;

/// Bytes of entries in one such page: about what the socket takes at once (see `SOCKET_SEND_BUFFER_BYTES`).
pub const PAGE_BYTES_MAX: usize = 64 * 1024;

/// Pages of the log that one shard reads at the same time.
pub const PAGE_READS_MAX: usize = 4;

/// How long after a failed page read the next one is tried.
pub const PAGE_READ_RETRY: Duration = Duration::from_millis(250);

/// Frames in one vectored write: the kernel takes up to 1,024, a batch of 64 fits on the stack.
pub const FRAMES_PER_WRITE_MAX: usize = 64;

/// Sessions that are served before the thread turns to other work (REST stays quick meanwhile).
pub const SESSIONS_PER_SLICE: usize = 64;

/// The longest pause between two passes; the first message after silence never waits.
pub const PASS_PAUSE_MAX: Duration = Duration::from_millis(10);

/// The shortest pause between two passes that is worth a timer; below it the next one starts at once.
pub const PASS_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Silence after which a ping is sent (default of a setting): below the 30 s that strict proxies allow.
pub const HEARTBEAT: Duration = Duration::from_secs(25);

/// Grain of the timer wheel that spreads heartbeats.
pub const WHEEL_TICK: Duration = Duration::from_millis(100);

/// Send buffer of a stream's socket, in bytes; the kernel doubles it. Keeps a stalled reader cheap.
pub const SOCKET_SEND_BUFFER_BYTES: usize = 32 * 1024;

/// Unread bytes after which a stalled peer is given up on by the kernel (`TCP_USER_TIMEOUT`).
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes a client may send on a stream after its request before it is cut off: it has nothing to say there.
pub const STREAM_INPUT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the comment that pads the start of a stream when `pad=1`.
pub const PADDING_BYTES: usize = 2 * 1024;

/// Shortest and longest `retry:` of a stream, in milliseconds: spreads the return of a crowd.
pub const RETRY_MS: std::ops::RangeInclusive<u32> = 2_000..=5_000;

/// Shortest and longest `retry:` when the server turns a native EventSource away for now, in milliseconds.
pub const RETRY_LATER_MS: std::ops::RangeInclusive<u32> = 15_000..=20_000;

/// Messages that wait in one shard's mailbox; a full one slows publishers, never the shard.
pub const MAILBOX_MESSAGES_MAX: usize = 4_096;

/// Publishes that wait for the writer; more are refused with 503 `storage_busy`.
pub const WRITER_QUEUE_MAX: usize = 8_192;

/// Publications in one commit.
pub const COMMIT_ITEMS_MAX: usize = 4_096;

/// How long a publish may wait for its commit before it is refused with 503 `storage_busy`.
pub const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

/// How long the database may hold up one statement by a foreign lock.
pub const STORAGE_BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Rows that one slice of retention deletes: about 6 ms of work.
pub const PRUNE_ROWS_MAX: usize = 5_000;

/// How often retention looks for something to delete.
pub const PRUNE_INTERVAL: Duration = Duration::from_secs(10);

/// Stored messages that are retained (default of a setting).
pub const RETENTION_MESSAGES: u64 = 1_000_000;

/// How long stored messages are retained (default of a setting).
pub const RETENTION_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Items on one page of a listing when the request names no `limit`.
pub const LISTING_ITEMS: usize = 100;

/// Most items on one page of a listing.
pub const LISTING_ITEMS_MAX: usize = 1_000;

/// Time over which a draining server says goodbye to its streams (default of a setting).
pub const DRAIN_WINDOW: Duration = Duration::from_secs(10);

/// File descriptors that are kept back for health checks, the database and the operator.
pub const RESERVED_DESCRIPTORS: u64 = 64;

/// Most patterns in one list of a token, an API key or a setting: each is compared at every subscribe.
pub const GRANT_PATTERNS_MAX: usize = 100;

/// Connections for reading records (accounts, events, settings): apart from those of the log, so that
/// an operator's search never holds up a client.
pub const RECORD_READERS: u32 = 2;

/// API keys that are good at the same time: each is compared at every request with a key.
pub const API_KEYS_MAX: usize = 1_000;

/// Logins of one account that are good at the same time; the oldest ends first.
pub const LOGINS_PER_USER_MAX: usize = 100;

/// How long a login or an API key that has ended is remembered.
pub const ENDED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Ended logins or keys that one write forgets on its way.
pub const FORGOTTEN_ROWS_MAX: usize = 100;

/// Changes that the history of settings keeps.
pub const SETTING_CHANGES_MAX: u64 = 10_000;

/// Rows that one slice of retention deletes of events or connections: each row stands in several
/// indices (about 0.1 ms each), and the log's writer waits meanwhile.
pub const RECORD_PRUNE_ROWS_MAX: usize = 200;

/// Rows that are none, written by somebody else, of which it is remembered that it was said.
pub const BAD_ROWS_REMEMBERED_MAX: usize = 1_000;

/// Events that wait to be stored; more are counted as lost, since nobody waits for the event log.
pub const EVENT_QUEUE_MAX: usize = 8_192;

/// Starts and ends of connections that wait to be recorded; the last quarter is kept for ends.
pub const CONNECTION_QUEUE_MAX: usize = 16_384;

/// Events, or starts and ends of connections, in one commit.
pub const RECORD_BATCH_MAX: usize = 500;

/// How long the first of a batch waits for company: few commits, and a follower does not notice.
pub const RECORD_BATCH_WAIT: Duration = Duration::from_millis(200);

/// Pause between two attempts to store a batch.
pub const RECORD_RETRY: Duration = Duration::from_millis(250);

/// How long one batch is tried before it is counted as lost.
pub const RECORD_DEADLINE: Duration = Duration::from_secs(60);

/// Slices of retention between two batches: they delete twice what a batch adds.
pub const RECORD_PRUNE_SLICES_MAX: usize = 5;

/// Longest message of an event, in bytes.
pub const EVENT_MESSAGE_BYTES_MAX: usize = 1_024;

/// Longest actor of an event, in bytes.
pub const EVENT_ACTOR_BYTES_MAX: usize = 256;

/// Longest request id of an event, in bytes.
pub const EVENT_REQUEST_ID_BYTES_MAX: usize = 64;

/// Largest details of an event, in bytes of JSON text.
pub const EVENT_DETAILS_BYTES_MAX: usize = 8 * 1024;

/// Longest text that is searched for in events, in bytes.
pub const EVENT_SEARCH_BYTES_MAX: usize = 256;

/// Events that a follower may be behind before it reads them from the store.
pub const EVENT_FOLLOW_LAG_MAX: usize = 1_024;

/// Followers and exports of the event log at the same time: each holds one of few connections.
pub const EVENT_READERS_MAX: usize = 32;

/// Events on one page of an export, or of a follower that catches up.
pub const EVENT_PAGE_MAX: usize = 500;

/// How often it is looked whether somebody may still follow the event log.
pub const EVENT_FOLLOW_CHECK: Duration = Duration::from_secs(1);

/// Longest address and user agent of a connection's record, in bytes.
pub const CONNECTION_TEXT_BYTES_MAX: usize = 256;

/// Records of connections that are retained.
pub const CONNECTION_RECORDS_MAX: u64 = 1_000_000;

/// How often retention looks for records of connections to delete.
pub const CONNECTION_PRUNE_INTERVAL: Duration = Duration::from_secs(60);
