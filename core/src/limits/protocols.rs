//! The bounds of other protocols: WebSocket, Engine.IO, Socket.IO.

use std::time::Duration;

/// Largest payload of a WebSocket's ping, pong or close, in bytes (RFC 6455, section 5.5).
pub const WEBSOCKET_CONTROL_BYTES_MAX: usize = 125;

/// Longest reason of a close frame, in bytes: two of its bytes are the code.
pub const WEBSOCKET_CLOSE_REASON_BYTES_MAX: usize = 123;

/// Frames that one message from a client may consist of: a megabyte in pieces of 64 bytes fits.
pub const WEBSOCKET_FRAGMENTS_MAX: u32 = 16 * 1024;

/// From a pong to the next ping of an Engine.IO connection (default of a setting): a held poll ends with
/// it, below the limits of common proxies.
pub const ENGINEIO_PING_INTERVAL: Duration = Duration::from_secs(25);

/// From a ping to the last moment for its pong (default of a setting).
pub const ENGINEIO_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a WebSocket may take to take over an Engine.IO connection (default of a setting).
pub const ENGINEIO_UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest request body or WebSocket message of an Engine.IO client, in bytes (default of a setting).
pub const ENGINEIO_PAYLOAD_BYTES_MAX: u32 = 1_000_000;

/// How long an Engine.IO connection may stay outside of every namespace (default of a setting).
pub const SOCKETIO_CONNECT_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a poll is held that comes while a WebSocket takes over: the two may overtake each other.
pub const ENGINEIO_UPGRADE_POLL_MAX: Duration = Duration::from_millis(100);

/// How long a connection that its client closed is remembered for a poll that was under way.
pub const ENGINEIO_TOMBSTONE: Duration = Duration::from_secs(1);

/// How long a connection that the server closed waits for a poll to tell it.
pub const ENGINEIO_CLOSING_MAX: Duration = Duration::from_secs(30);

/// Bytes of messages in the answer of one poll; the last one may reach beyond.
pub const ENGINEIO_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the server's own packets that wait for an Engine.IO client before nothing more is read from it.
pub const ENGINEIO_OUTGOING_BYTES_MAX: usize = 64 * 1024;

/// Namespaces that one Engine.IO connection joins at the same time: each is a session.
pub const SOCKETIO_NAMESPACES_MAX: usize = 16;

/// Acknowledgements that the server waits for from one client.
pub const SOCKETIO_ASKED_MAX: usize = 64;

/// Bytes of an Engine.IO client's messages that wait to be carried out before nothing more is read from it.
pub const ENGINEIO_INBOX_BYTES_MAX: usize = 64 * 1024;

/// Shortest answer to a poll that is compressed, in bytes.
pub const ENGINEIO_GZIP_BYTES_MIN: usize = 1_024;

/// Longest time that a server may wait for the acknowledgements of its clients.
pub const ASK_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Acknowledgements of one message that wait to be taken up; more are counted as missing.
pub const ASKED_CLIENTS_MAX: usize = 16 * 1024;

/// Admin UIs of Socket.IO that are connected at the same time: each looks at all connections.
pub const ADMIN_UIS_MAX: usize = 16;

/// Most connections of a node that an Admin UI is shown one by one; beyond that it is shown figures only. A page
/// that holds more is slow, and the list is sent as one message.
pub const ADMIN_SOCKETS_MAX: usize = 1_000;

/// Rooms of one connection that an Admin UI is shown.
pub const ADMIN_ROOMS_MAX: usize = 50;

/// From one look at all connections to the next, for an Admin UI that shows them: what happens between is told
/// together.
pub const ADMIN_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// From one `server_stats` to the next; an Admin UI takes a server for dead after 10 s without.
pub const ADMIN_STATS_INTERVAL: Duration = Duration::from_secs(2);

/// How long an Admin UI may come back without a password.
pub const ADMIN_LOGIN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Logins of Admin UIs that are remembered; the oldest goes first.
pub const ADMIN_LOGINS_MAX: usize = 256;

/// Receivers of one message that an Admin UI is told of.
pub const ADMIN_RECEIVERS_MAX: usize = 50;

/// Connections that begin or end, and messages, that an Admin UI may be behind before it misses some.
pub const NEWS_MAX: usize = 1_024;
