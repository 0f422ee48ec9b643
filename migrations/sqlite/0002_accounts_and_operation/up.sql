-- Logins, API keys, blocks and the history of settings. Same tables as the PostgreSQL migration of this number.

-- One row for each login of an account: the family of refresh tokens that descend from it.
CREATE TABLE logins (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Counts refreshes: only the token of the present generation is good; an older one was stolen or kept.
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE INDEX logins_by_user ON logins (user_id);
CREATE INDEX logins_by_expiry ON logins (expires_at);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- SHA-256 of the secret, which is shown once and has 256 random bits.
    secret_hash BLOB NOT NULL,
    role TEXT NOT NULL,
    grants_json TEXT NOT NULL,
    created_by TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

-- Who may not connect for a while: `user:<id>` or `address:<network>`.
CREATE TABLE blocks (
    subject TEXT NOT NULL PRIMARY KEY,
    reason TEXT,
    created_by TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE settings_history (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    -- NULL stands for "not set".
    old_value_json TEXT,
    new_value_json TEXT,
    description TEXT,
    changed_by TEXT,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX settings_history_by_key ON settings_history (key, id);

-- What is asked for at each login, at each start and at each clean-up.
CREATE INDEX users_by_role ON users (role);
CREATE INDEX users_by_change ON users (updated_at);
CREATE INDEX logins_by_end ON logins (revoked_at);
CREATE INDEX blocks_by_expiry ON blocks (expires_at);
CREATE INDEX connections_by_end ON connections (disconnected_at);

-- Events are paged by id, since a clock may go back.
DROP INDEX event_logs_by_type;
CREATE INDEX event_logs_by_type ON event_logs (type, id);
CREATE INDEX event_logs_by_level ON event_logs (level, id);
CREATE INDEX event_logs_by_actor ON event_logs (actor, id);
