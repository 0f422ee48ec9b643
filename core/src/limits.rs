//! Every bound, with its unit and the reason for its value (INV-12).
//!
//! What an operator may change is a setting whose default stands here; the rest is fixed.

mod protocols;
mod rooms;
mod video;
mod webhooks;

use std::time::Duration;

pub use protocols::*;
pub use rooms::*;
pub use video::*;
pub use webhooks::*;

/// A fixed bound that clients meet, for the list of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownLimit {
    /// The name of the constant.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
    /// What it bounds, and why there.
    pub reason: &'static str,
}

macro_rules! shown_limits {
    ($(#[doc = $reason:literal] $name:ident: $type:ident = $value:expr, $unit:literal;)+) => {
        $(#[doc = $reason] pub const $name: $type = $value;)+

        /// The bounds that clients meet and no setting changes.
        pub const SHOWN: &[ShownLimit] = &[$(ShownLimit {
            name: stringify!($name),
            value: shown_limits!(@number $type, $name),
            unit: $unit,
            reason: $reason,
        }),+];
    };
    (@number usize, $name:ident) => { $name as u64 };
    (@number Duration, $name:ident) => { $name.as_secs() };
}

shown_limits! {
    /// Longest channel name, in bytes: fits an index key and a log line.
    CHANNEL_NAME_BYTES_MAX: usize = 128, "bytes";

    /// Longest event name, in bytes.
    EVENT_NAME_BYTES_MAX: usize = 128, "bytes";

    /// Shortest session token, in bytes: 22 characters of base64url carry 128 bits.
    SESSION_TOKEN_BYTES_MIN: usize = 22, "bytes";

    /// Longest session token, in bytes.
    SESSION_TOKEN_BYTES_MAX: usize = 64, "bytes";

    /// Deepest nesting of message data: no parser on the way recurses deeper.
    JSON_DEPTH_MAX: usize = 32, "levels";

    /// Most items in one publish: what one commit takes without holding up the others.
    BATCH_ITEMS_MAX: usize = 1_000, "items";

    /// Largest body of a publish, in bytes: a batch of messages is bounded by this, not by items × size.
    PUBLISH_BODY_BYTES_MAX: usize = 4 * 1024 * 1024, "bytes";

    /// Largest body of any other request, in bytes.
    BODY_BYTES_MAX: usize = 16 * 1024, "bytes";

    /// How long a request body may take in all: slower clients hold memory for nothing.
    BODY_DEADLINE: Duration = Duration::from_secs(10), "seconds";

    /// How long a request head may take in all, and an idle kept-alive connection may wait for one.
    REQUEST_HEAD_DEADLINE: Duration = Duration::from_secs(5), "seconds";

    /// Longest name of a namespace, in bytes, its slash included.
    NAMESPACE_BYTES_MAX: usize = 64, "bytes";

    /// Connections and channels that one message leaves out: each is compared with what a client follows.
    EXCEPT_ITEMS_MAX: usize = 100, "items";

    /// Longest idempotency key, in bytes.
    IDEMPOTENCY_KEY_BYTES_MAX: usize = 255, "bytes";

    /// How long an idempotency key is remembered.
    IDEMPOTENCY_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60), "seconds";

    /// Most channels and prefixes that one session follows: each costs memory in its shard.
    SUBSCRIPTIONS_PER_SESSION_MAX: usize = 1_000, "channels";

    /// Direct messages that wait in or are remembered by one session's inbox.
    INBOX_MESSAGES_MAX: usize = 256, "messages";

    /// Bytes of direct messages in one session's inbox.
    INBOX_BYTES_MAX: usize = 256 * 1024, "bytes";

    /// How long a resumable session outlives its connection.
    SESSION_GRACE: Duration = Duration::from_secs(60), "seconds";

    /// How long an admitted stream may take to hand over its socket after the response head.
    ATTACH_DEADLINE: Duration = Duration::from_secs(15), "seconds";

    /// How long a publish may wait for its commit before it is refused with 503 `storage_busy`.
    PUBLISH_DEADLINE: Duration = Duration::from_secs(5), "seconds";

    /// Items on one page of a listing when the request names no `limit`.
    LISTING_ITEMS: usize = 100, "items";

    /// Most items on one page of a listing.
    LISTING_ITEMS_MAX: usize = 1_000, "items";

    /// Most patterns in one list of a token, an API key or a setting: each is compared at every subscribe.
    GRANT_PATTERNS_MAX: usize = 100, "patterns";

    /// Bytes a client may send on a stream after its request before it is cut off: it has nothing to say there.
    STREAM_INPUT_BYTES_MAX: usize = 64 * 1024, "bytes";

    /// Unread bytes after which a stalled peer is given up on by the kernel (`TCP_USER_TIMEOUT`).
    TCP_USER_TIMEOUT: Duration = Duration::from_secs(10), "seconds";
}

/// Largest message data, in bytes of JSON text (default of a setting).
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Entries that a shard keeps at hand behind the head: what a client may be behind without a read of the log.
pub const RING_ENTRIES_MAX: usize = 16 * 1024;

/// Bytes of entries that a shard keeps at hand; the entries themselves are shared by all shards.
pub const RING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Previous connections of a session that `except` still honours in a replay.
pub const REMEMBERED_CONNECTIONS_MAX: usize = 8;

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

/// Time over which a draining server says goodbye to its streams (default of a setting).
pub const DRAIN_WINDOW: Duration = Duration::from_secs(10);

/// File descriptors that are kept back for health checks, the database and the operator.
pub const RESERVED_DESCRIPTORS: u64 = 64;

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

/// Longest life of a token that the command line makes for somebody without an account: nothing takes it back.
pub const SUBJECT_TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an access token of ours is good: what a stolen one is worth.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a login goes on without a refresh.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Longest token, in bytes: looked at before anything is parsed.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest header of a token, in bytes of base64url: ours has 50, one with a key id some hundred.
pub const TOKEN_HEADER_BYTES_MAX: usize = 1024;

/// How far the clock of the operator's issuer may be ahead of ours, in seconds. Applies to `nbf` only.
pub const TOKEN_LEEWAY_SECONDS: i64 = 5;

/// Shortest secret that signs tokens, in bytes (RFC 7518, section 3.2, for HS256).
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;

/// Longest `sub` of a token, in bytes: it becomes a part of a channel's name.
pub const TOKEN_SUBJECT_BYTES_MAX: usize = 64;

/// Largest file of keys, in bytes: read whole.
pub const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Most keys of the operator's issuer: a token without a key id is tried with each.
pub const ISSUER_KEYS_MAX: usize = 32;

/// How often a file of keys is looked at for a change, at most.
pub const KEY_FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Sizes of RSA keys that are taken, in bits (RFC 7518, section 3.3; more is only slow).
pub const RSA_KEY_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Characters of a password.
pub const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=128;

/// Power of ten of the guesses that a password must withstand by zxcvbn's estimate: it is in no list
/// of common ones, nor a simple variation.
pub const PASSWORD_GUESSES_LOG10_MIN: f64 = 6.0;

/// Passwords that are hashed at the same time: each takes 19 MiB and a core for some 30 ms.
pub const PASSWORD_HASHES_MAX: usize = 2;

/// Requests that wait for their password to be hashed: about a second's worth; more are refused.
pub const PASSWORD_QUEUE_MAX: usize = 64;

/// Longest name of an account or of an API key, in characters.
pub const ACCOUNT_NAME_CHARACTERS_MAX: usize = 64;

/// How long a ticket is good.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// Tickets that wait to be used, of everybody.
pub const TICKETS_MAX: usize = 20_000;

/// Tickets that wait to be used, of one principal.
pub const TICKETS_PER_PRINCIPAL_MAX: usize = 1_000;

/// Revoked logins and users that are remembered for as long as their access tokens would be good.
/// One more, and every access token issued before has to be refreshed.
pub const REVOCATIONS_MAX: usize = 100_000;

/// Accounts, addresses or pairs of them whose sign-ins are counted, each.
pub const LOGIN_BUDGETS_MAX: usize = 50_000;

/// Longest silence on a stream that may be set: the timer wheels reach so far.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(300);

/// Most items in a list that is a setting.
pub const SETTING_LIST_ITEMS_MAX: usize = 100;

/// Longest text that says why a setting was changed, in bytes.
pub const SETTING_DESCRIPTION_BYTES_MAX: usize = 1_000;

/// Most parts of the server that hear of each change of a setting.
pub const SETTING_LISTENERS_MAX: usize = 16;

/// Longest key for signatures, in bytes.
pub const SECRET_BYTES_MAX: usize = 512;

/// Passwords that may be tried a minute for one account or from one address (default of a setting).
pub const LOGIN_ATTEMPTS_PER_MINUTE: u32 = 10;

/// Events that the event log retains (default of a setting).
pub const EVENT_LOG_ROWS_MAX: u64 = 1_000_000;

/// How long the event log retains events (default of a setting).
pub const EVENT_LOG_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long the record of a connection is retained after its end (default of a setting).
pub const CONNECTION_RECORD_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Open streams of one user (default of a setting): many devices with many tabs.
pub const CONNECTIONS_PER_USER: usize = 50;

/// Open streams from one address or IPv6 /64 (default of a setting): an office behind one address.
pub const CONNECTIONS_PER_ADDRESS: usize = 1_000;

/// Requests a second from one address or IPv6 /64 (default of a setting).
pub const RATE_PER_ADDRESS: u32 = 100;

/// Requests at once from one address or IPv6 /64 (default of a setting).
pub const RATE_BURST_PER_ADDRESS: u32 = 500;

/// Requests a second of one principal (default of a setting).
pub const RATE_PER_PRINCIPAL: u32 = 1_000;

/// Requests at once of one principal (default of a setting).
pub const RATE_BURST_PER_PRINCIPAL: u32 = 2_000;

/// How often stats are sampled.
pub const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// How long a sample waits for the answers of all shards; then it is partial.
pub const STATS_ANSWER_DEADLINE: Duration = Duration::from_millis(900);

/// Samples that are kept: five minutes.
pub const STATS_SAMPLES_MAX: usize = 300;

/// Streams of stats at the same time, about: each holds a plain HTTP connection and a copy of one event.
pub const STATS_FOLLOWERS_MAX: usize = 100;

/// Blocks that stand at the same time: each is looked up at every request.
pub const BLOCKS_MAX: usize = 10_000;

/// Longest block of a client.
pub const BLOCK_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Longest part of a `User-Agent` that is kept for the operator, in bytes.
pub const USER_AGENT_BYTES_MAX: usize = 256;

/// Addresses or principals that a rate limit remembers: 4 MiB. More begin with a clean sheet, all of them.
pub const RATE_LIMIT_KEYS_MAX: usize = 64 * 1024;

/// Checks of a rate limit between two looks at how much it remembers: a look takes all its locks.
pub const RATE_LIMIT_CHECKS_PER_SWEEP: usize = 4 * 1024;

/// Hops of a forwarding header that are looked at, from the right; no honest chain is as long.
pub const FORWARDED_HOPS_MAX: usize = 32;

/// Longest line of a `Forwarded` header that is read, in bytes: what common proxies pass on.
pub const FORWARDED_LINE_BYTES_MAX: usize = 8 * 1024;

/// How long a browser remembers what a preflight request allowed; Chromium takes no more.
pub const CORS_MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// How long a client may hold up an answer that it does not read.
pub const ANSWER_STALL_MAX: Duration = Duration::from_secs(10);

/// Bytes a second that a slow reader must take once it has held up an answer for so long.
pub const ANSWER_BYTES_PER_SECOND_MIN: u32 = 4 * 1024;

/// How long a connection may keep the server waiting once plain connections are scarce.
pub const CROWDED_PATIENCE: Duration = Duration::from_secs(1);

/// How often a crowded server looks for connections that keep it waiting.
pub const CROWD_SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// How often a server without an admin looks whether another process has made one.
pub const ADMIN_CHECK_INTERVAL: Duration = Duration::from_millis(500);

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

/// Longest lifetime of an access token that may be set: as long a revocation is remembered.
pub const ACCESS_TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(60 * 60);

/// How long a client that was said goodbye to may take to close its side.
pub const FAREWELL_PATIENCE: Duration = Duration::from_secs(3);

/// Largest answer to a poll, in bytes, save that the last message in it may go beyond.
pub const POLL_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How long a client may take from the answer of one poll to the next.
pub const POLL_PATIENCE: Duration = Duration::from_secs(45);

/// How long a poll waits unless it says otherwise: below the timeouts of common proxies.
pub const POLL_WAIT: Duration = Duration::from_secs(25);

/// Longest time that a poll may ask to wait.
pub const POLL_WAIT_MAX: Duration = Duration::from_secs(60);

/// Longest number or text by which a client tells the answers to its commands apart, in bytes as JSON.
pub const REQUEST_ID_BYTES_MAX: usize = 66;

/// Attachments of one binary Socket.IO packet, as many as other servers take.
pub const SOCKETIO_ATTACHMENTS_MAX: usize = 10;

/// What Socket.IO emitters said through the database and was not done yet; then the database keeps the rest.
pub const EMITTER_ORDERS_MAX: usize = 256;

/// How often the database is asked what emitters have said, once one is heard at all.
pub const EMITTER_POLL_INTERVAL: Duration = Duration::from_millis(20);
