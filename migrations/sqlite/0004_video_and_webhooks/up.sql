-- What video rooms need besides their tables of 0001, and the deliveries of webhooks that wait.
-- Same tables and columns as the PostgreSQL migration of this number.

-- The principal that created the room: `user:<id>`, `key:<id>` or the like.
ALTER TABLE video_rooms ADD COLUMN owner TEXT;
-- SHA-256 of the host token, which is shown once and has 192 random bits.
ALTER TABLE video_rooms ADD COLUMN host_token_hash BLOB;
ALTER TABLE video_rooms ADD COLUMN metadata_json TEXT;

-- On whose behalf the participant joined.
ALTER TABLE video_participants ADD COLUMN principal TEXT;
ALTER TABLE video_participants ADD COLUMN is_host INTEGER NOT NULL DEFAULT 0;

-- Who may not come back to a room: `user:<id>`, `session:<SHA-256 in hexadecimal>` or `address:<network>`.
CREATE TABLE video_bans (
    room_id TEXT NOT NULL REFERENCES video_rooms (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    created_by TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, subject)
) STRICT, WITHOUT ROWID;

-- One row for each event and each address that it still has to reach. A row goes only when its
-- receiver has taken it, or when it is given up.
CREATE TABLE webhook_outbox (
    -- Order of deliveries: of one address and subject, the lower goes first.
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- What receivers know the event by: the same at every address and at every try.
    event_id TEXT NOT NULL,
    url TEXT NOT NULL,
    -- What the event is about, such as `room:<id>`: all of one subject arrives in order.
    subject TEXT NOT NULL,
    type TEXT NOT NULL,
    body_json TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Of one address and subject, never before that of a lower id: they wait for each other.
    next_attempt_at INTEGER NOT NULL,
    last_error TEXT
) STRICT;

CREATE INDEX webhook_outbox_by_subject ON webhook_outbox (url, subject, id);
CREATE INDEX webhook_outbox_by_time ON webhook_outbox (url, next_attempt_at);
