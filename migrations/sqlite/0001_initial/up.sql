-- The log of record and the tables of users, connections, video rooms, settings and events.
--
-- Same tables and columns as the PostgreSQL migration of this number. Times are microseconds
-- since the Unix epoch, UTC: exact and equal on both databases. Text compares byte by byte.

-- One row: where the log stands. Whoever appends updates it first, so that offsets have commit order.
CREATE TABLE log_state (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    -- Incarnation of the log, eight lower-case hexadecimal digits.
    epoch TEXT NOT NULL,
    -- The last offset that was given out.
    head INTEGER NOT NULL CHECK (head >= 0),
    -- The last offset that retention has removed.
    trimmed_to INTEGER NOT NULL CHECK (trimmed_to >= 0),
    -- Set while entries may be acknowledged that are not synced yet: the boot of the machine that
    -- holds them in memory. An end of that boot may have lost some.
    unsynced_boot TEXT
) STRICT;

-- The log itself. Offsets come from log_state.head and are never used again.
CREATE TABLE messages (
    "offset" INTEGER NOT NULL PRIMARY KEY,
    channel TEXT NOT NULL,
    event TEXT,
    data TEXT NOT NULL,
    sender_user TEXT,
    sender_connection TEXT,
    except_connection TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_by_channel ON messages (channel, "offset");

-- Publishes that their publisher may repeat without effect.
CREATE TABLE idempotency_keys (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    first_offset INTEGER NOT NULL,
    count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- The key comes first, for it alone is selective: one principal may have millions.
    PRIMARY KEY (key, principal)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    role TEXT NOT NULL,
    -- Raised to end every session of the user: tokens carry it.
    token_version INTEGER NOT NULL DEFAULT 0,
    disabled_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE connections (
    id TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL,
    user_id TEXT,
    transport TEXT NOT NULL,
    remote_address TEXT,
    user_agent TEXT,
    connected_at INTEGER NOT NULL,
    disconnected_at INTEGER,
    disconnect_code INTEGER
) STRICT;

CREATE INDEX connections_by_time ON connections (connected_at);
CREATE INDEX connections_by_user ON connections (user_id, connected_at);

CREATE TABLE event_logs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    created_at INTEGER NOT NULL,
    level TEXT NOT NULL,
    type TEXT NOT NULL,
    actor TEXT,
    message TEXT NOT NULL,
    details_json TEXT,
    request_id TEXT
) STRICT;

CREATE INDEX event_logs_by_time ON event_logs (created_at);
CREATE INDEX event_logs_by_type ON event_logs (type, created_at);

CREATE TABLE video_rooms (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    host_id TEXT,
    max_participants INTEGER NOT NULL,
    password_hash TEXT,
    visibility TEXT NOT NULL,
    lobby TEXT NOT NULL,
    topology TEXT NOT NULL,
    host_policy TEXT NOT NULL,
    status TEXT NOT NULL,
    settings_json TEXT NOT NULL,
    epoch TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    closed_at INTEGER,
    close_reason TEXT,
    expires_at INTEGER
) STRICT;

CREATE INDEX video_rooms_by_status ON video_rooms (status, created_at);

CREATE TABLE video_participants (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES video_rooms (id) ON DELETE CASCADE,
    user_id TEXT,
    display_name TEXT NOT NULL,
    role TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    state TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    left_at INTEGER,
    left_reason TEXT,
    media_json TEXT NOT NULL,
    metadata_json TEXT NOT NULL,
    token_hash BLOB,
    quality_json TEXT,
    UNIQUE (room_id, ordinal)
) STRICT;

CREATE TABLE server_settings (
    key TEXT NOT NULL PRIMARY KEY,
    value_json TEXT NOT NULL,
    description TEXT,
    updated_by TEXT,
    updated_at INTEGER NOT NULL
) STRICT;
